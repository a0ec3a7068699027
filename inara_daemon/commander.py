"""What is known of a commander, how a reply from Inara changes it, and what changed. Pure.

The rank tables come from EDCD/FDevIDs, EDCD/EDDI and EDDiscovery/EliteDangerousCore.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

MAX_NAME_LENGTH = 64
"""Characters of `cmdr.name` and `event.cmdr` (VARCHAR(64) in the backend's schema)."""

ABSENCE_THAT_MEANS_LEFT = timedelta(hours=12)
"""How far apart two replies without a squadron must be before it counts as left."""


class RankKind(StrEnum):
    """The eight ladders of Inara's `commanderRanksPilot`, by their live `rankName`."""

    COMBAT = "combat"
    TRADE = "trade"
    EXPLORATION = "exploration"
    CQC = "cqc"
    SOLDIER = "soldier"
    EXOBIOLOGIST = "exobiologist"
    EMPIRE = "empire"
    FEDERATION = "federation"


_PILOT_TITLES: Mapping[RankKind, str] = {
    RankKind.COMBAT: "Harmless|Mostly Harmless|Novice|Competent|Expert|Master|Dangerous|Deadly",
    RankKind.TRADE: "Penniless|Mostly Penniless|Peddler|Dealer|Merchant|Broker|Entrepreneur|Tycoon",
    RankKind.EXPLORATION: "Aimless|Mostly Aimless|Scout|Surveyor|Trailblazer|Pathfinder|Ranger|Pioneer",
    RankKind.CQC: "Helpless|Mostly Helpless|Amateur|Semi Professional|Professional|Champion|Hero|Legend",
    RankKind.SOLDIER: "Defenceless|Mostly Defenceless|Rookie|Soldier|Gunslinger|Warrior|Gladiator|Deadeye",
    RankKind.EXOBIOLOGIST: (
        "Directionless|Mostly Directionless|Compiler|Collector|Cataloguer|Taxonomist|Ecologist|Geneticist"
    ),
}
_ELITE = 8
_ELITE_TITLES = ("Elite", "Elite I", "Elite II", "Elite III", "Elite IV", "Elite V")
_NAVY_TITLES: Mapping[RankKind, str] = {
    RankKind.EMPIRE: (
        "None|Outsider|Serf|Master|Squire|Knight|Lord|Baron|Viscount|Count|Earl|Marquis|Duke|Prince|King"
    ),
    RankKind.FEDERATION: (
        "None|Recruit|Cadet|Midshipman|Petty Officer|Chief Petty Officer|Warrant Officer|Ensign|Lieutenant|"
        "Lieutenant Commander|Post Commander|Post Captain|Rear Admiral|Vice Admiral|Admiral"
    ),
}
_TITLES: Mapping[RankKind, tuple[str, ...]] = {
    **{kind: (*titles.split("|"), *_ELITE_TITLES) for kind, titles in _PILOT_TITLES.items()},
    **{kind: tuple(titles.split("|")) for kind, titles in _NAVY_TITLES.items()},
}
_LADDER_NAMES: Mapping[RankKind, str] = {
    RankKind.CQC: "CQC",
    RankKind.SOLDIER: "Mercenary",
}


def rank_title(kind: RankKind, value: int) -> str:
    """The name of a rank; `rank N` for a value beyond the known table."""
    titles = _TITLES[kind]
    return titles[value] if 0 <= value < len(titles) else f"rank {value}"


def is_elite(kind: RankKind, value: int) -> bool:
    """Whether a rank is one of the Elite ranks, which crown every ladder but those of the navies."""
    return kind in _PILOT_TITLES and value >= _ELITE


def ladder_name(kind: RankKind) -> str:
    """What players call the ladder, such as `Combat` or `Mercenary`."""
    return _LADDER_NAMES.get(kind, kind.value.capitalize())


def lookup_key(name: str) -> str:
    """What makes two spellings one commander at Inara, whose search ignores case."""
    return name.strip().casefold()


@dataclass(frozen=True, slots=True)
class Squadron:
    """A squadron as Inara writes it; a `rank` of None is unknown."""

    name: str
    rank: str | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """What one reply says of a commander; None or a missing key is unknown, never lost."""

    commander_name: str
    user_id: int | None = None
    ranks: Mapping[RankKind, int] = field(default_factory=dict)
    power: str | None = None
    squadron: Squadron | None = None
    squadron_absent: bool = False
    """The reply named no squadron at all (missing or null)."""
    inara_url: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A profile came back; whose it is, `identify` decides."""

    profile: Profile


@dataclass(frozen=True, slots=True)
class NotFound:
    """Inara knows nobody of that name (status 204): normal."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """Inara refused this one name (status 400 of an event) and no other."""

    text: str


@dataclass(frozen=True, slots=True)
class SetAside:
    """Inara refuses every request that carries this name."""

    text: str


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A good reply did not contain the name, three times in a run."""


Outcome = Found | NotFound | Rejected | SetAside | Unanswered


class Identity(StrEnum):
    """Whose profile came back, compared with the name searched and the account known before."""

    SAME = "same"
    RENAMED = "renamed"
    OTHER_ACCOUNT = "other_account"
    STRANGER = "stranger"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that is known of a commander, gathered over all replies; None or a missing key is unknown."""

    user_id: int | None = None
    inara_name: str | None = None
    ranks: Mapping[RankKind, int] = field(default_factory=dict)
    power: str | None = None
    inara_url: str | None = None
    squadron: Squadron | None = None
    squadron_absent_since: datetime | None = None
    left_squadron: bool = False
    """In no squadron for sure: only then may a stored squadron become NULL."""


class Standing(StrEnum):
    """How the last reply about a name ended."""

    FOUND = "found"
    NOT_FOUND = "not_found"
    AMBIGUOUS = "ambiguous"
    REJECTED = "rejected"
    SET_ASIDE = "set_aside"
    UNANSWERED = "unanswered"


@dataclass(frozen=True, slots=True)
class Record:
    """What a tenant's memory holds of one name beside its snapshot."""

    standing: Standing | None = None
    answered_request: int = 0
    """The number of the request that answered last; 0: never."""
    answered_at: datetime | None = None
    misses: int = 0
    """How often in a row Inara did not know the name, or refused it."""
    due_at: datetime | None = None
    """Until then an unknown name only fills free slots, and one set aside is not asked for."""
    last_event_id: int = 0
    """The newest event of this name when it was answered last."""


class ChangeKind(StrEnum):
    """What can change, the most notable first."""

    RENAMED = "renamed"
    OTHER_ACCOUNT = "other_account"
    PROMOTED = "promoted"
    SQUADRON_JOINED = "squadron_joined"
    SQUADRON_MOVED = "squadron_moved"
    SQUADRON_LEFT = "squadron_left"
    SQUADRON_RANK = "squadron_rank"
    POWER = "power"
    NEW = "new"
    DEMOTED = "demoted"
    RANK_LEARNED = "rank_learned"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that changed; `old` and `new` are names, or a rank's number as text; None is unknown."""

    kind: ChangeKind
    old: str | None = None
    new: str | None = None
    ladder: RankKind | None = None


def identify(searched: str, profile: Profile, known_user_id: int | None) -> Identity:
    """Whose profile this is: Inara's search is fuzzy and may answer with another player's."""
    same_name = lookup_key(profile.commander_name) == lookup_key(searched)
    comparable = known_user_id is not None and profile.user_id is not None
    if same_name:
        return Identity.OTHER_ACCOUNT if comparable and profile.user_id != known_user_id else Identity.SAME
    return Identity.RENAMED if comparable and profile.user_id == known_user_id else Identity.STRANGER


def merge(previous: Snapshot | None, profile: Profile, now: datetime) -> Snapshot:
    """What is known after this reply: what it lacks stays as it was."""
    before = previous or Snapshot()
    if profile.user_id is not None and before.user_id not in {None, profile.user_id}:
        before = Snapshot()  # what is known of somebody else says nothing
    merged = replace(
        before,
        user_id=before.user_id if profile.user_id is None else profile.user_id,
        inara_name=profile.commander_name,
        ranks={**before.ranks, **profile.ranks},
        power=profile.power or before.power,
        inara_url=profile.inara_url or before.inara_url,
    )
    if profile.squadron is not None:
        return replace(
            merged,
            squadron=_merge_squadron(before.squadron, profile.squadron),
            squadron_absent_since=None,
            left_squadron=False,
        )
    if not (profile.squadron_absent and profile.ranks):
        return merged  # a reply that hides everything says nothing about the squadron
    absent_since = before.squadron_absent_since or now
    if now - absent_since < ABSENCE_THAT_MEANS_LEFT:
        # A clock that went backwards starts the wait again instead of stretching it.
        return replace(merged, squadron_absent_since=min(absent_since, now))
    return replace(merged, squadron=None, squadron_absent_since=absent_since, left_squadron=True)


def fill(first: Snapshot, second: Snapshot) -> Snapshot:
    """What two snapshots of one account know together; where both know something, the first is right."""
    return replace(
        first,
        ranks={**second.ranks, **first.ranks},
        power=first.power or second.power,
        inara_url=first.inara_url or second.inara_url,
        squadron=first.squadron if first.squadron is not None or first.left_squadron else second.squadron,
    )


def _merge_squadron(before: Squadron | None, now: Squadron) -> Squadron:
    same = before is not None and before.name == now.name
    return Squadron(now.name, now.rank or (before.rank if same and before else None))


def diff(previous: Snapshot | None, current: Snapshot, identity: Identity) -> tuple[Change, ...]:
    """What a reply changed, the most notable first; a commander never seen before is one change."""
    if previous is None:
        return (Change(ChangeKind.NEW, new=current.inara_name),)
    if identity is Identity.OTHER_ACCOUNT:  # another person's ranks are nobody's promotion
        return (Change(ChangeKind.OTHER_ACCOUNT, str(previous.user_id), str(current.user_id)),)
    changes = [
        *_renames(previous, current),
        *_squadron_changes(previous, current),
        *_rank_changes(previous, current),
    ]
    if current.power != previous.power:
        changes.append(Change(ChangeKind.POWER, previous.power, current.power))
    notability = list(ChangeKind)
    return tuple(sorted(changes, key=lambda change: notability.index(change.kind)))


def _renames(previous: Snapshot, current: Snapshot) -> list[Change]:
    if previous.inara_name is None or current.inara_name is None:
        return []
    if lookup_key(previous.inara_name) == lookup_key(current.inara_name):
        return []
    return [Change(ChangeKind.RENAMED, previous.inara_name, current.inara_name)]


def _squadron_changes(previous: Snapshot, current: Snapshot) -> list[Change]:
    old, new = previous.squadron, current.squadron
    if new is None:
        return [Change(ChangeKind.SQUADRON_LEFT, old=old.name)] if old is not None else []
    if old is None:
        return [Change(ChangeKind.SQUADRON_JOINED, new=new.name)]
    if old.name != new.name:
        return [Change(ChangeKind.SQUADRON_MOVED, old.name, new.name)]
    if old.rank != new.rank:
        return [Change(ChangeKind.SQUADRON_RANK, old.rank, new.rank)]
    return []


def _rank_changes(previous: Snapshot, current: Snapshot) -> list[Change]:
    changes = []
    for ladder in RankKind:
        old, new = previous.ranks.get(ladder), current.ranks.get(ladder)
        if new is None or new == old:
            continue
        changes.append(Change(_rank_change_kind(old, new), None if old is None else str(old), str(new), ladder))
    return changes


def _rank_change_kind(old: int | None, new: int) -> ChangeKind:
    if old is None:
        return ChangeKind.RANK_LEARNED
    return ChangeKind.PROMOTED if new > old else ChangeKind.DEMOTED
