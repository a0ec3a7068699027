"""The memory that the killer and all lives share: the host's clocks, and what each life is doing.

It is a mapped file, so that what a life wrote last is there after its death.
"""

from __future__ import annotations

import mmap
import struct
import time
from enum import IntEnum, StrEnum
from pathlib import Path

_SIZE = 4096
_SLOTS_AT = 64
_SLOT = 16
SLOTS = (_SIZE - _SLOTS_AT) // _SLOT
_WALL_SHIFT, _BOOT_SHIFT, _BOOT = 0, 8, 16


class Exchange(IntEnum):
    """Where a life's exchange with Inara stands; a life has one at a time."""

    NONE = 0
    GRANTED = 1
    CONNECTING = 2
    IN_FLIGHT = 3
    ANSWERED = 4
    """An answer came, and what it means is not all stored yet."""


class Work(IntEnum):
    """What else may be under way, each counted, as several tenants do it at once: the byte in a life's slot."""

    COMMIT = 1
    WRITE_AHEAD = 2
    APPLY = 3
    REPORT = 4
    """An attempt to deliver, from its beginning to its end; what follows are its steps."""
    RUN_END = 5
    """The transaction that ends a run and puts its report into the outbox."""
    NOTE = 6
    """A message is noted as being sent."""
    UNSENT = 7
    SENT = 8
    TOLD = 9
    """Discord answered, or broke off, and what that means is not all stored yet."""
    SETTLE = 10


class Stage(IntEnum):
    """How far a life has come."""

    UNBORN = 0
    STARTING = 1
    STANDING_BY = 2
    LEADING = 3
    UNCLEAN = 4
    """Its fork was not clean: it ran nothing."""


class Phase(StrEnum):
    """What a kill can hit."""

    GRANT = "grant"
    CONNECT = "connect"
    IN_FLIGHT = "in flight"
    ANSWERED = "answered"
    COMMIT = "commit"
    WRITE_AHEAD = "write ahead"
    APPLY = "apply"
    REPORT = "report"
    RUN_END = "run end"
    NOTE = "delivery: noted"
    UNSENT = "delivery: unsent"
    SENT = "delivery: sent"
    TOLD = "delivery: answered"
    SETTLE = "delivery: settled"
    STARTING = "starting"
    STANDING_BY = "standing by"
    BETWEEN = "between"


_OF_EXCHANGE = {
    Exchange.GRANTED: Phase.GRANT,
    Exchange.CONNECTING: Phase.CONNECT,
    Exchange.IN_FLIGHT: Phase.IN_FLIGHT,
    Exchange.ANSWERED: Phase.ANSWERED,
}
_OF_WORK = {
    Work.COMMIT: Phase.COMMIT,
    Work.WRITE_AHEAD: Phase.WRITE_AHEAD,
    Work.APPLY: Phase.APPLY,
    Work.REPORT: Phase.REPORT,
    Work.RUN_END: Phase.RUN_END,
    Work.NOTE: Phase.NOTE,
    Work.UNSENT: Phase.UNSENT,
    Work.SENT: Phase.SENT,
    Work.TOLD: Phase.TOLD,
    Work.SETTLE: Phase.SETTLE,
}
_OF_STAGE = {
    Stage.UNBORN: Phase.STARTING,
    Stage.STARTING: Phase.STARTING,
    Stage.STANDING_BY: Phase.STANDING_BY,
    Stage.LEADING: Phase.BETWEEN,
}
_EXCHANGE_BYTE, _STAGE_BYTE = 0, 15


class Board:
    """The shared memory in a file; a life writes to its own slot only."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        if create:
            path.write_bytes(bytes(_SIZE))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _SIZE)
        self.path = path

    def close(self) -> None:
        self._memory.close()

    # --- The host's clocks ---------------------------------------------------------------------------------------

    @property
    def wall_shift(self) -> float:
        """Seconds by which the wall clock is wrong."""
        return self._double(_WALL_SHIFT)

    @wall_shift.setter
    def wall_shift(self, seconds: float) -> None:
        struct.pack_into("d", self._memory, _WALL_SHIFT, seconds)

    def boottime(self) -> float:
        """Seconds since the host booted, time suspended included."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) + self._double(_BOOT_SHIFT)

    @property
    def boot_id(self) -> str:
        return f"boot-{int.from_bytes(self._memory[_BOOT : _BOOT + 8], 'little')}"

    def suspend(self, seconds: float) -> None:
        """The host slept."""
        struct.pack_into("d", self._memory, _BOOT_SHIFT, self._double(_BOOT_SHIFT) + seconds)

    def reboot(self, uptime: float) -> None:
        """The host booted so many seconds ago."""
        struct.pack_into("d", self._memory, _BOOT_SHIFT, uptime - time.clock_gettime(time.CLOCK_BOOTTIME))
        number = int.from_bytes(self._memory[_BOOT : _BOOT + 8], "little") + 1
        self._memory[_BOOT : _BOOT + 8] = number.to_bytes(8, "little")

    def _double(self, at: int) -> float:
        return float(struct.unpack_from("d", self._memory, at)[0])

    # --- What each life does -------------------------------------------------------------------------------------

    def clear(self, slot: int) -> None:
        start = _SLOTS_AT + slot * _SLOT
        self._memory[start : start + _SLOT] = bytes(_SLOT)

    def stage(self, slot: int) -> Stage:
        return Stage(self._byte(slot, _STAGE_BYTE))

    def set_stage(self, slot: int, stage: Stage) -> None:
        self._set(slot, _STAGE_BYTE, stage)

    def exchange(self, slot: int) -> Exchange:
        return Exchange(self._byte(slot, _EXCHANGE_BYTE))

    def set_exchange(self, slot: int, exchange: Exchange) -> None:
        self._set(slot, _EXCHANGE_BYTE, exchange)

    def begin(self, slot: int, work: Work) -> None:
        self._set(slot, work, self._byte(slot, work) + 1)

    def end(self, slot: int, work: Work) -> None:
        self._set(slot, work, self._byte(slot, work) - 1)

    def phases(self, slot: int) -> tuple[Phase, ...]:
        """All that a life is amid; what it stands at if that is nothing."""
        found = [_OF_WORK[work] for work in Work if self._byte(slot, work)]
        exchange = self.exchange(slot)
        if exchange is not Exchange.NONE:
            found.append(_OF_EXCHANGE[exchange])
        return tuple(found) or (_OF_STAGE[self.stage(slot)],)

    def _byte(self, slot: int, offset: int) -> int:
        return self._memory[_SLOTS_AT + slot * _SLOT + offset]

    def _set(self, slot: int, offset: int, value: int) -> None:
        self._memory[_SLOTS_AT + slot * _SLOT + offset] = value
