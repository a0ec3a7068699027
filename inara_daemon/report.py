"""What a message tells, neutral of the channel that carries it; texts are raw, the channel escapes them. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pydantic import TypeAdapter


class Outcome(StrEnum):
    """How it went, at a glance."""

    GOOD = "good"
    PARTIAL = "partial"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a section: a commander, if `name` is set, and what there is to say."""

    text: str
    name: str | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """Lines of one kind, or names in a row if no entry says more; `omitted` more were left out.

    `hint` says what the reader may do about it.
    """

    title: str
    entries: tuple[Entry, ...]
    omitted: int = 0
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What a channel shows; fields added later have defaults, as older reports may still wait in a queue."""

    tenant: str
    run_id: int
    outcome: Outcome
    title: str
    summary: str
    sections: tuple[Section, ...]
    next_run_at: datetime | None
    ended_at: datetime
    log_lines: tuple[str, ...] = ()
    log_lines_dropped: int = 0
    """How many more there were."""
    totals: str = ""
    footer: str = ""


_REPORT = TypeAdapter(Report)


def to_json(report: Report) -> str:
    """The report as text, for a durable queue."""
    return json.dumps(_REPORT.dump_python(report, mode="json"))  # which keeps halves of surrogate pairs too


def from_json(text: str) -> Report:
    """The report that `to_json` wrote, in this version or an older one. Raises ValueError."""
    try:
        return _REPORT.validate_python(json.loads(text))
    except RecursionError:
        raise ValueError("is nested too deeply") from None


def notice(tenant: str, title: str, text: str, now: datetime) -> Report:
    """A message that tells of no run."""
    return Report(tenant, 0, Outcome.GOOD, title, text, (), None, now)
