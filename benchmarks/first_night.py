"""A whole first night of many tenants, seen from outside: what the daemon's process took for it."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import proc
from benchmarks.daemon_log import is_event
from benchmarks.daemon_process import running_daemon
from benchmarks.fleet import make_fleet, split
from benchmarks.stand_in import stand_in

EACH = 100
"""Commanders of a tenant if nothing else is said; nobody is in two of them."""
PATIENCE_SECONDS = 200.0
"""A night that takes longer is broken off, and what it cost so far is what counts."""
_TRIAL_SECONDS = 45.0
"""After so long a night is broken off if it would take longer than that at its pace."""
_EVENTS = 5
"""Events of each commander."""


@dataclass(frozen=True, slots=True)
class Night:
    """`cpu` and `wall` are seconds from READY to the last run's end, or until it was broken off."""

    tenants: int
    each: int
    """Commanders of a tenant."""
    ended: int
    asked: int
    """Names that Inara was asked for."""
    requests: int
    cpu: float
    wall: float
    peak_mb: float
    resident_mb: float
    descriptors: int
    threads: int

    @property
    def commanders(self) -> int:
        """How many commanders there are."""
        return self.tenants * self.each

    @property
    def complete(self) -> bool:
        """Whether every tenant's run came to its end."""
        return self.ended == self.tenants

    @property
    def note(self) -> str:
        """What to say of a night that was broken off."""
        if self.complete:
            return ""
        return f"broken off after {self.wall:.0f} s with {self.asked:,} of {self.commanders:,} asked for"


async def first_night(folder: Path, tenants: int, each: int = EACH) -> Night:
    """The night of so many tenants; one that this folder holds already is not run again."""
    place = folder_of(folder, tenants, each)
    kept = place / "night.json"
    if kept.exists():
        return Night(**json.loads(kept.read_text()))
    place.mkdir(parents=True)
    async with stand_in(tenants * each, place / "journal") as inara:
        make_fleet(place, split(inara.names, each), events=_EVENTS)
        async with running_daemon(place, inara.url) as daemon:
            await daemon.ready()
            cpu, began = proc.cpu_seconds(daemon.pid), time.monotonic()
            async with proc.watched(daemon.pid) as peaks:
                ended = await daemon.log.wait(tenants, is_event("run_ended"), within=_TRIAL_SECONDS)
                share = sum(exchange.names for exchange in inara.exchanges()) / (tenants * each)
                if ended < tenants and share > _TRIAL_SECONDS / PATIENCE_SECONDS:
                    ended = await daemon.log.wait(
                        tenants, is_event("run_ended"), within=PATIENCE_SECONDS - _TRIAL_SECONDS
                    )
            cpu, wall = proc.cpu_seconds(daemon.pid) - cpu, time.monotonic() - began
            exchanges = inara.exchanges()
            night = Night(
                tenants=tenants,
                each=each,
                ended=ended,
                asked=sum(exchange.names for exchange in exchanges),
                requests=len(exchanges),
                cpu=cpu,
                wall=wall,
                peak_mb=proc.peak_resident_mb(daemon.pid),
                resident_mb=proc.resident_mb(daemon.pid),
                descriptors=peaks.descriptors,
                threads=peaks.threads,
            )
    kept.write_text(json.dumps(asdict(night)))
    return night


def folder_of(folder: Path, tenants: int, each: int = EACH) -> Path:
    """Where the tenants of that night are, and the state that it left."""
    return folder / f"night-{tenants}x{each}"
