"""A tenant's two tables on real databases: what is read, what is written, and what is left alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from inara_daemon.commander import RankKind, Snapshot, Squadron
from inara_daemon.roster_row import COLUMNS, RosterRow
from inara_daemon.sandbox.backend import make_tenant_database
from inara_daemon.secret import Secret
from inara_daemon.store import tenant_db
from inara_daemon.store.tenant_db import Applied, RosterWrite, TenantDatabase

TABLES = """
CREATE TABLE cmdr (
    id SERIAL PRIMARY KEY, name VARCHAR(64) NOT NULL UNIQUE,
    rank_combat VARCHAR(64), rank_trade VARCHAR(64), rank_explore VARCHAR(64), rank_cqc VARCHAR(64),
    rank_empire VARCHAR(64), rank_federation VARCHAR(64), rank_power VARCHAR(64), credits BIGINT, assets BIGINT,
    inara_url VARCHAR(256), squadron_name VARCHAR(128), squadron_rank VARCHAR(64)
);
CREATE TABLE event (
    id SERIAL PRIMARY KEY, event VARCHAR(64), timestamp VARCHAR(64), tickid VARCHAR(24), ticktime VARCHAR(64),
    cmdr VARCHAR(64), starsystem VARCHAR(128), systemaddress BIGINT, raw_json TEXT
)
"""
NOTHING_KNOWN = RosterRow({}, squadron_known=False)
DEADLY = RosterRow({"rank_combat": "7"}, squadron_known=False)


@dataclass(frozen=True, slots=True)
class Tenant:
    """The database as the daemon sees it, and as the backend beside it does."""

    database: TenantDatabase
    backend: AsyncEngine

    async def do(self, statement: str, **values: object) -> list[dict[str, Any]]:
        """What the backend does."""
        async with self.backend.begin() as connection:
            result = await connection.execute(text(statement), values)
            return [dict(row) for row in result.mappings()] if result.returns_rows else []

    async def add_events(self, *names: str | None) -> list[int]:
        statement = text("INSERT INTO event (cmdr) VALUES (:name) RETURNING id")
        async with self.backend.begin() as connection:
            return [(await connection.execute(statement, {"name": name})).scalar_one() for name in names]

    async def rows(self) -> dict[str, dict[str, Any]]:
        return {row["name"]: row for row in await self.do("SELECT * FROM cmdr")}

    async def newest_events(self) -> dict[str, int]:
        """The highest event of each name, over all chunks."""
        chunks = [chunk async for chunk in self.database.spellings()]
        found: dict[str, int] = {}
        for spelling in (spelling for chunk in chunks for spelling in chunk):
            found[spelling.name] = max(spelling.event_id, found.get(spelling.name, 0))
        return found

    async def others_connected(self) -> bool:
        """Whether the daemon has a transaction open."""
        if self.backend.dialect.name == "sqlite":
            return bool((await self.do("PRAGMA wal_checkpoint(TRUNCATE)"))[0]["busy"])
        others = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        return bool(await self.do(f"{others} AND xact_start IS NOT NULL"))


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_url"))
    make_tenant_database(tmp_path / "tenant.db", [], events=0)
    return f"sqlite:///{tmp_path}/tenant.db"


@pytest.fixture
async def tenant(url: str) -> AsyncIterator[Tenant]:
    driver = "sqlite+aiosqlite" if url.startswith("sqlite") else "postgresql+asyncpg"
    backend = create_async_engine(f"{driver}:{url.partition(':')[2]}")
    opened = Tenant(TenantDatabase(Secret(url), Path("/")), backend)
    if driver.startswith("postgresql"):
        for statement in TABLES.split(";"):
            await opened.do(statement)
    yield opened
    await backend.dispose()


async def test_names_come_distinct_and_exactly_as_events_spell_them(tenant: Tenant) -> None:
    names = ["Nova", "NOVA", " Nova ", None, "", "  ", "Zoë 🚀", "x" * 64, "Nova", "Ann'; DROP TABLE cmdr; --"]
    ids = await tenant.add_events(*names)
    expected = {name: number for name, number in zip(names, ids, strict=True) if name}
    assert await tenant.newest_events() == expected


@pytest.mark.parametrize("chunk", [1, 3, 8, 100])
async def test_names_are_read_in_chunks_and_none_is_lost_between_two(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(tenant_db, "EVENT_CHUNK", chunk)
    await tenant.do(
        "INSERT INTO event (id, cmdr) VALUES"
        " (-3, 'Ann'), (-1, 'Bob'), (0, 'Ann'), (2, 'Cid'), (3, 'Bob'), (7, 'Dan'), (11, 'Dan'), (12, 'Eve')"
    )
    chunks = [[spelling.event_id for spelling in part] async for part in tenant.database.spellings()]
    assert all(len(part) <= chunk for part in chunks)
    assert len(chunks) >= 8 / chunk
    assert await tenant.newest_events() == {"Ann": 0, "Bob": 3, "Cid": 2, "Dan": 11, "Eve": 12}


async def test_no_transaction_is_open_between_two_chunks(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tenant_db, "EVENT_CHUNK", 1)
    await tenant.add_events("Nova", "Zane")
    found: list[str] = []
    async for chunk in tenant.database.spellings():
        assert not await tenant.others_connected()
        if not found:
            await tenant.add_events("Late")
        found += [spelling.name for spelling in chunk]
    assert found == ["Nova", "Zane", "Late"]


async def test_discovery_reads_a_thousand_ids_again_and_all_of_a_table_that_shrank(tenant: Tenant) -> None:
    await tenant.do("INSERT INTO event (id, cmdr) VALUES (1, 'first'), (2000, 'second'), (3001, 'third'), (3000, NULL)")
    expected = {
        0: ["first", "second", "third"],
        1_000: ["first", "second", "third"],
        1_001: ["second", "third"],
        2_999: ["second", "third"],
        3_000: ["third"],
        3_001: ["third"],
        3_002: ["first", "second", "third"],  # the highest id shrank: it is another table, or events were deleted
    }
    for cursor, names in expected.items():
        found, highest = await tenant.database.spellings_since(cursor)
        assert (cursor, sorted(spelling.name for spelling in found), highest) == (cursor, names, 3_001)


async def test_discovery_finds_nothing_where_there_are_no_events(tenant: Tenant) -> None:
    assert await tenant.database.spellings_since(0) == ([], 0)
    assert await tenant.database.spellings_since(70) == ([], 0)
    assert await tenant.newest_events() == {}


async def test_discovery_far_behind_reads_in_chunks_too(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tenant_db, "EVENT_CHUNK", 2)
    monkeypatch.setattr(tenant_db, "CURSOR_OVERLAP", 1)
    await tenant.add_events("a", "b", "c", "d", "e")
    found, highest = await tenant.database.spellings_since(2)
    assert {spelling.name for spelling in found} >= {"c", "d", "e"}
    assert highest == 5


async def test_stored_rows_tell_what_they_hold_under_their_exact_names(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tenant_db, "_NAMES_A_STATEMENT", 2)
    await tenant.do(
        "INSERT INTO cmdr (name, rank_combat, rank_empire, rank_power, squadron_name, squadron_rank, inara_url) VALUES"
        " ('Nova', '7', 'x', 'Aisling Duval', 'Void', 'Recruit', 'https://inara.cz/1'),"
        " ('NOVA', ' ', '0', NULL, NULL, 'Recruit', NULL)"
    )
    nova = Snapshot(
        ranks={RankKind.COMBAT: 7},
        power="Aisling Duval",
        inara_url="https://inara.cz/1",
        squadron=Squadron("Void", "Recruit"),
    )
    assert await tenant.database.stored(["nova", "Ann", "Zane", " Nova", "Nova"]) == {"Nova": nova}
    assert await tenant.database.stored(["NOVA"]) == {"NOVA": Snapshot(ranks={RankKind.EMPIRE: 0})}
    assert await tenant.database.stored([]) == {}


async def test_an_update_keeps_what_is_unknown_and_never_touches_credits_and_assets(tenant: Tenant) -> None:
    values = {column: f"old {column}" for column in COLUMNS}
    await tenant.do(
        "INSERT INTO cmdr VALUES (41, 'Nova', :rank_combat, :rank_trade, :rank_explore, :rank_cqc, :rank_empire,"
        " :rank_federation, :rank_power, 5, 6, :inara_url, :squadron_name, :squadron_rank)",
        **values,
    )
    new = {"rank_combat": "8", "rank_federation": None, "inara_url": "https://inara.cz/2"}
    await tenant.database.apply([RosterWrite("nova", "Nova", 0, RosterRow(new, squadron_known=False))])
    changed = {"rank_combat": "8", "inara_url": "https://inara.cz/2"}
    assert await tenant.rows() == {
        "Nova": {"id": 41, "name": "Nova", "credits": 5, "assets": 6} | values | changed,
    }


@pytest.mark.parametrize(
    ("known", "name", "rank", "expected"),
    [
        (True, "Deep", "Pilot", ("Deep", "Pilot")),
        (True, "Deep", None, ("Deep", None)),
        (True, None, None, (None, None)),
        (False, None, None, ("Void", "Recruit")),
    ],
    ids=["moved", "rank unknown", "left", "unknown"],
)
async def test_identity_a_squadron_becomes_null_only_when_known_to_be_left(
    tenant: Tenant, *, known: bool, name: str | None, rank: str | None, expected: tuple[str | None, str | None]
) -> None:
    await tenant.do("INSERT INTO cmdr (name, squadron_name, squadron_rank) VALUES ('Nova', 'Void', 'Recruit')")
    row = RosterRow({"squadron_name": name, "squadron_rank": rank}, squadron_known=known)
    await tenant.database.apply([RosterWrite("nova", "Nova", 0, row)])
    found = (await tenant.rows())["Nova"]
    assert (found["squadron_name"], found["squadron_rank"]) == expected


@pytest.mark.parametrize(
    ("left", "is_there"),
    [
        ("", True),
        ("DELETE FROM event WHERE id = 2", True),
        ("UPDATE event SET cmdr = 'Zane' WHERE id = 2", True),
        ("DELETE FROM event", False),
        ("UPDATE event SET cmdr = 'NOVA'", False),
        ("UPDATE event SET cmdr = ' Nova'", False),
        ("UPDATE event SET cmdr = NULL", False),
    ],
    ids=["event known", "another left", "id reused", "none left", "other case", "padded", "null"],
)
async def test_a_row_is_new_only_while_an_event_of_its_very_spelling_is_there(
    tenant: Tenant, left: str, *, is_there: bool
) -> None:
    await tenant.add_events("Nova", "Nova")
    if left:
        await tenant.do(left)
    applied = await tenant.database.apply([RosterWrite("nova", "Nova", 2, DEADLY)])
    assert names_of(applied) == (({"Nova"}, set()) if is_there else (set(), {"Nova"}))
    assert [row["rank_combat"] for row in (await tenant.rows()).values()] == (["7"] if is_there else [])


def names_of(applied: Applied) -> tuple[set[str], set[str]]:
    return {write.name for write in applied.written}, {write.name for write in applied.gone}


async def test_a_new_rows_id_is_the_databases_and_what_is_unknown_is_null(tenant: Tenant) -> None:
    await tenant.do("INSERT INTO event (id, cmdr) VALUES (9, 'Nova'), (8, 'Zane')")
    await tenant.database.apply([RosterWrite("zane", "Zane", 8, DEADLY), RosterWrite("nova", "Nova", 9, NOTHING_KNOWN)])
    empty: dict[str, Any] = dict.fromkeys([*COLUMNS, "credits", "assets"])
    rows = await tenant.rows()
    assert sorted(row.pop("id") for row in rows.values()) == [1, 2]
    assert rows == {"Nova": {"name": "Nova"} | empty, "Zane": {"name": "Zane"} | empty | {"rank_combat": "7"}}


async def test_names_are_written_exactly_as_they_are(tenant: Tenant) -> None:
    names = ["x" * 64, "é" * 64, " padded ", "padded", "Ann'; DROP TABLE cmdr; --", ":p_name %s ?", "🚀", " "]
    ids = await tenant.add_events(*names)
    writes = [RosterWrite(name.casefold(), name, event_id, DEADLY) for name, event_id in zip(names, ids, strict=True)]
    assert names_of(await tenant.database.apply(writes)) == (set(names), set())
    assert set(await tenant.rows()) == set(names)


async def test_two_spellings_are_two_rows_and_an_update_meets_only_its_own(tenant: Tenant) -> None:
    first, second = await tenant.add_events("Nova", "NOVA")
    await tenant.database.apply(
        [RosterWrite("nova", "Nova", first, NOTHING_KNOWN), RosterWrite("nova", "NOVA", second, NOTHING_KNOWN)]
    )
    await tenant.database.apply([RosterWrite("nova", "NOVA", second, DEADLY)])
    assert {name: row["rank_combat"] for name, row in (await tenant.rows()).items()} == {"Nova": None, "NOVA": "7"}


async def test_writing_twice_changes_nothing_and_no_statement_is_too_long(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tenant_db, "_ROWS_A_STATEMENT", 3)
    monkeypatch.setattr(tenant_db, "_NAMES_A_STATEMENT", 2)
    ids = await tenant.add_events(*"abcdefgh")
    await tenant.do("INSERT INTO cmdr (name, rank_combat) VALUES ('c', '1')")
    await tenant.do("DELETE FROM event WHERE cmdr IN ('b', 'c', 'g')")
    writes = [
        RosterWrite(name.casefold(), name, event_id, DEADLY) for name, event_id in zip("abcdefgh", ids, strict=True)
    ]
    first = await tenant.database.apply(writes)
    rows = await tenant.rows()
    assert names_of(first) == (set("acdefh"), set("bg"))
    assert {row["rank_combat"] for row in rows.values()} == {"7"}
    assert await tenant.database.apply(writes) == first
    assert await tenant.rows() == rows
    assert await tenant.database.apply([]) == Applied()


async def test_a_row_deleted_in_between_is_no_error_and_comes_back_only_with_its_events(tenant: Tenant) -> None:
    (event_id,) = await tenant.add_events("Nova")
    write = RosterWrite("nova", "Nova", event_id, DEADLY)
    await tenant.database.apply([write])
    await tenant.do("DELETE FROM cmdr")
    assert (await tenant.database.apply([write])).written == (write,)
    await tenant.do("DELETE FROM event")
    assert (await tenant.database.apply([write])).written == (write,)  # the row is there: it is kept up to date
    await tenant.do("DELETE FROM cmdr")
    assert (await tenant.database.apply([write])).gone == (write,)
    assert await tenant.rows() == {}


async def test_writers_of_the_same_names_in_other_orders_wait_for_each_other(tenant: Tenant) -> None:
    names = [f"name {number:03}" for number in range(150)]
    await tenant.add_events(*names)
    await tenant.do("INSERT INTO cmdr (name) SELECT cmdr FROM event")
    writes = [RosterWrite(name.casefold(), name, 0, DEADLY) for name in names]
    for _ in range(4):
        await asyncio.gather(tenant.database.apply(writes), tenant.database.apply(writes[::-1]))
    assert {row["rank_combat"] for row in (await tenant.rows()).values()} == {"7"}


async def test_nothing_but_rows_of_cmdr_is_ever_changed(tenant: Tenant) -> None:
    schema = (
        "SELECT sql FROM sqlite_master ORDER BY name"
        if tenant.backend.dialect.name == "sqlite"
        else "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'public'"
    )
    await tenant.add_events("Nova", " Zane ", None)
    before = [await tenant.do(schema), await tenant.do("SELECT * FROM event")]
    await tenant.database.check()
    await tenant.database.apply([RosterWrite("nova", "Nova", 1, DEADLY), RosterWrite("zane", "Zane", 2, DEADLY)])
    assert [await tenant.do(schema), await tenant.do("SELECT * FROM event")] == before
    assert set(await tenant.rows()) == {"Nova"}
