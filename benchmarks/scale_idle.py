"""What a thousand tenants cost: memory, descriptors and threads in a night, and those and CPU when idle."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks import proc
from benchmarks.daemon_process import running_daemon
from benchmarks.figure import Figure
from benchmarks.first_night import Night, first_night, folder_of
from benchmarks.stand_in import stand_in

TENANTS = 1_000
_FEW = 3
"""Commanders of a tenant where the night of many does not end in time."""
_IDLE_SECONDS = 60.0
_LOOKING_SECONDS = 120.0
_LOOKS = 2
_FIRST_LOOKS_SECONDS = 65.0
"""The first look of each tenant in a process also asks the memory whom it knows."""
_DISCOVER_SECONDS = 15 * 60.0
_SETTLE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class _Idle:
    """`cpu` is a share of one core."""

    cpu: float
    resident_mb: float
    descriptors: int
    threads: int


async def measure(folder: Path) -> list[Figure]:
    """The night first, then a minute without a look for new commanders, then two minutes with two looks."""
    night = await first_night(folder, TENANTS)
    figures = [
        Figure("1,000 tenants, the night: peak memory", night.peak_mb, "MB", at_most=250, note=night.note),
        Figure("1,000 tenants, after the night: memory", night.resident_mb, "MB", at_most=250, note=night.note),
        Figure("1,000 tenants, the night: descriptors at most", night.descriptors, at_most=200, note=night.note),
        Figure("1,000 tenants, the night: threads at most", night.threads, note=night.note),
    ]
    rested = night if night.complete else await first_night(folder, TENANTS, _FEW)
    note = "" if rested is night else f"{rested.each} commanders a tenant"
    still = await _idle(folder, rested, _IDLE_SECONDS, discover_minutes=0)
    looking = await _idle(folder, rested, _LOOKING_SECONDS, discover_minutes=1, after=_FIRST_LOOKS_SECONDS)
    look = max(looking.cpu - still.cpu, 0.0) * _LOOKING_SECONDS / (_LOOKS * TENANTS)
    whole = still.cpu + look * TENANTS / _DISCOVER_SECONDS
    return [
        *figures,
        Figure("1,000 tenants, idle: memory", still.resident_mb, "MB", at_most=250, note=note),
        Figure("1,000 tenants, idle: descriptors", still.descriptors, at_most=200, note=note),
        Figure("1,000 tenants, idle: threads", still.threads, note=note),
        Figure("1,000 tenants, idle: CPU of a core, no look", 100 * still.cpu, "%", at_most=0.5, note=note),
        Figure("one tenant's look for new commanders: CPU", 1e3 * look, "ms", note=note),
        Figure("1,000 tenants, idle: CPU with a look every 15 min", 100 * whole, "%", at_most=0.5, note=note),
    ]


async def _idle(folder: Path, night: Night, seconds: float, *, discover_minutes: int, after: float = 0.0) -> _Idle:
    """Start on what the night left, let it settle, and look at it for so long."""
    place = folder_of(folder, night.tenants, night.each)
    settings = {"INARA_DAEMON_DISCOVER_MINUTES": str(discover_minutes)}
    async with (
        stand_in(night.commanders, place / "journal-idle") as inara,
        running_daemon(place, inara.url, settings) as daemon,
    ):
        await daemon.ready()
        await proc.settled(daemon.pid, within=_SETTLE_SECONDS)
        await asyncio.sleep(after)
        cpu, began = proc.cpu_seconds(daemon.pid), time.monotonic()
        await asyncio.sleep(seconds)
        share = (proc.cpu_seconds(daemon.pid) - cpu) / (time.monotonic() - began)
        peaks = proc.Peaks()
        peaks.look(daemon.pid)
        return _Idle(share, proc.resident_mb(daemon.pid), peaks.descriptors, peaks.threads)
