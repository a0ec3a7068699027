"""Never idle: how long after its token each request arrives, while all tenants begin at once.

A token comes an interval after the answer before it. Arrival and answer are taken by the clock of the stand-in.
"""

from __future__ import annotations

import asyncio
import statistics
from itertools import pairwise
from pathlib import Path

from benchmarks.daemon_process import running_daemon
from benchmarks.figure import Figure
from benchmarks.fleet import make_fleet, split
from benchmarks.stand_in import Exchange, stand_in

RATE = 120
REQUESTS = 40
BATCH = 30
INTERVAL = 60 / RATE * 31 / 30
"""Seconds between an answer and the next token, margin included."""
_FLEETS = ((3, 400), (1_000, 100))
_GOAL_MS = 50.0
_PATIENCE_SECONDS = 120.0


async def measure(folder: Path) -> list[Figure]:
    """A few tenants, and a thousand."""
    return [figure for tenants, each in _FLEETS for figure in await _measure(folder, tenants, each)]


async def _measure(folder: Path, tenants: int, each: int) -> list[Figure]:
    place = folder / f"lag-{tenants}"
    place.mkdir()
    loop = asyncio.get_running_loop()
    async with stand_in(tenants * each, place / "journal") as inara:
        make_fleet(place, split(inara.names, each), events=5)
        async with running_daemon(place, inara.url, {"INARA_DAEMON_REQUESTS_PER_MINUTE": str(RATE)}):
            end = loop.time() + _PATIENCE_SECONDS
            while len(inara.exchanges()) < REQUESTS and loop.time() < end:
                await asyncio.sleep(0.5)
        exchanges = inara.exchanges()[:REQUESTS]
    lags = sorted(_lags(exchanges))
    what = f"{tenants:,} tenants begin at once: a request's lag behind its token"
    full = sum(exchange.names == BATCH for exchange in exchanges)
    note = f"{len(exchanges)} requests, {full} of them full"
    return [
        Figure(f"{what}, median", statistics.median(lags), "ms", at_most=_GOAL_MS, note=note),
        Figure(f"{what}, p99", lags[int(0.99 * len(lags))], "ms", at_most=_GOAL_MS),
        Figure(f"{what}, max", lags[-1], "ms", at_most=_GOAL_MS),
    ]


def _lags(exchanges: list[Exchange]) -> list[float]:
    """Milliseconds."""
    return [1e3 * (after.arrived - before.answered - INTERVAL) for before, after in pairwise(exchanges)]
