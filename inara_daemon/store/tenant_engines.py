"""The engines of the tenants' databases, and how many of their transactions go on at the same time."""

from __future__ import annotations

import asyncio
from collections import defaultdict

from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from inara_daemon.store.engines import for_file, open_engine, open_files_engine, server

FILES_AT_ONCE = 24
"""SQLite files open at the same time; each takes a thread and up to three file descriptors."""
CONNECTIONS_A_SERVER = 8
"""Connections to one PostgreSQL server at the same time, whichever tenants' databases it holds."""


class TenantEngines:
    """Shared by all tenants of a process; nothing stays open between two transactions."""

    def __init__(self) -> None:
        self._files = open_files_engine()
        self._files_gate = asyncio.Semaphore(FILES_AT_ONCE)
        self._server_gates: defaultdict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(CONNECTIONS_A_SERVER)
        )

    def engine(self, url: URL) -> AsyncEngine:
        """The engine for a database. Raises DatabaseError (BAD_URL)."""
        return for_file(self._files, url) if url.drivername.startswith("sqlite") else open_engine(url)

    def gate(self, url: URL) -> asyncio.Semaphore:
        """What each transaction has to pass: a server that is away holds up no other server's tenants."""
        return self._files_gate if url.drivername.startswith("sqlite") else self._server_gates[server(url)]
