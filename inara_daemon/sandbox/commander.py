"""A player as Inara knows one, and the profile it shows. Pure and deterministic."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

LADDERS = ("combat", "trade", "exploration", "cqc", "soldier", "exobiologist", "empire", "federation")
"""The live `rankName`s."""
POWERS = (
    "Aisling Duval",
    "Archon Delaine",
    "Arissa Lavigny-Duval",
    "Denton Patreus",
    "Edmund Mahon",
    "Felicia Winters",
    "Jerome Archer",
    "Li Yong-Rui",
    "Nakato Kaine",
    "Pranav Antal",
    "Yuri Grom",
    "Zemina Torval",
)
_ALLEGIANCES = ("Alliance", "Empire", "Federation", "Independent")
_ROLES = ("Bounty Hunter", "Explorer", "Miner", "Trader", None)
_MEMBER_RANKS = ("Recruit", "Pilot", "Wing Leader", "Officer", "Squadron Leader")
_NAVIES = frozenset({"empire", "federation"})
_TOP_OF_PILOTS = 13
_TOP_OF_NAVIES = 14

RankValue = str | int | None


@dataclass(slots=True)
class Commander:
    """A player and all that Inara could tell; what stands in `hidden` (names on the wire) is left out of a profile.

    None becomes null on the wire, except in `commander_name` and `inara_url`, which are left out then.
    `extra` goes into the profile last and as it is: a way to say nonsense.
    """

    user_id: int
    user_name: str
    commander_name: str | None = None
    ranks: dict[str, RankValue] = field(default_factory=dict)
    """By `rankName`; values as they go over the wire: digits, or an int."""
    progress: dict[str, float] = field(default_factory=dict)
    """By `rankName`, 0 to 1."""
    squadron: dict[str, object] | None = None
    """In the spelling of the wire."""
    power: str | None = None
    allegiance: str | None = None
    role: str | None = None
    inara_url: str | None = None
    hidden: set[str] = field(default_factory=set)
    extra: dict[str, object] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """By what Inara finds the player."""
        return self.commander_name or self.user_name

    @property
    def shown_squadron(self) -> dict[str, object] | None:
        """The squadron that a profile shows."""
        return None if "commanderSquadron" in self.hidden else self.squadron

    def profile(self) -> dict[str, object]:
        """What `getCommanderProfile` tells."""
        told: dict[str, object] = {
            "userID": self.user_id,
            "userName": self.user_name,
            "commanderName": self.commander_name,
            "commanderRanksPilot": [
                {"rankName": ladder, "rankValue": value, "rankProgress": self.progress.get(ladder, 0)}
                for ladder, value in self.ranks.items()
            ],
            "preferredAllegianceName": self.allegiance,
            "preferredPowerName": self.power,
            "preferredGameRole": self.role,
            "commanderSquadron": None if self.squadron is None else dict(self.squadron),
            "inaraURL": self.inara_url,
        }
        left_out = self.hidden | {name for name in ("commanderName", "inaraURL") if told[name] is None}
        return {name: value for name, value in told.items() if name not in left_out} | self.extra

    def promote(self, ladder: str) -> bool:
        """Rise by one rank, if the profile shows that ladder and its top isn't reached."""
        value = self.ranks.get(ladder)
        if "commanderRanksPilot" in self.hidden or value is None or value == "":
            return False
        risen = int(value) + 1
        if risen > (_TOP_OF_NAVIES if ladder in _NAVIES else _TOP_OF_PILOTS):
            return False
        self.ranks[ladder] = str(risen) if isinstance(value, str) else risen
        return True

    def change_power(self) -> bool:
        """Turn to another power, if the profile shows one of the known ones."""
        if self.power not in POWERS or "preferredPowerName" in self.hidden:
            return False
        self.power = POWERS[(POWERS.index(self.power) + 1) % len(POWERS)]
        return True


def enlist(name: str, user_id: int, dice: random.Random) -> Commander:
    """A player who shows everything and is in no squadron yet."""
    ranks: dict[str, RankValue] = {
        ladder: str(dice.randint(0, _TOP_OF_NAVIES if ladder in _NAVIES else _TOP_OF_PILOTS)) for ladder in LADDERS
    }
    return Commander(
        user_id=user_id,
        user_name=f"player{user_id}",
        commander_name=name,
        ranks=ranks,
        progress={"combat": dice.randint(0, 99) / 100},
        power=dice.choice(POWERS),
        allegiance=dice.choice(_ALLEGIANCES),
        role=dice.choice(_ROLES),
        inara_url=f"https://inara.cz/elite/cmdr/{user_id}/",
    )


def membership(squadron_id: int, name: str, members: int, dice: random.Random) -> dict[str, object]:
    """A squadron with a member's rank in it, as the live API writes it."""
    return {
        "squadronID": squadron_id,
        "squadronName": name,
        "squadronMembersCount": members,
        "squadronMemberRank": dice.choice(_MEMBER_RANKS),
        "inaraURL": f"https://inara.cz/elite/squadron/{squadron_id}/",
    }
