"""A night worth telling, and the picture of its report."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from inara_daemon.commander import Change, ChangeKind, RankKind
from inara_daemon.notify.discord_format import render
from inara_daemon.problem_memory import Problem, ProblemNews
from inara_daemon.report_text import build
from inara_daemon.run_facts import CommanderChange, RunFacts, Totals
from pictures.message import draw

STARTED = datetime(2027, 3, 14, 1, tzinfo=UTC)
ENDED = STARTED + timedelta(minutes=5, seconds=18)
SEEN = ENDED + timedelta(minutes=2)
"""When somebody looks at the message."""


def _told(name: str, page: int, kind: ChangeKind, old: str | None, new: str | None) -> CommanderChange:
    return CommanderChange(name, f"https://inara.cz/elite/cmdr/{page}/", Change(kind, old, new))


def _promoted(name: str, page: int, ladder: RankKind, rank: int) -> CommanderChange:
    change = Change(ChangeKind.PROMOTED, str(rank - 1), str(rank), ladder)
    return CommanderChange(name, f"https://inara.cz/elite/cmdr/{page}/", change)


NIGHT = RunFacts(
    tenant="Wings of Lave",
    run_id=212,
    reason="cron",
    started_at=STARTED,
    ended_at=ENDED,
    next_run_at=STARTED + timedelta(days=1),
    first=False,
    totals=Totals(names=248, answered=247, written=8, not_found=2, ambiguous=1, failed=1, requests=11),
    changes=(
        _told("Mira Solace", 418_233, ChangeKind.NEW, None, "Mira Solace"),
        _promoted("Halcyon Drift", 301_877, RankKind.COMBAT, 8),
        _promoted("Tobias_Krell", 96_410, RankKind.EXPLORATION, 7),
        _promoted("Tobias_Krell", 96_410, RankKind.EXOBIOLOGIST, 5),
        _promoted("VANTA-7", 350_092, RankKind.TRADE, 6),
        _promoted("Juniper Vale", 287_655, RankKind.FEDERATION, 9),
        _told("Odessa Rook", 402_118, ChangeKind.SQUADRON_JOINED, None, "Wings of Lave"),
        _told("Karst", 155_340, ChangeKind.SQUADRON_MOVED, "Leesti Irregulars", "Wings of Lave"),
        _told("Halcyon Drift", 301_877, ChangeKind.POWER, "Li Yong-Rui", "Aisling Duval"),
        _told("Bram Ostler", 211_904, ChangeKind.RENAMED, "Bram Ostler", "Bram_Ostler [WoL]"),
    ),
    not_found=("Zeta*Lyrae*", "Old Greybeard"),
    ambiguous=("Nova",),
    problems=(Problem("name_unanswered", "", "Quill Marlowe"),),
    news=ProblemNews(fresh=frozenset({"name_unanswered"})),
)


def report_picture() -> str:
    """The report of that night as its squadron sees it, as SVG."""
    return draw(render(build(NIGHT)), SEEN)
