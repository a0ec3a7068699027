"""A run in which nothing happened, to which a test adds what it is about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from inara_daemon.commander import Change, ChangeKind, RankKind
from inara_daemon.problem_memory import Problem, ProblemNews
from inara_daemon.run_facts import CommanderChange, RunFacts, Totals

NOW = datetime(2027, 1, 1, 1, tzinfo=UTC)
PAGE = "https://inara.cz/elite/cmdr/7/"
ALL_WELL = Totals(names=3, answered=3, written=0, not_found=0, ambiguous=0, failed=0, requests=1)


def facts(**more: Any) -> RunFacts:
    """A run of 62 seconds that found three commanders as they were, but for `more`."""
    quiet: dict[str, Any] = {
        "tenant": "Grim's Squad",
        "run_id": 7,
        "reason": "cron",
        "started_at": NOW,
        "ended_at": NOW + timedelta(seconds=62),
        "next_run_at": NOW + timedelta(days=1),
        "first": False,
        "totals": ALL_WELL,
    }
    return RunFacts(**quiet | more)


def met(*problems: Problem, **more: Any) -> RunFacts:
    """A run that met these problems for the first time."""
    return facts(problems=problems, news=ProblemNews(fresh=frozenset(problem.kind for problem in problems)), **more)


def changed(name: str, change: Change, url: str | None = None) -> CommanderChange:
    """A commander's change."""
    return CommanderChange(name, url, change)


def promoted(name: str, value: int, ladder: RankKind = RankKind.COMBAT) -> CommanderChange:
    """A commander's promotion by one rank."""
    return changed(name, Change(ChangeKind.PROMOTED, str(value - 1), str(value), ladder))
