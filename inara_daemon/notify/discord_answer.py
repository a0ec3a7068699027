"""What Discord's answers mean: certain loss told from certain delivery and from doubt. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping

from inara_daemon.notify.channel import Delivery, Scope, SendResult

ADDRESS_BLOCK_SECONDS = 600.0
"""How long to hold everything when Cloudflare blocks the address and names no time."""

_WANTS_A_THREAD = 220001
_WEBHOOK_GONE = frozenset({10003, 10015, 50001, 50013, 50027, _WANTS_A_THREAD})
_MESSAGE_REFUSED = frozenset({40005, 50006, 50035, 50045, 200000, 240000})
_PASSING = frozenset({130000})
"""The API resource is overloaded."""
_DOUBTFUL = frozenset({504, 524})


def classify(status: int, headers: Mapping[str, str], body: bytes) -> SendResult:
    """What Discord's answer means, by its documentation of webhooks, rate limits and error codes."""
    found = _object(body)
    code = found.get("code") if isinstance(found.get("code"), int) else None
    error = f"HTTP {status}" + (f", code {code}" if code is not None else "")
    if code == _WANTS_A_THREAD:
        error += ": the channel is a forum, whose webhooks need ?thread_id=... at the end of their URL"
    if status == 429:  # noqa: PLR2004 - Too Many Requests
        return _limited(headers, found, error)
    delivery = _delivery(status, code)
    if delivery is Delivery.SENT:
        message_id = found.get("id")
        return SendResult(delivery, message_id=message_id if isinstance(message_id, str) else None, pace=_pace(headers))
    return SendResult(delivery, error, retry_after=_seconds(headers.get("Retry-After")), pace=_pace(headers))


def is_invalid(status: int, headers: Mapping[str, str]) -> bool:
    """Whether Discord counts the request among those that get an address banned if they are too many."""
    shared = headers.get("X-RateLimit-Scope") == "shared"
    return status in {401, 403} or (status == 429 and not shared)  # noqa: PLR2004 - Too Many Requests


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
        return SendResult(Delivery.RATE_LIMITED, error, retry_after=wait, scope=Scope.SERVICE)
    wait = exact if exact is not None else _seconds(headers.get("Retry-After")) or 1.0
    everyone = found.get("global") is True or headers.get("X-RateLimit-Scope") == "global"
    scope = Scope.SERVICE if everyone else Scope.DESTINATION
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
