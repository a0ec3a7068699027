"""The same runs with the tenants' and the daemon's databases on a real PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from inara_daemon.sandbox.world import demo_world
from inara_daemon.store.state.lock import engine_lock
from tests.postgres import Postgres
from tests.stage import Stage, open_stage, until

_TABLES = """
CREATE TABLE cmdr (
    id SERIAL PRIMARY KEY, name VARCHAR(64) NOT NULL UNIQUE,
    rank_combat VARCHAR(64), rank_trade VARCHAR(64), rank_explore VARCHAR(64), rank_cqc VARCHAR(64),
    rank_empire VARCHAR(64), rank_federation VARCHAR(64), rank_power VARCHAR(64), credits BIGINT, assets BIGINT,
    inara_url VARCHAR(256), squadron_name VARCHAR(128), squadron_rank VARCHAR(64)
);
CREATE TABLE event (
    id SERIAL PRIMARY KEY, event VARCHAR(64), timestamp VARCHAR(64), tickid VARCHAR(24), ticktime VARCHAR(64),
    cmdr VARCHAR(64), starsystem VARCHAR(128), systemaddress BIGINT, raw_json TEXT
);
"""


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path, demo_world()) as opened:
        yield opened


async def _furnish(url: str, names: list[str]) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(_TABLES)
    await connection.executemany("INSERT INTO event (cmdr) VALUES ($1)", [(name,) for name in names])
    await connection.close()


async def _rows(url: str) -> dict[str, dict[str, object]]:
    connection = await asyncpg.connect(url)
    found = {row["name"]: dict(row) for row in await connection.fetch("SELECT * FROM cmdr")}
    await connection.close()
    return found


async def test_a_tenant_on_postgresql_gets_its_rows(stage: Stage, postgres_url: str) -> None:
    await _furnish(postgres_url, ["Nova Kestrel", "NOVA KESTREL", "Zero Zane", "Nobody"])
    stage.add_tenant("alpha", ["x"], db_uri=postgres_url.replace("postgresql://", "postgres://") + "?sslmode=disable")
    async with stage.engine():
        await until(lambda: stage.discord.messages)
    found = await _rows(postgres_url)
    assert set(found) == {"Nova Kestrel", "NOVA KESTREL", "Zero Zane"}
    assert found["Zero Zane"]["rank_combat"] == "0"
    assert found["Zero Zane"]["credits"] is None


async def test_the_state_may_live_in_postgresql(stage: Stage, postgres_url: str) -> None:
    stage.extra["INARA_DAEMON_STATE_URL"] = postgres_url
    path = stage.add_tenant("alpha", ["Nova Kestrel", "Zero Zane"])
    for _ in range(2):
        async with stage.engine():
            await until(lambda: stage.discord.messages)
            await asyncio.sleep(0.1)
    assert path.exists()
    assert len(stage.inara.arrivals) == 1
    assert len(stage.discord.messages) == 1


async def test_one_engine_leads_with_a_state_in_postgresql(stage: Stage, postgres_url: str) -> None:
    stage.extra["INARA_DAEMON_STATE_URL"] = postgres_url
    stage.add_tenant("alpha", ["Nova Kestrel"])
    async with stage.engine(), stage.house() as house:
        assert not await engine_lock(house.state).acquire()
    async with stage.house() as house:
        lock = engine_lock(house.state)
        assert await lock.acquire()
        await lock.release()


async def test_a_refused_login_is_told_without_the_password(stage: Stage, postgres_url: str, cluster: Postgres) -> None:
    await _furnish(postgres_url, ["Nova Kestrel"])
    uri = f"postgresql://nobody:canary-password@127.0.0.1:{cluster.port}/{postgres_url.rpartition('/')[2]}"
    stage.add_tenant("alpha", ["x"], db_uri=uri)
    async with stage.engine():
        await until(lambda: stage.discord.messages)
    assert "refused the login" in stage.texts("alpha")
    assert "canary" not in stage.texts("alpha")
