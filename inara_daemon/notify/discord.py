"""Sends one report to one Discord webhook, in one request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace

import aiohttp
import structlog
from yarl import URL

from inara_daemon.notify.channel import Delivery, Scope, SendResult
from inara_daemon.notify.discord_answer import classify, is_invalid
from inara_daemon.notify.discord_format import render
from inara_daemon.notify.invalid_requests import InvalidRequests
from inara_daemon.report import Report
from inara_daemon.secret import Secret

_LARGEST_ANSWER = 65_536
_BODY_SECONDS = 5.0
"""How long to wait for the rest of an answer whose status is known."""

_log = structlog.get_logger("inara_daemon.discord")


class DiscordChannel:
    """Discord's webhooks; `boottime` in seconds, `timeout` in seconds is the deadline of an attempt."""

    name = "discord"
    spacing = 0.025
    """Discord takes 50 requests a second from one address."""

    def __init__(self, *, version: str, boottime: Callable[[], float], timeout: float = 20.0) -> None:
        self._agent = f"DiscordBot (inara-daemon, {version})"
        self._boottime = boottime
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None
        self._invalid = InvalidRequests()
        self._resting = False

    def takes(self, url: Secret) -> bool:  # noqa: ARG002
        """Every URL: who validated it knows which hosts stand for Discord."""
        return True

    async def send(self, url: Secret, report: Report, *, plain: bool = False) -> SendResult:
        """Send the report, unless too many requests were invalid lately."""
        rest = self._rest()
        if rest > 0:
            error = "not sent: too many requests were invalid"
            return SendResult(Delivery.RATE_LIMITED, error, retry_after=rest, scope=Scope.SERVICE)
        if self._session is None:
            self._session = _open_session()
        sent = SimpleNamespace(anything=False)
        try:
            async with (
                asyncio.timeout(self._timeout),
                self._session.post(
                    URL(url.reveal()).update_query(wait="true"),
                    json=render(report, plain=plain),
                    headers={"User-Agent": self._agent},
                    allow_redirects=False,
                    trace_request_ctx=sent,
                ) as response,
            ):
                if is_invalid(response.status, response.headers):
                    self._invalid.add(self._boottime())
                try:
                    async with asyncio.timeout(_BODY_SECONDS):
                        body = await _read(response)
                except (TimeoutError, aiohttp.ClientError):
                    body = b""  # the status has said it all
                return classify(response.status, response.headers, body)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            delivery = Delivery.UNKNOWN if sent.anything else Delivery.RETRY
            return SendResult(delivery, f"no answer ({type(error).__name__})")

    async def close(self) -> None:
        """Close the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _rest(self) -> float:
        """For how long to send nothing, so that Discord does not ban the address; told when it begins."""
        seconds = self._invalid.wait(self._boottime())
        if seconds > 0 and not self._resting:
            action = "replace the webhooks that Discord refuses, or lower what shares this address"
            _log.error("discord_rests", seconds=round(seconds), reason="too many invalid requests", action=action)
        self._resting = seconds > 0
        return seconds


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = b""
    while len(body) < _LARGEST_ANSWER and (more := await response.content.read(_LARGEST_ANSWER)):
        body += more
    return body


def _open_session() -> aiohttp.ClientSession:
    """A session that notes when anything of a request has left, as from then on a failure is in doubt.

    Each message has a connection of its own: one kept from the message before may have been closed by Discord
    unnoticed, and the message sent into it would be in doubt without need.
    """
    trace = aiohttp.TraceConfig()

    async def note(_session: object, context: SimpleNamespace, _params: object) -> None:
        context.trace_request_ctx.anything = True

    trace.on_request_headers_sent.append(note)
    connector = aiohttp.TCPConnector(limit=0, force_close=True)  # a slow webhook takes nobody's place
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trace_configs=[trace])
