"""What the outbox wants of a service that shows messages, and what it hears back. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from inara_daemon.report import Report
from inara_daemon.secret import Secret


class Delivery(StrEnum):
    """What became of one attempt; the last four end a message, though a refused one has its plain form left."""

    RETRY = "retry"
    """It certainly did not arrive, and may do so later."""
    RATE_LIMITED = "rate_limited"
    """It certainly did not arrive, as nothing may now."""
    SENT = "sent"
    DEAD = "dead"
    """Nothing will ever arrive there."""
    REFUSED = "refused"
    """Others may arrive there, this one will not."""
    UNKNOWN = "unknown"
    """Nobody knows whether it arrived."""


class Scope(StrEnum):
    """Who must wait after a rate limit."""

    DESTINATION = "destination"
    SERVICE = "service"
    """Whatever goes to that service, wherever there."""


@dataclass(frozen=True, slots=True)
class SendResult:
    """The result of one attempt.

    `retry_after`: for how many seconds the service wants to hear nothing; `pace`: how many seconds the destination
    wants before its next message. No text in it holds the destination's URL.
    """

    delivery: Delivery
    error: str | None = None
    message_id: str | None = None
    retry_after: float | None = None
    scope: Scope = Scope.DESTINATION
    pace: float = 0.0


class Channel(Protocol):
    """One service that shows messages; `name` is what logs and the stored waits of the whole service know it by.

    `spacing`: seconds between any two requests to it that keep it content.
    """

    name: str
    spacing: float

    def takes(self, url: Secret) -> bool:
        """Whether the URL is one of this service's."""

    async def send(self, url: Secret, report: Report, *, plain: bool = False) -> SendResult:
        """Make one attempt, one request at most, in bounded time; a failure is a value.

        `plain` asks for the shortest form that the service can't refuse.
        """

    async def close(self) -> None:
        """Let go of what it holds open; it opens it again if it must send once more."""
