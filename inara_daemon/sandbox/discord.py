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
from inara_daemon.sandbox.discord_rules import Closure, Door, House, Patience
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
_INVALID = frozenset({"401", "403", *(f"429 {scope}" for scope in Scope if scope is not Scope.SHARED)})


@dataclass(frozen=True, slots=True)
class Message:
    """What a channel shows, and when it arrived by the sandbox's clock."""

    webhook: str
    payload: dict[str, Any]
    at: float
    id: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request; `answer` is the HTTP status, with the scope after a 429, or the name of the fault.

    `code` is the one of Discord's own errors, `stored` says whether the channel shows the message.
    """

    at: float
    webhook: str | None
    answer: str
    code: int | None = None
    stored: bool = False


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

    clock: seconds. latency: seconds until a message is stored, and again until that is answered. patience: with
    invalid requests. on_message: told of each message that a channel shows, before the answer. on_attempt: told of each
    request when its answer is known, before it is sent.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        latency: Callable[[], float] | None = None,
        patience: Patience | None = None,
        on_message: Callable[[Message], None] | None = None,
        on_attempt: Callable[[Attempt], None] | None = None,
    ) -> None:
        self.latency = latency
        self.on_message = on_message
        self.on_attempt = on_attempt
        self.messages: list[Message] = []
        self.attempts: list[Attempt] = []
        self.violations: list[str] = []
        self._clock = clock
        self._webhooks: dict[str, _Webhook] = {}
        self._faults: deque[DiscordFault] = deque()
        self._house = House(self._complain, patience or Patience())
        self._loopback = Loopback(self._handle)

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Listen, and return scheme, host and port; can be started again after `stop`. Raises OSError."""
        return await self._loopback.start(host, port)

    async def stop(self) -> None:
        """Stop listening; webhooks and messages stay; stopping twice does no harm."""
        await self._loopback.stop()

    async def resume(self) -> None:
        """Listen again at the port where it stopped; no harm if it did not. Raises OSError."""
        await self._loopback.resume()

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

    def calm(self, *, webhook: str | None = None) -> None:
        """Forget every fault that nobody has met yet, of one webhook or of all. Raises KeyError as `inject` does."""
        if webhook is None:
            self._faults.clear()
        for known in self._webhooks.values() if webhook is None else (self._webhooks[webhook],):
            known.faults.clear()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        at = self._clock()
        webhook = next((known for known in self._webhooks.values() if known.path == request.path), None)
        closure = self._house.approach(at)
        if closure is not None:
            return self._ask_to_wait(webhook, closure, at)
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
        await self._linger()
        problems = [*_envelope_problems(request), *form_problems(message)]
        for path, text in problems:
            self._complain(at, f"{webhook.name}: {path} {text}")
        if fault is None:
            answer = self._accept(request, webhook, message, problems, at)
            await self._linger()
            return answer
        stored = None
        if fault.stored and message is not None and not problems:
            stored = self._store(webhook, message, at)
        return await self._fail(request, webhook, fault, stored, at)

    async def _linger(self) -> None:
        if self.latency is not None:
            await self._loopback.pause(self.latency())

    def _turn_away(self, path: str, at: float) -> web.Response:
        """Answer for a URL that was never given out."""
        known = any(path.startswith(f"/api/webhooks/{webhook.id}/") for webhook in self._webhooks.values())
        fault = INVALID_WEBHOOK_TOKEN if known else UNKNOWN_WEBHOOK
        self._note(at, None, str(fault.status), code=fault.code)
        return _api_error(fault)

    def _stop_at_door(self, webhook: _Webhook, at: float) -> web.Response | None:
        """Answer for a webhook that is gone or has to wait, whatever is sent to it."""
        if webhook.gone:
            if webhook.gone_told:
                self._complain(at, f"{webhook.name} was used again although it is gone")
            webhook.gone_told = True
            self._note(at, webhook, str(UNKNOWN_WEBHOOK.status), code=UNKNOWN_WEBHOOK.code)
            return _api_error(UNKNOWN_WEBHOOK)
        closure = self._house.knock(webhook.door, at)
        return None if closure is None else self._ask_to_wait(webhook, closure, at)

    def _ask_to_wait(self, webhook: _Webhook | None, closure: Closure, at: float) -> web.Response:
        self._note(at, webhook, f"429 {closure.scope}")
        seconds = closure.retry_after(at)
        headers = {"Retry-After": str(math.ceil(seconds))}
        if closure.scope is Scope.CLOUDFLARE:
            return web.Response(status=429, text=CLOUDFLARE_PAGE, content_type="text/html", headers=headers)
        everywhere = closure.scope is Scope.GLOBAL
        headers |= _VIA | {"X-RateLimit-Scope": closure.scope}
        headers |= webhook.door.window.headers(at) if webhook is not None else {}
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
            self._note(at, webhook, "204", stored=True)
            return web.Response(status=204, headers=headers)
        self._note(at, webhook, "200", stored=True)
        return web.json_response(_shown(webhook, stored), headers=headers)

    async def _fail(
        self, request: web.Request, webhook: _Webhook, fault: DiscordFault, stored: Message | None, at: float
    ) -> web.StreamResponse:
        if fault.kind is DiscordFaultKind.WAIT:
            return self._ask_to_wait(webhook, self._house.close(webhook.door, fault.scope, at, fault.retry_after), at)
        if fault.kind is DiscordFaultKind.API_ERROR:
            self._note(at, webhook, str(fault.status), code=fault.code)
            webhook.gone = webhook.gone_told = fault.status == UNKNOWN_WEBHOOK.status
            return _api_error(fault)
        in_words = str(fault.status) if fault.kind is DiscordFaultKind.HTTP_ERROR else fault.kind
        self._note(at, webhook, in_words, stored=stored is not None)
        if fault.kind is DiscordFaultKind.HANG:
            return await self._loopback.hang(request)
        if fault.kind is DiscordFaultKind.CLOSE_AFTER:
            return loopback.reset(request)
        if fault.kind is DiscordFaultKind.HALF and stored is not None:
            return await loopback.answer_half(request, json.dumps(_shown(webhook, stored)).encode())
        return web.Response(status=fault.status, text=CLOUDFLARE_PAGE, content_type="text/html")

    def _store(self, webhook: _Webhook, payload: dict[str, Any], at: float) -> Message:
        message = Message(webhook.name, payload, at, str(_FIRST_MESSAGE_ID + len(self.messages)))
        self.messages.append(message)
        if self.on_message is not None:
            self.on_message(message)
        return message

    def _note(
        self, at: float, webhook: _Webhook | None, answer: str, *, code: int | None = None, stored: bool = False
    ) -> None:
        attempt = Attempt(at, None if webhook is None else webhook.name, answer, code, stored)
        self.attempts.append(attempt)
        if self.on_attempt is not None:
            self.on_attempt(attempt)
        if answer in _INVALID:
            self._house.note_invalid(at)

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


def _shown(webhook: _Webhook, message: Message) -> dict[str, Any]:
    """A message as Discord answers with it."""
    empty = {"id": message.id, "type": 0, "webhook_id": webhook.id, "content": "", "embeds": []}
    return empty | message.payload


def _api_error(fault: DiscordFault) -> web.Response:
    body = {"message": fault.text, "code": fault.code}
    return web.json_response(body, status=fault.status, headers=_VIA)
