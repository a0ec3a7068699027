"""A tenant's own database: names are read from `event`, rows written to `cmdr`, nothing else is touched."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
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
    cast,
    exists,
    func,
    literal_column,
    null,
    select,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from inara_daemon.commander import Snapshot
from inara_daemon.roster_plan import Spelling
from inara_daemon.roster_row import COLUMNS, RosterRow, snapshot_of
from inara_daemon.settings import Secret
from inara_daemon.store.engines import identity, resolve_url
from inara_daemon.store.tenant_engines import TenantEngines
from inara_daemon.store.transactions import read_transaction, write_transaction

EVENT_CHUNK = 20_000
"""Events read in one short transaction: a long read would keep the backend's WAL from shrinking."""
CURSOR_OVERLAP = 1_000
"""Ids read again behind the cursor: PostgreSQL commits them out of order."""
_NO_ID = 2**63 - 1
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
    """One row to write: lookup key, exact spelling, an event that carries it (0: not known), and the values."""

    key: str
    name: str
    event_id: int
    row: RosterRow


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of the writes: those written, and those left out as neither row nor event is left of them."""

    written: tuple[RosterWrite, ...] = ()
    gone: tuple[RosterWrite, ...] = ()


class TenantDatabase:
    """The two tables of one tenant; every method opens and closes its own short transactions.

    Nothing is open in between: an idle tenant costs neither a thread nor a file descriptor. Every method raises
    DatabaseError.
    """

    def __init__(self, uri: Secret, root: Path, engines: TenantEngines | None = None) -> None:
        url = resolve_url(uri, root)
        engines = engines or TenantEngines()
        self._engine = engines.engine(url)
        self._gate = engines.gate(url)
        self.identity = identity(url)

    async def check(self) -> None:
        """Raise unless the database answers, holds both tables and lets us write."""
        async with read_transaction(self._engine, self._gate) as connection:
            await connection.execute(select(_event.c.id, _event.c.cmdr).limit(1))
            await connection.execute(select(_cmdr).limit(1))
        async with write_transaction(self._engine, self._gate) as connection:
            # Neither touches a row, and both need every permission that a real write needs.
            nobody = _parameters(RosterWrite("", "", 0, RosterRow({}, squadron_known=False)))
            await connection.execute(_UPDATE, nobody)
            await connection.execute(self._insert, nobody)

    async def spellings(self, after: int = -_NO_ID) -> AsyncIterator[list[Spelling]]:
        """The distinct names in events behind `after`, chunk by chunk of ids; a name may come again in a later one."""
        while True:
            async with read_transaction(self._engine, self._gate) as connection:
                end = await connection.scalar(_END_OF_CHUNK, {"after": after, "others": EVENT_CHUNK - 1})
                names = {"after": after, "end": _NO_ID if end is None else end}
                rows = (await connection.execute(_NAMES, names)).all()
            yield _spellings(rows)
            if end is None:
                return
            after = end

    async def spellings_since(self, cursor: int) -> tuple[list[Spelling], int]:
        """The names in events behind a cursor, with the overlap, and the highest id; costs what is new.

        A table whose highest id shrank is another one or was cut: then all of it is read.
        """
        start = max(cursor - CURSOR_OVERLAP, 0)
        end = start + EVENT_CHUNK
        async with read_transaction(self._engine, self._gate) as connection:  # one question: it is asked often
            rows = (await connection.execute(_NEWS, {"after": start, "end": end})).all()
        highest = max((event_id for name, event_id in rows if name is None), default=None) or 0
        if highest < cursor:
            return [spelling async for chunk in self.spellings() for spelling in chunk], highest
        found = _spellings(rows)
        if highest > end:
            found += [spelling async for chunk in self.spellings(end) for spelling in chunk]
        return found, highest

    async def stored(self, names: Sequence[str]) -> dict[str, Snapshot]:
        """What the rows of these names say; a name without a row is missing."""
        found: dict[str, Snapshot] = {}
        async with read_transaction(self._engine, self._gate) as connection:
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
                async with read_transaction(self._engine, self._gate) as connection:
                    events = await _newest_events(connection, [write.name for write in missing])
                again = [replace(write, event_id=events[write.name]) for write in missing if write.name in events]
                written |= await self._write(again)
        return Applied(
            tuple(write for write in ordered if write.name in written),
            tuple(write for write in ordered if write.name not in written),
        )

    async def _write(self, writes: Sequence[RosterWrite]) -> set[str]:
        """One short write transaction; the names that have a row afterwards."""
        if not writes:
            return set()
        rows = [_parameters(write) for write in writes]
        names = [write.name for write in writes]
        async with write_transaction(self._engine, self._gate) as connection:
            # A driver that counts (SQLite's does) spares what is not needed; -1 is a driver that does not.
            updated = (await connection.execute(_UPDATE, rows)).rowcount
            if updated == len(rows):
                return set(names)
            inserted = (await connection.execute(self._insert, rows)).rowcount
            if updated >= 0 and updated + inserted == len(rows):
                return set(names)
            return await _present(connection, names)

    @property
    def _insert(self) -> postgresql.Insert | sqlite.Insert:
        return _INSERT_SQLITE if self._engine.dialect.name == "sqlite" else _INSERT_POSTGRESQL


def _chunks(names: Sequence[str]) -> list[Sequence[str]]:
    return [names[start : start + _NAMES_A_STATEMENT] for start in range(0, len(names), _NAMES_A_STATEMENT)]


def _spellings(rows: Iterable[Sequence[Any]]) -> list[Spelling]:
    # SQLite lets a column hold anything: what is no text is nobody's name.
    return [Spelling(name, event_id) for name, event_id in rows if isinstance(name, str)]


async def _present(connection: AsyncConnection, names: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for part in _chunks(names):
        found.update((await connection.execute(select(_cmdr.c.name).where(_cmdr.c.name.in_(part)))).scalars())
    return found


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


_after = bindparam("after", type_=BigInteger())
_NAMES = (
    select(_event.c.cmdr, func.max(_event.c.id))
    .where(_event.c.cmdr.is_not(None), _event.c.cmdr != literal_column("''"))
    .where(_event.c.id > _after, _event.c.id <= bindparam("end", type_=BigInteger()))
    .group_by(_event.c.cmdr)
)
"""The names in events behind `after` up to `end`, each with its newest event."""
_NEWS = union_all(select(cast(null(), String), func.max(_event.c.id)), _NAMES)
"""The same, and beside NULL the highest id of all."""
_others = bindparam("others", type_=Integer())
_END_OF_CHUNK = select(_event.c.id).where(_event.c.id > _after).order_by(_event.c.id).offset(_others).limit(1)

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
