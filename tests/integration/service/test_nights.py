"""Days and nights of whole engines under virtual time, at Inara's real pace."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from inara_daemon.sandbox import faults
from inara_daemon.sandbox.world import demo_world, make_world
from inara_daemon.store import engines, transactions
from inara_daemon.store.state import runs
from inara_daemon.store.state.runs import Run, RunOutcome, RunReason
from tests.integration.service.rare_looks import look_rarely
from tests.stage import Stage, execute, open_stage, rows

pytestmark = pytest.mark.virtual_time
MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0


@pytest.fixture(autouse=True)
def _rare_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    look_rarely(monkeypatch, MINUTE)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path, demo_world(), rate=2) as opened:
        yield opened
        assert opened.inara.violations == []


async def latest(stage: Stage, tenant: str = "alpha") -> Run:
    async with stage.house() as house, house.state.read() as connection:
        run = await runs.latest(connection, tenant, full=True)
    assert run is not None
    return run


def asked(stage: Stage) -> list[tuple[str, ...]]:
    return [arrival.names for arrival in stage.inara.arrivals]


async def test_it_runs_at_once_and_then_every_night_at_one(stage: Stage) -> None:
    stage.add_tenant("alpha", ["Nova Kestrel"])
    async with stage.engine():
        await asyncio.sleep(3 * DAY)
    hours = [arrival.at / HOUR for arrival in stage.inara.arrivals]
    # The stage opens at 00:30, so that the nights are half an hour, and then 24.5 and 48.5 hours away.
    assert hours[0] * 60 == pytest.approx(31 / 60, abs=0.1)
    assert hours[1:] == pytest.approx([0.5, 24.5, 48.5], abs=0.02)
    assert len(stage.titles("alpha")) == 4
    assert (await latest(stage)).reason is RunReason.CRON


async def test_a_tenants_own_schedule_counts(stage: Stage) -> None:
    stage.add_tenant("alpha", ["Nova Kestrel"], inara_daemon={"schedule": "15 6 * * mon-fri"})
    async with stage.engine():
        await asyncio.sleep(7 * DAY)
    # 24 November 2026 is a Tuesday: four more weekdays, then Monday.
    assert len(stage.titles("alpha")) == 1 + 5


async def test_budget_a_broken_limit_is_waited_out_over_restarts(stage: Stage) -> None:
    path = stage.add_tenant("alpha", ["Nova Kestrel"])
    stage.inara.ban()
    for _ in range(8):
        async with stage.engine():
            await asyncio.sleep(10 * MINUTE)
    times = [arrival.at for arrival in stage.inara.arrivals]
    assert len(times) == 2
    assert HOUR <= times[1] - times[0] <= HOUR + 15 * MINUTE
    assert set(rows(path)) == {"Nova Kestrel"}
    assert "Inara asked to wait" in stage.texts("alpha")


async def test_a_reboot_in_a_pause_waits_the_pause_out(stage: Stage) -> None:
    stage.add_tenant("alpha", ["Nova Kestrel"])
    stage.inara.ban()
    async with stage.engine():
        await asyncio.sleep(30 * MINUTE)
    stage.boot_id = "boot-2"
    async with stage.engine():
        await asyncio.sleep(2 * HOUR)
    times = [arrival.at for arrival in stage.inara.arrivals]
    assert times[1] - times[0] >= HOUR


async def test_a_pause_that_an_outage_names_is_waited_out_over_restarts_and_reloads(stage: Stage) -> None:
    stage.add_tenant("alpha", ["Nova Kestrel"])
    stage.inara.inject(faults.http_error(503, retry_after=HOUR))
    for _ in range(8):
        async with stage.engine() as engine:
            await engine.reload(engine.tenants)
            await asyncio.sleep(10 * MINUTE)
    times = [arrival.at for arrival in stage.inara.arrivals]
    assert len(times) == 2
    assert HOUR <= times[1] - times[0] <= HOUR + 2 * MINUTE


_TROUBLES = [
    *(faults.HTML_PAGE, faults.EMPTY_BODY, faults.JSON_NULL, faults.NOT_JSON, faults.http_error(503)),
    *(faults.CLOSE_BEFORE, faults.CLOSE_AFTER, faults.HALF, faults.HANG),
]


async def test_failures_an_outage_of_every_kind_is_waited_out_and_costs_no_name_its_turn(stage: Stage) -> None:
    path = stage.add_tenant("alpha", ["Nova Kestrel", "Zero Zane"])
    stage.inara.inject(*_TROUBLES)
    async with stage.engine():
        await asyncio.sleep(3 * HOUR)
    assert len(stage.inara.arrivals) == len(_TROUBLES) + 1 or len(stage.inara.arrivals) == len(_TROUBLES) + 2
    assert set(rows(path)) == {"Nova Kestrel", "Zero Zane"}
    assert "Inara was away" in stage.texts("alpha")


async def test_a_day_without_inara_is_told_with_what_was_covered(stage: Stage) -> None:
    stage.add_tenant("alpha", ["Nova Kestrel", "Zero Zane"])
    await stage.inara.stop()
    async with stage.engine():
        await asyncio.sleep(31 * MINUTE)  # past one o'clock, where the first run's time is over
        assert "covered 0 of 2 commanders" in stage.texts("alpha")
        assert "Inara was away" in stage.texts("alpha")
    assert (await latest(stage)).outcome is None


async def test_an_application_that_is_not_white_listed_is_asked_again_daily_and_on_reload(stage: Stage) -> None:
    path = stage.add_tenant("alpha", ["Nova Kestrel"])
    stage.inara.app_names = {"Another"}
    async with stage.engine() as engine:
        await asyncio.sleep(20 * HOUR)
        assert len(stage.inara.arrivals) == 1
        await asyncio.sleep(6 * HOUR)
        assert len(stage.inara.arrivals) == 2
        assert "white-listed" in stage.texts("alpha")
        stage.inara.app_names = {"Stage"}
        await engine.reload(engine.tenants)
        await asyncio.sleep(2 * MINUTE)
    assert set(rows(path)) == {"Nova Kestrel"}


async def test_identity_a_squadron_is_left_after_two_replies_half_a_day_apart(stage: Stage) -> None:
    path = stage.add_tenant("alpha", ["Nova Kestrel"])
    commander = stage.inara.world.find("Nova Kestrel")
    async with stage.engine():
        await asyncio.sleep(10 * MINUTE)
        squadron = rows(path)["Nova Kestrel"]["squadron_name"]
        assert squadron
        commander.squadron = None
        await asyncio.sleep(1 * HOUR)  # the night's run sees it missing
        assert rows(path)["Nova Kestrel"]["squadron_name"] == squadron
        await asyncio.sleep(1 * DAY)
    assert rows(path)["Nova Kestrel"]["squadron_name"] is None
    assert rows(path)["Nova Kestrel"]["squadron_rank"] is None
    assert stage.texts("alpha").count(f"left {squadron}") == 1


async def test_failures_what_inara_hides_is_kept(stage: Stage) -> None:
    path = stage.add_tenant("alpha", ["Nova Kestrel"])
    commander = stage.inara.world.find("Nova Kestrel")
    async with stage.engine():
        await asyncio.sleep(10 * MINUTE)
        before = rows(path)["Nova Kestrel"]
        commander.ranks.clear()
        commander.squadron = None
        await asyncio.sleep(4 * DAY)
    assert rows(path)["Nova Kestrel"] == before


async def test_a_night_has_its_share_and_the_next_one_begins_with_the_stalest(tmp_path: Path) -> None:
    world = make_world(5, 1)
    names = [commander.name for commander in world.commanders]
    async with open_stage(tmp_path, world, rate=2) as stage:
        stage.extra = {"INARA_DAEMON_NIGHT_MINUTES": "1", "INARA_DAEMON_BATCH_SIZE": "2"}
        path = stage.add_tenant("alpha", names)
        async with stage.engine():
            await asyncio.sleep(10 * MINUTE)
            assert len(rows(path)) == 2
            assert "covered 2 of 5 commanders" in stage.texts("alpha")
            await asyncio.sleep(HOUR)
            assert len(rows(path)) == 4
            await asyncio.sleep(DAY)
        assert len(rows(path)) == 5
        assert len(stage.inara.arrivals) == 3
        assert set(asked(stage)[2]) & set(asked(stage)[0])  # the fifth, and with it one of the stalest


async def test_discovery_finds_a_new_commander_within_minutes_and_tells_in_the_next_report(stage: Stage) -> None:
    path = stage.add_tenant("alpha", ["Nova Kestrel"])
    async with stage.engine():
        await asyncio.sleep(2 * HOUR)
        reports = len(stage.titles("alpha"))
        execute(path, "INSERT INTO event (event, cmdr) VALUES ('Docked', 'Zero Zane')")
        await asyncio.sleep(16 * MINUTE)
        assert set(rows(path)) == {"Nova Kestrel", "Zero Zane"}
        assert len(stage.titles("alpha")) == reports
        await asyncio.sleep(DAY)
    assert stage.texts("alpha").count("Zero Zane") == 1


async def test_nothing_new_costs_no_request(stage: Stage) -> None:
    path = stage.add_tenant("alpha", ["Nova Kestrel"])
    async with stage.engine():
        await asyncio.sleep(2 * HOUR)
        before = len(stage.inara.arrivals)
        execute(path, "INSERT INTO event (event, cmdr) VALUES ('Docked', ' nova kestrel')")
        await asyncio.sleep(20 * HOUR)
        assert len(stage.inara.arrivals) == before


async def test_a_database_that_is_locked_gets_its_rows_later_without_asking_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.01)  # a wait in SQLite's thread takes real time
    monkeypatch.setattr(transactions, "LOCKED_SECONDS", 1.0)
    path = stage.add_tenant("alpha", ["Nova Kestrel"])
    other = stage.add_tenant("beta", ["Zero Zane"])
    with closing(sqlite3.connect(path, isolation_level=None)) as backend:
        async with stage.engine():
            backend.execute("BEGIN IMMEDIATE")
            await asyncio.sleep(5 * MINUTE)
            assert set(rows(other)) == {"Zero Zane"}  # nobody else waits
            assert rows(path) == {}
        async with stage.engine():  # not even a restart loses it
            await asyncio.sleep(2 * MINUTE)
            assert rows(path) == {}
            backend.execute("COMMIT")
            await asyncio.sleep(20 * MINUTE)
    assert set(rows(path)) == {"Nova Kestrel"}
    assert len(stage.inara.arrivals) == 1
    assert "locked" in stage.texts("alpha")
    assert stage.texts("alpha").count("New commanders (1)") == 1


async def test_a_database_that_is_gone_is_said_and_tried_again_at_night(stage: Stage) -> None:
    path = stage.add_tenant("alpha", ["Nova Kestrel"])
    path.rename(path.with_suffix(".away"))
    async with stage.engine():
        await asyncio.sleep(10 * MINUTE)
        assert not path.exists()
        assert "can't be opened" in stage.texts("alpha") or "does not exist" in stage.texts("alpha")
        path.with_suffix(".away").rename(path)
        await asyncio.sleep(HOUR)
    assert set(rows(path)) == {"Nova Kestrel"}


async def test_a_rename_on_inara_is_told_once_and_no_row_is_lost(stage: Stage) -> None:
    path = stage.add_tenant("alpha", ["Nova Kestrel"])
    async with stage.engine():
        await asyncio.sleep(10 * MINUTE)
        stage.inara.world.rename("Nova Kestrel", "Supernova")
        execute(path, "INSERT INTO event (event, cmdr) VALUES ('Docked', 'Supernova')")
        await asyncio.sleep(3 * DAY)
    assert {"Nova Kestrel", "Supernova"} <= set(rows(path))
    assert stage.texts("alpha").count("now called Supernova on Inara") == 1


async def test_identity_another_account_is_said_and_is_nobodys_promotion(stage: Stage) -> None:
    stage.add_tenant("alpha", ["Nova Kestrel"])
    async with stage.engine():
        await asyncio.sleep(10 * MINUTE)
        commander = stage.inara.world.find("Nova Kestrel")
        commander.user_id += 10_000
        commander.ranks = {"combat": "8", "trade": "8"}
        await asyncio.sleep(HOUR)
    told = stage.texts("alpha")
    assert told.count("another Inara account") == 1
    assert "→ Elite" not in told


async def test_the_wall_clock_may_step_without_losing_or_doubling_a_night(stage: Stage) -> None:
    stage.add_tenant("alpha", ["Nova Kestrel"])
    async with stage.engine() as engine:
        await asyncio.sleep(HOUR)
        assert len(stage.titles("alpha")) == 2
        assert engine.supervisor.tasks["alpha"].timetable.next_at == datetime(2026, 11, 25, 1, 0, tzinfo=UTC)
        _step(stage, -2 * HOUR)  # back to 23:30: the night that comes again was had
        await asyncio.sleep(3 * HOUR)
        assert len(stage.titles("alpha")) <= 3
        before = len(stage.titles("alpha"))
        _step(stage, 26 * HOUR)  # over a night: it is made up for within minutes
        await asyncio.sleep(5 * MINUTE)
        assert len(stage.titles("alpha")) == before + 1


def _step(_stage: Stage, seconds: float) -> None:
    """Let the wall clock, and nothing else, jump."""
    loop = asyncio.get_running_loop()
    for follow in loop.followers:  # type: ignore[attr-defined]
        follow(seconds)


async def test_two_tenants_on_one_database_take_turns(stage: Stage) -> None:
    path = stage.add_tenant("alpha", ["Nova Kestrel", "Zero Zane"])
    stage.tenants.append(stage.tenants[0] | {"id": "beta", "name": "Beta"})
    stage.tenants[1]["discord_webhooks"] = {"bullis": stage.discord.webhook("beta")}
    stage.write()
    async with stage.engine():
        await asyncio.sleep(20 * MINUTE)
    assert set(rows(path)) == {"Nova Kestrel", "Zero Zane"}
    assert len(stage.titles("alpha")) == len(stage.titles("beta")) == 1


async def test_an_unfinished_run_is_taken_up_by_the_next_engine(tmp_path: Path) -> None:
    world = make_world(90, 2)
    names = [commander.name for commander in world.commanders]
    async with open_stage(tmp_path, world, rate=2) as stage:
        path = stage.add_tenant("alpha", names)
        async with stage.engine():
            await asyncio.sleep(40)
        assert len(rows(path)) == 30
        async with stage.engine():
            await asyncio.sleep(3 * MINUTE)
        assert len(rows(path)) == 90
        assert len(stage.inara.arrivals) == 3
        assert len(stage.titles("alpha")) == 1
        run = await latest(stage)
    assert (run.outcome, run.tally["answered"]) == (RunOutcome.COMPLETE, 90)
