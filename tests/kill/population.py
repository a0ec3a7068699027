"""Who lives: daemons and now and then a `sync`, each in a fresh process out of the fork server."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Protocol

from tests.kill.board import SLOTS, Board, Exchange, Phase, Stage
from tests.kill.ground import INTERVAL
from tests.kill.life import Birth, live

DEATH_SECONDS = 10.0
_POLL_SECONDS = 0.0002
_PRELOADED = (
    "tests.kill.life",
    "inara_daemon.cli.main",
    "inara_daemon.cli.run",
    "inara_daemon.cli.sync",
    "inara_daemon.store.migrations",
)
"""What every life imports."""


class FailedError(Exception):
    """What must not happen did."""


class Home(Protocol):
    """What every life is born into; `hurried`: see `Birth`."""

    hurried: bool

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment of each process."""

    @property
    def log(self) -> Path:
        """Where all of them write."""


@dataclass(eq=False, slots=True)
class Life:
    """A process that lives, or lived, with its slot on the board."""

    process: ForkServerProcess
    slot: int
    verb: tuple[str, ...]

    @property
    def is_daemon(self) -> bool:
        return self.verb == ("run",)

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid


@dataclass(frozen=True, slots=True)
class Death:
    """A process was killed after `at` and gone by `gone`, in the stand-in's seconds; what it was amid in the end."""

    at: float
    gone: float
    phases: tuple[Phase, ...]
    exchange: Exchange


@dataclass(slots=True)
class Population:
    """Everybody alive; whoever dies unbidden is a failure."""

    ground: Home
    board: Board
    dice: random.Random
    living: list[Life] = field(default_factory=list)
    born: int = 0
    _context: ForkServerContext = field(default_factory=lambda: multiprocessing.get_context("forkserver"))

    def __post_init__(self) -> None:
        self._context.set_forkserver_preload(list(_PRELOADED))

    def bear(self, *verb: str) -> Life:
        """Start the program with these words."""
        slot = self.born % SLOTS
        self.born += 1
        self.board.clear(slot)
        birth = Birth(
            slot,
            verb,
            self.ground.environ,
            self.board.path,
            self.ground.log,
            self.dice.getrandbits(32),
            self.ground.hurried,
        )
        process = self._context.Process(target=live, args=(birth,), daemon=True)
        process.start()
        life = Life(process, slot, verb)
        self.living.append(life)
        return life

    def daemons(self) -> list[Life]:
        return [life for life in self.living if life.is_daemon]

    def leader(self) -> Life | None:
        """Whose engine is at work, daemon's or sync's."""
        return next((life for life in self.living if self.board.stage(life.slot) is Stage.LEADING), None)

    def census(self) -> None:
        """Let go of what ended by itself: a sync may, a daemon may not. Raises FailedError."""
        for life in [life for life in self.living if not life.process.is_alive()]:
            self.living.remove(life)
            if life.is_daemon or life.process.exitcode not in {0, 1}:
                clean = self.board.stage(life.slot) is not Stage.UNCLEAN
                why = "ended by itself" if clean else "was not born clean: it came with a loop or threads"
                raise FailedError(f"{' '.join(life.verb)} {why}, exit code {life.process.exitcode}")

    def wait_for(self, phase: Phase, seconds: float) -> Life | None:
        """Whoever is first amid that phase."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for life in self.living:
                if phase in self.board.phases(life.slot):
                    return life
            time.sleep(_POLL_SECONDS)
        return None

    def wait_for_leader(self, seconds: float) -> Life:
        """Whoever leads. Raises FailedError if nobody does in time."""
        end = time.monotonic() + seconds
        while (leader := self.leader()) is None:
            if time.monotonic() > end:
                raise FailedError(f"nobody leads after {seconds:.0f} s")
            self.census()
            time.sleep(0.002)
        return leader

    def signal(self, life: Life, number: signal.Signals) -> None:
        """Send a signal to whoever may have ended; the census finds out whether it should have."""
        with suppress(ProcessLookupError):
            os.kill(life.pid, number)

    def kill(self, life: Life) -> Death:
        """SIGKILL."""
        at = time.monotonic()
        self.signal(life, signal.SIGKILL)
        code = self._bury(life)
        if code != -signal.SIGKILL and (life.is_daemon or code not in {0, 1}):
            raise FailedError(f"{' '.join(life.verb)} ended by itself, exit code {code}")
        return Death(at, time.monotonic(), self.board.phases(life.slot), self.board.exchange(life.slot))

    def terminate(self, life: Life) -> None:
        """SIGTERM; it must leave in good order. Raises FailedError."""
        self.signal(life, signal.SIGTERM)
        code = self._bury(life)
        if code != 0:
            raise FailedError(f"exit code {code} after SIGTERM")

    def terminate_somebody(self) -> bool:
        """SIGTERM to a daemon that has come so far as to listen, once somebody leads; whether there was one."""
        self.wait_for_leader(5.0)
        ready = [life for life in self.daemons() if self.board.stage(life.slot) >= Stage.STANDING_BY]
        if ready:
            self.terminate(self.dice.choice(ready))
        return bool(ready)

    def reload(self) -> None:
        """SIGHUP to every daemon."""
        for life in self.daemons():
            if self.board.stage(life.slot) is not Stage.UNBORN:
                self.signal(life, signal.SIGHUP)

    def reset_host(self) -> Iterator[Life]:
        """Another boot has begun, once each of those given here, who are alive, has been killed."""
        for life in tuple(self.living):
            if life.process.is_alive():
                yield life
        self.census()
        self.board.reboot(self.dice.uniform(1.0, 1_000.0))

    def wait_until(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Let everybody live until then. Raises FailedError if it takes longer."""
        end = time.monotonic() + seconds
        while not condition():
            self.census()
            if time.monotonic() > end:
                raise FailedError(f"waited {seconds:.0f} s in vain for {what}")
            time.sleep(0.05)

    def _bury(self, life: Life) -> int | None:
        life.process.join(DEATH_SECONDS)
        if life.process.is_alive():
            raise FailedError(f"{' '.join(life.verb)} lives on {DEATH_SECONDS:.0f} s after a signal that ends it")
        self.living.remove(life)
        return life.process.exitcode

    def sleep(self, seconds: float) -> float:
        """Suspend the host: everybody stops, the boot time goes on; returns when they stopped.

        They are stopped for longer than an interval, as the stand-in's clock goes on as always.
        """
        for life in self.living:
            self.signal(life, signal.SIGSTOP)
        stopped = time.monotonic()
        time.sleep(1.2 * INTERVAL)
        self.board.suspend(seconds)
        for life in self.living:
            self.signal(life, signal.SIGCONT)
        return stopped

    def extinguish(self) -> None:
        """Be gone, whatever happened."""
        for life in self.living:
            life.process.kill()
        for life in self.living:
            life.process.join(DEATH_SECONDS)
        self.living.clear()
