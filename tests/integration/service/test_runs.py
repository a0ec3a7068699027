"""Whole runs on the sandbox: what is asked, what is stored, what is told."""

from __future__ import annotations

import asyncio
import math
import sqlite3
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from inara_daemon.sandbox.world import demo_world, make_world
from inara_daemon.store.state import roster as memory
from inara_daemon.store.state import runs
from inara_daemon.store.state.runs import RunOutcome, RunReason
from tests.stage import Stage, execute, open_stage, rows, until


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path, demo_world()) as opened:
        yield opened


async def test_a_tenant_that_never_ran_runs_at_once_and_reports_once(stage: Stage) -> None:
    path = stage.add_tenant("alpha", ["Nova Kestrel", "Zero Zane", "Nobody"])
    async with stage.engine():
        await until(lambda: stage.discord.messages)
    assert rows(path)["Zero Zane"]["rank_combat"] == "0"
    assert set(rows(path)) == {"Nova Kestrel", "Zero Zane"}
    assert stage.titles("alpha") == ["Alpha: first look at 3 commanders"]
    assert "Nobody" in stage.texts("alpha")
    stage.assert_never_banned()


async def test_a_second_start_does_not_run_again(stage: Stage) -> None:
    stage.add_tenant("alpha", ["Nova Kestrel"])
    async with stage.engine():
        await until(lambda: stage.discord.messages)
    async with stage.engine():
        await asyncio.sleep(0.3)
    assert len(stage.inara.arrivals) == 1
    assert len(stage.discord.messages) == 1


async def test_names_that_wait_together_cost_the_fewest_requests(tmp_path: Path) -> None:
    world = make_world(252, 1)
    names = [commander.name for commander in world.commanders]
    async with open_stage(tmp_path, world) as stage:
        # Three tenants of 100, 20 % of each shared with the others under one key.
        for number, tenant_id in enumerate(("alpha", "beta", "gamma")):
            own = names[60 + number * 64 : 60 + (number + 1) * 64]
            shared = names[number * 20 : number * 20 + 36]
            stage.add_tenant(tenant_id, [*own, *shared])
        distinct = {name for arrival in stage.tenants for name in _names(tmp_path, arrival["id"])}
        async with stage.engine():
            await until(lambda: len(stage.discord.messages) == 3, seconds=20)
        assert len(stage.inara.arrivals) == math.ceil(len(distinct) / 30)
        stage.assert_never_banned()


def _names(folder: Path, tenant_id: str) -> list[str]:
    with sqlite3.connect(folder / "db" / f"{tenant_id}.db") as connection:
        found = [name for (name,) in connection.execute("SELECT DISTINCT cmdr FROM event")]
    connection.close()
    return found


async def test_one_lookup_serves_every_tenant_and_each_spelling_has_its_row(stage: Stage) -> None:
    one = stage.add_tenant("alpha", ["Nova Kestrel", "NOVA KESTREL", "nova kestrel "])
    two = stage.add_tenant("beta", ["nova Kestrel"])
    async with stage.engine():
        await until(lambda: len(stage.discord.messages) == 2)
    assert len(stage.inara.arrivals) == 1
    assert len(stage.inara.arrivals[0].names) == 1
    assert set(rows(one)) == {"Nova Kestrel", "NOVA KESTREL", "nova kestrel "}
    assert set(rows(two)) == {"nova Kestrel"}
    assert "1 changed" in stage.texts("alpha")


async def test_a_promotion_is_told_in_words_in_the_next_report(stage: Stage) -> None:
    stage.add_tenant("alpha", ["Nova Kestrel"])
    stage.inara.world.find("Nova Kestrel").ranks["combat"] = "7"
    async with stage.engine():
        await until(lambda: stage.discord.messages)
    stage.inara.world.find("Nova Kestrel").ranks["combat"] = "8"
    await _missed_a_night(stage)
    async with stage.engine():
        await until(lambda: len(stage.discord.messages) == 2)
    assert "Combat: Deadly → Elite" in stage.texts("alpha")


async def _missed_a_night(stage: Stage, nights: int = 1) -> None:
    """Let the last run lie so many nights back."""
    async with stage.house() as house, house.state.write() as connection:
        before = house.clock.now() - timedelta(days=nights)
        for tenant in stage.tenants:
            await memory.save_tenant(connection, tenant["id"], last_full_at=before)


async def test_missed_nights_are_one_run(stage: Stage) -> None:
    stage.add_tenant("alpha", ["Nova Kestrel"])
    async with stage.engine():
        await until(lambda: stage.discord.messages)
    await _missed_a_night(stage, nights=5)
    async with stage.engine():
        await until(lambda: len(stage.discord.messages) == 2)
        await asyncio.sleep(0.2)
    async with stage.house() as house, house.state.read() as connection:
        latest = await runs.latest(connection, "alpha", full=True)
    assert latest is not None
    assert latest.reason is RunReason.CATCH_UP
    assert latest.outcome is RunOutcome.COMPLETE
    assert len(stage.inara.arrivals) == 2


async def test_a_commander_deleted_with_its_events_is_not_brought_back(stage: Stage) -> None:
    path = stage.add_tenant("alpha", ["Nova Kestrel", "Zero Zane"])
    async with stage.engine():
        await until(lambda: stage.discord.messages)
    execute(path, "DELETE FROM event WHERE cmdr = 'Zero Zane'")
    execute(path, "DELETE FROM cmdr WHERE name = 'Zero Zane'")
    await _missed_a_night(stage)
    async with stage.engine():
        await until(lambda: len(stage.discord.messages) == 2)
    assert set(rows(path)) == {"Nova Kestrel"}


async def test_a_tenant_without_tables_is_told_and_delays_nobody(stage: Stage) -> None:
    good = stage.add_tenant("alpha", ["Nova Kestrel"])
    bad = stage.add_tenant("beta", ["Zero Zane"])
    execute(bad, "DROP TABLE cmdr")
    async with stage.engine():
        await until(lambda: len(stage.discord.messages) == 2)
    assert set(rows(good)) == {"Nova Kestrel"}
    assert "has the backend initialised it?" in stage.texts("beta")
    assert "Nova" not in stage.texts("beta")


async def test_a_refused_key_is_told_once_and_stops_only_its_tenant(stage: Stage) -> None:
    stage.inara.keys = {"canary-key-0123456789"}
    good = stage.add_tenant("alpha", ["Nova Kestrel"])
    stage.add_tenant("beta", ["Zero Zane"], inara_api_key="canary-wrong-key-987654")
    async with stage.engine():
        await until(lambda: len(stage.discord.messages) == 2)
    requests = len(stage.inara.arrivals)
    await _missed_a_night(stage)
    async with stage.engine():
        await until(lambda: len(stage.discord.messages) == 3)
        await asyncio.sleep(0.3)
    assert set(rows(good)) == {"Nova Kestrel"}
    assert len(stage.titles("beta")) == 1
    assert "refuses the API key" in stage.texts("beta")
    assert len(stage.inara.arrivals) == requests + 1
    assert "canary" not in stage.texts("beta")


async def test_a_new_key_runs_at_once(stage: Stage) -> None:
    stage.inara.keys = {"canary-key-0123456789"}
    stage.add_tenant("beta", ["Zero Zane"], inara_api_key="canary-wrong-key-987654")
    async with stage.engine():
        await until(lambda: len(stage.discord.messages) == 1)
    del stage.tenants[0]["inara_api_key"]
    stage.write()
    async with stage.engine():
        await until(lambda: len(stage.discord.messages) == 2)
    assert "1 of 1 commander looked up" in stage.texts("beta")
