"""Who plays, and what Inara says when it is asked for a name. Pure and deterministic."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace

from inara_daemon.sandbox import demo_roster
from inara_daemon.sandbox.commander import LADDERS, Commander, RankValue, enlist, membership

__all__ = ["LADDERS", "Answer", "Commander", "RankValue", "SecondNight", "World", "demo_world", "make_world"]

_PROMOTIONS = 5
_STRIDE = 7
_FIRST_USER_ID = 100_000
_FIRST_SQUADRON_ID = 1_000
_EXACT = 200
_NOT_EXACT = 202


@dataclass(frozen=True, slots=True)
class Answer:
    """One event of a reply: 200, 202, 204 or 400."""

    status: int
    profile: dict[str, object] | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class _Mistake:
    """Whose profile a search shows for a name that nobody bears."""

    shown: str
    status: int
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SecondNight:
    """Who changed, by the name that was searched in the first night; None: nobody could."""

    promoted: tuple[str, ...]
    moved: str | None
    new_power: str | None
    renamed: tuple[str, str] | None


class World:
    """All commanders, and what a search for a name brings; names are compared ignoring case.

    poison: names that make Inara refuse the whole batch.
    unanswered: names that a reply leaves out.
    errors: names that Inara refuses one by one, with the text.
    owners: whose profile a key opens (None: nobody's, as for a generic key); other keys open the first commander's.
    rosters: by squadron, the names as its players' logs hold them.
    """

    def __init__(self, commanders: Iterable[Commander] = ()) -> None:
        self._commanders: dict[str, Commander] = {}
        self._mistakes: dict[str, _Mistake] = {}
        self.poison: set[str] = set()
        self.unanswered: set[str] = set()
        self.errors: dict[str, str] = {}
        self.owners: dict[str, str | None] = {}
        self.rosters: dict[str, tuple[str, ...]] = {}
        for commander in commanders:
            self.add(commander)

    @property
    def commanders(self) -> tuple[Commander, ...]:
        """Everyone, in the order added."""
        return tuple(self._commanders.values())

    def add(self, commander: Commander) -> None:
        """Let a player appear, in the place of one of the same name."""
        self._commanders[_fold(commander.name)] = commander

    def remove(self, name: str) -> None:
        """Let a player disappear. Raises KeyError for an unknown name."""
        del self._commanders[_fold(name)]

    def find(self, name: str) -> Commander:
        """The player of exactly that name, ignoring case. Raises KeyError for an unknown name."""
        return self._commanders[_fold(name)]

    def rename(self, old: str, new: str, *, status: int | None = _NOT_EXACT) -> None:
        """Give a player another name; the old one still finds the profile, with this status, unless that is None.

        Raises KeyError for an unknown name.
        """
        commander = self._commanders.pop(_fold(old))
        commander.commander_name = new
        self.add(commander)
        if status is not None:
            self.mistake(old, new, status=status)

    def mistake(self, searched: str, shown: str, *, status: int = _NOT_EXACT, others: Iterable[str] = ()) -> None:
        """Let the search for a name that nobody bears show another player.

        Status 202 admits that and lists `others` as the names found (the player's own if there are none); 200 doesn't.
        """
        self._mistakes[_fold(searched)] = _Mistake(shown, status, tuple(others))

    def is_poison(self, name: str) -> bool:
        """Whether the name spoils its batch."""
        return _among(name, self.poison)

    def answer(self, name: str) -> Answer | None:
        """What the search for a name brings; None: the reply leaves it out."""
        if _among(name, self.unanswered):
            return None
        error = next((text for broken, text in self.errors.items() if _fold(broken) == _fold(name)), None)
        if error is not None:
            return Answer(400, text=error)
        commander = self._commanders.get(_fold(name))
        return self._mistaken_answer(name) if commander is None else Answer(_EXACT, commander.profile())

    def own_profile(self, key: str) -> Answer:
        """What an empty search brings: the profile of the key's owner."""
        owner = self.owners[key] if key in self.owners else next((c.name for c in self.commanders), None)
        return _nobody() if owner is None else Answer(_EXACT, self.find(owner).profile())

    def turn_powers(self) -> None:
        """Let everybody whose profile shows a power turn to another one."""
        for commander in self.commanders:
            commander.change_power()

    def _mistaken_answer(self, name: str) -> Answer:
        mistake = self._mistakes.get(_fold(name))
        commander = None if mistake is None else self._commanders.get(_fold(mistake.shown))
        if mistake is None or commander is None:
            return _nobody()
        if mistake.status == _EXACT:
            return Answer(_EXACT, commander.profile())
        found = {"otherNamesFound": list(mistake.others) or [commander.name]}
        return Answer(mistake.status, commander.profile() | found, "Multiple commanders were found.")

    def second_night(self) -> SecondNight:
        """Let time pass: five promotions, one squadron move, one change of power, one rename.

        Each falls on another commander whose profile shows it, spread over the squadrons.
        """
        everyone = self.commanders
        rest = iter([commander for start in range(_STRIDE) for commander in everyone[start::_STRIDE]])
        promoted = tuple(_promotions(rest))
        moved = next((commander for commander in rest if _move(commander, everyone)), None)
        turned = next((commander for commander in rest if commander.change_power()), None)
        renamed = next((commander for commander in rest if commander.commander_name is not None), None)
        names = None
        if renamed is not None:
            names = (renamed.name, f"{renamed.name} II")
            self.rename(*names)
        return SecondNight(
            promoted, None if moved is None else moved.name, None if turned is None else turned.name, names
        )


def make_world(count: int, seed: int, *, squadrons: int = 3) -> World:
    """So many commanders, all of whom Inara finds, in so many squadrons; the same for the same arguments."""
    dice = random.Random(seed)  # noqa: S311 - a repeatable world, no secret
    world = World()
    rosters: dict[str, list[str]] = {f"Squadron {number + 1}": [] for number in range(squadrons)}
    homes = list(rosters)
    for number in range(count):
        home = number % squadrons
        commander = enlist(f"Pilot {seed}-{number:06}", _FIRST_USER_ID + number, dice)
        commander.squadron = membership(_FIRST_SQUADRON_ID + home, homes[home], count // squadrons, dice)
        world.add(commander)
        rosters[homes[home]].append(commander.name)
    world.rosters = {squadron: tuple(names) for squadron, names in rosters.items()}
    return world


def demo_world() -> World:
    """Sixty commanders with awkward names in three squadrons; always the same."""
    dice = random.Random(3312)  # noqa: S311 - a repeatable world, no secret
    world = World()
    user_id = _FIRST_USER_ID
    for squadron in demo_roster.SQUADRONS:
        for name in squadron.members:
            user_id += 1
            commander = enlist(name, user_id, dice)
            commander.squadron = membership(squadron.squadron_id, squadron.name, len(squadron.members), dice)
            world.add(replace(commander, **deepcopy(dict(demo_roster.ODDITIES.get(name, {})))))
        world.rosters[squadron.name] = (*squadron.members, *squadron.other_names)
    for searched, (shown, status) in demo_roster.MISTAKES.items():
        world.mistake(searched, shown, status=status)
    return world


def _nobody() -> Answer:
    return Answer(204, text="No results found.")


def _fold(name: str) -> str:
    return name.strip().casefold()


def _among(name: str, names: Iterable[str]) -> bool:
    return any(_fold(name) == _fold(other) for other in names)


def _promotions(commanders: Iterator[Commander]) -> Iterator[str]:
    """Promote, each on another ladder, until enough were; who is not needed stays in the iterator."""
    for ladder in LADDERS[:_PROMOTIONS]:
        promoted = next((commander for commander in commanders if commander.promote(ladder)), None)
        if promoted is not None:
            yield promoted.name


def _move(commander: Commander, everyone: Iterable[Commander]) -> bool:
    """Let a commander become a recruit of the first other squadron that somebody shows."""
    home = _squadron_id(commander)
    elsewhere = (other for other in everyone if _squadron_id(other) not in (None, home))
    host = next(elsewhere, None)
    if home is None or host is None or host.squadron is None:
        return False
    commander.squadron = {**host.squadron, "squadronMemberRank": "Recruit"}
    return True


def _squadron_id(commander: Commander) -> object:
    return (commander.shown_squadron or {}).get("squadronID")
