"""What the daemon remembers of each tenant's commanders, and rows that still have to be written."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TypeVar

from pydantic import TypeAdapter
from sqlalchemy import bindparam, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from inara_daemon.answers import Update
from inara_daemon.commander import Record, Snapshot, Standing
from inara_daemon.roster_row import RosterRow
from inara_daemon.store.state.tables import change, commander, roster_write, tenant, told_problem
from inara_daemon.store.tenant_db import Applied, RosterWrite

_Value = TypeVar("_Value")
_SNAPSHOT = TypeAdapter(Snapshot)
_KEYS_A_STATEMENT = 500
_RECORDS_A_STATEMENT = 2_000
_RECORDS = (
    select(*(column for column in commander.c if column.name not in {"tenant_id", "user_id", "snapshot"}))
    .where(commander.c.tenant_id == bindparam("tenant"), commander.c.key > bindparam("after"))
    .order_by(commander.c.key)
    .limit(_RECORDS_A_STATEMENT)
)


@dataclass(frozen=True, slots=True)
class TenantRow:
    """What is remembered of a tenant itself; `cursor` is the highest event id that discovery has seen."""

    id: str
    database: str
    cursor: int
    last_full_at: datetime | None
    reported: bool


async def load_tenant(connection: AsyncConnection, tenant_id: str) -> TenantRow | None:
    """A tenant's row."""
    row = (await connection.execute(select(tenant).where(tenant.c.id == tenant_id))).mappings().first()
    return None if row is None else TenantRow(**row)


async def adopt_tenant(connection: AsyncConnection, tenant_id: str, database: str) -> TenantRow:
    """The tenant's row, made if new; a tenant that moved to another database starts afresh."""
    row = await load_tenant(connection, tenant_id)
    if row is not None and row.database == database:
        return row
    if row is not None:
        await forget_tenant(connection, tenant_id)
    await connection.execute(insert(tenant).values(id=tenant_id, database=database, cursor=0, reported=False))
    return TenantRow(tenant_id, database, 0, None, reported=False)


async def forget_tenant(connection: AsyncConnection, tenant_id: str) -> None:
    """Drop what is known of a tenant's commanders, and what was told of them; history and runs stay."""
    for table in (commander, roster_write, told_problem):
        await connection.execute(delete(table).where(table.c.tenant_id == tenant_id))
    await connection.execute(delete(change).where(change.c.tenant_id == tenant_id, change.c.applied.is_(False)))
    await connection.execute(delete(tenant).where(tenant.c.id == tenant_id))


async def save_tenant(connection: AsyncConnection, tenant_id: str, **values: object) -> None:
    """Change columns of a tenant's row."""
    await connection.execute(update(tenant).where(tenant.c.id == tenant_id).values(**values))


async def records(connection: AsyncConnection, tenant_id: str) -> dict[str, Record]:
    """What is known of every name of a tenant, by lookup key, without the snapshots."""
    found: dict[str, Record] = {}
    after = ""
    while True:  # in parts, so that a large tenant does not hold up everybody else's work
        rows = (await connection.execute(_RECORDS, {"tenant": tenant_id, "after": after})).all()
        for key, standing, *known in rows:
            found[key] = Record(None if standing is None else Standing(standing), *known)
        if len(rows) < _RECORDS_A_STATEMENT:
            return found
        after = rows[-1][0]


async def known_keys(connection: AsyncConnection, tenant_id: str, keys: Collection[str]) -> set[str]:
    """Which of these names are remembered, answered or not."""
    found: set[str] = set()
    for part in _parts(sorted(keys)):
        rows = await connection.execute(
            select(commander.c.key).where(commander.c.tenant_id == tenant_id, commander.c.key.in_(part))
        )
        found.update(rows.scalars())
    return found


async def note_names(connection: AsyncConnection, tenant_id: str, keys: Collection[str]) -> None:
    """Remember names that a run is about to ask for the first time: from now on they are no discovery."""
    ordered = sorted(keys)
    statement = (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(commander)
    noted = statement.on_conflict_do_nothing(index_elements=["tenant_id", "key"])
    if ordered:
        await connection.execute(noted, [{"tenant_id": tenant_id, "key": key} for key in ordered])


async def counts(connection: AsyncConnection, tenant_id: str) -> dict[str, int]:
    """How many of a tenant's names have each standing."""
    rows = await connection.execute(
        select(commander.c.standing, func.count())
        .where(commander.c.tenant_id == tenant_id)
        .group_by(commander.c.standing)
    )
    return {standing: count for standing, count in rows if standing is not None}


async def snapshots(connection: AsyncConnection, tenant_id: str, keys: Collection[str]) -> dict[str, Snapshot]:
    """The snapshots of these names; a name never found has none."""
    found = {}
    for part in _parts(sorted(keys)):
        rows = await connection.execute(
            select(commander.c.key, commander.c.snapshot).where(
                commander.c.tenant_id == tenant_id, commander.c.key.in_(part), commander.c.snapshot.is_not(None)
            )
        )
        found.update({key: _SNAPSHOT.validate_json(text) for key, text in rows})
    return found


async def keys_of_users(connection: AsyncConnection, tenant_id: str, user_ids: Collection[int]) -> dict[int, str]:
    """Which name each Inara account has in this tenant's memory."""
    found = {}
    for part in _parts(sorted(user_ids)):
        rows = await connection.execute(
            select(commander.c.user_id, commander.c.key).where(
                commander.c.tenant_id == tenant_id, commander.c.user_id.in_(part)
            )
        )
        found.update({user_id: key for user_id, key in rows if user_id is not None})
    return found


async def write_ahead(
    connection: AsyncConnection, tenant_id: str, run_id: int, updates: Sequence[Update], now: datetime
) -> Sequence[RosterWrite]:
    """Remember replies as a whole: memory, changes not yet applied, and the rows to write, which it returns."""
    await _save_records(connection, tenant_id, updates)
    changes = [
        {
            "tenant_id": tenant_id,
            "run_id": run_id,
            "key": item.key,
            "name": item.spellings[0].name if item.spellings else item.key,
            "inara_url": item.snapshot.inara_url if item.snapshot else None,
            "kind": each.kind.value,
            "ladder": None if each.ladder is None else each.ladder.value,
            "old": each.old,
            "new": each.new,
            "at": now,
            "applied": False,
        }
        for item in updates
        for each in item.changes
    ]
    if changes:
        await connection.execute(insert(change), changes)
    writes = [
        RosterWrite(item.key, spelling.name, spelling.event_id, item.row)
        for item in updates
        if item.row is not None
        for spelling in item.spellings
    ]
    if writes:
        await connection.execute(_upsert_write(connection.dialect.name), [_stored(tenant_id, each) for each in writes])
    return writes


def _stored(tenant_id: str, write: RosterWrite) -> dict[str, object]:
    row = json.dumps({"values": write.row.values, "squadron_known": write.row.squadron_known})
    return {"tenant_id": tenant_id, "key": write.key, "name": write.name, "event_id": write.event_id, "row": row}


@lru_cache
def _upsert_write(dialect: str) -> sqlite.Insert | postgresql.Insert:
    statement: sqlite.Insert | postgresql.Insert = (sqlite if dialect == "sqlite" else postgresql).insert(roster_write)
    changed = {name: statement.excluded[name] for name in ("key", "event_id", "row")}
    return statement.on_conflict_do_update(index_elements=["tenant_id", "name"], set_=changed)


async def _save_records(connection: AsyncConnection, tenant_id: str, updates: Sequence[Update]) -> None:
    """All in one statement each, for those with a snapshot and for those whose snapshot stays as it is."""
    found = [_columns(tenant_id, item) | _snapshot_columns(item.snapshot) for item in updates if item.snapshot]
    others = [_columns(tenant_id, item) for item in updates if item.snapshot is None]
    for rows in (found, others):
        if rows:
            await connection.execute(_upsert(connection.dialect.name, tuple(rows[0])), rows)


def _columns(tenant_id: str, item: Update) -> dict[str, object]:
    record = item.record
    return {
        "tenant_id": tenant_id,
        "key": item.key,
        "standing": None if record.standing is None else record.standing.value,
        "answered_request": record.answered_request,
        "answered_at": record.answered_at,
        "misses": record.misses,
        "due_at": record.due_at,
        "last_event_id": record.last_event_id,
    }


def _snapshot_columns(snapshot: Snapshot) -> dict[str, object]:
    return {"user_id": snapshot.user_id, "snapshot": _SNAPSHOT.dump_json(snapshot).decode()}


@lru_cache
def _upsert(dialect: str, columns: tuple[str, ...]) -> sqlite.Insert | postgresql.Insert:
    statement: sqlite.Insert | postgresql.Insert = (sqlite if dialect == "sqlite" else postgresql).insert(commander)
    changed = {name: statement.excluded[name] for name in columns if name not in {"tenant_id", "key"}}
    return statement.on_conflict_do_update(index_elements=["tenant_id", "key"], set_=changed)


async def save_snapshot(connection: AsyncConnection, tenant_id: str, key: str, snapshot: Snapshot) -> None:
    """Replace a snapshot without touching what is known of the last reply."""
    await connection.execute(
        update(commander)
        .where(commander.c.tenant_id == tenant_id, commander.c.key == key)
        .values(snapshot=_SNAPSHOT.dump_json(snapshot).decode())
    )


async def pending_writes(connection: AsyncConnection, tenant_id: str) -> Sequence[RosterWrite]:
    """The rows that the tenant's database does not hold yet."""
    rows = await connection.execute(
        select(roster_write.c.key, roster_write.c.name, roster_write.c.event_id, roster_write.c.row)
        .where(roster_write.c.tenant_id == tenant_id)
        .order_by(roster_write.c.name)
    )
    return [RosterWrite(key, name, event_id, RosterRow(**json.loads(row))) for key, name, event_id, row in rows]


async def mark_applied(connection: AsyncConnection, tenant_id: str, applied: Applied) -> None:
    """The rows are in the tenant's database; what is gone from it is forgotten, with its changes."""
    done = sorted(write.name for write in (*applied.written, *applied.gone))
    for part in _parts(done):
        await connection.execute(
            delete(roster_write).where(roster_write.c.tenant_id == tenant_id, roster_write.c.name.in_(part))
        )
    written = {write.key for write in applied.written}
    gone = {write.key for write in applied.gone} - written
    of_tenant = (change.c.tenant_id == tenant_id, change.c.applied.is_(False))
    for part in _parts(sorted(written)):
        await connection.execute(update(change).where(*of_tenant, change.c.key.in_(part)).values(applied=True))
    for part in _parts(sorted(gone)):
        await connection.execute(delete(change).where(*of_tenant, change.c.key.in_(part)))
        forgotten = (commander.c.tenant_id == tenant_id, commander.c.key.in_(part))
        await connection.execute(delete(commander).where(*forgotten))


def _parts(values: Sequence[_Value]) -> Iterator[Sequence[_Value]]:
    return (values[start : start + _KEYS_A_STATEMENT] for start in range(0, len(values), _KEYS_A_STATEMENT))
