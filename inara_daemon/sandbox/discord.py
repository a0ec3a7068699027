"""A server that stands for Discord's webhooks: its limits, its rates, and its moods."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from inara_daemon.sandbox import loopback
from inara_daemon.sandbox.discord_form import Problem, form_error, form_problems
from inara_daemon.sandbox.discord_rules import Closure, Door, House
from inara_daemon.sandbox.faults import (
    CLOUDFLARE_PAGE,
    INVALID_WEBHOOK_TOKEN,
    UNKNOWN_WEBHOOK,
    DiscordFault,
    DiscordFaultKind,
    Scope,
)
from inara_daemon.sandbox.loopback import Loopback

_FIRST_WEBHOOK_ID = 1_100_000_000_000_000_000
_FIRST_MESSAGE_ID = 1_300_000_000_000_000_000
_TOKEN_LENGTH = 68
_QUERY = frozenset({"wait", "thread_id", "with_components"})
_VIA = {"Via": "1.1 google"}


@dataclass(frozen=True, slots=True)
class Message:
    """What a channel shows, and when it arrived by the sandbox's clock."""

    webhook: str
    payload: dict[str, Any]
    at: float
    id: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request; `answer` is the HTTP status, with the scope after a 429, or the name of the fault."""

    at: float
    webhook: str | None
    answer: str


@dataclass(slots=True)
class _Webhook:
    """A webhook, and what is known of it."""

    name: str
    id: str
    token: str
    door: Door
    faults: deque[DiscordFault] = field(default_factory=deque)
    gone: bool = False
    gone_told: bool = False

    @property
    def path(self) -> str:
        return f"/api/webhooks/{self.id}/{self.token}"


class SandboxDiscord:
    """Discord on this machine.

    clock: seconds. on_message: told of each message that a channel shows, before the answer.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        on_message: Callable[[Message], None] | None = None,
    ) -> None:
        self.on_message = on_message
        self.messages: list[Message] = []
        self.attempts: list[Attempt] = []
        self.violations: list[str] = []
        self._clock = clock
        self._webhooks: dict[str, _Webhook] = {}
        self._faults: deque[DiscordFault] = deque()
        self._house = House(self._complain)
        self._loopback = Loopback(self._handle)

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Listen, and return scheme, host and port; can be started again after `stop`. Raises OSError."""
        return await self._loopback.start(host, port)

    async def stop(self) -> None:
        """Stop listening; webhooks and messages stay; stopping twice does no harm."""
        await self._loopback.stop()

    def webhook(self, name: str, *, channel: str | None = None) -> str:
        """The URL of the webhook of that name, made when first asked for, in a channel of its own if none is named.

        Raises RuntimeError while the server does not run.
        """
        if self._loopback.url is None:
            raise RuntimeError("a webhook has no URL before the server runs")
        if name not in self._webhooks:
            token = hashlib.sha512(name.encode()).hexdigest()[:_TOKEN_LENGTH]
            number = str(_FIRST_WEBHOOK_ID + len(self._webhooks))
            self._webhooks[name] = _Webhook(name, number, token, self._house.door(channel or f"#{name}"))
        return self._loopback.url + self._webhooks[name].path

    def delete_webhook(self, name: str) -> None:
        """Let a webhook be unknown from now on. Raises KeyError for one that never was."""
        self._webhooks[name].gone = True

    def inject(self, *faults: DiscordFault, webhook: str | None = None) -> None:
        """Let the next requests, to one webhook or to any, meet these faults, one each.

        One that has to wait meets none. Raises KeyError for a webhook that nobody asked for.
        """
        (self._faults if webhook is None else self._webhooks[webhook].faults).extend(faults)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        at = self._clock()
        webhook = next((known for known in self._webhooks.values() if known.path == request.path), None)
        if webhook is None:
            return self._turn_away(request.path, at)
        waiting = self._stop_at_door(webhook, at)
        if waiting is not None:
            return waiting
        faults = webhook.faults or self._faults
        fault = faults.popleft() if faults else None
        if fault is not None and fault.kind is DiscordFaultKind.CLOSE_BEFORE:
            self._note(at, webhook, fault.kind)
            return loopback.close(request)
        message = _document(await loopback.read(request))
        problems = [*_envelope_problems(request), *form_problems(message)]
        for path, text in problems:
            self._complain(at, f"{webhook.name}: {path} {text}")
        if fault is None:
            return self._accept(request, webhook, message, problems, at)
        if fault.stored and message is not None and not problems:
            self._store(webhook, message, at)
        return await self._fail(request, webhook, fault, at)

    def _turn_away(self, path: str, at: float) -> web.Response:
        """Answer for a URL that was never given out."""
        known = any(path.startswith(f"/api/webhooks/{webhook.id}/") for webhook in self._webhooks.values())
        fault = INVALID_WEBHOOK_TOKEN if known else UNKNOWN_WEBHOOK
        self.attempts.append(Attempt(at, None, str(fault.status)))
        return _api_error(fault)

    def _stop_at_door(self, webhook: _Webhook, at: float) -> web.Response | None:
        """Answer for a webhook that is gone or has to wait, whatever is sent to it."""
        if webhook.gone:
            if webhook.gone_told:
                self._complain(at, f"{webhook.name} was used again although it is gone")
            webhook.gone_told = True
            self._note(at, webhook, str(UNKNOWN_WEBHOOK.status))
            return _api_error(UNKNOWN_WEBHOOK)
        closure = self._house.knock(webhook.door, at)
        return None if closure is None else self._ask_to_wait(webhook, closure, at)

    def _ask_to_wait(self, webhook: _Webhook, closure: Closure, at: float) -> web.Response:
        self._note(at, webhook, f"429 {closure.scope}")
        seconds = closure.retry_after(at)
        headers = {"Retry-After": str(math.ceil(seconds))}
        if closure.scope is Scope.CLOUDFLARE:
            return web.Response(status=429, text=CLOUDFLARE_PAGE, content_type="text/html", headers=headers)
        everywhere = closure.scope is Scope.GLOBAL
        headers |= _VIA | webhook.door.window.headers(at) | {"X-RateLimit-Scope": closure.scope}
        headers |= {"X-RateLimit-Global": "true"} if everywhere else {}
        told = {"message": "You are being rate limited.", "retry_after": seconds, "global": everywhere}
        return web.json_response(told, status=429, headers=headers)

    def _accept(
        self,
        request: web.Request,
        webhook: _Webhook,
        message: dict[str, Any] | None,
        problems: list[Problem],
        at: float,
    ) -> web.Response:
        """Take a message without fault, or say what is wrong with it."""
        headers = _VIA | webhook.door.window.headers(at)
        if message is None or problems:
            self._note(at, webhook, "400")
            return web.json_response(form_error(problems), status=400, headers=headers)
        stored = self._store(webhook, message, at)
        if request.query.get("wait") != "true":
            self._note(at, webhook, "204")
            return web.Response(status=204, headers=headers)
        self._note(at, webhook, "200")
        shown = {"id": stored.id, "type": 0, "webhook_id": webhook.id, "content": "", "embeds": []}
        return web.json_response(shown | stored.payload, headers=headers)

    async def _fail(
        self, request: web.Request, webhook: _Webhook, fault: DiscordFault, at: float
    ) -> web.StreamResponse:
        if fault.kind is DiscordFaultKind.WAIT:
            return self._ask_to_wait(webhook, self._house.close(webhook.door, fault.scope, at, fault.retry_after), at)
        if fault.kind is DiscordFaultKind.HANG:
            self._note(at, webhook, fault.kind)
            return await self._loopback.hang(request)
        if fault.kind is DiscordFaultKind.CLOSE_AFTER:
            self._note(at, webhook, fault.kind)
            return loopback.reset(request)
        self._note(at, webhook, str(fault.status))
        if fault.kind is DiscordFaultKind.API_ERROR:
            webhook.gone = webhook.gone_told = fault.status == UNKNOWN_WEBHOOK.status
            return _api_error(fault)
        return web.Response(status=fault.status, text=CLOUDFLARE_PAGE, content_type="text/html")

    def _store(self, webhook: _Webhook, payload: dict[str, Any], at: float) -> Message:
        message = Message(webhook.name, payload, at, str(_FIRST_MESSAGE_ID + len(self.messages)))
        self.messages.append(message)
        if self.on_message is not None:
            self.on_message(message)
        return message

    def _note(self, at: float, webhook: _Webhook, answer: str) -> None:
        self.attempts.append(Attempt(at, webhook.name, answer))

    def _complain(self, at: float, text: str) -> None:
        self.violations.append(f"at {at:.3f}: {text}")


def _document(body: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _envelope_problems(request: web.Request) -> list[Problem]:
    """What is wrong about the HTTP side of a request."""
    user_agent = request.headers.get("User-Agent", "")
    wrong = {
        f"the method is {request.method}": request.method != "POST",
        f"the Content-Type is {request.content_type}": request.content_type != "application/json",
        f"the User-Agent is {user_agent}": not user_agent.startswith("DiscordBot ("),
        "the query has an unknown argument": not request.query.keys() <= _QUERY,
        "wait is neither true nor false": request.query.get("wait", "false") not in ("true", "false"),
    }
    return [("", text) for text, is_wrong in wrong.items() if is_wrong]


def _api_error(fault: DiscordFault) -> web.Response:
    body = {"message": fault.text, "code": fault.code}
    return web.json_response(body, status=fault.status, headers=_VIA)
