"""Inara in a process of its own, without a limit, so that its work is nobody's measured time."""

from __future__ import annotations

import asyncio
import json
import sys

from inara_daemon.sandbox.inara import SandboxInara
from inara_daemon.sandbox.world import make_world


async def main(count: int) -> None:
    """Serve so many commanders until standard input ends; the first line says where and who."""
    world = make_world(count, seed=1)
    inara = SandboxInara(world, rate_per_minute=float("inf"))
    url = await inara.start()
    print(json.dumps({"url": url, "names": [commander.name for commander in world.commanders]}), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await inara.stop()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
