"""What a commander costs as tenants become many: whole first nights, and a night in which nothing changed.

CPU time is that of the daemon's process from READY to the last run's end: what its start costs is not in it, and what
others do on the machine neither. Wall time is beside it.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks import proc
from benchmarks.daemon_log import is_event
from benchmarks.daemon_process import running_daemon
from benchmarks.figure import Figure
from benchmarks.first_night import PATIENCE_SECONDS, Night, first_night, folder_of
from benchmarks.stand_in import stand_in

TENANTS = (10, 100, 1_000)
_GOAL = 1.15


async def measure(folder: Path) -> list[Figure]:
    """CPU and wall time for each commander, the smallest night being the baseline of the others."""
    nights = [await first_night(folder, tenants) for tenants in TENANTS]
    return [
        *(figure for night in nights for figure in _first(night, nights[0], nights[-1])),
        *[await _second(folder, night) for night in nights if night.complete],
    ]


def _first(night: Night, smallest: Night, largest: Night) -> list[Figure]:
    what, against = f"first night of {night.commanders:,} commanders", f"{smallest.commanders:,}"
    cpu, wall = (1e3 * took / night.asked for took in (night.cpu, night.wall))
    if night is smallest:
        return [Figure(f"{what}: CPU each", cpu, "ms"), Figure(f"{what}: wall each", wall, "ms")]
    base_cpu, base_wall = (1e3 * took / smallest.asked for took in (smallest.cpu, smallest.wall))
    goal = _GOAL if night is largest else None
    return [
        Figure(f"{what}: CPU each", cpu, "ms", base_cpu, against, ratio_at_most=goal, note=night.note),
        Figure(f"{what}: wall each", wall, "ms", base_wall, against, note=night.note),
    ]


async def _second(folder: Path, night: Night) -> Figure:
    """A night that was missed while the daemon was down, and in which Inara has nothing new."""
    place = folder_of(folder, night.tenants, night.each)
    missed = datetime.fromtimestamp((place / "night.json").stat().st_mtime, UTC).replace(second=0) + timedelta(
        minutes=1
    )
    await asyncio.sleep(max((missed - datetime.now(UTC)).total_seconds(), 0.0) + 0.5)
    schedule = {"INARA_DAEMON_SCHEDULE": f"{missed.minute} {missed.hour} * * *"}
    async with (
        stand_in(night.commanders, place / "journal-second") as inara,
        running_daemon(place, inara.url, schedule) as daemon,
    ):
        await daemon.ready()
        cpu, began = proc.cpu_seconds(daemon.pid), time.monotonic()
        ended = await daemon.log.wait(night.tenants, is_event("run_ended"), within=PATIENCE_SECONDS)
        cpu, wall = proc.cpu_seconds(daemon.pid) - cpu, time.monotonic() - began
        asked = sum(exchange.names for exchange in inara.exchanges())
    return Figure(
        f"second night of {night.commanders:,} commanders, nothing new: CPU each",
        1e3 * cpu / max(asked, 1),
        "ms",
        1e3 * night.cpu / night.asked,
        "first night",
        note="" if ended == night.tenants else f"broken off after {wall:.0f} s with {asked:,} asked for",
    )
