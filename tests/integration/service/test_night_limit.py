"""One night's share of the budget, for however many tenants begin together."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from inara_daemon.sandbox.world import make_world
from tests.integration.service.rare_looks import look_rarely
from tests.stage import open_stage

pytestmark = pytest.mark.virtual_time
MINUTE, HOUR = 60.0, 3_600.0


@pytest.fixture(autouse=True)
def _rare_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    look_rarely(monkeypatch, MINUTE)


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
            first = [arrival.names for arrival in stage.inara.arrivals]
            await asyncio.sleep(2 * HOUR)
        # The stage opens half an hour before one o'clock.
        night = [arrival.names for arrival in stage.inara.arrivals if arrival.at >= 30 * MINUTE]
        assert stage.inara.arrivals[len(first)].at >= 30 * MINUTE
        for requests in (first, night):
            assert len(requests) == 5
            assert len({name for names in requests for name in names}) == 5 * 4  # and nobody was asked twice
        assert all("in the 3 minutes of a night" in stage.texts(path.stem) for path in paths)
        stage.assert_never_banned()
