"""systemd's watchdog is fed while every part makes progress, and not a moment longer."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from inara_daemon.cli.place import read_tenants
from inara_daemon.sandbox.world import demo_world
from inara_daemon.service.daemon import Daemon, Health
from inara_daemon.service.engine import House
from inara_daemon.service.systemd import Systemd
from inara_daemon.store.state.lock import engine_lock
from tests.stage import open_stage, until


class Ear:
    """Hears the datagrams in a thread of its own, as systemd does: a blocked loop can't fool it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.heard: list[tuple[float, str]] = []
        self._end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._end.bind(str(path))
        self._end.settimeout(0.1)
        self._open = True
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        while self._open:
            try:
                text = self._end.recv(4096).decode()
            except TimeoutError:
                continue
            self.heard.append((time.monotonic(), text))

    def close(self) -> None:
        self._open = False
        self._thread.join()
        self._end.close()

    def keep_alives(self, since: float) -> int:
        return sum(1 for at, text in self.heard if text == "WATCHDOG=1" and at >= since)

    def said(self, beginning: str) -> bool:
        return any(text.startswith(beginning) for _, text in self.heard)


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[Ear]:
    listening = Ear(tmp_path / "notify")
    yield listening
    listening.close()


async def _no_web(_health: Health) -> Callable[[], Awaitable[None]]:
    async def nothing() -> None:
        return

    return nothing


@asynccontextmanager
async def _daemon(folder: Path, ear: Ear) -> AsyncIterator[tuple[Daemon, House]]:
    async with open_stage(folder, demo_world()) as stage:
        stage.add_tenant("alpha", ["Nova Kestrel"])
        async with stage.house() as house:
            daemon = Daemon(
                house=house,
                lock=engine_lock(house.state),
                systemd=Systemd({"NOTIFY_SOCKET": str(ear.path), "WATCHDOG_USEC": "300000"}),
                read_tenants=lambda: read_tenants(house.settings),
                serve_web=_no_web,
            )
            running = asyncio.create_task(daemon.run())
            try:
                await until(lambda: ear.said("READY=1"))
                yield daemon, house
            finally:
                daemon.stop()
                await running


async def test_a_blocked_loop_sends_no_more_keep_alives(tmp_path: Path, ear: Ear) -> None:
    async with _daemon(tmp_path, ear):
        working = time.monotonic()
        await asyncio.sleep(0.5)
        assert ear.keep_alives(working) >= 3
        blocked = time.monotonic()
        time.sleep(1.0)  # noqa: ASYNC251 - this is the fault
        assert ear.keep_alives(blocked) == 0
        await asyncio.sleep(0.3)
        assert ear.keep_alives(blocked) > 0


async def test_a_part_without_progress_sends_no_more_keep_alives(tmp_path: Path, ear: Ear) -> None:
    async with _daemon(tmp_path, ear) as (daemon, house):
        beat = house.progress.watch("stuck part", patience=0.2)
        await until(lambda: daemon.health.silent == ("stuck part",))
        silent = time.monotonic() + 0.01
        await asyncio.sleep(0.5)
        assert ear.keep_alives(silent) == 0
        assert not daemon.health.ready
        beat()
        house.progress.forget("stuck part")
        await until(lambda: ear.keep_alives(silent))


async def test_systemd_hears_ready_reloading_and_stopping_in_order(tmp_path: Path, ear: Ear) -> None:
    async with _daemon(tmp_path, ear) as (daemon, _):
        daemon.reload()
        await until(lambda: [text for _, text in ear.heard if text.startswith("READY=1")][1:])
    await until(lambda: ear.said("STOPPING=1"))
    order = [text.partition("=")[0] for _, text in ear.heard]
    told = [name for name in order if name in {"READY", "RELOADING", "STOPPING"}]
    assert told == ["READY", "RELOADING", "READY", "STOPPING"]
