"""Inara in a process of its own, without a limit, so that its work is nobody's measured time."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from inara_daemon.sandbox.inara import SandboxInara
from inara_daemon.sandbox.world import make_world

_ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Exchange:
    """When a request arrived, when its answer was about to leave, in seconds of CLOCK_MONOTONIC, and how many names.

    The answer leaves a millisecond or two after that, which it takes to write it.
    """

    arrived: float
    answered: float
    names: int


@dataclass(frozen=True, slots=True)
class StandIn:
    """A running stand-in: where it is, whom it knows, and its journal of requests."""

    url: str
    names: tuple[str, ...]
    journal: Path

    def exchanges(self) -> list[Exchange]:
        """Every request so far."""
        return [Exchange(**json.loads(line)) for line in self.journal.read_text().splitlines()]


@asynccontextmanager
async def stand_in(count: int, journal: Path, *, latency: float = 0.0) -> AsyncIterator[StandIn]:
    """Inara knowing so many commanders, answering after `latency` seconds."""
    journal.touch()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.stand_in", str(count), str(journal), f"--latency={latency}"),
        cwd=_ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=64 * 1024 * 1024,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        told = json.loads(await process.stdout.readline())
        yield StandIn(told["url"], tuple(told["names"]), journal)
    finally:
        process.stdin.close()
        await process.wait()


async def serve(count: int, journal: Path, latency: float) -> None:
    """Serve so many commanders until standard input ends; the first line says where and who."""
    world = make_world(count, seed=1)
    with journal.open("a") as lines:

        def answer_soon() -> float:
            """The last thing that happens before an answer is made; requests come one at a time."""
            arrival = inara.arrivals.pop()
            exchange = Exchange(arrival.at, time.monotonic() + latency, len(arrival.names))
            lines.write(json.dumps(asdict(exchange)) + "\n")
            lines.flush()
            return latency

        inara = SandboxInara(world, rate_per_minute=float("inf"), clock=time.monotonic, latency=answer_soon)
        url = await inara.start()
        print(json.dumps({"url": url, "names": [commander.name for commander in world.commanders]}), flush=True)
        await asyncio.to_thread(sys.stdin.read)
        await inara.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("count", type=int)
    parser.add_argument("journal", type=Path)
    parser.add_argument("--latency", type=float, default=0.0)
    options = parser.parse_args()
    asyncio.run(serve(options.count, options.journal, options.latency))
