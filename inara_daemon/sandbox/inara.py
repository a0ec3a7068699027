"""A server that stands for Inara: its wire format, its limit with the ban, and its moods."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from inara_daemon.sandbox import inara_call, loopback
from inara_daemon.sandbox.faults import EventsOfRefusal, Fault, InaraFaultKind
from inara_daemon.sandbox.inara_call import Call, Envelope, Search
from inara_daemon.sandbox.loopback import Loopback
from inara_daemon.sandbox.world import World

TOO_MUCH = "Too much requests."
REVOKED = "Your access was temporarily revoked."
BAD_KEY = "Invalid API key."
NO_ACCESS = "There is no access allowed for this application."
MALFORMED = "Some errors in the data were found"
POISONED = "Unable to process the request."
_STRANGE_ID = 1_000_000
_RESOLUTION = 1e-9
_INSTEAD_OF_AN_ANSWER = frozenset({InaraFaultKind.BODY, InaraFaultKind.HANG, InaraFaultKind.CLOSE_AFTER})


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request, when it arrived by the sandbox's clock, and what became of it.

    `names` are as searched, "" for the key's own profile. `answer` is `accepted`, the name of the fault it met, or why
    it was refused: `too_much`, `revoked`, `malformed`, `no_access`, `bad_key`, `poisoned`.
    """

    at: float
    key: str | None
    app_name: str | None
    names: tuple[str, ...]
    accepted: bool
    """Whether the header said 200."""
    answer: str


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why a whole request is refused."""

    answer: str
    text: str
    status: int = 400
    events: EventsOfRefusal = EventsOfRefusal.ABSENT


class SandboxInara:
    """Inara on this machine; everything public may be changed while it runs.

    rate_per_minute: requests closer than `60 / rate` s to the one before are a violation, and start a ban of
    `ban_seconds`. keys, app_names: what is known to Inara; None: anything. clock: seconds. latency: seconds until
    each answer. on_arrival: told of each request before it is answered.
    """

    def __init__(
        self,
        world: World,
        *,
        rate_per_minute: float = 2.0,
        ban_seconds: float = 3600.0,
        keys: AbstractSet[str] | None = None,
        app_names: AbstractSet[str] | None = None,
        clock: Callable[[], float] = time.monotonic,
        latency: Callable[[], float] | None = None,
        on_arrival: Callable[[Arrival], None] | None = None,
    ) -> None:
        self.world = world
        self.rate_per_minute = rate_per_minute
        self.ban_seconds = ban_seconds
        self.keys = keys
        self.app_names = app_names
        self.latency = latency
        self.on_arrival = on_arrival
        self.arrivals: list[Arrival] = []
        self.violations: list[str] = []
        self._clock = clock
        self._faults: deque[Fault] = deque()
        self._loopback = Loopback(self._handle)
        self._last_at: float | None = None
        self._banned_until: float | None = None
        self._ban_told = False

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Listen, and return the URL of the API; can be started again after `stop`. Raises OSError."""
        return await self._loopback.start(host, port) + inara_call.PATH

    async def stop(self) -> None:
        """Stop listening; stopping twice does no harm."""
        await self._loopback.stop()

    def inject(self, *faults: Fault) -> None:
        """Let the next requests meet these faults, one each; a request refused for its pace meets none."""
        self._faults.extend(faults)

    def ban(self) -> None:
        """Revoke the access as if somebody else had broken the limit: no violation of the client's."""
        self._banned_until = self._clock() + self.ban_seconds
        self._ban_told = False

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        at = self._clock()
        hasty = self._judge_pace(at)
        fault = self._faults.popleft() if hasty is None and self._faults else None
        if fault is not None and fault.kind is InaraFaultKind.CLOSE_BEFORE:
            self._record(Arrival(at, None, None, (), False, fault.name))
            return loopback.close(request)
        call = inara_call.read_call(_envelope(request), await loopback.read(request))
        self.violations.extend(f"at {at:.3f}: {problem}" for problem in call.problems)
        refusal = hasty or self._refusal(call)
        if refusal is None and fault is not None and fault.kind is InaraFaultKind.REFUSAL:
            refusal = _Refusal(fault.name, fault.body, fault.status, fault.events)
        accepted, answer = _outcome(refusal, fault)
        self._record(Arrival(at, call.key, call.app_name, call.names, accepted, answer))
        if self.latency is not None:
            await self._loopback.pause(self.latency())
        return await self._answer(request, call, refusal, fault)

    def _record(self, arrival: Arrival) -> None:
        self.arrivals.append(arrival)
        if self.on_arrival is not None:
            self.on_arrival(arrival)

    def _judge_pace(self, at: float) -> _Refusal | None:
        """Hold a request against the one before, whatever became of that, and against the ban."""
        last, self._last_at = self._last_at, at
        if self._banned_until is not None and at < self._banned_until:
            if self._ban_told:
                self.violations.append(f"at {at:.3f}: a request although the access is revoked")
            self._ban_told = True
            return _Refusal("revoked", REVOKED)
        interval = 60.0 / self.rate_per_minute
        if last is None or at - last >= interval - _RESOLUTION:
            return None
        self.violations.append(f"at {at:.3f}: {at - last:.3f} s after the last request, fewer than {interval:.3f} s")
        self._banned_until, self._ban_told = at + self.ban_seconds, True
        return _Refusal("too_much", TOO_MUCH)

    def _refusal(self, call: Call) -> _Refusal | None:
        if call.problems:
            return _Refusal("malformed", f"{MALFORMED}: {'; '.join(call.problems)}.")
        if self.app_names is not None and call.app_name not in self.app_names:
            return _Refusal("no_access", NO_ACCESS)
        if self.keys is not None and call.key not in self.keys:
            return _Refusal("bad_key", BAD_KEY)
        if any(self.world.is_poison(name) for name in call.names):
            return _Refusal("poisoned", POISONED)
        return None

    async def _answer(
        self, request: web.Request, call: Call, refusal: _Refusal | None, fault: Fault | None
    ) -> web.StreamResponse:
        kind = None if fault is None else fault.kind
        if kind is InaraFaultKind.HANG:
            return await self._loopback.hang(request)
        if kind is InaraFaultKind.CLOSE_AFTER:
            return loopback.reset(request)
        if fault is not None and kind is InaraFaultKind.BODY:
            headers = {} if fault.retry_after is None else {"Retry-After": f"{fault.retry_after:g}"}
            return web.Response(status=fault.status, text=fault.body, content_type=fault.content_type, headers=headers)
        reply = _refusing_reply(call, refusal) if refusal is not None else self._reply(call, kind)
        if kind is InaraFaultKind.HALF:
            return await loopback.answer_half(request, json.dumps(reply).encode())
        return web.json_response(reply)

    def _reply(self, call: Call, fault: InaraFaultKind | None) -> dict[str, Any]:
        """What a good request gets, as far as the fault lets it."""
        if fault is InaraFaultKind.NO_EVENTS:
            return {"header": {"eventStatus": 200}}
        events = [event for search in call.searches if (event := self._event(call.key or "", search)) is not None]
        if fault is InaraFaultKind.DROP_EVENT:
            del events[:1]
        elif fault is InaraFaultKind.SHUFFLE:
            events.reverse()
        elif fault is InaraFaultKind.WRONG_ID:
            events = [event | {"eventCustomID": event["eventCustomID"] + _STRANGE_ID} for event in events]
        elif fault is InaraFaultKind.NO_ID:
            events = [{name: value for name, value in event.items() if name != "eventCustomID"} for event in events]
        return {"header": {"eventStatus": 200}, "events": events}

    def _event(self, key: str, search: Search) -> dict[str, Any] | None:
        """One result; None: left out."""
        answer = self.world.answer(search.name) if search.name else self.world.own_profile(key)
        if answer is None:
            return None
        event: dict[str, Any] = {"eventCustomID": search.custom_id, "eventStatus": answer.status}
        if answer.text is not None:
            event["eventStatusText"] = answer.text
        if answer.profile is not None:
            event["eventData"] = answer.profile
        return event


def _outcome(refusal: _Refusal | None, fault: Fault | None) -> tuple[bool, str]:
    """What an arrival says of its end: whether it was accepted, and the word for it."""
    if fault is not None and fault.kind in _INSTEAD_OF_AN_ANSWER:
        return False, fault.name
    if refusal is not None:
        return False, refusal.answer
    if fault is not None:
        return fault.kind is not InaraFaultKind.HALF, fault.name
    return True, "accepted"


def _refusing_reply(call: Call, refusal: _Refusal) -> dict[str, Any]:
    header = {"eventStatus": refusal.status, "eventStatusText": refusal.text}
    if refusal.events is EventsOfRefusal.ABSENT:
        return {"header": header}
    present = refusal.events is EventsOfRefusal.PRESENT
    events = [{"eventCustomID": search.custom_id, "eventStatus": 400} for search in call.searches if present]
    return {"header": header, "events": events}


def _envelope(request: web.Request) -> Envelope:
    return Envelope(
        method=request.method,
        path=request.path,
        content_type=request.content_type if "Content-Type" in request.headers else None,
        content_encoding=request.headers.get("Content-Encoding"),
        user_agent=request.headers.get("User-Agent"),
    )
