"""What another process can ask of a running sandbox."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from inara_daemon.sandbox.discord import SandboxDiscord
from inara_daemon.sandbox.faults import DISCORD_FAULTS
from inara_daemon.sandbox.inara import SandboxInara
from inara_daemon.sandbox.orders import UnknownOrderError, obey
from inara_daemon.sandbox.world import demo_world, make_world

MESSAGE = {"content": "hello", "allowed_mentions": {"parse": []}}
HEADERS = {"User-Agent": "DiscordBot (https://example.invalid, 1.0)"}


@pytest.mark.parametrize(
    ("order", "answer"),
    [
        ("nonsense", r"nonsense: known are access_revoked, ban, .*unknown_refusal"),
        ("discord:nonsense", r"nonsense: known are calm, close_after, .*gone, half, .*start, stop, .*wait_user"),
        ("discord:hang nobody", "hang nobody: nobody asked for a webhook of that name"),
        ("discord:gone nobody", "gone nobody: nobody asked for a webhook of that name"),
        ("discord:hang=2", "2: only a wait takes seconds"),
        ("discord:wait_user=long", "long: only a wait takes seconds"),
    ],
)
async def test_an_unknown_order_is_refused_with_the_known_ones(order: str, answer: str) -> None:
    with pytest.raises(UnknownOrderError, match=answer):
        await obey(order, SandboxInara(demo_world()), SandboxDiscord())


async def test_the_second_night_comes_by_order() -> None:
    inara, mirror = SandboxInara(demo_world()), demo_world()
    await obey("second_night", inara, SandboxDiscord())
    promoted = mirror.second_night().promoted[0]
    assert inara.world.answer(promoted) == mirror.answer(promoted) != demo_world().answer(promoted)


async def test_everybody_turns_to_another_power_by_order() -> None:
    inara = SandboxInara(make_world(9, seed=1))
    before = [commander.power for commander in inara.world.commanders]
    await obey("turn_powers", inara, SandboxDiscord())
    after = [commander.power for commander in inara.world.commanders]
    assert all(old != new for old, new in zip(before, after, strict=True))


@asynccontextmanager
async def discord_with(*names: str) -> AsyncIterator[tuple[SandboxDiscord, list[str]]]:
    discord = SandboxDiscord()
    await discord.start()
    try:
        yield discord, [discord.webhook(name) for name in names]
    finally:
        await discord.stop()


async def _post(url: str) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as session, session.post(url, json=MESSAGE, headers=HEADERS) as response:
        return response.status, response.headers


async def _order(discord: SandboxDiscord, order: str) -> None:
    await obey(f"discord:{order}", SandboxInara(demo_world()), discord)


@pytest.mark.parametrize("word", sorted(DISCORD_FAULTS))
async def test_each_of_discords_faults_has_a_word(word: str) -> None:
    async with discord_with("roster", "other") as (discord, (url, other)):
        await _order(discord, f"{word} roster")
        assert (await _post(other))[0] == 204
        waiting = asyncio.create_task(_post(url))
        while len(discord.attempts) < 2:
            await asyncio.sleep(0.001)
        met = discord.attempts[-1]
        expected = DISCORD_FAULTS[word]
        assert met.answer in {str(expected.status), expected.kind, f"429 {expected.scope}"}
        assert (met.webhook, met.stored) == ("roster", expected.stored)
        await discord.stop()
        await asyncio.gather(waiting, return_exceptions=True)


async def test_a_wait_may_say_how_long() -> None:
    async with discord_with("roster") as (discord, (url,)):
        await _order(discord, "wait_shared=7.5")
        status, headers = await _post(url)
        assert (status, headers["Retry-After"]) == (429, "8")


async def test_a_webhook_is_gone_by_order() -> None:
    async with discord_with("roster", "other") as (discord, (url, other)):
        await _order(discord, "gone roster")
        assert [(await _post(webhook))[0] for webhook in (url, other)] == [404, 204]


async def test_faults_not_met_yet_are_forgotten_by_order() -> None:
    async with discord_with("roster", "other") as (discord, (url, other)):
        for order in ("http_502 roster", "http_503 other", "http_520", "calm roster"):
            await _order(discord, order)
        assert [(await _post(webhook))[0] for webhook in (url, other)] == [520, 503]
        for order in ("http_502 roster", "http_520", "calm"):
            await _order(discord, order)
        assert (await _post(url))[0] == 204


async def test_discord_does_not_listen_for_a_while_by_order() -> None:
    async with discord_with("roster") as (discord, (url,)):
        await _order(discord, "stop")
        with pytest.raises(aiohttp.ClientConnectorError):
            await _post(url)
        await _order(discord, "start")
        assert (await _post(url))[0] == 204


async def test_the_process_obeys_and_tells_of_violations_at_its_end(tmp_path: Path) -> None:
    arrivals, attempts = tmp_path / "arrivals", tmp_path / "attempts"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "inara_daemon.sandbox", "--orders", "--spares", "1"),
        *("--arrivals", str(arrivals), "--attempts", str(attempts)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    told = json.loads(await process.stdout.readline())
    process.stdin.write(b"http_503\ndiscord:http_502\nunheard_of\n")
    assert b"unheard_of" in await process.stderr.readline()  # so all before it were heard
    async with aiohttp.ClientSession() as session:
        for _ in range(2):
            await (await session.post(told["inara"], data=b"{}")).read()
    statuses = [(await _post(url))[0] for url in told["spares"]["Lantern Wardens"].values()]
    process.send_signal(signal.SIGTERM)
    last = (await process.stdout.read()).splitlines()[-1]
    await process.wait()
    first, second = (json.loads(line)["answer"] for line in arrivals.read_text().splitlines())
    assert (first, second) == ("http_503", "too_much")
    assert any("after the last request" in violation for violation in json.loads(last)["violations"]["inara"])
    assert statuses == [502]
    assert [json.loads(line)["webhook"] for line in attempts.read_text().splitlines()] == ["Lantern Wardens/2"]
