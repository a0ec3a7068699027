"""Who must wait before the next request: a destination, a whole service, or one of many that are ready at once."""

from __future__ import annotations

from collections import defaultdict

import structlog

from inara_daemon.clock import Clock
from inara_daemon.notify.channel import Scope
from inara_daemon.notify.lane import Lane, Step
from inara_daemon.notify.outbox_store import Holds

_log = structlog.get_logger("inara_daemon.outbox")


class Waits:
    """What is known of them; all moments are CLOCK_BOOTTIME seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._holds: dict[str, float] = {}
        """By a destination's fingerprint or a service's name, until when nothing is sent there."""
        self._free_at: defaultdict[str, float] = defaultdict(float)
        """By a service's name, when the next of those who are ready may go."""

    def take_up(self, stored: Holds) -> Holds:
        """Go on with what was stored; gives back what begins anew, as it is of another boot."""
        here = {scope: (self._clock.here(until, seconds), seconds) for scope, (until, seconds) in stored.items()}
        for scope, (until, _) in here.items():
            self._holds[scope] = max(until.seconds, self._holds.get(scope, 0.0))
        return {scope: held for scope, held in here.items() if held != stored[scope]}

    def hold(self, lane: Lane, step: Step) -> Holds:
        """Let the lane or its whole service wait; what is new about that."""
        scope = lane.name if step.scope is Scope.DESTINATION else lane.channel.name
        until = self._clock.moment(step.wait)
        if step.wait <= 0 or until.seconds <= self._holds.get(scope, 0.0):
            return {}  # what another lane was told holds longer
        self._holds[scope] = until.seconds
        if step.scope is Scope.SERVICE:
            _log.warning("service_limited", service=scope, seconds=step.wait)
        return {scope: (until, step.wait)}

    def left(self, lane: Lane) -> float:
        """How many seconds the lane was told to wait."""
        holds = (self._holds.get(scope, 0.0) for scope in (lane.name, lane.channel.name))
        return max(lane.paced_until, *holds) - self._clock.boottime()

    def until_its_turn(self, lane: Lane) -> float:
        """How many seconds until it may go, as one of all that are ready for its service; 0: now, and only now."""
        left = self.left(lane)
        if left > 0:
            lane.slot = None  # what everybody waited for is no time to go all at once
            return left
        now = self._clock.boottime()
        if lane.slot is None:
            lane.slot = max(self._free_at[lane.channel.name], now)
            self._free_at[lane.channel.name] = lane.slot + lane.channel.spacing
        if lane.slot > now:
            return lane.slot - now
        lane.slot = None
        return 0.0
