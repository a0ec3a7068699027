"""Bytes to Inara and back: one request's body, and what its reply means. Pure.

The format is that of Inara's API page; where it says nothing, what public clients observed counts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from inara_daemon.commander import Found, NotFound, Outcome, Profile, RankKind, Rejected, Squadron
from inara_daemon.settings import Secret

_LONGEST_TEXT = 200
_HIGHEST_RANK = 1_000
_LADDERS = {kind.value: kind for kind in RankKind} | {"explore": RankKind.EXPLORATION}
_UNBEARABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Application:
    """The name that Inara has white-listed, letter for letter, and our version."""

    name: str
    version: str


class RefusalKind(StrEnum):
    """Why Inara refused a whole batch."""

    LIMITED = "limited"
    NOT_WHITELISTED = "not_whitelisted"
    BAD_KEY = "bad_key"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Answers:
    """The outcomes by index of the name; a missing index is unanswered, never `not found`; `retry_after` in seconds."""

    outcomes: Mapping[int, Outcome]
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """The whole batch was refused; `retry_after` in seconds, where the server named it."""

    kind: RefusalKind
    text: str
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Outage:
    """No usable answer came; `retry_after` in seconds, where the server named it."""

    text: str
    retry_after: float | None = None


Reply = Answers | Refusal | Outage

_REFUSAL_TEXTS: tuple[tuple[str, RefusalKind], ...] = (
    ("too much requests", RefusalKind.LIMITED),
    ("temporarily revoked", RefusalKind.LIMITED),
    ("invalid api key", RefusalKind.BAD_KEY),
    ("no access allowed", RefusalKind.NOT_WHITELISTED),
)


def encode(application: Application, key: Secret, names: Sequence[str], now: datetime) -> bytes:
    """The body of a request for these names; an empty name asks for the profile of the key's owner."""
    timestamp = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    document = {
        "header": {
            "appName": application.name,
            "appVersion": application.version,
            "isBeingDeveloped": False,
            "APIkey": key.reveal(),
        },
        "events": [
            {
                "eventName": "getCommanderProfile",
                "eventTimestamp": timestamp,
                "eventCustomID": index,
                "eventData": {"searchName": name} if name else {},
            }
            for index, name in enumerate(names)
        ],
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def decode(status: int, body: bytes, *, count: int, key: Secret, retry_after: float | None = None) -> Reply:
    """What an HTTP answer to `count` names means; the outcome stands in the body, not in the HTTP status."""
    if status == 429:  # noqa: PLR2004 - Too Many Requests
        return Refusal(RefusalKind.LIMITED, "HTTP 429", retry_after)
    if status >= 500 or 300 <= status < 400:  # noqa: PLR2004
        return Outage(f"HTTP {status}", retry_after)
    document = _document(body)
    header = document.get("header") if isinstance(document, dict) else None
    code = _code(header)
    if not isinstance(document, dict) or not isinstance(header, dict) or code is None:
        return Outage(f"HTTP {status} without a usable answer", retry_after)
    text = _clean(header.get("eventStatusText"), key)
    if code not in {200, 202, 204}:
        return Refusal(_refusal_kind(code, header.get("eventStatusText")), text or f"eventStatus {code}", retry_after)
    events = document.get("events")
    found = events if isinstance(events, list) else []
    return _read_events(found, count, key, retry_after)


def _document(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _code(holder: object) -> int | None:
    value = holder.get("eventStatus") if isinstance(holder, dict) else None
    return _number(value)


def _refusal_kind(code: int, text: object) -> RefusalKind:
    """Why the batch was refused, by the words as they came: masking the key first might hide them."""
    if code == 400:  # noqa: PLR2004 - the only one that was ever seen
        for part, kind in _REFUSAL_TEXTS:
            if part in str(text).lower():
                return kind
    return RefusalKind.UNKNOWN


def _read_events(events: Sequence[object], count: int, key: Secret, retry_after: float | None) -> Reply:
    """Match on the echoed ids; where none is ours on the position, as results come in the order sent."""
    ids = [_number(event.get("eventCustomID")) if isinstance(event, dict) else None for event in events]
    in_order = len(events) == count and not any(number is not None and number < count for number in ids)
    outcomes: dict[int, Outcome] = {}
    for position, event in enumerate(events):
        if not isinstance(event, dict):
            continue
        index = position if in_order else ids[position]
        code, text = _code(event), _clean(event.get("eventStatusText"), key)
        if code is not None and code >= 400 and _refusal_kind(400, event.get("eventStatusText")) is RefusalKind.LIMITED:  # noqa: PLR2004
            # Never seen there, but going on would cost an hour if it meant what it says.
            return Refusal(RefusalKind.LIMITED, text, retry_after)
        outcome = _outcome(code, text, event.get("eventData"))
        if outcome is not None and index is not None and index < count:
            outcomes.setdefault(index, outcome)
    return Answers(outcomes, retry_after)


def _outcome(code: int | None, text: str, found: object) -> Outcome | None:
    if code in {200, 202}:
        profile = _profile(found) if isinstance(found, dict) else None
        return None if profile is None else Found(profile)
    if code == 204:  # noqa: PLR2004
        return NotFound()
    return Rejected(text or f"eventStatus {code}") if code is not None and code >= 400 else None  # noqa: PLR2004


def _profile(found: Mapping[str, Any]) -> Profile | None:
    name = _text(found.get("commanderName"), 64) or _text(found.get("userName"), 64)
    if name is None:
        return None
    user_id = _number(found.get("userID"))
    squadron = found.get("commanderSquadron")
    url = _text(found.get("inaraURL"), 256)
    return Profile(
        commander_name=name,
        user_id=user_id or None,
        ranks=_ranks(found.get("commanderRanksPilot")),
        power=_text(found.get("preferredPowerName"), 64),
        squadron=_squadron(squadron),
        squadron_absent=squadron is None,
        inara_url=url if url is not None and re.match(r"https?://", url) else None,
    )


def _ranks(found: object) -> dict[RankKind, int]:
    ranks = {}
    for item in found if isinstance(found, list) else ():
        if not isinstance(item, dict):
            continue
        ladder = _LADDERS.get(str(item.get("rankName", "")).strip().lower())
        value = _number(item.get("rankValue"))
        if ladder is not None and value is not None and value <= _HIGHEST_RANK:
            ranks[ladder] = value
    return ranks


def _squadron(found: object) -> Squadron | None:
    if not isinstance(found, dict):
        return None
    values = {str(field).lower(): value for field, value in found.items()}
    name = _text(values.get("squadronname"), 128)
    return None if name is None else Squadron(name, _text(values.get("squadronmemberrank"), 64))


def _number(value: object) -> int | None:
    """A whole number that is not negative, also as digits; else None."""
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit() and len(value) < 19:  # noqa: PLR2004
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63:
        return value
    return None


def _text(value: object, width: int) -> str | None:
    """A text without what a database or a terminal could not bear, cut to its column; None if nothing is left."""
    if not isinstance(value, str):
        return None
    return _UNBEARABLE.sub("", value).strip()[:width] or None


def _clean(value: object, key: Secret) -> str:
    """A text of Inara's for logs: one line, bounded, and without the key should it be echoed."""
    text = value if isinstance(value, str) else ""
    text = " ".join(text.encode("utf-8", "ignore").decode().replace(key.reveal(), "***").split())
    return "".join(sign for sign in text if sign.isprintable())[:_LONGEST_TEXT]
