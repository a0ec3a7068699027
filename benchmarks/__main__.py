"""Runs benchmarks and shows their figures: `python -m benchmarks [--write] [NAME]...`."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import tempfile
import time
from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.results import show, write

NAMES = (
    "overhead",
    "memory",
    "night",
    "scale_cost",
    "scale_idle",
    "start_reload_stop",
    "lag",
    "discovery",
    "writers",
)
"""One module each, with `async def measure(folder) -> list[Figure]`; what it leaves there serves the next."""
RESULTS = Path(__file__).parent / "RESULTS.md"


def main() -> None:
    """Run what was named, or everything."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name} too")
    options = parser.parse_args()
    unknown = set(options.names) - set(NAMES)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    figures: dict[str, list[Figure]] = {}
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        for name in options.names or NAMES:
            began = time.monotonic()
            figures[name] = asyncio.run(importlib.import_module(f"benchmarks.{name}").measure(Path(folder)))
            show(name, figures[name], time.monotonic() - began)
    if options.write:
        write(RESULTS, figures)


main()
