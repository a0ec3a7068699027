"""The daemon as operators know it: a process, its signals, its exit codes and its words."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from inara_daemon.sandbox.world import demo_world, make_world
from tests.stage import KEY, Stage, open_stage, rows, until

_SECONDS = 30.0


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path, demo_world()) as opened:
        yield opened


class Process:
    """A daemon, or one of its verbs, in a process of its own; its output goes to a file."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self.log = log

    @property
    def events(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def said(self, event: str) -> bool:
        return any(line["event"] == event for line in self.events)

    async def ended(self) -> int:
        async with asyncio.timeout(_SECONDS):
            return await self.process.wait()

    async def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()


@asynccontextmanager
async def started(stage: Stage, *verb: str, name: str = "daemon") -> AsyncIterator[Process]:
    log = stage.folder / f"{name}-{random.randrange(10**9)}.log"  # noqa: S311 - a file name
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "inara_daemon", *verb, env=_environ(stage.environ), stdout=output, stderr=output
        )
    running = Process(process, log)
    try:
        yield running
    finally:
        await running.kill()


def _environ(ours: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "LANG", "HOME", "LD_LIBRARY_PATH"}}
    return kept | dict(ours)


async def _run(stage: Stage, *verb: str) -> tuple[int, str]:
    async with started(stage, *verb, name=verb[0]) as process:
        code = await process.ended()
        return code, process.log.read_text()


async def test_it_stops_within_five_seconds_and_says_so(stage: Stage) -> None:
    stage.add_tenant("alpha", ["Nova Kestrel"])
    async with started(stage) as daemon:
        await until(lambda: stage.discord.messages, seconds=_SECONDS)
        daemon.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(5):
            assert await daemon.process.wait() == 0
        assert daemon.said("engine_stopped")


async def test_a_second_signal_exits_at_once(stage: Stage) -> None:
    stage.add_tenant("alpha", ["Nova Kestrel"])
    async with started(stage) as daemon:
        await until(lambda: daemon.said("run_began"), seconds=_SECONDS)
        daemon.process.send_signal(signal.SIGTERM)
        daemon.process.send_signal(signal.SIGINT)
        assert await daemon.ended() in {0, 1}


async def test_a_broken_tenant_json_is_refused_and_the_old_one_stays(stage: Stage) -> None:
    stage.add_tenant("alpha", ["Nova Kestrel"])
    async with started(stage) as daemon:
        await until(lambda: stage.discord.messages, seconds=_SECONDS)
        good = (stage.folder / "tenant.json").read_bytes()
        (stage.folder / "tenant.json").write_text('[{"db_uri": "mysql://x"}')
        daemon.process.send_signal(signal.SIGHUP)
        await until(lambda: daemon.said("reload_refused"), seconds=_SECONDS)
        (stage.folder / "tenant.json").write_bytes(good)
        for _ in range(10):
            daemon.process.send_signal(signal.SIGHUP)
        await until(lambda: daemon.said("nothing_changed"), seconds=_SECONDS)


async def test_a_tenant_added_by_a_reload_runs_at_once(stage: Stage) -> None:
    stage.add_tenant("alpha", ["Nova Kestrel"])
    async with started(stage) as daemon:
        await until(lambda: stage.discord.messages, seconds=_SECONDS)
        path = stage.add_tenant("beta", ["Zero Zane"])
        daemon.process.send_signal(signal.SIGHUP)
        await until(lambda: stage.titles("beta"), seconds=_SECONDS)
        assert set(rows(path)) == {"Zero Zane"}
        assert len(stage.titles("alpha")) == 1


async def test_a_second_daemon_stands_by_and_takes_over(stage: Stage) -> None:
    stage.add_tenant("alpha", ["Nova Kestrel"])
    async with started(stage) as first:
        await until(lambda: stage.discord.messages, seconds=_SECONDS)
        async with started(stage) as second:
            await until(lambda: second.said("standing_by"), seconds=_SECONDS)
            assert not second.said("engine_started")
            await first.kill()
            await until(lambda: second.said("engine_started"), seconds=_SECONDS)
    assert len(stage.discord.messages) == 1


async def test_the_health_pages_answer(stage: Stage, unused_tcp_port: int) -> None:
    stage.add_tenant("alpha", ["Nova Kestrel"])
    stage.extra["INARA_DAEMON_HTTP"] = f"127.0.0.1:{unused_tcp_port}"
    async with started(stage) as daemon, aiohttp.ClientSession() as session:
        await until(lambda: daemon.said("engine_started"), seconds=_SECONDS)
        for page in ("healthz", "readyz"):
            async with session.get(f"http://127.0.0.1:{unused_tcp_port}/{page}") as answer:
                assert answer.status == 200
                assert (await answer.json())["state"] == "leading"


async def test_sync_is_served_by_the_running_daemon(stage: Stage) -> None:
    stage.add_tenant("alpha", ["Nova Kestrel"])
    async with started(stage):
        await until(lambda: stage.discord.messages, seconds=_SECONDS)
        code, output = await _run(stage, "sync")
    assert code == 0, output
    assert "report delivered" in output
    assert len(stage.inara.arrivals) == 2
    stage.assert_never_banned()


async def test_sync_takes_over_when_the_daemon_dies_under_it(tmp_path: Path) -> None:
    world = make_world(240, 5)
    async with open_stage(tmp_path, world, rate=60) as stage:
        stage.extra["INARA_DAEMON_REQUESTS_PER_MINUTE"] = "60"
        path = stage.add_tenant("alpha", [commander.name for commander in world.commanders])
        async with started(stage) as daemon:
            await until(lambda: len(stage.inara.arrivals) >= 2, seconds=_SECONDS)
            async with started(stage, "sync", name="sync") as sync:
                await until(lambda: len(stage.inara.arrivals) >= 4, seconds=_SECONDS)
                await daemon.kill()
                assert await sync.ended() == 0, sync.log.read_text()
        assert len(rows(path)) == 240
        assert len(stage.discord.messages) == 1
        stage.assert_never_banned()


async def test_no_kill_breaks_the_limit_or_loses_or_doubles_a_report() -> None:
    """The short form of `make test-kill`."""
    seed = os.environ.get("INARA_DAEMON_TEST_SEED", "1")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.kill", "--kills", "36", "--seed", seed),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()


@pytest.mark.parametrize(
    ("breakage", "words"),
    [
        ({"INARA_DAEMON_SCHEDULE": "0 1 * * 1"}, "weekday"),
        ({"INARA_DAEMON_REQUESTS_PER_MINUTE": "many"}, "INARA_DAEMON_REQUESTS_PER_MINUTE"),
        ({"INARA_DAEMON_TENANT_FILE": "/nowhere/tenant.json"}, "cp tenant.json.example tenant.json"),
        ({"INARA_DAEMON_STATE_URL": "mysql://u:canary-password@h/x"}, "INARA_DAEMON_STATE_URL"),
    ],
)
async def test_a_wrong_configuration_exits_78_and_says_what_to_do(
    stage: Stage, breakage: dict[str, str], words: str
) -> None:
    stage.add_tenant("alpha", ["Nova Kestrel"])
    stage.extra.update(breakage)
    for verb in ("run", "check", "sync"):
        code, output = await _run(stage, verb)
        assert code == 78, output
        assert words in output
        assert "Traceback" not in output
        assert "canary" not in output


async def test_a_wrong_option_exits_2(stage: Stage) -> None:
    code, output = await _run(stage, "sync", "--nonsense")
    assert code == 2
    assert "--nonsense" in output


async def test_no_verb_shows_a_secret(stage: Stage) -> None:
    stage.add_tenant("alpha", ["Nova Kestrel"], api_key="canary-backend-key-1")
    token = stage.tenants[0]["discord_webhooks"]["bullis"].rpartition("/")[2]
    verbs = [("check",), ("sync",), ("status",), ("status", "--name", "Nova Kestrel"), ("history",), ("test-webhook",)]
    for verb in verbs:
        _, output = await _run(stage, *verb)
        for secret in (KEY, token, "canary-backend-key-1"):
            assert secret not in output, verb
    state = (stage.folder / "state" / "state.db").read_bytes()
    for secret in (KEY, token, "canary-backend-key-1"):
        assert secret.encode() not in state
