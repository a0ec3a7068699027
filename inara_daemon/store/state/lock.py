"""Who may be the engine: one holder per state database, and no lock that outlives its process."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from sqlalchemy import Interval, cast, func, insert, literal, or_, select, update

from inara_daemon.store.errors import DatabaseError, DatabaseFailure
from inara_daemon.store.state.database import StateDatabase, give_to_owner_of_folder
from inara_daemon.store.state.tables import engine_lease

LEASE_SECONDS = 20
"""How long a PostgreSQL lease holds without being renewed."""
RENEW_SECONDS = 5.0
STEP_DOWN_SECONDS = 4.0
"""How long before its end a lease that can't be renewed is given up, so that nobody leads beside the next one."""
_ROW = 1


class EngineLock(Protocol):
    """The right to be the engine."""

    async def acquire(self) -> bool:
        """Take the lock if nobody holds it."""

    async def keep(self) -> str:
        """Return only when the lock is lost, and say why; cancelled when it is no longer needed."""

    async def release(self) -> None:
        """Give the lock back; harmless when it isn't held."""


def engine_lock(state: StateDatabase) -> EngineLock:
    """The lock that fits the state database."""
    if state.url.drivername.startswith("sqlite"):
        return FileLock(Path(f"{state.url.database}.lock"))
    return LeaseLock(state)


class FileLock:
    """`flock` on a file beside an SQLite database: the kernel lets go of it when the process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    async def acquire(self) -> bool:
        """Take the lock if nobody holds it. Raises DatabaseError if the file can't be opened."""
        if self._descriptor is not None:
            return True
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            give_to_owner_of_folder(self._path)
        except OSError as error:
            text = f"{self._path} can't be opened: {os.strerror(error.errno or errno.EIO)}"
            raise DatabaseError(DatabaseFailure.NO_PERMISSION, text) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    async def keep(self) -> str:
        """Watch the file: the kernel doesn't take a lock away, but who deletes the file lets another one lead."""
        while self._is_ours():  # noqa: ASYNC110 - nothing tells of a deleted file
            await asyncio.sleep(RENEW_SECONDS)
        return f"{self._path} was deleted or replaced"

    def _is_ours(self) -> bool:
        try:
            return self._descriptor is not None and os.path.samestat(self._path.stat(), os.fstat(self._descriptor))
        except OSError:
            return False

    async def release(self) -> None:
        """Give the lock back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class LeaseLock:
    """A lease row under PostgreSQL's own clock; a dead holder's lease ends after `LEASE_SECONDS`."""

    def __init__(self, state: StateDatabase) -> None:
        self._state = state
        self._holder = uuid4().hex

    async def acquire(self) -> bool:
        """Take or renew the lease. Raises DatabaseError."""
        now = func.clock_timestamp()
        until = now + cast(literal(f"{LEASE_SECONDS} seconds"), Interval)
        free = or_(engine_lease.c.holder == self._holder, engine_lease.c.until < now)
        async with self._state.write(urgent=True) as connection:
            await connection.exec_driver_sql("LOCK TABLE engine_lease IN EXCLUSIVE MODE")
            known = await connection.scalar(select(engine_lease.c.id).where(engine_lease.c.id == _ROW))
            if known is None:
                await connection.execute(insert(engine_lease).values(id=_ROW, holder=self._holder, until=until))
                return True
            taken = await connection.execute(
                update(engine_lease).where(engine_lease.c.id == _ROW, free).values(holder=self._holder, until=until)
            )
            return taken.rowcount == 1

    async def keep(self) -> str:
        """Renew the lease; returns when somebody else has it, or when it could not be renewed in time."""
        loop = asyncio.get_running_loop()
        renewed = loop.time()
        while (left := renewed + LEASE_SECONDS - STEP_DOWN_SECONDS - loop.time()) > 0:
            await asyncio.sleep(min(RENEW_SECONDS, left))
            begun = loop.time()
            try:
                async with asyncio.timeout(min(RENEW_SECONDS, renewed + LEASE_SECONDS - STEP_DOWN_SECONDS - begun)):
                    if not await self.acquire():
                        return "another process has taken the lead"
            except (DatabaseError, TimeoutError):
                continue
            renewed = begun
        return "the lease could not be renewed in time, as the state database did not answer"

    async def release(self) -> None:
        """End the lease now, so that a successor need not wait."""
        ended = func.clock_timestamp() - cast(literal("1 second"), Interval)
        async with self._state.write(urgent=True) as connection:
            await connection.execute(
                update(engine_lease).where(engine_lease.c.holder == self._holder).values(until=ended)
            )
