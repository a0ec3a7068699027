"""Opens the state database, brings its tables up to date, and hands out transactions."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, insert, inspect, select
from sqlalchemy.ext.asyncio import AsyncConnection

from inara_daemon.settings import Secret
from inara_daemon.store.engines import describe, open_engine, read_transaction, write_transaction
from inara_daemon.store.state import tables

SCHEMA_VERSION = "0001"
"""The newest migration in `store/migrations/versions`."""


class StateDatabase:
    """The daemon's own database; every transaction is short, and one writer at a time leaves this process."""

    def __init__(self, url: URL) -> None:
        self._engine = open_engine(url, create=True, pooled=True)
        self._writer = asyncio.Lock()
        self._fingerprint_key = b""
        self.url = url
        self.place = describe(url)

    async def open(self) -> None:
        """Make or migrate the tables. Raises DatabaseError."""
        if self.url.drivername.startswith("sqlite"):
            await asyncio.to_thread(_make_private_file, Path(str(self.url.database)))
        async with write_transaction(self._engine) as connection:
            await connection.run_sync(_migrate)
        async with self.write() as connection:
            self._fingerprint_key = await _fingerprint_key(connection)

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that writes. Raises DatabaseError."""
        async with self._writer, write_transaction(self._engine) as connection:
            yield connection

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that only reads. Raises DatabaseError."""
        async with read_transaction(self._engine) as connection:
            yield connection

    def fingerprint(self, secret: Secret) -> str:
        """What logs and tables know a key or a webhook by: a keyed hash, of no use to anybody else."""
        return hmac.new(self._fingerprint_key, secret.reveal().encode(), hashlib.sha256).hexdigest()[:16]


def _make_private_file(path: Path) -> None:
    """Create the file with tight modes before SQLite would with loose ones; its WAL files inherit them."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600, exist_ok=True)


def _migrate(connection: Connection) -> None:
    """Bring the schema up to date; Alembic, 10 MB of it, is imported only when there is something to do."""
    if inspect(connection).has_table("alembic_version"):
        row = connection.exec_driver_sql("SELECT version_num FROM alembic_version").first()
        if row is not None and row[0] == SCHEMA_VERSION:
            return
    from inara_daemon.store.migrations import upgrade  # noqa: PLC0415

    upgrade(connection)


async def _fingerprint_key(connection: AsyncConnection) -> bytes:
    value = await connection.scalar(select(tables.meta.c.value).where(tables.meta.c.key == "fingerprint_key"))
    if value is None:
        value = secrets.token_hex(32)
        await connection.execute(insert(tables.meta).values(key="fingerprint_key", value=value))
    return bytes.fromhex(value)
