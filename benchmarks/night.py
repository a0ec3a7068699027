"""How long a night takes at Inara's pace: requests measured at a high rate, times the interval of two a minute.

The old module asked for one name a request and waited 60 s after each, tenant after tenant, for the first 100 names of
each at most: what is compared is the time for each commander of a roster.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.daemon_log import is_event
from benchmarks.daemon_process import running_daemon
from benchmarks.figure import Figure
from benchmarks.first_night import first_night
from benchmarks.fleet import make_fleet
from benchmarks.stand_in import stand_in

INTERVAL = 31.0
"""Seconds between two requests at two a minute, margin included."""
OLD_SECONDS = 60.0
OLD_MOST = 100
PRODUCTION = (8, 142, 150)
SHARED = 60
TENANTS = 1_000


async def measure(folder: Path) -> list[Figure]:
    """The known production, then a thousand tenants."""
    return [*await _production(folder), *await _thousand(folder)]


async def _production(folder: Path) -> list[Figure]:
    """Three tenants; the two larger ones have some commanders in common."""
    place = folder / "production"
    small, middle, large = PRODUCTION
    distinct = sum(PRODUCTION) - SHARED
    async with stand_in(distinct, folder / "journal-production") as inara:
        names = inara.names
        rosters = [names[:small], names[small : small + middle], names[small + middle - SHARED :]]
        assert tuple(map(len, rosters)) == (small, middle, large)
        make_fleet(place, rosters, events=10)
        async with running_daemon(place, inara.url) as daemon:
            await daemon.log.wait(len(rosters), is_event("run_ended"), within=60.0)
        requests = len(inara.exchanges())
    commanders, minutes = sum(PRODUCTION), requests * INTERVAL / 60
    old = sum(min(count, OLD_MOST) for count in PRODUCTION) * OLD_SECONDS / 60
    return [
        Figure("production's night: requests", requests, "", -(-distinct // 30), "least", ratio_at_most=1.0),
        Figure("production's night", minutes, "min", old, "old module, which leaves out 92 of 300"),
        Figure("production's night, for each commander", minutes * 60 / commanders, "s", OLD_SECONDS, "old module"),
    ]


async def _thousand(folder: Path) -> list[Figure]:
    """Nobody in two tenants. A night that was broken off tells how many requests a name costs, too."""
    night = await first_night(folder, TENANTS)
    requests = night.requests * night.commanders / night.asked
    hours = requests * INTERVAL / 3600
    old = night.commanders * OLD_SECONDS / 3600
    what = f"{TENANTS:,} tenants of {night.each}"
    return [
        Figure(f"{what}: requests", round(requests), "", -(-night.commanders // 30), "least", note=night.note),
        Figure(f"{what}: a whole round", hours, "h", old, "old module"),
    ]
