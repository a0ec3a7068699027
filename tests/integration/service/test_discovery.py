"""Looks for new commanders between runs, on SQLite and PostgreSQL: what each one finds, and what it costs."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import ClauseElement, Connection, Engine, event, text
from sqlalchemy.dialects.sqlite import dialect
from sqlalchemy.ext.asyncio import create_async_engine

from inara_daemon.sandbox.backend import make_tenant_database
from inara_daemon.secret import Secret
from inara_daemon.service.discovery import Discovery
from inara_daemon.store import tenant_db
from inara_daemon.store.errors import DatabaseFailure, StateError
from inara_daemon.store.state import roster as memory
from inara_daemon.store.state.database import StateDatabase
from inara_daemon.store.tenant_db import TenantDatabase
from tests.integration.store.test_state import open_state
from tests.integration.store.test_tenant_db import TABLES, Tenant

_BACKENDS_INDEX = "CREATE INDEX event_cmdr_tickid ON event (cmdr, tickid)"


@dataclass
class Place:
    """A tenant's database with the backend beside it, and the daemon's memory."""

    tenant: Tenant
    state: StateDatabase

    def discovery(self, cursor: int | None = None) -> Discovery:
        discovery = Discovery("alpha", self.state, self.tenant.database)
        discovery.start(cursor)
        return discovery

    async def add(self, *names: str | None, first: int = 1) -> None:
        """Events of these names with ids from `first` on."""
        await self.add_each({first + number: name for number, name in enumerate(names)})

    async def add_each(self, names: Mapping[int, str | None]) -> None:
        """An event of each name with this very id."""
        rows = [{"id": number, "name": name} for number, name in names.items()]
        async with self.tenant.backend.begin() as connection:
            await connection.execute(text("INSERT INTO event (id, cmdr) VALUES (:id, :name)"), rows)

    async def note(self, *keys: str) -> None:
        """What a run does with the names that it is about to ask for."""
        async with self.state.write() as connection:
            await memory.note_names(connection, "alpha", keys)

    async def stored_cursor(self) -> int:
        async with self.state.read() as connection:
            row = await memory.load_tenant(connection, "alpha")
        assert row is not None
        return row.cursor


@pytest.fixture(params=["sqlite", "postgresql"])
def urls(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """Of a tenant's database and of the state."""
    if request.param == "postgresql":
        url = str(request.getfixturevalue("postgres_url"))
        return url, url
    make_tenant_database(tmp_path / "tenant.db", [], events=0)
    return f"sqlite:///{tmp_path}/tenant.db", f"sqlite:///{tmp_path}/state.db"


@pytest.fixture
async def place(urls: tuple[str, str]) -> AsyncIterator[Place]:
    url, state_url = urls
    driver = "sqlite+aiosqlite" if url.startswith("sqlite") else "postgresql+asyncpg"
    backend = create_async_engine(f"{driver}:{url.partition(':')[2]}")
    tenant = Tenant(TenantDatabase(Secret(url), Path("/")), backend)
    if driver.startswith("postgresql"):
        for statement in TABLES.split(";"):
            await tenant.do(statement)
    await tenant.do(_BACKENDS_INDEX)
    async with open_state(state_url) as state:
        async with state.write() as connection:
            await memory.adopt_tenant(connection, "alpha", tenant.database.identity)
        yield Place(tenant, state)
    await backend.dispose()


@dataclass
class Statements:
    """What the daemon asked while somebody counted."""

    of_tenant: list[str] = field(default_factory=list)
    of_state: list[str] = field(default_factory=list)


@contextmanager
def counted(place: Place) -> Iterator[Statements]:
    found = Statements()
    ours = place.state._engine.sync_engine

    def note(connection: Connection, _cursor: object, statement: str, *_more: object) -> None:
        (found.of_state if connection.engine is ours else found.of_tenant).append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def test_a_look_that_finds_nothing_new_asks_the_tenant_once_and_the_memory_never(place: Place) -> None:
    await place.add("Nova", "Zane", first=5_000)
    await place.note("nova", "zane")
    news = place.discovery()
    assert await news.look() == ()
    with counted(place) as statements:
        for _ in range(3):
            assert await news.look() == ()
    assert len(statements.of_tenant) == 3
    assert statements.of_state == []


async def test_new_events_of_known_names_cost_the_memory_the_new_cursor_and_nothing_else(place: Place) -> None:
    await place.add("Nova", first=5_000)
    await place.note("nova")
    news = place.discovery()
    assert await news.look() == ()
    await place.add(" NOVA ", "Nova", first=5_001)
    with counted(place) as statements:
        assert await news.look() == ()
    assert len(statements.of_tenant) == 1
    assert [statement.split()[0] for statement in statements.of_state] == ["UPDATE"]
    assert await place.stored_cursor() == 5_002


async def test_a_new_name_is_found_again_until_a_run_has_noted_it(place: Place) -> None:
    await place.add("Zane")
    await place.note("zane")
    news = place.discovery()
    await news.look()
    await place.add("Nova", "Ann", first=2)
    assert await news.look() == ("ann", "nova")
    assert await news.look() == ("ann", "nova")
    await place.note("nova")
    assert await news.look() == ("ann",)
    await place.note("ann")
    assert await news.look() == ()


async def test_who_was_known_before_the_memory_was_lost_is_found_again_after_a_run(place: Place) -> None:
    await place.add("Nova")
    await place.note("nova")
    news = place.discovery()
    assert await news.look() == ()
    async with place.state.write() as connection:
        await memory.forget_tenant(connection, "alpha")
        await memory.adopt_tenant(connection, "alpha", place.tenant.database.identity)
    news.start(None)
    assert await news.look() == ("nova",)


async def test_a_new_look_begins_where_the_last_one_of_an_earlier_process_ended(place: Place) -> None:
    await place.add("Nova", first=1)
    await place.add("Zane", first=9_000)
    assert await place.discovery().look() == ("nova", "zane")
    assert await place.stored_cursor() == 9_000
    assert await place.discovery().look() == ("zane",)  # which the overlap shows once more


async def test_an_event_committed_after_one_with_a_higher_id_is_found(place: Place) -> None:
    await place.add("Nova", first=5_000)
    await place.note("nova")
    news = place.discovery(5_000)
    assert await news.look() == ()
    await place.add("Late", first=5_000 - tenant_db.CURSOR_OVERLAP + 1)
    assert await news.look() == ("late",)


async def test_a_table_whose_highest_id_shrank_is_read_as_a_whole_and_followed_from_there(place: Place) -> None:
    await place.add(*(f"old {number}" for number in range(30)), first=8_000)
    news = place.discovery()
    await news.look()
    await place.tenant.do("DELETE FROM event")
    await place.add("first", first=1)
    await place.add("second", first=5_000)
    assert await news.look() == ("first", "second")
    assert await place.stored_cursor() == 5_000
    assert await news.look() == ("second",)


async def test_names_that_are_none_are_no_news(place: Place) -> None:
    if place.tenant.backend.dialect.name == "postgresql":
        await place.tenant.do("ALTER TABLE event ALTER COLUMN cmdr TYPE TEXT")
    await place.add(None, "", "   ", "\t", "x" * 65, "y" * 64, " Nova ", "NOVA", "nova")
    assert await place.discovery().look() == ("nova", "y" * 64)


async def test_a_look_whose_cursor_could_not_be_kept_is_had_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    await place.add("Nova", first=7_000)
    await place.add("Zane", first=1)
    news = place.discovery()

    async def fail(*_arguments: object, **_values: object) -> None:
        raise StateError(DatabaseFailure.FULL, "no room")

    with monkeypatch.context() as broken:
        broken.setattr(memory, "save_tenant", fail)
        with pytest.raises(StateError, match="no room"):
            await news.look()
    assert await news.look() == ("nova", "zane")


_IDS: dict[str, Collection[int]] = {
    "dense": range(1, 81),
    "few and far": (3, 40, 41, 500, 2_000_000, 2_000_001, 2**31 - 1),
    "a gap behind the cursor": (*range(1, 30), *range(90, 120)),
    "random": sorted(random.Random(3).sample(range(1, 400), 90)),  # noqa: S311 - repeatable, no secret
}


@pytest.mark.parametrize("ids", _IDS.values(), ids=_IDS)
async def test_what_is_read_is_what_lies_behind_the_cursor_whatever_the_ids(
    place: Place, monkeypatch: pytest.MonkeyPatch, ids: Sequence[int]
) -> None:
    monkeypatch.setattr(tenant_db, "EVENT_CHUNK", 7)
    monkeypatch.setattr(tenant_db, "CURSOR_OVERLAP", 5)
    names = {number: f"name {number % 11}" if number % 4 else None for number in ids}
    await place.add_each(names)
    highest = max(ids)
    cursors = {0, 1, 5, 6, *list(ids)[::6], highest - 1, highest, highest + 1}
    for cursor in sorted(cursors):
        start = 0 if cursor > highest else max(cursor - 5, 0)
        expected = {name: number for number, name in names.items() if number > start and name is not None}
        found, end = await place.tenant.database.spellings_since(cursor)
        newest: dict[str, int] = {}
        for spelling in found:
            newest[spelling.name] = max(spelling.event_id, newest.get(spelling.name, 0))
        assert (cursor, newest, end) == (cursor, expected, highest)


async def test_many_new_events_are_read_in_short_transactions_and_nothing_before_them(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tenant_db, "EVENT_CHUNK", 100)
    monkeypatch.setattr(tenant_db, "CURSOR_OVERLAP", 10)
    await place.add(*(f"old {number}" for number in range(1_000)), first=1)
    await place.add(*(f"new {number}" for number in range(500)), first=1_001)
    with counted(place) as statements:
        found, highest = await place.tenant.database.spellings_since(1_000)
    assert sorted({spelling.event_id for spelling in found}) == list(range(991, 1_501))
    assert highest == 1_500
    assert len(statements.of_tenant) <= 1 + 2 * (500 // 100 + 1)


def _plan(path: Path, statement: ClauseElement, **values: int) -> Iterator[str]:
    compiled: Any = statement.compile(dialect=dialect())
    arguments = [{**compiled.params, **values}[name] for name in compiled.positiontup]
    with closing(sqlite3.connect(path)) as connection:
        for _, _, _, detail in connection.execute(f"EXPLAIN QUERY PLAN {compiled}", arguments):
            yield detail


@pytest.mark.parametrize("analyzed", [True, False], ids=["analyzed", "as made"])
@pytest.mark.parametrize("statement", ["_NEWS", "_NAMES", "_END_OF_CHUNK"])
def test_sqlite_goes_by_the_primary_key_whatever_index_the_backend_has(
    tmp_path: Path, statement: str, *, analyzed: bool
) -> None:
    path = tmp_path / "tenant.db"
    make_tenant_database(path, [f"name {number}" for number in range(20)], events=5_000)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(_BACKENDS_INDEX)
        if analyzed:
            connection.execute("ANALYZE")
    steps = list(_plan(path, getattr(tenant_db, statement), after=4_900, end=24_900, others=19_999))
    reading = [step for step in steps if " event" in step]
    assert reading
    for step in reading:
        assert step == "SEARCH event" or "PRIMARY KEY" in step, steps
        assert "event_cmdr_tickid" not in step, steps
