"""Runs every benchmark."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from benchmarks import memory, overhead


async def main() -> None:
    """Print every figure."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(3):
            (Path(folder) / f"engine{number}").mkdir()
        await overhead.measure(3_000, 3, Path(folder))
        (Path(folder) / "memory").mkdir()
        await memory.measure(450, Path(folder) / "memory")


asyncio.run(main())
