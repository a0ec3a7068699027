"""One life: a verb of the real program in a forked process, which says on the board what it is doing.

Everything here is around the product, nothing instead of it: clocks that the killer can step, marks on the board, and
slow connects. The fork server has done the imports, so that a life begins within milliseconds.
"""

from __future__ import annotations

import asyncio
import os
import random
import runpy
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import aiohttp
from sqlalchemy.ext.asyncio import AsyncConnection

from inara_daemon.cli import place
from inara_daemon.clock import Clock
from inara_daemon.inara.budget import Budget, Grant
from inara_daemon.inara.client import open_session
from inara_daemon.inara.desk import Desk
from inara_daemon.service import daemon, engine
from inara_daemon.service.engine import Engine
from inara_daemon.service.roster_sync import RosterSync
from inara_daemon.store.state.lock import FileLock
from tests.kill import delivery_life
from tests.kill.board import Board, Exchange, Stage, Work
from tests.kill.patch import Marks, replace

UNCLEAN_EXIT = 99
_STANDBY_SECONDS = 0.02
_NICENESS = 5
"""Less than the sandbox, which must see requests when they arrive, not when there is time."""
_SLOW_START_SECONDS = 0.006
_SLOW_CONNECT_SECONDS = 0.03


@dataclass(frozen=True, slots=True)
class Birth:
    """What a life is born with."""

    slot: int
    verb: tuple[str, ...]
    environ: Mapping[str, str]
    board: Path
    log: Path
    seed: int
    hurried: bool
    """Whether what Discord has to wait for is shortened: see `delivery_life`."""


def live(birth: Birth) -> None:
    """Run the verb as `python -m inara_daemon` would, until it ends or is killed."""
    board = Board(birth.board)
    if not _is_clean():
        board.set_stage(birth.slot, Stage.UNCLEAN)
        os._exit(UNCLEAN_EXIT)
    os.nice(_NICENESS)
    output = os.open(birth.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.clear()
    os.environ.update(birth.environ)
    sys.argv = ["inara-daemon", *birth.verb]
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # its first deed, and the killer may be quick
    board.set_stage(birth.slot, Stage.STARTING)
    _step_clocks(board)
    marks = Marks(board, birth.slot, random.Random(birth.seed))
    _mark(marks)
    _slow_down(marks)
    delivery_life.mark(marks, slowest_turn=delivery_life.SLOWEST_TURN_SECONDS if birth.hurried else 0.0)
    if birth.hurried:
        delivery_life.hurry()
    runpy.run_module("inara_daemon", run_name="__main__")


def _is_clean() -> bool:
    """Whether nothing but the bare process came over: no other thread, no loop."""
    threads = len(list(Path("/proc/self/task").iterdir()))
    return threads == threading.active_count() == 1 and asyncio._get_running_loop() is None


def _step_clocks(board: Board) -> None:
    clock = Clock(
        now=lambda: datetime.now(UTC) + timedelta(seconds=board.wall_shift),
        boottime=board.boottime,
        boot_id=board.boot_id,
    )
    replace(place, "system_clock", lambda: clock)
    replace(daemon, "STANDBY_SECONDS", _STANDBY_SECONDS)


def _mark(marks: Marks) -> None:
    """Let the board know what is under way."""
    board, slot = marks.board, marks.slot
    replace(AsyncConnection, "commit", marks.amid(Work.COMMIT, AsyncConnection.commit, only=_is_state))
    replace(RosterSync, "save", marks.amid(Work.WRITE_AHEAD, RosterSync.save))
    replace(RosterSync, "apply_pending", marks.amid(Work.APPLY, RosterSync.apply_pending))

    grant, serve, start, acquire = Budget.grant, Desk._serve_one, Engine.start, FileLock.acquire

    async def marked_grant(budget: Budget) -> Grant | None:
        taken = await grant(budget)
        if taken is not None:
            board.set_exchange(slot, Exchange.GRANTED)
        return taken

    async def marked_serve(desk: Desk) -> None:
        try:
            await serve(desk)
        finally:
            board.set_exchange(slot, Exchange.NONE)

    async def marked_start(started: Engine) -> None:
        await start(started)
        board.set_stage(slot, Stage.LEADING)

    async def marked_acquire(lock: FileLock) -> bool:
        taken = await acquire(lock)
        if not taken:
            board.set_stage(slot, Stage.STANDING_BY)
        return taken

    replace(Budget, "grant", marked_grant)
    replace(Desk, "_serve_one", marked_serve)
    replace(Engine, "start", marked_start)
    replace(FileLock, "acquire", marked_acquire)


def _is_state(connection: AsyncConnection) -> bool:
    return str(connection.engine.url.database).endswith("state.db")


def _slow_down(marks: Marks) -> None:
    """Let a request take its time before it connects and while it does, and mark its steps."""

    def entering(exchange: Exchange, slowest: float = 0.0) -> Callable[..., Awaitable[None]]:
        async def enter(_session: aiohttp.ClientSession, _context: SimpleNamespace, _parameters: object) -> None:
            marks.board.set_exchange(marks.slot, exchange)
            await marks.dawdle(slowest)

        return enter

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(entering(Exchange.GRANTED, _SLOW_START_SECONDS))
    trace.on_connection_create_start.append(entering(Exchange.CONNECTING, _SLOW_CONNECT_SECONDS))
    trace.on_connection_create_end.append(entering(Exchange.IN_FLIGHT))
    trace.on_request_end.append(entering(Exchange.ANSWERED))
    trace.on_request_exception.append(entering(Exchange.ANSWERED))
    trace.freeze()

    def open_traced_session() -> aiohttp.ClientSession:
        session = open_session()
        session.trace_configs.append(trace)
        return session

    replace(engine, "open_session", open_traced_session)
