"""Shows figures, and writes them down with the machine that they were measured on."""

from __future__ import annotations

import os
import platform
import re
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.figure import Figure

_HEAD = ("what", "measured", "baseline", "ratio", "goal", "met")
_PACKAGES = ("aiohttp", "aiosqlite", "APScheduler", "pydantic", "SQLAlchemy", "structlog")


def show(name: str, figures: Sequence[Figure], seconds: float) -> None:
    """Print a benchmark's figures."""
    print(f"{name}  ({seconds:.0f} s)")
    for figure in figures:
        what, measured, baseline, ratio, goal, met = figure.cells()
        against = f"   {ratio} x {baseline}" if baseline else ""
        wanted = f"   goal {goal}: {'met' if met == 'yes' else 'NOT MET'}" if goal else ""
        print(f"  {what}: {measured}{against}{wanted}")
    print(flush=True)


def write(path: Path, figures: Mapping[str, Sequence[Figure]]) -> None:
    """Write all figures as Markdown."""
    lines = ["# Measured", "", *_machine(), ""]
    lines += ["Goals that are not met stand here as they are. CPU is the daemon's own process, wall is beside it."]
    for name, rows in figures.items():
        lines += ["", f"## {name}", "", _row(_HEAD), _row(["---"] * len(_HEAD))]
        lines += [_row(figure.cells()) for figure in rows]
    path.write_text("\n".join(lines) + "\n")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _machine() -> list[str]:
    model = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return [
        f"- {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, load {os.getloadavg()[0]:.1f} before the end",
        f"- {model.group(1) if model else platform.machine()}, {os.cpu_count()} cores, {platform.release()}",
        f"- Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {packages}",
    ]
