"""The tables of the state database, alike on SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    DateTime,
    Dialect,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    false,
)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime; SQLite, which knows no zones, gives it back as one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Give SQLite's naive value its zone back."""
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


def _where(condition: ColumnElement[bool]) -> dict[str, Any]:
    """A partial index, in the words of both dialects."""
    return {"sqlite_where": condition, "postgresql_where": condition}


metadata = MetaData()
_id = BigInteger().with_variant(Integer, "sqlite")

meta = Table(
    "meta",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

tenant = Table(
    "tenant",
    metadata,
    Column("id", String(255), primary_key=True),
    # Which database the rows of this tenant speak of: another one starts afresh.
    Column("database", Text, nullable=False),
    Column("cursor", BigInteger, nullable=False, default=0),
    # When the last run over the whole roster began; null: it never did in this database.
    Column("last_full_at", UtcDateTime),
    Column("reported", Boolean, nullable=False, default=False),
)

commander = Table(
    "commander",
    metadata,
    Column("tenant_id", String(255), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("standing", String(16)),
    # The number of the request that answered last: a count, not a time, so that no clock decides what is due.
    Column("answered_request", BigInteger, nullable=False, default=0),
    Column("answered_at", UtcDateTime),
    Column("misses", Integer, nullable=False, default=0),
    Column("due_at", UtcDateTime),
    Column("last_event_id", BigInteger, nullable=False, default=0),
    Column("user_id", BigInteger),
    Column("snapshot", Text),
    Index("commander_user", "tenant_id", "user_id"),
)

change = Table(
    "change",
    metadata,
    Column("id", _id, primary_key=True, autoincrement=True),
    Column("tenant_id", String(255), nullable=False),
    Column("run_id", BigInteger, nullable=False),
    Column("key", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("inara_url", Text),
    Column("kind", String(32), nullable=False),
    Column("ladder", String(32)),
    Column("old", Text),
    Column("new", Text),
    Column("at", UtcDateTime, nullable=False),
    # Applied: the tenant's row says so too. Only then may a report tell it.
    Column("applied", Boolean, nullable=False, default=False),
    # The run whose report claimed it.
    Column("report_run_id", BigInteger),
    Index("change_tenant", "tenant_id", "id"),
)
# What is looked for again and again among years of changes.
Index("change_unapplied", change.c.tenant_id, change.c.key, **_where(change.c.applied.is_(False)))
Index("change_unreported", change.c.tenant_id, change.c.id, **_where(change.c.report_run_id.is_(None)))

roster_write = Table(
    "roster_write",
    metadata,
    Column("tenant_id", String(255), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("key", Text, nullable=False),
    Column("event_id", BigInteger, nullable=False, default=0),
    Column("row", Text, nullable=False),
)

run = Table(
    "run",
    metadata,
    Column("id", _id, primary_key=True, autoincrement=True),
    Column("tenant_id", String(255), nullable=False),
    Column("reason", String(16), nullable=False),
    Column("request_id", BigInteger),
    # The names asked for, as JSON; null: the whole roster.
    Column("only", Text),
    Column("started_at", UtcDateTime, nullable=False),
    Column("deadline", UtcDateTime),
    Column("first_request", BigInteger, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("outcome", String(16)),
    Column("tally", Text, nullable=False, default="{}"),
    Column("problems", Text, nullable=False, default="[]"),
    Index("run_tenant", "tenant_id", "id"),
)

request = Table(
    "request",
    metadata,
    Column("id", _id, primary_key=True, autoincrement=True),
    Column("kind", String(16), nullable=False),
    Column("arguments", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("taken", Boolean, nullable=False, default=False),
    Column("progress", Text, nullable=False, default="{}"),
    Column("result", Text),
    # A request is deleted when its result was read; its number must never come again.
    sqlite_autoincrement=True,
)

message = Table(
    "message",
    metadata,
    Column("id", _id, primary_key=True, autoincrement=True),
    Column("tenant_id", String(255), nullable=False),
    Column("run_id", BigInteger),
    Column("request_id", BigInteger),
    Column("body", Text, nullable=False),
    Column("status", String(16), nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    # Which attempt is sending it, or was the last to do so.
    Column("attempt", String(64)),
    Column("error", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("settled_at", UtcDateTime),
    # Refused in its own form: it goes once more as a short text.
    Column("plain", Boolean, nullable=False, default=False, server_default=false()),
    # The totals of the run that it tells of, for the one that names its loss.
    Column("summary", Text, nullable=False, default="", server_default=""),
    # The message that names this one's loss.
    Column("told_in", BigInteger),
    Index("message_status", "status", "tenant_id"),
    Index("message_settled", "settled_at"),
)

dead_webhook = Table(
    "dead_webhook",
    metadata,
    Column("fingerprint", String(64), primary_key=True),
    Column("error", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)

delivery_hold = Table(
    "delivery_hold",
    metadata,
    # A webhook's fingerprint, or a service's name for everything that goes there.
    Column("scope", String(64), primary_key=True),
    Column("boot_id", String(64), nullable=False),
    # CLOCK_BOOTTIME seconds.
    Column("until", Float(53), nullable=False),
    Column("seconds", Float(53), nullable=False),
)

told_problem = Table(
    "told_problem",
    metadata,
    Column("tenant_id", String(255), primary_key=True),
    Column("kind", String(64), primary_key=True),
    Column("digest", String(32), nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("told_at", UtcDateTime, nullable=False),
    # The message that told it.
    Column("told_in", BigInteger),
    # That it is over was told: kept until that has arrived.
    Column("over", Boolean, nullable=False),
)

log_buffer = Table(
    "log_buffer",
    metadata,
    # A tenant's id; empty for the operator.
    Column("destination", String(255), primary_key=True),
    # Log lines that wait to be told, as JSON.
    Column("lines", Text, nullable=False),
    Column("held_back", Integer, nullable=False),
    # When messages left lately and with how many lines, as JSON; this and the next message's time in CLOCK_BOOTTIME
    # seconds.
    Column("told", Text, nullable=False),
    Column("next_at", Float(53), nullable=False),
    Column("boot_id", String(64), nullable=False),
)

budget = Table(
    "budget",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("boot_id", String(64), nullable=False),
    # CLOCK_BOOTTIME seconds from which the interval to the next request counts.
    Column("base", Float(53), nullable=False),
    Column("open", Boolean, nullable=False),
    Column("requests", BigInteger, nullable=False),
)

pause = Table(
    "pause",
    metadata,
    # `*` for every key, else a key's fingerprint.
    Column("scope", String(64), primary_key=True),
    Column("reason", String(32), nullable=False),
    Column("text", Text, nullable=False),
    Column("boot_id", String(64), nullable=False),
    # CLOCK_BOOTTIME seconds; null: until the configuration changes.
    Column("until", Float(53)),
    Column("seconds", Float(53)),
    Column("level", Integer, nullable=False, default=0),
    Column("batch_limit", Integer),
    # Which names may be what Inara refuses, as JSON.
    Column("suspicion", Text, nullable=False, server_default="{}"),
)

engine_lease = Table(
    "engine_lease",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("holder", String(64), nullable=False),
    Column("until", DateTime(timezone=True), nullable=False),
)
