"""The names of the demo, picked to hurt: scripts, emoji, Markdown, mentions, and profiles that hide things."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inara_daemon.sandbox.commander import LADDERS


@dataclass(frozen=True, slots=True)
class DemoSquadron:
    """A squadron, its members, and what else stands in its players' logs."""

    squadron_id: int
    name: str
    members: tuple[str, ...]
    other_names: tuple[str, ...]


SQUADRONS = (
    DemoSquadron(
        16_001,
        "Lantern Wardens",
        (
            "Nova Kestrel",
            "Ærø",
            "Jean-Luc_Moreau",
            "*Starlit* Vagrant",
            "~~Ghost~~ of Hutton",
            "__Underline__",
            "||Spoiler||",
            "[Bracket](https://example.invalid)",
            "`Backtick` Betty",
            "```Fence```",
            "@everyone",
            "@here",
            "<@123>",
            "<#456>",
            "# Headline",
            "> Quoted",
            "1. First",
            "- Dash",
            "back\\slash",
            "O'Brien & <b>Sons</b>",
        ),
        ("NOVA KESTREL", "  Padded Nobody ", "Lantern Oil", "Hyp Atia", "Zero Zane"),
    ),
    DemoSquadron(
        16_002,
        "Στόλος του Αιγαίου",
        (
            "Ελλάς",
            "Οδυσσέας",
            "Çağlar Yıldız",  # noqa: RUF001 - the Turkish alphabet has that letter
            "İstanbul Işığı",  # noqa: RUF001
            "Ñandú",
            "Łukasz Żółw",
            "Дмитрий Волков",
            "日本の星",
            "김하늘",
            "عمر الفلكي",
            "Zoë 🚀",
            "🦊",
            "👩\N{ZERO WIDTH JOINER}🚀 Ripley",
            "Rene\N{COMBINING ACUTE ACCENT}",
            "Straße 9",
            "Tycho Brahe",
            "Hypatia",
            "Ione Vale",
            "x",
            "W" * 64,
        ),
        ("ΕΛΛΆΣ", "STRASSE 9", "Nobody At All", "Lost Lark"),
    ),
    DemoSquadron(
        16_003,
        "*Void* | Runners_7th `Fleet`",
        (
            "Elite V Vera",
            "Zero Zane",
            "Hidden Hana",
            "Blank Boris",
            "Null Nils",
            "No Squad Nora",
            "Secret Sasha",
            "Integer Ivy",
            "Capital Dana",
            "Explore Elsie",
            "Beyond Bea",
            "Short Sam",
            "Powerless Pia",
            "No Link Lea",
            "Userless Uma",
            "Marrow",
            "Juniper Tau",
            "Cobalt Finch",
            "Sable Orrery",
            "Quill Harrow",
        ),
        ("juniper tau", "Ghost Writer 404", "Nova Kestrel"),
    ),
)

ODDITIES: Mapping[str, Mapping[str, Any]] = {
    "Elite V Vera": {"ranks": dict.fromkeys(LADDERS, "13")},
    "Zero Zane": {"ranks": dict.fromkeys(LADDERS, "0")},
    "Hidden Hana": {"hidden": {"commanderRanksPilot"}},
    "Blank Boris": {"ranks": {**dict.fromkeys(LADDERS, ""), "cqc": None, "trade": "3"}},
    "Null Nils": {"squadron": None},
    "No Squad Nora": {"hidden": {"commanderSquadron"}},
    "Secret Sasha": {
        "hidden": {
            "commanderRanksPilot",
            "commanderSquadron",
            "preferredAllegianceName",
            "preferredPowerName",
            "preferredGameRole",
        }
    },
    "Integer Ivy": {"ranks": dict.fromkeys(LADDERS, 5), "progress": dict.fromkeys(LADDERS, 0.5)},
    "Capital Dana": {
        "squadron": {
            "SquadronID": 16_003,
            "SquadronName": "*Void* | Runners_7th `Fleet`",
            "SquadronMembersCount": 20,
            "SquadronMemberRank": "Officer",
        }
    },
    "Explore Elsie": {"ranks": {"combat": "2", "explore": "8"}},
    "Beyond Bea": {"ranks": {"combat": "99", "empire": "15", "trade": "8", "thargoid": "1"}},
    "Short Sam": {"ranks": {"combat": "1"}},
    "Powerless Pia": {"power": None, "allegiance": None, "role": None},
    "No Link Lea": {"inara_url": None},
    "Userless Uma": {"user_name": "Userless Uma", "commander_name": None},
}
"""What is different in the profile of a member, by field of `Commander`."""

MISTAKES: Mapping[str, tuple[str, int]] = {"Hyp Atia": ("Hypatia", 202), "Lost Lark": ("Marrow", 200)}
"""Whose profile is shown for a name that nobody bears, and with which status."""
