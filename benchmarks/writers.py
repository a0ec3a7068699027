"""What the backend's writers notice of the daemon: an event and its commit while all events are read over and over.

Wall time in the writer's own process; the baseline is the same writer without a reader, in turns with it.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.event_table import event_table
from benchmarks.figure import Figure
from inara_daemon.settings import Secret
from inara_daemon.store.errors import DatabaseError
from inara_daemon.store.tenant_db import TenantDatabase

MIDDLE, LARGE = 1_000_000, 10_000_000
WRITES = 2_000
TURNS = 2
_GOAL_MS = 50.0
_QUANTILES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "max": 1.0}
_ROOT = Path(__file__).parents[1]


@dataclass(slots=True)
class _Writes:
    """Milliseconds of every write."""

    alone: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)


async def measure(folder: Path) -> list[Figure]:
    """Two sizes in the backend's journal mode, and the smaller one in SQLite's own for orientation."""
    figures = []
    for rows, mode in ((MIDDLE, "WAL"), (LARGE, "WAL"), (MIDDLE, "DELETE")):
        path = event_table(folder, rows)
        _set_journal(path, mode)
        writes = await _measure(path)
        _set_journal(path, "WAL")
        for name, quantile in _QUANTILES.items():
            goal = _GOAL_MS if name == "p99.9" and mode == "WAL" else None
            beside, alone = _quantile(writes.beside, quantile), _quantile(writes.alone, quantile)
            what = f"a write beside the reading of {rows:,} events, {mode}: {name}"
            figures.append(Figure(what, beside, "ms", alone, "no reader", at_most=goal))
    return figures


async def _measure(path: Path) -> _Writes:
    writes = _Writes()
    for _ in range(TURNS):
        writes.alone += await _write(path)
        enough = asyncio.Event()
        reading = asyncio.create_task(_read_over_and_over(path, enough))
        try:
            writes.beside += await _write(path)
        finally:
            enough.set()
            await reading
    return writes


async def _write(path: Path) -> list[float]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.writer", str(path), str(WRITES)),
        cwd=_ROOT,
        stdout=asyncio.subprocess.PIPE,
        limit=16 * 1024 * 1024,
    )
    assert process.stdout is not None
    took: list[float] = json.loads(await process.stdout.read())
    await process.wait()
    return took


async def _read_over_and_over(path: Path, enough: asyncio.Event) -> None:
    database = TenantDatabase(Secret(f"sqlite:///{path}"), Path("/"))
    while not enough.is_set():
        with suppress(DatabaseError):  # without WAL the writer may keep a reader out: then it begins anew
            async for _ in database.spellings():
                if enough.is_set():
                    break


def _quantile(values: list[float], quantile: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(quantile * len(ordered)), len(ordered) - 1)]


def _set_journal(path: Path, mode: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode={mode}")
