"""What a verb asks of the engine: who serves it, how far it may go, and when it does not wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from inara_daemon.answers import Update
from inara_daemon.cli.place import read_tenants
from inara_daemon.commander import Record, Standing
from inara_daemon.sandbox import faults
from inara_daemon.sandbox.world import demo_world, make_world
from inara_daemon.service.duty import Duty
from inara_daemon.service.errand import Errand, HeldError
from inara_daemon.store.state import changes, outbox, runs
from inara_daemon.store.state import roster as memory
from inara_daemon.store.state.requests import RequestKind
from inara_daemon.store.state.runs import RunReason
from tests.stage import Stage, open_stage, rows, until


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path, demo_world()) as opened:
        yield opened


async def ask(stage: Stage, kind: RequestKind, **arguments: object) -> Mapping[str, Any]:
    async with stage.house() as house, Errand(house, read_tenants(house.settings)) as errand, asyncio.timeout(15):
        return await errand.ask(kind, {"tenants": None, "names": None} | arguments, lambda _: None)


async def state_rows(stage: Stage) -> Mapping[str, int]:
    """How much the state holds of each noun that a dry run must leave alone."""
    async with stage.house() as house, house.state.read() as connection:
        return {
            "commanders": len(await memory.records(connection, "alpha")),
            "changes": len(await changes.history(connection)),
            "messages": sum((await outbox.counts(connection)).values()),
            "runs": 0 if await runs.latest(connection, "alpha") is None else 1,
            "tenants": 0 if await memory.load_tenant(connection, "alpha") is None else 1,
        }


async def test_a_dry_run_tells_what_would_change_and_stores_nothing(stage: Stage) -> None:
    path = stage.add_tenant("alpha", ["Nova Kestrel", "Nobody"])
    result = await ask(stage, RequestKind.DRY_RUN)
    assert result["tenants"]["alpha"]["changes"] == [["Nova Kestrel", "new on the roster"]]
    assert result["tenants"]["alpha"]["not_found"] == ["nobody"]
    assert rows(path) == {}
    assert set((await state_rows(stage)).values()) == {0}
    assert stage.discord.messages == []


@pytest.mark.parametrize("names", [None, ["Poison"]])
async def test_a_dry_run_names_who_is_set_aside_and_asks_for_the_others_only(
    stage: Stage, names: list[str] | None
) -> None:
    stage.add_tenant("alpha", ["Nova Kestrel", "Poison"])
    async with stage.house() as house, house.state.write() as connection:
        long_ago = datetime(2020, 1, 1, tzinfo=UTC)
        due = Record(Standing.SET_ASIDE, 0, long_ago, misses=1, due_at=long_ago)
        await memory.write_ahead(connection, "alpha", 1, [Update("poison", due)], long_ago)
    result = (await ask(stage, RequestKind.DRY_RUN, names=names))["tenants"]["alpha"]
    assert result["set_aside"] == ["poison"]
    assert [name for name, _ in result["changes"]] == ([] if names else ["Nova Kestrel"])
    assert [arrival.names for arrival in stage.inara.arrivals] == ([] if names else [("Nova Kestrel",)])


async def test_a_dry_run_takes_up_no_run_and_sends_no_message_that_an_engine_left(stage: Stage) -> None:
    path = stage.add_tenant("alpha", ["Nova Kestrel"])
    async with stage.house() as house, house.state.write() as connection:
        await memory.adopt_tenant(connection, "alpha", f"sqlite:{path}")
        now = house.clock.now()
        await runs.start(
            connection, tenant_id="alpha", reason=RunReason.CRON, started_at=now, deadline=None, first_request=0
        )
    before = await state_rows(stage)
    await ask(stage, RequestKind.DRY_RUN)
    assert await state_rows(stage) == before
    assert rows(path) == {}
    await ask(stage, RequestKind.SYNC)  # which is an engine's whole work
    assert set(rows(path)) == {"Nova Kestrel"}


@pytest.mark.parametrize("kind", [RequestKind.SYNC, RequestKind.DRY_RUN])
async def test_no_errand_waits_for_a_pause(stage: Stage, kind: RequestKind) -> None:
    stage.add_tenant("alpha", ["Nova Kestrel"])
    stage.inara.ban()
    with pytest.raises(HeldError, match="limited") as held:
        await ask(stage, kind)
    assert held.value.seconds == pytest.approx(3_600, abs=5)
    with pytest.raises(HeldError):
        await ask(stage, kind)
    assert len(stage.inara.arrivals) == 1


async def test_an_errand_waits_while_one_tenant_is_free_though_another_is_held(stage: Stage) -> None:
    stage.inara.keys = {"free-key-0123", "held-key-0123"}
    path = stage.add_tenant("alpha", ["Nova Kestrel", "Nobody"], inara_api_key="held-key-0123")
    stage.inara.inject(faults.refusal("Something went wrong"))
    with pytest.raises(HeldError, match="unknown_refusal"):
        await ask(stage, RequestKind.SYNC)
    free = stage.add_tenant("beta", ["Zero Zane"], inara_api_key="free-key-0123")
    with pytest.raises(HeldError, match="unknown_refusal"):
        await ask(stage, RequestKind.SYNC)
    assert set(rows(free)) == {"Zero Zane"}
    assert rows(path) == {}


@pytest.mark.parametrize("kind", [RequestKind.SYNC, RequestKind.DRY_RUN])
async def test_a_refused_key_ends_an_errand(stage: Stage, kind: RequestKind) -> None:
    stage.inara.keys = {"another-key"}
    stage.add_tenant("alpha", ["Nova Kestrel"])
    for _ in range(2):
        try:
            result = await ask(stage, kind)
        except HeldError as held:
            assert str(held) == "bad_key"  # noqa: PT017 - either way of saying it is right
        else:
            assert "nvalid API key" in str(result) or result.get("runs")
    assert len(stage.inara.arrivals) == 1


async def test_an_errand_does_not_wait_for_a_database_that_is_away(stage: Stage) -> None:
    stage.add_tenant("alpha", ["x"], db_uri="postgresql://nobody@127.0.0.1:1/x")
    with pytest.raises(HeldError, match="can't be reached"):
        await ask(stage, RequestKind.SYNC)


async def test_a_tenant_that_the_engine_does_not_know_is_said(stage: Stage) -> None:
    stage.add_tenant("alpha", ["Nova Kestrel"])
    async with stage.engine():
        await until(lambda: stage.discord.messages)
        stage.add_tenant("beta", ["Zero Zane"])
        for kind in (RequestKind.SYNC, RequestKind.DRY_RUN, RequestKind.TEST_WEBHOOK):
            result = await ask(stage, kind, tenants=["beta"])
            assert "reload it first" in result["problems"]["beta"]


async def test_a_tenant_whose_task_can_t_live_is_said(stage: Stage) -> None:
    stage.add_tenant("alpha", ["Nova Kestrel"], db_uri="postgresql://nobody@127.0.0.1/x?port=abc")
    result = await ask(stage, RequestKind.SYNC)
    assert "port can't be read" in result["problems"]["alpha"]


async def test_a_tenant_that_is_replaced_by_a_reload_still_serves_who_asked_before(stage: Stage) -> None:
    path = stage.add_tenant("alpha", ["Nova Kestrel"])
    async with stage.engine() as engine:
        await until(lambda: stage.discord.messages)
        stage.inara.latency = lambda: 0.7
        asking = asyncio.create_task(ask(stage, RequestKind.SYNC))
        await until(lambda: len(stage.inara.arrivals) == 2)
        stage.tenants[0]["inara_daemon"] = {"report": "changes"}
        stage.write()
        async with stage.house() as house:
            await engine.reload(read_tenants(house.settings))
        result = await asking
    assert result["problems"] == {}
    assert set(result["runs"]) == {"alpha"}
    assert set(rows(path)) == {"Nova Kestrel"}


async def test_a_run_whose_time_is_over_serves_nobody_who_asks_today(stage: Stage) -> None:
    path = stage.add_tenant("alpha", ["Nova Kestrel"])
    async with stage.house() as house, house.state.write() as connection:
        await memory.adopt_tenant(connection, "alpha", f"sqlite:{path}")
        day = timedelta(days=1)
        began = house.clock.now() - 2 * day
        await memory.save_tenant(connection, "alpha", last_full_at=house.clock.now())
        left = await runs.start(
            connection,
            tenant_id="alpha",
            reason=RunReason.CRON,
            started_at=began,
            deadline=began + day,
            first_request=0,
        )
    result = await ask(stage, RequestKind.SYNC)
    assert result["runs"]["alpha"] != left.id
    assert set(rows(path)) == {"Nova Kestrel"}


async def test_validating_a_key_says_what_inara_says(stage: Stage) -> None:
    stage.add_tenant("alpha", ["Nova Kestrel"])
    async with stage.house() as house:
        key = read_tenants(house.settings).tenants[0].inara_api_key
        fingerprint = house.state.fingerprint(key)
    good = await ask(stage, RequestKind.VALIDATE_KEYS, fingerprints=[fingerprint])
    stage.inara.inject(faults.refusal("Your key is tired"))
    bad = await ask(stage, RequestKind.VALIDATE_KEYS, fingerprints=[fingerprint])
    held = await ask(stage, RequestKind.VALIDATE_KEYS, fingerprints=[fingerprint])
    assert good["keys"][fingerprint][0] == "ok"
    assert bad["keys"][fingerprint] == ["refused", "Your key is tired"]
    assert held["keys"][fingerprint][0] == "unknown_refusal"


async def test_a_test_message_takes_up_no_run(stage: Stage) -> None:
    stage.add_tenant("alpha", ["Nova Kestrel"])
    async with stage.house() as house, Errand(house, read_tenants(house.settings)) as errand:
        result = await errand.ask(RequestKind.TEST_WEBHOOK, {"tenants": None}, lambda _: None)
        sent = await errand.delivered(result["messages"], 10)
    assert sent["alpha"]["status"] == "sent"
    assert stage.titles("alpha") == ["Alpha: test message"]
    assert stage.inara.arrivals == []


async def test_an_errand_that_leads_steps_down_when_it_loses_the_lead(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inara_daemon.store.state.lock.RENEW_SECONDS", 0.2)
    world = make_world(90, 1)
    async with open_stage(tmp_path, world, rate=60) as stage:
        stage.extra["INARA_DAEMON_STATE_URL"] = postgres_url
        path = stage.add_tenant("alpha", [commander.name for commander in world.commanders])
        asking = asyncio.create_task(ask(stage, RequestKind.SYNC))
        await until(lambda: stage.inara.arrivals)
        connection = await asyncpg.connect(postgres_url)
        # Somebody else takes the lead, as after a network's fault, and gives it back.
        await connection.execute("UPDATE engine_lease SET holder = 'x', until = clock_timestamp() + interval '1 hour'")
        await asyncio.sleep(3)
        assert len(stage.inara.arrivals) == 1
        assert not asking.done()
        await connection.execute("UPDATE engine_lease SET until = clock_timestamp() - interval '1 hour'")
        await connection.close()
        assert (await asking)["problems"] == {}
        assert len(rows(path)) == 90
        stage.assert_never_banned()


async def test_duties_grow(stage: Stage) -> None:
    stage.add_tenant("alpha", ["Nova Kestrel"])
    async with stage.engine(Duty.RUNS):
        await asyncio.sleep(0.3)
    assert stage.inara.arrivals == []  # nobody asked
    async with stage.engine(Duty.SCHEDULE):
        await until(lambda: stage.discord.messages)
