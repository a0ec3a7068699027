"""What the kernel says of another process."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_SAMPLE_SECONDS = 0.05
_CALM = 0.2
_CALM_LOOKS = 4


def cpu_seconds(pid: int) -> float:
    """CPU time of all its threads so far, user and system, to a hundredth of a second."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_mb(pid: int) -> float:
    """Memory resident now."""
    return _status(pid, "VmRSS") / 1024


def peak_resident_mb(pid: int) -> float:
    """The most memory that was ever resident."""
    return _status(pid, "VmHWM") / 1024


def threads(pid: int) -> int:
    """Threads alive now."""
    return _status(pid, "Threads")


def descriptors(pid: int) -> int:
    """File descriptors open now."""
    return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - only counted


async def settled(pid: int, *, within: float) -> bool:
    """Wait until a process takes less than a fifth of a core for some seconds; whether it came to that."""
    end = time.monotonic() + within
    calm = 0
    while calm < _CALM_LOOKS and time.monotonic() < end:
        before = cpu_seconds(pid)
        await asyncio.sleep(1.0)
        calm = calm + 1 if cpu_seconds(pid) - before < _CALM else 0
    return calm == _CALM_LOOKS


def _status(pid: int, field: str) -> int:
    return int(re.findall(rf"^{field}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)[0])


@dataclass(slots=True)
class Peaks:
    """The highest counts seen by looking now and then; what is shorter than 50 ms may be missed."""

    descriptors: int = 0
    threads: int = 0

    def look(self, pid: int) -> None:
        """Count once."""
        self.descriptors = max(self.descriptors, descriptors(pid))
        self.threads = max(self.threads, threads(pid))


@asynccontextmanager
async def watched(pid: int) -> AsyncIterator[Peaks]:
    """Look at a process again and again for the length of the block."""
    peaks = Peaks()

    async def watch() -> None:
        while True:
            peaks.look(pid)
            await asyncio.sleep(_SAMPLE_SECONDS)

    task = asyncio.create_task(watch())
    try:
        yield peaks
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
