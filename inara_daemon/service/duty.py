"""How much an engine does: the daemon everything, a verb that leads for a moment no more than it needs."""

from __future__ import annotations

from enum import IntEnum

from inara_daemon.store.state.requests import RequestKind


class Duty(IntEnum):
    """Each one includes those before it."""

    LOOKUPS = 0
    """Asks Inara and stores nothing but budget and pauses."""
    DELIVERY = 1
    """Sends what waits in the outbox."""
    RUNS = 2
    """Runs that somebody asks for, and what an engine before left open."""
    SCHEDULE = 3
    """Runs by itself."""


_DUTIES = {
    RequestKind.DRY_RUN: Duty.LOOKUPS,
    RequestKind.VALIDATE_KEYS: Duty.LOOKUPS,
    RequestKind.TEST_WEBHOOK: Duty.DELIVERY,
    RequestKind.SYNC: Duty.RUNS,
}


def duty_for(kind: RequestKind) -> Duty:
    """The least that an engine must do to serve such a request."""
    return _DUTIES[kind]
