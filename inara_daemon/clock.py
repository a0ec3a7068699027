"""Where the time comes from: handed in everywhere, so that tests own it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Clock:
    """The clocks of one host.

    `now` gives the wall clock as an aware UTC datetime. `boottime` gives seconds since the boot named by `boot_id`:
    it counts time suspended and no step of the wall clock moves it, but it compares within one boot only.
    """

    now: Callable[[], datetime]
    boottime: Callable[[], float]
    boot_id: str


def system_clock() -> Clock:
    """The clocks of this host; OSError where the kernel tells no boot id (other systems than Linux)."""
    return Clock(
        now=lambda: datetime.now(UTC),
        boottime=lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
        boot_id=_BOOT_ID.read_text(encoding="ascii").strip(),
    )
