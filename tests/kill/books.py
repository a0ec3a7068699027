"""What the state database says of reports, and what the channels show, side by side."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.kill.channels import Channels

_RUN = re.compile(r"\brun (\d+)\b")
_LOSS = re.compile(r"\breport of run (\d+)\b")


@dataclass(frozen=True, slots=True)
class Run:
    """A run as it is stored."""

    id: int
    tenant: str
    reason: str
    only: str | None
    outcome: str | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Row:
    """A message as it is stored; `losses` are the runs whose reports it says were lost."""

    id: int
    tenant: str
    run: int
    status: str
    attempts: int
    error: str
    settled_at: datetime | None
    losses: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """A change as it is stored; `told_by` is the run whose report claimed it."""

    id: int
    tenant: str
    key: str
    name: str
    kind: str
    old: str | None
    new: str | None
    told_by: int | None


@dataclass(frozen=True, slots=True)
class Shown:
    """A message that a channel shows, its text without Markdown's backslashes; `run` is whose report it is."""

    webhook: str
    text: str
    plain: bool
    run: Run | None


@dataclass(frozen=True, slots=True)
class Books:
    """Everything that the verdict compares."""

    runs: dict[int, Run]
    rows: list[Row]
    changes: list[Change]
    shown: list[Shown]

    @property
    def times_shown(self) -> Counter[int]:
        """How often each run's report is shown."""
        return Counter(shown.run.id for shown in self.shown if shown.run is not None)

    @property
    def statuses(self) -> Counter[str]:
        """How many messages ended how."""
        return Counter(row.status for row in self.rows)


def open_books(channels: Channels) -> Books:
    """Read what is stored and what is shown."""
    runs = {run.id: run for run in _runs(channels)}
    return Books(runs, list(_rows(channels)), list(_changes(channels)), list(_shown(channels, runs)))


def _runs(channels: Channels) -> Iterator[Run]:
    asked = "SELECT id, tenant_id, reason, only, outcome, ended_at FROM run"
    for number, tenant, reason, only, outcome, ended_at in channels.ask(asked):
        yield Run(number, tenant, reason, only, outcome, _moment(ended_at))


def _rows(channels: Channels) -> Iterator[Row]:
    asked = "SELECT settled_at, body, id, tenant_id, run_id, status, attempts, coalesce(error, '') FROM message"
    for settled_at, body, number, tenant, run, status, attempts, error in channels.ask(f"{asked} ORDER BY id"):
        losses = tuple(map(int, _LOSS.findall(body)))
        yield Row(number, tenant, run, status, attempts, error, _moment(settled_at), losses)


def _changes(channels: Channels) -> Iterator[Change]:
    asked = "SELECT id, tenant_id, key, name, kind, old, new, report_run_id FROM change ORDER BY id"
    yield from (Change(*values) for values in channels.ask(asked))


def _shown(channels: Channels, runs: dict[int, Run]) -> Iterator[Shown]:
    """A rich report bears the moment its run ended, to the microsecond; a plain one says which run it was."""
    by_moment = {(run.tenant, run.ended_at): run for run in runs.values() if run.ended_at is not None}
    tenants = defaultdict(list)
    for tenant_id, squadron in channels.owns.items():
        for webhook in channels.webhooks(squadron):
            tenants[webhook].append(tenant_id)
    for message in channels.stand_in.messages:
        webhook, payload = message["webhook"], message["payload"]
        text = "\n".join(_texts(payload)).replace("\\", "")
        found = None
        if payload.get("embeds"):
            ended_at = _moment(payload["embeds"][0]["timestamp"])
            found = next(
                (by_moment[at] for tenant in tenants[webhook] if (at := (tenant, ended_at)) in by_moment), None
            )
        else:
            named = [runs[number] for number in map(int, _RUN.findall(text)) if number in runs]
            found = max((run for run in named if run.tenant in tenants[webhook]), key=lambda run: run.id, default=None)
        yield Shown(webhook, text, not payload.get("embeds"), found)


def _texts(part: Any) -> Iterator[str]:
    """Every text in a payload, however it is laid out."""
    if isinstance(part, str):
        yield part
    elif isinstance(part, dict):
        for value in part.values():
            yield from _texts(value)
    elif isinstance(part, list):
        for value in part:
            yield from _texts(value)


def _moment(text: str | None) -> datetime | None:
    """A moment as SQLite or as Discord holds it, in UTC."""
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
