"""Log lines for a channel: the same ones joined, and few enough that a failing loop floods nobody. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from inara_daemon.report import Outcome, Report

LINES_KEPT = 100
"""Different lines that wait for one channel; more are only counted."""
LINES_A_MESSAGE = 20
LINES_AN_HOUR = 60
"""The most that a channel is told between runs."""
MESSAGE_SECONDS = 300.0
"""The least time between two messages with log lines."""
HOUR_SECONDS = 3_600.0
_LONGEST_TEXT = 1_000
_LONGEST_FORM = 500
"""Shorter than a text, at whose end numbers of other lengths shift what is cut off."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line, or several that differ in numbers only; `text` is the last one's."""

    level: str
    event: str
    text: str
    first_at: datetime
    last_at: datetime
    count: int = 1

    @property
    def identity(self) -> str:
        """What lines have in common that are told as one: level, event, keys and values, but for numbers."""
        form = re.sub(r"[0-9]+", "#", f"{self.level} {self.event} {self.text}")[:_LONGEST_FORM]
        return hashlib.sha256(form.encode("utf-8", "replace")).hexdigest()[:32]

    def joined(self, other: LogLine) -> LogLine:
        """Both as one line, whichever came first."""
        later = other if other.last_at >= self.last_at else self
        return replace(later, first_at=min(self.first_at, other.first_at), count=self.count + other.count)

    def __str__(self) -> str:
        times = f" ({self.count:,} times until {self.last_at:%H:%M:%S})" if self.count > 1 else ""
        return f"{self.first_at:%H:%M:%S} {self.level:<7} {self.event} {self.text}".strip() + times


def log_line(level: str, event: str, text: str, at: datetime) -> LogLine:
    """A line as it was logged, but for halves of surrogate pairs, which nothing can store."""
    return LogLine(level, event, text[:_LONGEST_TEXT].encode("utf-8", "replace").decode(), at, at)


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a channel may still be told; times in CLOCK_BOOTTIME seconds.

    `told` says when messages left and with how many lines; `held_back` lines were counted, and that is not told yet.
    """

    next_at: float = 0.0
    told: tuple[tuple[float, int], ...] = ()
    held_back: int = 0

    def left(self, now: float) -> int:
        """How many lines may be told now, so that no hour has too many."""
        return LINES_AN_HOUR - sum(count for at, count in self.told if at > now - HOUR_SECONDS)

    def ready_at(self, now: float) -> float:
        """When the next message may leave."""
        return self.next_at if self.left(now) > 0 else max(self.next_at, self.told[0][0] + HOUR_SECONDS)


@dataclass(frozen=True, slots=True)
class Digest:
    """What one message with log lines tells, which of those waiting are done with, and what may follow."""

    told: tuple[LogLine, ...]
    held_back: int
    settled: tuple[LogLine, ...]
    after: Allowance


def next_digest(waiting: Sequence[LogLine], allowance: Allowance, now: float) -> Digest | None:
    """The lines that a channel may be told now, the oldest first; None: nothing yet.

    Lines beyond the hour's allowance are held back for good: their number is told, and the journal has them.
    """
    if not (waiting or allowance.held_back) or now < allowance.ready_at(now):
        return None
    left = allowance.left(now)
    told = tuple(waiting[: min(left, LINES_A_MESSAGE)])
    beyond = tuple(waiting[left:]) if len(told) == left else ()
    recently = tuple((at, count) for at, count in allowance.told if at > now - HOUR_SECONDS)
    after = Allowance(now + MESSAGE_SECONDS, (*recently, (now, len(told))))
    held_back = allowance.held_back + sum(line.count for line in beyond)
    return Digest(told, held_back, (*told, *beyond), after)


def join(waiting: Iterable[LogLine], more: Iterable[LogLine]) -> tuple[tuple[LogLine, ...], int]:
    """All lines, the oldest first, those that are alike as one; and how many found no room."""
    by_identity = {line.identity: line for line in waiting}
    left_out = 0
    for line in more:
        known = by_identity.get(line.identity)
        if known is not None:
            by_identity[line.identity] = known.joined(line)
        elif len(by_identity) < LINES_KEPT:
            by_identity[line.identity] = line
        else:
            left_out += line.count
    return tuple(sorted(by_identity.values(), key=lambda line: line.first_at)), left_out


def digest_report(digest: Digest, whose: str, now: datetime) -> Report:
    """The message that tells a digest."""
    count = sum(line.count for line in digest.told)
    worst = any(line.level != "warning" for line in digest.told)
    beyond = (
        f"{digest.held_back:,} more were held back, as {LINES_AN_HOUR} an hour are the most: the journal has them."
        if digest.held_back
        else ""
    )
    return Report(
        tenant=whose,
        run_id=0,
        outcome=Outcome.FAILED if worst else Outcome.PARTIAL,
        title=f"{whose}: {count:,} log line{'' if count == 1 else 's'}",
        summary=beyond,
        sections=(),
        next_run_at=None,
        ended_at=now,
        log_lines=tuple(map(str, digest.told)),
    )
