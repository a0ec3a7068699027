"""What the daemon takes for an ordinary installation: its peak memory over a night of three tenants."""

from __future__ import annotations

from pathlib import Path

from benchmarks import proc
from benchmarks.daemon_log import is_event
from benchmarks.daemon_process import running_daemon
from benchmarks.figure import Figure
from benchmarks.fleet import make_fleet, split
from benchmarks.stand_in import stand_in

TENANTS = 3
EACH = 150
EVENTS = 50_000
_GOAL_MB = 100.0


async def measure(folder: Path) -> list[Figure]:
    """Peak memory of the process, until every tenant has run."""
    async with stand_in(TENANTS * EACH, folder / "journal") as inara:
        make_fleet(folder, split(inara.names, EACH), events=EVENTS // EACH)
        async with running_daemon(folder, inara.url) as daemon:
            await daemon.log.wait(TENANTS, is_event("run_ended"), within=60.0)
            peak = proc.peak_resident_mb(daemon.pid)
    return [Figure(f"{TENANTS} tenants of {EACH} commanders: peak memory", peak, "MB", at_most=_GOAL_MB)]
