"""What another process can ask of a running sandbox."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

import aiohttp
import pytest

from inara_daemon.sandbox.inara import SandboxInara
from inara_daemon.sandbox.orders import UnknownOrderError, obey
from inara_daemon.sandbox.world import demo_world


def test_an_unknown_order_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownOrderError, match=r"nonsense: known are access_revoked, ban, .*unknown_refusal"):
        obey("nonsense", SandboxInara(demo_world()))


def test_the_second_night_comes_by_order() -> None:
    inara, mirror = SandboxInara(demo_world()), demo_world()
    obey("second_night", inara)
    promoted = mirror.second_night().promoted[0]
    assert inara.world.answer(promoted) == mirror.answer(promoted) != demo_world().answer(promoted)


async def test_the_process_obeys_and_tells_of_violations_at_its_end(tmp_path: Path) -> None:
    arrivals = tmp_path / "arrivals"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "inara_daemon.sandbox", "--orders", "--arrivals", str(arrivals)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    url = json.loads(await process.stdout.readline())["inara"]
    process.stdin.write(b"http_503\n")
    await process.stdin.drain()
    await asyncio.sleep(0.1)  # nothing tells that an order was heard
    async with aiohttp.ClientSession() as session:
        for _ in range(2):
            await (await session.post(url, data=b"{}")).read()
    process.send_signal(signal.SIGTERM)
    last = (await process.stdout.read()).splitlines()[-1]
    await process.wait()
    first, second = (json.loads(line)["answer"] for line in arrivals.read_text().splitlines())
    assert (first, second) == ("http_503", "too_much")
    assert any("after the last request" in violation for violation in json.loads(last)["violations"]["inara"])
