"""One night's share of the budget, for however many tenants begin together."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from inara_daemon.inara import desk
from inara_daemon.notify import outbox
from inara_daemon.sandbox.world import make_world
from inara_daemon.service import request_desk, supervisor, tenant_task
from tests.stage import Stage, open_stage, rows

pytestmark = pytest.mark.virtual_time
MINUTE, HOUR = 60.0, 3_600.0


@pytest.fixture(autouse=True)
def _rare_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hours pass sooner when whoever waits looks around once a minute only."""
    monkeypatch.setattr(request_desk, "POLL_SECONDS", MINUTE)
    monkeypatch.setattr(desk, "_LONGEST_NAP_SECONDS", MINUTE)
    monkeypatch.setattr(outbox, "_NAP_SECONDS", MINUTE)
    monkeypatch.setattr(supervisor, "_WATCH_SECONDS", MINUTE)
    monkeypatch.setattr(tenant_task, "_NAP_SECONDS", MINUTE)


def requests_between(stage: Stage, start: float, end: float) -> int:
    return sum(start <= arrival.at < end for arrival in stage.inara.arrivals)


async def test_the_whole_nights_cost_of_tenants_that_begin_together_is_limited(tmp_path: Path) -> None:
    """Eight tenants, two keys, one schedule: the first run and the night's have a night of five requests each."""
    world = make_world(80, 3)
    names = [commander.name for commander in world.commanders]
    async with open_stage(tmp_path, world, rate=2) as stage:
        stage.extra = {"INARA_DAEMON_NIGHT_MINUTES": "3", "INARA_DAEMON_BATCH_SIZE": "4"}
        paths = [
            stage.add_tenant(f"t{number}", names[number::8], inara_api_key=f"canary-key-{number % 2}-0123456789")
            for number in range(8)
        ]
        async with stage.engine():
            await asyncio.sleep(29 * MINUTE)
            assert requests_between(stage, 0, 30 * MINUTE) == 5
            await asyncio.sleep(2 * HOUR)
        # The stage opens half an hour before one o'clock.
        assert requests_between(stage, 30 * MINUTE, 3 * HOUR) == 5
        assert sum(len(rows(path)) for path in paths) == 10 * 4  # and nobody was asked twice
        assert all("in the 3 minutes of a night" in stage.texts(path.stem) for path in paths)
        stage.assert_never_banned()
