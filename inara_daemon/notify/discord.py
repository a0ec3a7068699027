"""Sends one report to one Discord webhook, once, and tells certain loss from certain delivery and from doubt."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import SimpleNamespace

import aiohttp
from yarl import URL

from inara_daemon.notify.discord_format import render
from inara_daemon.report import Report
from inara_daemon.settings import Secret

ADDRESS_BLOCK_SECONDS = 600.0
"""How long to hold everything when Cloudflare blocks the address and names no time."""

_LARGEST_ANSWER = 65_536
_BODY_SECONDS = 5.0
"""How long to wait for the rest of an answer whose status is known."""


class Delivery(StrEnum):
    """What became of one attempt; the last four end a message."""

    RETRY = "retry"
    RATE_LIMITED = "rate_limited"
    SENT = "sent"
    DEAD = "dead"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class Scope(StrEnum):
    """Who must wait after a 429."""

    WEBHOOK = "webhook"
    GLOBAL = "global"
    ADDRESS = "address"


@dataclass(frozen=True, slots=True)
class SendResult:
    """The result of one attempt; `pace` and `retry_after` in seconds."""

    delivery: Delivery
    error: str | None = None
    message_id: str | None = None
    retry_after: float | None = None
    scope: Scope = Scope.WEBHOOK
    pace: float = 0.0


_WEBHOOK_GONE = frozenset({10003, 10015, 50001, 50013, 50027})
_MESSAGE_REFUSED = frozenset({40005, 50006, 50035, 50045, 200000, 220001, 240000})
_PASSING = frozenset({130000})
"""The API resource is overloaded."""
_DOUBTFUL = frozenset({504, 524})


def classify(status: int, headers: Mapping[str, str], body: bytes) -> SendResult:
    """What Discord's answer means, by its documentation of webhooks, rate limits and error codes."""
    found = _object(body)
    code = found.get("code")
    error = f"HTTP {status}" + (f", code {code}" if isinstance(code, int) else "")
    if status == 429:  # noqa: PLR2004 - Too Many Requests
        return _limited(headers, found, error)
    delivery = _delivery(status, code)
    if delivery is Delivery.SENT:
        message_id = found.get("id")
        return SendResult(delivery, message_id=message_id if isinstance(message_id, str) else None, pace=_pace(headers))
    return SendResult(delivery, error, retry_after=_seconds(headers.get("Retry-After")), pace=_pace(headers))


def _delivery(status: int, code: object) -> Delivery:
    if status in {200, 204}:
        return Delivery.SENT
    if code in _MESSAGE_REFUSED:
        return Delivery.REFUSED
    if status in _DOUBTFUL:
        return Delivery.UNKNOWN
    if status == 404 or code in _WEBHOOK_GONE:  # noqa: PLR2004 - Not Found
        return Delivery.DEAD
    # 401 and 403 without Discord's own code come from somebody in between, and may pass.
    if status >= 500 or status in {401, 403} or code in _PASSING:  # noqa: PLR2004
        return Delivery.RETRY
    return Delivery.REFUSED


def _limited(headers: Mapping[str, str], found: Mapping[str, object], error: str) -> SendResult:
    named = found.get("retry_after")
    exact = _seconds(str(named)) if isinstance(named, int | float) and not isinstance(named, bool) else None
    if not found and "Via" not in headers:
        wait = _seconds(headers.get("Retry-After")) or ADDRESS_BLOCK_SECONDS
        return SendResult(Delivery.RATE_LIMITED, error, retry_after=wait, scope=Scope.ADDRESS)
    wait = exact if exact is not None else _seconds(headers.get("Retry-After")) or 1.0
    everyone = found.get("global") is True or headers.get("X-RateLimit-Scope") == "global"
    scope = Scope.GLOBAL if everyone else Scope.WEBHOOK
    return SendResult(Delivery.RATE_LIMITED, error, retry_after=wait, scope=scope)


def _pace(headers: Mapping[str, str]) -> float:
    if headers.get("X-RateLimit-Remaining") != "0":
        return 0.0
    return _seconds(headers.get("X-RateLimit-Reset-After")) or 0.0


def _seconds(text: str | None) -> float | None:
    try:
        seconds = float(text or "")
    except ValueError:
        return None
    return seconds if 0 <= seconds < 1e6 else None  # noqa: PLR2004 - nobody waits for eleven days


def _object(body: bytes) -> Mapping[str, object]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


class DiscordSender:
    """Makes one attempt at a time and keeps no state; `timeout` in seconds is the deadline of an attempt."""

    def __init__(self, session: aiohttp.ClientSession, *, version: str, timeout: float = 20.0) -> None:
        self._session = session
        self._agent = f"DiscordBot (inara-daemon, {version})"
        self._timeout = timeout

    async def send(self, url: Secret, report: Report, *, plain: bool = False) -> SendResult:
        """Send the report; no error text holds the URL."""
        sent = SimpleNamespace(anything=False)
        target = URL(url.reveal()).update_query(wait="true")
        try:
            async with (
                asyncio.timeout(self._timeout),
                self._session.post(
                    target,
                    json=render(report, plain=plain),
                    headers={"User-Agent": self._agent},
                    allow_redirects=False,
                    trace_request_ctx=sent,
                ) as response,
            ):
                try:
                    async with asyncio.timeout(_BODY_SECONDS):
                        body = await _read(response)
                except (TimeoutError, aiohttp.ClientError):
                    body = b""  # the status has said it all
                return classify(response.status, response.headers, body)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            delivery = Delivery.UNKNOWN if sent.anything else Delivery.RETRY
            return SendResult(delivery, f"no answer ({type(error).__name__})")


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = b""
    while len(body) < _LARGEST_ANSWER and (more := await response.content.read(_LARGEST_ANSWER)):
        body += more
    return body


def open_discord_session() -> aiohttp.ClientSession:
    """A session that notes when anything of a request has left, as from then on a failure is in doubt.

    Each message has a connection of its own: one kept from the message before may have been closed by Discord
    unnoticed, and the message sent into it would be in doubt without need.
    """
    trace = aiohttp.TraceConfig()

    async def note(_session: object, context: SimpleNamespace, _params: object) -> None:
        context.trace_request_ctx.anything = True

    trace.on_request_headers_sent.append(note)
    connector = aiohttp.TCPConnector(force_close=True)
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trace_configs=[trace])
