"""What the state database says of reports, and what the channels show, side by side."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.kill.channels import Channels

_RUN = re.compile(r"^Run (\d+),", re.MULTILINE)


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
    """A message as it is stored; `run` is None for log lines, `told_in` is the message that names it as lost."""

    id: int
    tenant: str
    run: int | None
    created_at: datetime | None
    status: str
    attempts: int
    error: str
    settled_at: datetime | None
    told_in: int | None


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
    """A message that a channel shows, its text without Markdown's backslashes; `row` is what is stored of it."""

    webhook: str
    text: str
    plain: bool
    row: Row | None


@dataclass(frozen=True, slots=True)
class Books:
    """Everything that the verdict compares."""

    runs: dict[int, Run]
    rows: list[Row]
    changes: list[Change]
    shown: list[Shown]

    @property
    def times_shown(self) -> Counter[int]:
        """How often each message is shown."""
        return Counter(shown.row.id for shown in self.shown if shown.row is not None)

    @property
    def statuses(self) -> Counter[str]:
        """How many messages ended how."""
        return Counter(row.status for row in self.rows)


def open_books(channels: Channels) -> Books:
    """Read what is stored and what is shown."""
    runs = {run.id: run for run in _runs(channels)}
    rows = list(_rows(channels))
    return Books(runs, rows, list(_changes(channels)), list(_shown(channels, rows)))


def _runs(channels: Channels) -> Iterator[Run]:
    asked = "SELECT id, tenant_id, reason, only, outcome, ended_at FROM run"
    for number, tenant, reason, only, outcome, ended_at in channels.ask(asked):
        yield Run(number, tenant, reason, only, outcome, _moment(ended_at))


def _rows(channels: Channels) -> Iterator[Row]:
    asked = "SELECT id, tenant_id, run_id, created_at, status, attempts, coalesce(error, ''), settled_at, told_in"
    for number, tenant, run, created_at, status, attempts, error, settled_at, told_in in channels.ask(
        f"{asked} FROM message ORDER BY id"
    ):
        moments = _moment(created_at), _moment(settled_at)
        yield Row(number, tenant, run, moments[0], status, attempts, error, moments[1], told_in)


def _changes(channels: Channels) -> Iterator[Change]:
    asked = "SELECT id, tenant_id, key, name, kind, old, new, report_run_id FROM change ORDER BY id"
    yield from (Change(*values) for values in channels.ask(asked))


def _shown(channels: Channels, rows: list[Row]) -> Iterator[Shown]:
    """A rich message bears the moment when it was stored, to the microsecond; a plain report says which run it was."""
    by_moment = {(row.tenant, row.created_at): row for row in rows}
    by_run: dict[tuple[str, int | None], Row] = {(row.tenant, row.run): row for row in rows if row.run is not None}
    tenants = defaultdict(list)
    for tenant_id, squadron in channels.owns.items():
        for webhook in channels.webhooks(squadron):
            tenants[webhook].append(tenant_id)
    for message in channels.stand_in.messages:
        webhook, payload = message["webhook"], message["payload"]
        text = "\n".join(_texts(payload)).replace("\\", "")
        is_rich = bool(payload.get("embeds"))
        moment = _moment(payload["embeds"][0]["timestamp"]) if is_rich else None
        run = None if is_rich else next(map(int, _RUN.findall(text)), None)
        candidates = ((by_moment.get((one, moment)), by_run.get((one, run))) for one in tenants[webhook])
        yield Shown(webhook, text, not is_rich, next((row for pair in candidates for row in pair if row), None))


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
