"""What a run does while a database is away: it waits and tries again, and says so once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import structlog

from inara_daemon.store.errors import DatabaseError, DatabaseFailure, StateError

BACKOFF = (5.0, 15.0, 60.0, 300.0, 900.0)
"""Seconds until a tenant's database is tried again; the last one repeats until the run's deadline."""
_WORTH_WAITING_FOR = frozenset({DatabaseFailure.LOCKED, DatabaseFailure.UNREACHABLE, DatabaseFailure.FULL})
"""What may pass by itself; the rest needs an operator, so the run ends and says so."""

_Result = TypeVar("_Result")
_log = structlog.get_logger("inara_daemon.run")


class DatabaseGivenUpError(Exception):
    """The tenant's database can't be used, and that won't pass by itself."""


class Waiting(Protocol):
    """The run that waits."""

    async def wait(self, seconds: float) -> None:
        """Let so much time pass; leaves the run at its deadline and on a stop."""

    async def note(self, kind: str, text: str) -> None:
        """Keep a problem for the report."""

    def note_unwritable(self, error: StateError) -> None:
        """Say that the daemon's own database is away."""


@dataclass(slots=True)
class DatabasePatience:
    """Goes on when the database is back; `trouble` is why it waits, once it is clear that it takes longer."""

    run: Waiting
    trouble: str | None = None

    async def through(self, work: Callable[[], Awaitable[_Result]]) -> _Result:
        """Do it, again and again while a database is away. Raises DatabaseGivenUpError."""
        attempt = 0
        while True:
            try:
                result = await work()
            except StateError as error:  # answers are kept: they are written when it is back
                self.run.note_unwritable(error)
                await self.run.wait(BACKOFF[0])
            except DatabaseError as error:
                await self._note(error, attempt)
                await self.run.wait(BACKOFF[min(attempt, len(BACKOFF) - 1)])
                attempt += 1
            else:
                if attempt:
                    _log.info("database_recovered", attempts=attempt)
                    self.trouble = None
                return result

    async def _note(self, error: DatabaseError, attempt: int) -> None:
        await self.run.note(f"database_{error.failure.value}", str(error))
        if error.failure not in _WORTH_WAITING_FOR and attempt:  # once more: a file may be just being replaced
            raise DatabaseGivenUpError from error
        if attempt == 0:
            _log.warning("database_failed", failure=error.failure.value, error=str(error))
        else:
            self.trouble = str(error)
