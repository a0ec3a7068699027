"""What a reload touches, and that nothing which goes wrong in one ends the engine."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from inara_daemon.cli.place import Place, read_tenants
from inara_daemon.sandbox import faults
from inara_daemon.sandbox.world import demo_world, make_world
from inara_daemon.service.engine import Engine
from inara_daemon.store import transactions
from inara_daemon.store.state import outbox, runs
from inara_daemon.store.state.runs import RunOutcome
from inara_daemon.tenants import ReloadPlan
from tests.stage import Stage, open_stage, rows, until


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path, demo_world()) as opened:
        yield opened


async def reload(stage: Stage, engine: Engine) -> ReloadPlan:
    stage.write()
    return await engine.reload(read_tenants(Place(stage.environ, None).settings()))


async def test_reload_touches_only_the_tenants_whose_entry_changed(stage: Stage) -> None:
    for tenant_id in ("alpha", "beta", "gamma"):
        stage.add_tenant(tenant_id, ["Nova Kestrel"])
    async with stage.engine() as engine:
        await until(lambda: len(stage.discord.messages) == 3)
        before = dict(engine.supervisor.tasks)
        stage.tenants[1]["name"] = "Another name"
        del stage.tenants[2]
        stage.add_tenant("delta", ["Zero Zane"])
        plan = await reload(stage, engine)
        await until(lambda: stage.titles("delta"))
        after = engine.supervisor.tasks
    assert [change.new.id for change in plan.changed] == ["beta"]
    assert after["alpha"] is before["alpha"]
    assert after["beta"] is not before["beta"]
    assert set(after) == {"alpha", "beta", "delta"}


async def test_reload_of_the_same_content_touches_nothing(stage: Stage) -> None:
    stage.add_tenant("alpha", ["Nova Kestrel"])
    async with stage.engine() as engine:
        await until(lambda: stage.discord.messages)
        before = engine.supervisor.tasks["alpha"]
        assert (await reload(stage, engine)).is_empty
        assert engine.supervisor.tasks["alpha"] is before


async def test_reload_a_new_key_requeues_what_waits(tmp_path: Path) -> None:
    world = make_world(90, 3)
    async with open_stage(tmp_path, world, rate=60) as stage:
        path = stage.add_tenant("alpha", [commander.name for commander in world.commanders])
        async with stage.engine() as engine:
            await until(lambda: stage.inara.arrivals)
            stage.tenants[0]["inara_api_key"] = "another-key-0123456789"
            await reload(stage, engine)
            await until(lambda: stage.discord.messages)
        assert len(rows(path)) == 90
        assert len(stage.inara.arrivals) == 3
        assert [arrival.key for arrival in stage.inara.arrivals[1:]] == ["another-key-0123456789"] * 2
        assert "90 of 90 commanders looked up" in stage.texts("alpha")


async def test_reload_a_new_database_starts_afresh(stage: Stage) -> None:
    stage.add_tenant("alpha", ["Nova Kestrel"])
    async with stage.engine() as engine:
        await until(lambda: stage.discord.messages)
        other = stage.add_tenant("other", ["Zero Zane"])
        stage.tenants[0]["db_uri"] = stage.tenants.pop()["db_uri"]
        await reload(stage, engine)
        await until(lambda: len(stage.discord.messages) == 2)
    assert set(rows(other)) == {"Zero Zane"}
    assert "Nova Kestrel" not in str(stage.discord.messages[1].payload)


async def test_reload_a_removed_tenant_s_run_ends_and_its_messages_expire(stage: Stage) -> None:
    stage.add_tenant("alpha", ["Nova Kestrel"])
    stage.add_tenant("beta", ["Zero Zane"])
    await stage.discord.stop()
    async with stage.engine() as engine, stage.house() as house:

        async def waiting() -> dict[tuple[str, str], int]:
            async with house.state.read() as connection:
                return dict(await outbox.counts(connection))

        while ("beta", "waiting") not in await waiting() or ("alpha", "waiting") not in await waiting():
            await asyncio.sleep(0.02)
        del stage.tenants[1]
        await reload(stage, engine)
        while ("beta", "expired") not in await waiting():
            await asyncio.sleep(0.02)
        assert ("alpha", "expired") not in await waiting()


async def open_runs(stage: Stage) -> list[str]:
    async with stage.house() as house, house.state.read() as connection:
        return [run.tenant_id for run in await runs.open_runs(connection)]


@pytest.mark.virtual_time
async def test_the_run_of_a_tenant_that_was_removed_while_nobody_led_ends(stage: Stage) -> None:
    stage.add_tenant("alpha", ["Nova Kestrel"])
    stage.add_tenant("beta", ["Zero Zane"])
    stage.inara.inject(faults.HANG)
    async with stage.engine():
        await until(lambda: stage.inara.arrivals)
    assert sorted(await open_runs(stage)) == ["alpha", "beta"]
    del stage.tenants[1]
    stage.write()
    async with stage.engine():
        await until(lambda: stage.titles("alpha"))
    assert await open_runs(stage) == []
    assert stage.titles("beta") == []


@pytest.mark.virtual_time
async def test_a_tenant_whose_task_is_just_being_replaced_keeps_its_run(stage: Stage) -> None:
    stage.add_tenant("alpha", ["Nova Kestrel"])
    stage.inara.inject(faults.HANG)
    async with stage.engine() as engine:
        await until(lambda: stage.inara.arrivals)
        replaced = engine.supervisor._tenants.pop("alpha")
        await engine.supervisor._end_runs_of_absent()
        engine.supervisor._tenants["alpha"] = replaced
        assert await open_runs(stage) == ["alpha"]


async def test_reload_goes_on_when_the_state_can_t_be_written(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.add_tenant("alpha", ["Nova Kestrel"])
    stage.add_tenant("beta", ["Zero Zane"])
    async with stage.engine() as engine:
        await until(lambda: len(stage.discord.messages) == 2)
        monkeypatch.setattr(transactions, "LOCKED_SECONDS", 0.2)
        with closing(sqlite3.connect(stage.folder / "state/state.db", isolation_level=None, timeout=0)) as other:
            await until(lambda: _locks(other))
            del stage.tenants[1]
            await reload(stage, engine)
        monkeypatch.undo()
        assert set(engine.supervisor.tasks) == {"alpha"}
        added = stage.add_tenant("gamma", ["Zero Zane"])
        await reload(stage, engine)
        await until(lambda: stage.titles("gamma"))
        assert set(rows(added)) == {"Zero Zane"}


def _locks(other: sqlite3.Connection) -> bool:
    """Take the write lock, if the engine is not just writing: waiting for it here would keep the engine from ending."""
    try:
        other.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return False
    return True


async def test_reload_does_not_wait_for_a_neighbour_in_the_same_database(tmp_path: Path) -> None:
    world = make_world(200, 3)
    async with open_stage(tmp_path, world, rate=60) as stage:
        stage.add_tenant("alpha", [commander.name for commander in world.commanders])
        stage.tenants.append(stage.tenants[0] | {"id": "beta", "name": "Beta"})
        stage.write()
        async with stage.engine() as engine:
            await until(lambda: stage.inara.arrivals)  # one runs, the other waits for its turn
            stage.tenants[1]["name"] = "Another"
            async with asyncio.timeout(2):
                await reload(stage, engine)


async def test_isolation_a_tenant_that_is_slow_to_leave_delays_no_new_one(stage: Stage) -> None:
    stage.add_tenant("alpha", ["Nova Kestrel"])
    stage.inara.latency = lambda: 3.0
    async with stage.engine() as engine:
        await until(lambda: stage.inara.arrivals)  # its batch is under way for three seconds
        stage.tenants[0]["name"] = "Another"
        stage.add_tenant("beta", ["Zero Zane"])
        reloading = asyncio.create_task(reload(stage, engine))
        await until(lambda: "beta" in engine.supervisor.tasks, seconds=1)
        assert not reloading.done()
        await reloading


async def test_an_abandoned_run_is_closed_without_a_report(tmp_path: Path) -> None:
    world = make_world(90, 3)
    async with open_stage(tmp_path, world, rate=60) as stage:
        stage.add_tenant("alpha", [commander.name for commander in world.commanders])
        stage.add_tenant("beta", ["Nobody"])
        async with stage.engine() as engine:
            await until(lambda: stage.inara.arrivals)
            del stage.tenants[0]
            await reload(stage, engine)
            async with stage.house() as house, house.state.read() as connection:
                run = await runs.latest(connection, "alpha")
        assert run is not None
        assert run.outcome is RunOutcome.INCOMPLETE
        assert stage.titles("alpha") == []
