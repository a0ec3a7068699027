"""What a look for new commanders costs in a large table, against a bare `SELECT max(id)` on a connection of its own.

Wall time, medians, the file being in the kernel's cache: what blocks is the disk's and the thread's, not the CPU's.
"""

from __future__ import annotations

import sqlite3
import statistics
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.event_table import event_table
from benchmarks.figure import Figure
from inara_daemon.settings import Secret
from inara_daemon.store.tenant_db import TenantDatabase

SMALL, MIDDLE, LARGE = 10_000, 1_000_000, 10_000_000
_NEW = (0, 100, 50_000)
_GOAL_MS = 20.0
_MOST_ROUNDS = 30
_MOST_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _Look:
    """Milliseconds of a look and of the bare question."""

    product: float
    bare: float


async def measure(folder: Path) -> list[Figure]:
    """Three sizes, one of them also with the index that some installations have."""
    figures = []
    nothing: dict[int, float] = {}
    for rows, indexed in ((SMALL, False), (MIDDLE, False), (MIDDLE, True), (LARGE, False)):
        path = event_table(folder, rows, indexed=indexed)
        what = f"a look at {rows:,} events{', indexed' if indexed else ''}"
        for new in _NEW:
            if new >= rows:
                continue
            look = await _look(path, new)
            goal = _GOAL_MS if not new and (indexed or rows == LARGE) else None
            figures.append(
                Figure(f"{what}, {new:,} new", look.product, "ms", look.bare, "bare SELECT max(id)", at_most=goal)
            )
            if not new and not indexed:
                nothing[rows] = look.product
    against = f"{SMALL:,} events"
    figures.append(Figure(f"nothing new: {LARGE:,} events", nothing[LARGE], "ms", nothing[SMALL], against))
    return figures


async def _look(path: Path, new: int) -> _Look:
    database = TenantDatabase(Secret(f"sqlite:///{path}"), Path("/"))
    highest, _ = _highest(path)
    product: list[float] = []
    bare: list[float] = []
    end = time.perf_counter() + _MOST_SECONDS
    await database.spellings_since(highest - new)  # the first one compiles statements and warms the cache
    while len(product) < _MOST_ROUNDS and (not product or time.perf_counter() < end):
        began = time.perf_counter()
        await database.spellings_since(highest - new)
        product.append(1e3 * (time.perf_counter() - began))
        bare.append(_highest(path)[1])
    return _Look(statistics.median(product), statistics.median(bare))


def _highest(path: Path) -> tuple[int, float]:
    """The highest id, and the milliseconds that it took to ask."""
    began = time.perf_counter()
    with closing(sqlite3.connect(path)) as connection:
        (highest,) = connection.execute("SELECT max(id) FROM event").fetchone()
    return int(highest), 1e3 * (time.perf_counter() - began)
