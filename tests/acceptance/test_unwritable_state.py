"""While the daemon's own database can't be written nothing is sent; that is said once, and needs no restart to mend."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from inara_daemon.sandbox.world import make_world
from tests.acceptance.test_daemon import _environ
from tests.postgres import Postgres
from tests.stage import Stage, open_stage, rows, until

_SECONDS = 40.0
_RATE = 240.0
_INTERVAL = 60.0 / _RATE
_PROGRAM = ("-m", "inara_daemon")
_IMPATIENT = """
import runpy
import inara_daemon.store.transactions as transactions
transactions.LOCKED_SECONDS = 1.0  # instead of half a minute
runpy.run_module("inara_daemon", run_name="__main__")
"""
_FORGETFUL = """
import runpy
import inara_daemon.store.engines as engines
create = engines.create_async_engine
def create_forgetful(url, **options):
    if "pool_recycle" in options:
        options["pool_recycle"] = 1  # instead of five minutes: open files keep the rights they were opened with
    return create(url, **options)
engines.create_async_engine = create_forgetful
runpy.run_module("inara_daemon", run_name="__main__")
"""


@dataclass(slots=True)
class Daemon:
    """A running daemon; its log comes through a pipe, as a full disk holds no log."""

    process: asyncio.subprocess.Process
    lines: list[dict[str, Any]] = field(default_factory=list)

    def said(self, event: str) -> int:
        return sum(line["event"] == event for line in self.lines)

    async def listen(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            if line.startswith(b"{"):
                self.lines.append(json.loads(line))


@asynccontextmanager
async def running(stage: Stage, *program: str, under: Sequence[str] = ()) -> AsyncIterator[Daemon]:
    process = await asyncio.create_subprocess_exec(
        *(*under, sys.executable, *program),
        env=_environ(stage.environ),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=1_000_000,
    )
    daemon = Daemon(process)
    listening = asyncio.create_task(daemon.listen())
    try:
        yield daemon
    except TimeoutError:
        raise AssertionError("\n".join(str(line) for line in daemon.lines[-40:])) from None
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await listening


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    world = make_world(150, 3)
    async with open_stage(tmp_path, world, rate=_RATE) as opened:
        opened.extra |= {"INARA_DAEMON_BATCH_SIZE": "10"}
        opened.add_tenant("alpha", [commander.name for commander in world.commanders])
        (tmp_path / "state").mkdir(mode=0o700)
        yield opened


async def _see_it_through(stage: Stage, daemon: Daemon, spoiled: AbstractContextManager[None]) -> None:
    """Let a run begin, spoil the state for a while, and see silence, words and recovery."""
    await until(lambda: len(stage.inara.arrivals) >= 3, seconds=_SECONDS)
    with spoiled:
        await until(lambda: daemon.said("state_unwritable"), seconds=_SECONDS)
        sent = len(stage.inara.arrivals)
        await asyncio.sleep(5 * _INTERVAL)
        assert len(stage.inara.arrivals) == sent
        assert not daemon.said("state_writable")
    await until(lambda: daemon.said("state_writable"), seconds=_SECONDS)
    await until(lambda: stage.discord.messages, seconds=_SECONDS)
    assert daemon.process.returncode is None
    assert daemon.said("state_unwritable") == daemon.said("state_writable") == 1
    assert len(stage.inara.arrivals) > sent
    assert len(rows(stage.folder / "db" / "alpha.db")) == 150
    stage.assert_never_banned()


async def test_nothing_is_sent_while_the_state_is_locked(stage: Stage) -> None:
    @contextmanager
    def locked() -> Iterator[None]:
        with closing(sqlite3.connect(stage.folder / "state" / "state.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")

    async with running(stage, "-c", _IMPATIENT) as daemon:
        await _see_it_through(stage, daemon, locked())


async def test_nothing_is_sent_while_no_file_of_the_daemon_may_grow(stage: Stage) -> None:
    @contextmanager
    def limited(pid: int) -> Iterator[None]:
        before = resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        yield
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)

    async with running(stage, *_PROGRAM) as daemon:
        await _see_it_through(stage, daemon, limited(daemon.process.pid))


async def test_nothing_is_sent_while_the_disk_under_the_state_is_full(stage: Stage) -> None:
    place = stage.folder / "state"
    mount = ("sh", "-c", f'mount -t tmpfs -o size=8m,mode=0700 tmpfs "{place}" && exec "$@"', "mount")
    spaces = ("unshare", "--mount") if os.geteuid() == 0 else ("unshare", "--user", "--map-root-user", "--mount")
    if subprocess.run([*spaces, *mount, "true"], check=False, capture_output=True).returncode:  # noqa: ASYNC221
        pytest.skip("no small disk can be mounted here: that needs root or user namespaces")

    @contextmanager
    def full(pid: int) -> Iterator[None]:
        filler = Path(f"/proc/{pid}/root{place}/filler")
        with filler.open("wb", buffering=0) as file:
            try:
                while file.write(bytes(4096)) == 4096:
                    pass
            except OSError:
                pass
            yield
        filler.unlink()

    async with running(stage, *_PROGRAM, under=(*spaces, *mount)) as daemon:
        await _see_it_through(stage, daemon, full(daemon.process.pid))
        assert any("full" in line["error"] for line in daemon.lines if line["event"] == "state_unwritable")


async def test_nothing_is_sent_while_the_state_may_only_be_read(stage: Stage) -> None:
    """An SQLite file whose rights were taken away; a root without its privilege stands for any other user."""
    root = os.geteuid() == 0
    if root and shutil.which("setpriv") is None:
        pytest.skip("root may write everything, and setpriv is not installed")
    under = ("setpriv", "--bounding-set", "-dac_override") if root else ()
    place = stage.folder / "state"

    @contextmanager
    def read_only() -> Iterator[None]:
        for file in place.glob("state.db*"):
            file.chmod(0o400)
        place.chmod(0o500)
        yield
        place.chmod(0o700)
        for file in place.glob("state.db*"):
            file.chmod(0o600)

    async with running(stage, "-c", _FORGETFUL, under=under) as daemon:
        await _see_it_through(stage, daemon, read_only())


async def test_nothing_is_sent_while_a_postgresql_state_may_only_be_read(
    stage: Stage, postgres_url: str, cluster: Postgres
) -> None:
    """What a failover to a standby looks like: every new session may only read."""
    stage.extra["INARA_DAEMON_STATE_URL"] = postgres_url
    name = postgres_url.rpartition("/")[2].partition("?")[0]
    break_off = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()"
    admin = await asyncpg.connect(cluster.url())

    async def allow_writes(*, allowed: bool) -> None:
        await admin.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {'off' if allowed else 'on'}")
        await admin.execute(break_off, name)

    try:
        async with running(stage, *_PROGRAM) as daemon:
            await until(lambda: len(stage.inara.arrivals) >= 3, seconds=_SECONDS)
            await allow_writes(allowed=False)
            await until(lambda: daemon.said("state_unwritable"), seconds=_SECONDS)
            sent = len(stage.inara.arrivals)
            await asyncio.sleep(5 * _INTERVAL)
            assert len(stage.inara.arrivals) == sent
            await allow_writes(allowed=True)
            await until(lambda: daemon.said("state_writable"), seconds=_SECONDS)
            await until(lambda: stage.discord.messages, seconds=_SECONDS)
            assert daemon.process.returncode is None
            assert daemon.said("state_unwritable") == 1
            assert len(rows(stage.folder / "db" / "alpha.db")) == 150
            stage.assert_never_banned()
    finally:
        await admin.close()
