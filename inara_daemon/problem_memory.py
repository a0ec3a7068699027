"""Which problems are new to a tenant, known, or over, so that nobody is told the same every night. Pure."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

REMINDED_AFTER = timedelta(days=7)
"""A problem that does not change is told again after so long."""
_SLACK = timedelta(hours=6)
"""A run ends at another minute each night: a week must not become eight days."""
_OF_NAMES = "name_"
_ALWAYS_THE_SAME = frozenset({"outage", "limited", "incomplete"})
"""Their words differ from night to night, and mean no more than that it happened again."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that went wrong, by kind; `name` is the commander whom it concerns."""

    kind: str
    text: str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class ToldProblem:
    """A kind of problem that a tenant has heard of: its form, since when it is there, and when it was told last.

    `told_in` is the message that told it, None while that is being made; `lost`: it did not arrive. `over`: that it is
    over was told, and it is remembered until that has arrived.
    """

    kind: str
    digest: str
    since: datetime
    told_at: datetime
    told_in: int | None = None
    over: bool = False
    lost: bool = False


@dataclass(frozen=True, slots=True)
class ProblemNews:
    """The kinds of problems of a run: those to tell, and, with the time since which they are there, the others."""

    fresh: frozenset[str] = frozenset()
    """New, or not what they were."""
    reminded: Mapping[str, datetime] = field(default_factory=dict)
    """Unchanged, and told again after a week."""
    unchanged: Mapping[str, datetime] = field(default_factory=dict)
    over: Mapping[str, datetime] = field(default_factory=dict)

    def tells(self, kind: str) -> bool:
        """Whether a report tells this kind in full."""
        return kind in self.fresh or kind in self.reminded


NO_NEWS = ProblemNews()


def digest(problems: Iterable[Problem]) -> str:
    """What tells problems of a kind from those of another night: the commanders, else the words without numbers."""
    forms = {problem.name if problem.name is not None else _form(problem) for problem in problems}
    return hashlib.sha256("\n".join(sorted(forms)).encode("utf-8", "replace")).hexdigest()[:32]


def _form(problem: Problem) -> str:
    return "" if problem.kind in _ALWAYS_THE_SAME else re.sub(r"[0-9]+", "#", problem.text)


def problem_news(
    problems: Sequence[Problem], told: Mapping[str, ToldProblem], now: datetime, *, complete: bool, names_read: bool
) -> ProblemNews:
    """What to tell of a run's problems when `told`, by kind, was told before; what did not arrive is told again.

    After a run that is not complete nothing is over, as what was not tried may fail again: but problems of names are
    known as soon as these were read.
    """
    digests = _digests(problems)
    known = {
        kind for kind, value in digests.items() if kind in told and told[kind].digest == value and not told[kind].over
    }
    due = {kind for kind in known if told[kind].lost or is_due(told[kind].told_at, now)}
    gone = {
        kind
        for kind, before in told.items()
        if kind not in digests
        and (before.lost if before.over else names_read if kind.startswith(_OF_NAMES) else complete)
    }
    return ProblemNews(
        fresh=frozenset(digests.keys() - known),
        reminded={kind: told[kind].since for kind in sorted(due)},
        unchanged={kind: told[kind].since for kind in sorted(known - due)},
        over={kind: told[kind].since for kind in sorted(gone)},
    )


def is_due(told_at: datetime, now: datetime) -> bool:
    """Whether what was told then, and has not changed, is to be told again."""
    # A clock that was far ahead when it was told must not silence it for as long.
    return abs(now - told_at) >= REMINDED_AFTER - _SLACK


def _digests(problems: Iterable[Problem]) -> dict[str, str]:
    by_kind: dict[str, list[Problem]] = defaultdict(list)
    for problem in problems:
        by_kind[problem.kind].append(problem)
    return {kind: digest(of_kind) for kind, of_kind in by_kind.items()}


def remember(
    problems: Iterable[Problem], told: Mapping[str, ToldProblem], news: ProblemNews, now: datetime
) -> tuple[ToldProblem, ...]:
    """What a tenant has heard of once the report with this news arrives; what that tells has no `told_in` yet."""
    kept = [told[kind] for kind in told if kind not in news.over and not news.tells(kind)]
    over = [replace(told[kind], over=True, told_at=now, told_in=None, lost=False) for kind in news.over]
    telling = [
        ToldProblem(kind, value, _since(told.get(kind), now), now)
        for kind, value in _digests(problems).items()
        if news.tells(kind)
    ]
    return (*kept, *over, *telling)


def _since(before: ToldProblem | None, now: datetime) -> datetime:
    return now if before is None or before.over else before.since
