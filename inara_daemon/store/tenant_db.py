"""A tenant's own database: names are read from `event`, rows written to `cmdr`, nothing else is touched."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    bindparam,
    case,
    exists,
    func,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from inara_daemon.commander import Snapshot
from inara_daemon.roster_plan import Spelling
from inara_daemon.roster_row import COLUMNS, RosterRow, snapshot_of
from inara_daemon.settings import Secret
from inara_daemon.store.engines import identity, open_engine, read_transaction, resolve_url, write_transaction

EVENT_CHUNK = 20_000
"""Events read in one short transaction: a long read would keep the backend's WAL from shrinking."""
CURSOR_OVERLAP = 1_000
"""Ids read again behind the cursor: PostgreSQL commits them out of order."""
_NAMES_A_STATEMENT = 500
_ROWS_A_STATEMENT = 2_000

_metadata = MetaData()
# The names as the backend's tables have them; lengths are the database's own business.
_event = Table("event", _metadata, Column("id", BigInteger, primary_key=True), Column("cmdr", String))
_cmdr = Table(
    "cmdr",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False),
    *(Column(column, String) for column in COLUMNS),
)


@dataclass(frozen=True, slots=True)
class RosterWrite:
    """One row to write: the exact spelling, an event that carries it (0: not known), and the values."""

    name: str
    event_id: int
    row: RosterRow


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of the writes: names written, and names left out as neither row nor event is left of them."""

    written: frozenset[str]
    gone: frozenset[str]


class TenantDatabase:
    """The two tables of one tenant; every method opens and closes its own short transactions.

    Every method raises DatabaseError.
    """

    def __init__(self, uri: Secret, root: Path) -> None:
        self._url = resolve_url(uri, root)
        self._engine: AsyncEngine = open_engine(self._url)
        self.identity = identity(self._url)

    async def close(self) -> None:
        """Let go of everything that is still open."""
        await self._engine.dispose()

    async def check(self) -> None:
        """Raise unless the database answers, holds both tables and lets us write."""
        async with read_transaction(self._engine) as connection:
            await connection.execute(select(_event.c.id, _event.c.cmdr).limit(1))
            await connection.execute(select(_cmdr).limit(1))
        async with write_transaction(self._engine) as connection:
            # Neither touches a row, and both need every permission that a real write needs.
            nobody = _parameters(RosterWrite("", 0, RosterRow({}, squadron_known=False)))
            await connection.execute(_UPDATE, nobody)
            await connection.execute(self._insert, nobody)

    async def spellings(self) -> AsyncIterator[list[Spelling]]:
        """All distinct names in `event`, chunk by chunk of ids; a name may come again in a later chunk."""
        after: int | None = None
        while True:
            async with read_transaction(self._engine) as connection:
                ids = select(_event.c.id).order_by(_event.c.id)
                if after is not None:
                    ids = ids.where(_event.c.id > after)
                end = await connection.scalar(ids.offset(EVENT_CHUNK - 1).limit(1))
                chunk = await _names_between(connection, after, end)
            yield chunk
            if end is None:
                return
            after = end

    async def spellings_since(self, cursor: int) -> tuple[list[Spelling], int]:
        """The names in events behind a cursor, with the overlap, and the highest id.

        A table whose highest id shrank is another one or was cut: then all of it is read.
        """
        async with read_transaction(self._engine) as connection:
            highest = await connection.scalar(select(func.max(_event.c.id))) or 0
            start = max(cursor - CURSOR_OVERLAP, 0) if highest >= cursor else 0
            if highest - start <= EVENT_CHUNK:
                return await _names_between(connection, start, None), highest
        return [spelling async for chunk in self.spellings() for spelling in chunk], highest

    async def stored(self, names: Sequence[str]) -> dict[str, Snapshot]:
        """What the rows of these names say; a name without a row is missing."""
        found: dict[str, Snapshot] = {}
        async with read_transaction(self._engine) as connection:
            for start in range(0, len(names), _NAMES_A_STATEMENT):
                part = names[start : start + _NAMES_A_STATEMENT]
                rows = await connection.execute(select(_cmdr).where(_cmdr.c.name.in_(part)))
                for row in rows.mappings():
                    found[row["name"]] = snapshot_of({column: row[column] for column in COLUMNS})
        return found

    async def apply(self, writes: Sequence[RosterWrite]) -> Applied:
        """Update the rows that exist and insert those whose events still do; doing it twice changes nothing."""
        ordered = sorted(writes, key=lambda write: write.name)  # concurrent writers in one order never deadlock
        written: set[str] = set()
        for start in range(0, len(ordered), _ROWS_A_STATEMENT):
            part = ordered[start : start + _ROWS_A_STATEMENT]
            written |= await self._write(part)
            missing = [write for write in part if write.name not in written]
            if missing:  # the event known may be gone, and another one still there
                async with read_transaction(self._engine) as connection:
                    events = await _newest_events(connection, [write.name for write in missing])
                again = [replace(write, event_id=events[write.name]) for write in missing if write.name in events]
                written |= await self._write(again)
        return Applied(frozenset(written), frozenset(write.name for write in ordered) - written)

    async def _write(self, writes: Sequence[RosterWrite]) -> set[str]:
        """One short write transaction; the names that have a row afterwards."""
        if not writes:
            return set()
        rows = [_parameters(write) for write in writes]
        found: set[str] = set()
        async with write_transaction(self._engine) as connection:
            await connection.execute(_UPDATE, rows)
            await connection.execute(self._insert, rows)
            for names in _chunks([write.name for write in writes]):
                there = await connection.execute(select(_cmdr.c.name).where(_cmdr.c.name.in_(names)))
                found.update(there.scalars())
        return found

    @property
    def _insert(self) -> postgresql.Insert | sqlite.Insert:
        return _INSERT_SQLITE if self._engine.dialect.name == "sqlite" else _INSERT_POSTGRESQL


def _chunks(names: Sequence[str]) -> list[Sequence[str]]:
    return [names[start : start + _NAMES_A_STATEMENT] for start in range(0, len(names), _NAMES_A_STATEMENT)]


async def _names_between(connection: AsyncConnection, after: int | None, end: int | None) -> list[Spelling]:
    """The names in events behind `after` up to `end`, each with its newest event; None is no limit."""
    statement = (
        select(_event.c.cmdr, func.max(_event.c.id))
        .where(_event.c.cmdr.is_not(None), _event.c.cmdr != "")
        .group_by(_event.c.cmdr)
    )
    if after is not None:
        statement = statement.where(_event.c.id > after)
    if end is not None:
        statement = statement.where(_event.c.id <= end)
    rows = await connection.execute(statement)
    # SQLite lets a column hold anything: what is no text is nobody's name.
    return [Spelling(name, event_id) for name, event_id in rows if isinstance(name, str)]


async def _newest_events(connection: AsyncConnection, names: Sequence[str]) -> dict[str, int]:
    """The newest event that carries each name; may scan the table, so never in a write transaction."""
    found: dict[str, int] = {}
    for part in _chunks(names):
        statement = select(_event.c.cmdr, func.max(_event.c.id)).where(_event.c.cmdr.in_(part))
        rows = await connection.execute(statement.group_by(_event.c.cmdr))
        found.update((name, event_id) for name, event_id in rows)
    return found


def _parameters(write: RosterWrite) -> dict[str, object]:
    return {
        "p_name": write.name,
        "p_event_id": write.event_id,
        "p_squadron_known": int(write.row.squadron_known),
        **{f"p_{column}": write.row.values.get(column) for column in COLUMNS},
    }


def _value(column: str) -> ColumnElement[str]:
    return bindparam(f"p_{column}", type_=Text())


def _new_value(column: str) -> ColumnElement[str]:
    kept: ColumnElement[str] = func.coalesce(_value(column), _cmdr.c[column])
    if not column.startswith("squadron_"):
        return kept
    known = bindparam("p_squadron_known", type_=Integer())
    return case((known == literal_column("1"), _value(column)), else_=kept)


_UPDATE = (
    update(_cmdr)
    .where(_cmdr.c.name == bindparam("p_name", type_=Text()))
    .values({column: _new_value(column) for column in COLUMNS})
)
_INSERTED: list[ColumnElement[Any]] = [bindparam("p_name", type_=Text()), *(_value(column) for column in COLUMNS)]
_SELECTED = select(*_INSERTED).where(
    exists().where(
        _event.c.id == bindparam("p_event_id", type_=BigInteger()),
        _event.c.cmdr == bindparam("p_name", type_=Text()),
    )
)
_INSERT_SQLITE = (
    sqlite.insert(_cmdr).from_select(["name", *COLUMNS], _SELECTED).on_conflict_do_nothing(index_elements=["name"])
)
_INSERT_POSTGRESQL = (
    postgresql.insert(_cmdr).from_select(["name", *COLUMNS], _SELECTED).on_conflict_do_nothing(index_elements=["name"])
)
