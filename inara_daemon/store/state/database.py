"""Opens the state database, brings its tables up to date, and hands out transactions."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import hmac
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, func, insert, inspect, select
from sqlalchemy.ext.asyncio import AsyncConnection

from inara_daemon.settings import Secret
from inara_daemon.store.engines import describe, open_engine
from inara_daemon.store.errors import DatabaseError, DatabaseFailure, StateError
from inara_daemon.store.state import tables
from inara_daemon.store.transactions import read_transaction, write_transaction

SCHEMA_VERSION = "0004"
"""The newest migration in `store/migrations/versions`."""

_MIGRATION_LOCK = 0x696E617261
WRITER_SECONDS = 30.0
"""How long a writer waits for its turn in this process."""


class StateDatabase:
    """The daemon's own database; every transaction is short, and one writer at a time leaves this process."""

    def __init__(self, url: URL) -> None:
        self._engine = open_engine(url, create=True, pooled=True)
        self._writer = asyncio.Lock()
        self._queue = asyncio.Lock()
        self._fingerprint_key = b""
        self.url = url
        self.place = describe(url)

    async def open(self) -> None:
        """Make or migrate the tables. Raises DatabaseError."""
        if self.url.drivername.startswith("sqlite"):
            try:
                await asyncio.to_thread(_make_private_file, Path(str(self.url.database)))
            except OSError as error:
                text = f"{self.place} can't be made: {os.strerror(error.errno or errno.EIO)}"
                raise DatabaseError(DatabaseFailure.NO_PERMISSION, text) from error
        async with self.write() as connection:
            if connection.dialect.name == "postgresql":  # two first starts at once: one after the other
                await connection.execute(select(func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
            await connection.run_sync(self._migrate)
            self._fingerprint_key = await _fingerprint_key(connection)

    def _migrate(self, connection: Connection) -> None:
        """Bring the schema up to date; Alembic, 10 MB of it, is imported only when there is something to do."""
        if inspect(connection).has_table("alembic_version"):
            row = connection.exec_driver_sql("SELECT version_num FROM alembic_version").first()
            if row is not None and row[0] == SCHEMA_VERSION:
                return
        from inara_daemon.store.migrations import NewerSchemaError, upgrade  # noqa: PLC0415

        try:
            upgrade(connection)
        except NewerSchemaError as error:
            text = f"{self.place} was written by a newer version of the daemon: install that one"
            raise DatabaseError(DatabaseFailure.BAD_URL, text) from error

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()

    @asynccontextmanager
    async def write(self, *, urgent: bool = False) -> AsyncIterator[AsyncConnection]:
        """A transaction that writes; an urgent one waits for no more than two others. Raises StateError."""
        async with AsyncExitStack() as turns:
            try:
                async with asyncio.timeout(WRITER_SECONDS):
                    if not urgent:  # all but one of the others queue here, and not in front of who is in a hurry
                        await turns.enter_async_context(self._queue)
                    await turns.enter_async_context(self._writer)
            except TimeoutError as error:
                text = f"{self.place} can't be written: those who wait for it are too many, or it is locked"
                raise StateError(DatabaseFailure.LOCKED, text) from error
            async with self._telling_state_errors(), write_transaction(self._engine) as connection:
                yield connection

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection that only reads. Raises StateError."""
        async with self._telling_state_errors(), read_transaction(self._engine) as connection:
            yield connection

    @asynccontextmanager
    async def _telling_state_errors(self) -> AsyncIterator[None]:
        try:
            yield
        except DatabaseError as error:
            if error.failure is DatabaseFailure.READ_ONLY:
                await self._engine.dispose()  # a connection opened while it was read-only would stay so
            text = str(error)
            if error.failure is DatabaseFailure.TABLES_MISSING:
                text = f"{self.place} lacks a table of the daemon's: restore it from a backup, or move it away"
            raise StateError(error.failure, text) from error

    def stamp(self) -> object:
        """What differs from the last stamp if anybody may have written since: asking for it costs no query."""
        try:
            wal = Path(f"{self.url.database}-wal").stat()
        except OSError:
            return object()  # a server, or nothing to tell by
        return wal.st_mtime_ns, wal.st_size

    def fingerprint(self, secret: Secret) -> str:
        """What logs and tables know a key or a webhook by: a keyed hash, of no use to anybody else."""
        return hmac.new(self._fingerprint_key, secret.reveal().encode(), hashlib.sha256).hexdigest()[:16]


def _make_private_file(path: Path) -> None:
    """Create the file with tight modes before SQLite would with loose ones; its WAL files inherit mode and owner."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        path.touch(mode=0o600)
        give_to_owner_of_folder(path)


def give_to_owner_of_folder(path: Path) -> None:
    """What root makes in a folder of the service's user must not lock that user out."""
    if os.geteuid() == 0:
        folder = path.parent.stat()
        os.chown(path, folder.st_uid, folder.st_gid)


async def _fingerprint_key(connection: AsyncConnection) -> bytes:
    value = await connection.scalar(select(tables.meta.c.value).where(tables.meta.c.key == "fingerprint_key"))
    if value is None:
        value = secrets.token_hex(32)
        await connection.execute(insert(tables.meta).values(key="fingerprint_key", value=value))
    return bytes.fromhex(value)
