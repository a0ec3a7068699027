"""Where the time comes from: handed in everywhere, so that tests own it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Moment:
    """A point of time as it can be stored: `seconds` of CLOCK_BOOTTIME in the boot named by `boot_id`."""

    boot_id: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Clock:
    """The clocks of one host.

    `now` gives the wall clock as an aware UTC datetime. `boottime` gives seconds since the boot named by `boot_id`:
    it counts time suspended and no step of the wall clock moves it, but it compares within one boot only.
    """

    now: Callable[[], datetime]
    boottime: Callable[[], float]
    boot_id: str

    def moment(self, seconds: float) -> Moment:
        """The moment `seconds` from now."""
        return Moment(self.boot_id, self.boottime() + seconds)

    def here(self, until: Moment, seconds: float) -> Moment:
        """The end of a wait of `seconds` in this boot; after a reboot it begins anew, as nothing tells how long ago."""
        return until if until.boot_id == self.boot_id else self.moment(seconds)


def system_clock() -> Clock:
    """The clocks of this host; OSError where the kernel tells no boot id (other systems than Linux)."""
    return Clock(
        now=lambda: datetime.now(UTC),
        boottime=lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
        boot_id=_BOOT_ID.read_text(encoding="ascii").strip(),
    )
