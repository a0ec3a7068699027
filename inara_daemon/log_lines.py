"""Log lines for a channel: the same ones joined, and few enough that a failing loop floods nobody. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from inara_daemon.report import Outcome, Report

LINES_KEPT = 100
"""Different lines that wait for one channel; what comes beyond is held back: it is counted, and the journal has it."""
LINES_A_MESSAGE = 20
ROOM_IN_A_MESSAGE = 3_000
ROOM_IN_A_REPORT = 900
"""Characters for log lines where there is nothing else to tell, and beside it."""
LONGEST_LINE = 300
LINES_AN_HOUR = 60
"""The most that a channel is told between runs."""
MESSAGE_SECONDS = 300.0
"""The least time between two messages with log lines."""
HOUR_SECONDS = 3_600.0
_LONGEST_EVENT = 200
_LONGEST_TEXT = 1_000
_LONGEST_FORM = 500
"""Shorter than a text, at whose end numbers of other lengths shift what is cut off."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line, or several that differ in numbers only; `text` is the last one's.

    `identity` is what they have in common: level, event, keys and values, but for numbers.
    """

    level: str
    event: str
    text: str
    first_at: datetime
    last_at: datetime
    identity: str
    count: int = 1

    def joined(self, other: LogLine) -> LogLine:
        """Both as one line, whichever came first."""
        later = other if other.last_at >= self.last_at else self
        return replace(later, first_at=min(self.first_at, other.first_at), count=self.count + other.count)

    def __str__(self) -> str:
        until = f"{self.last_at:%H:%M:%S}" if self.last_at.date() == self.first_at.date() else _time(self.last_at)
        times = f" ({self.count:,} times until {until})" if self.count > 1 else ""
        line = f"{_time(self.first_at)} {self.level:<7} {self.event} {self.text}".strip()
        room = LONGEST_LINE - len(times)
        return (line if len(line) <= room else f"{line[: room - 1]}…") + times


def _time(moment: datetime) -> str:
    return f"{moment:%m-%d %H:%M:%S}"


def log_line(level: str, event: str, text: str, at: datetime) -> LogLine:
    """A line as it was logged, but for what is too long, and halves of surrogate pairs, which nothing can store."""
    event, text = _storable(event[:_LONGEST_EVENT]), _storable(text[:_LONGEST_TEXT])
    form = re.sub(r"[0-9]+", "#", f"{level} {event} {text}")[:_LONGEST_FORM]
    return LogLine(level, event, text, at, at, hashlib.sha256(form.encode()).hexdigest()[:32])


def _storable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def that_fit(lines: Sequence[LogLine], room: int) -> int:
    """How many of the lines, from the first on, fit into so many characters of a message."""
    used = 0
    for count, line in enumerate(lines):
        shown = str(line)
        used += len(shown.encode("utf-16-le")) // 2 + shown.count("`") + 1
        if used > room:
            return count
    return len(lines)


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
        return LINES_AN_HOUR - sum(count for at, count in self.told if at + HOUR_SECONDS > now)

    def ready_at(self, now: float) -> float:
        """When the next message may leave."""
        if self.left(now) > 0:
            return self.next_at
        oldest = min(at for at, count in self.told if count and at + HOUR_SECONDS > now)
        return max(self.next_at, oldest + HOUR_SECONDS)


@dataclass(frozen=True, slots=True)
class Digest:
    """What one message with log lines tells, how many lines were held back before it, and what may follow."""

    told: tuple[LogLine, ...]
    held_back: int
    after: Allowance


def next_digest(waiting: Sequence[LogLine], allowance: Allowance, now: float) -> Digest | None:
    """The lines that a channel may be told now, the oldest first; None: nothing yet."""
    if not (waiting or allowance.held_back) or now < allowance.ready_at(now):
        return None
    most = min(allowance.left(now), LINES_A_MESSAGE, that_fit(waiting, ROOM_IN_A_MESSAGE))
    recently = tuple((at, count) for at, count in allowance.told if at + HOUR_SECONDS > now)
    after = Allowance(now + MESSAGE_SECONDS, (*recently, (now, most)))
    return Digest(tuple(waiting[:most]), allowance.held_back, after)


def keep(lines: dict[str, LogLine], line: LogLine) -> int:
    """Put a line among those that wait, by identity; as how many it counts if there is no room."""
    known = lines.get(line.identity)
    if known is None and len(lines) >= LINES_KEPT:
        return line.count
    lines[line.identity] = line if known is None else known.joined(line)
    return 0


def join(waiting: Iterable[LogLine], more: Iterable[LogLine]) -> tuple[tuple[LogLine, ...], int]:
    """All lines, the oldest first, those that are alike as one; and how many found no room."""
    kept = {line.identity: line for line in waiting}
    left_out = sum(keep(kept, line) for line in more)
    return tuple(sorted(kept.values(), key=lambda line: line.first_at)), left_out


def digest_report(digest: Digest, whose: str, now: datetime, *, lost: Sequence[str] = ()) -> Report:
    """The message that tells a digest, and which messages before it were `lost`, if nothing else names them."""
    worst = min(digest.told, key=lambda line: _SEVERITY.get(line.level, 0), default=None)
    more = sum(line.count for line in digest.told) - (1 if worst is not None else 0)
    title = "log lines" if worst is None else worst.event.replace("_", " ")[:_LONGEST_TITLE]
    notes = [f"Before this: {line}" for line in lost]
    if digest.held_back:
        notes.append(f"{digest.held_back:,} more were held back, as they came too fast: the journal has them.")
    return Report(
        tenant=whose,
        run_id=0,
        outcome=Outcome.PARTIAL if worst is None or worst.level == "warning" else Outcome.FAILED,
        title=f"{whose[:_LONGEST_TITLE]}: {title}" + (f", and {more:,} more" if more else ""),
        summary="\n".join(notes),
        sections=(),
        next_run_at=None,
        ended_at=now,
        log_lines=tuple(map(str, digest.told)),
        footer="From the log, in UTC",
    )


_SEVERITY = {"error": 0, "warning": 1}
_LONGEST_TITLE = 80
