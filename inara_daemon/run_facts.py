"""All that a run's report is made from. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from inara_daemon.commander import Change
from inara_daemon.problem_memory import NO_NEWS, Problem, ProblemNews


@dataclass(frozen=True, slots=True)
class CommanderChange:
    """One change of one commander; `url` is the Inara page."""

    name: str
    url: str | None
    change: Change


@dataclass(frozen=True, slots=True)
class Totals:
    """The counts of a run; `written` commanders changed."""

    names: int
    answered: int
    written: int
    not_found: int
    ambiguous: int
    failed: int
    requests: int


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a run did and met.

    `complete`: everyone was asked. `not_found` and `ambiguous` begin with those who are it newly. `undelivered` are
    earlier messages that were lost, in words.
    """

    tenant: str
    run_id: int
    reason: str
    started_at: datetime
    ended_at: datetime
    next_run_at: datetime | None
    first: bool
    totals: Totals
    complete: bool = True
    changes: tuple[CommanderChange, ...] = ()
    not_found: tuple[str, ...] = ()
    ambiguous: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    news: ProblemNews = field(default=NO_NEWS)
    undelivered: tuple[str, ...] = ()
    log_lines: tuple[str, ...] = ()
    log_lines_dropped: int = 0
