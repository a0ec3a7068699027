"""One request to Inara, read strictly: everything in it that a careful client would not do is a problem. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

PATH = "/inapi/v1/"
MAX_EVENTS = 100
_HEADER_FIELDS = {"appName": str, "appVersion": str, "APIkey": str}
_DEVELOPED_FIELDS = ("isBeingDeveloped", "isDeveloped")
_KNOWN_HEADER_FIELDS = frozenset({*_HEADER_FIELDS, *_DEVELOPED_FIELDS, "commanderName", "commanderFrontierID"})
_EVENT_FIELDS = frozenset({"eventName", "eventTimestamp", "eventCustomID", "eventData"})
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)


@dataclass(frozen=True, slots=True)
class Envelope:
    """The HTTP side of a request."""

    method: str
    path: str
    content_type: str | None
    content_encoding: str | None
    user_agent: str | None


@dataclass(frozen=True, slots=True)
class Search:
    """One `getCommanderProfile`; an empty name asks for the key's owner."""

    custom_id: int
    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """A request as far as it could be read; `searches` is complete only without `problems`."""

    key: str | None
    app_name: str | None
    names: tuple[str, ...]
    searches: tuple[Search, ...]
    problems: tuple[str, ...]


def read_call(envelope: Envelope, body: bytes) -> Call:
    """Read whatever can be read, and list all that is wrong."""
    document = _document(body)
    header = _object(_object(document).get("header"))
    sent = _object(document).get("events")
    events = [_object(event) for event in sent] if isinstance(sent, list) else []
    key, app_name = header.get("APIkey"), header.get("appName")
    return Call(
        key=key if isinstance(key, str) else None,
        app_name=app_name if isinstance(app_name, str) else None,
        names=tuple(_searched(event) for event in events),
        searches=tuple(
            Search(event["eventCustomID"], _searched(event)) for event in events if _is_int(event.get("eventCustomID"))
        ),
        problems=(*_envelope_problems(envelope, header), *_document_problems(document)),
    )


def _document(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _searched(event: dict[str, Any]) -> str:
    name = _object(event.get("eventData")).get("searchName")
    return name if isinstance(name, str) else ""


def _envelope_problems(envelope: Envelope, header: dict[str, Any]) -> Iterator[str]:
    if envelope.method != "POST":
        yield f"the method is {envelope.method}"
    if envelope.path != PATH:
        yield f"the path is {envelope.path}"
    if envelope.content_type != "application/json":
        yield f"the Content-Type is {envelope.content_type}"
    if envelope.content_encoding is not None:
        yield f"the Content-Encoding is {envelope.content_encoding}"
    if envelope.user_agent != f"{header.get('appName')}/{header.get('appVersion')}":
        yield f"the User-Agent is {envelope.user_agent}"


def _document_problems(document: object) -> Iterator[str]:
    if not isinstance(document, dict):
        yield "the body is no JSON object"
        return
    for name in document.keys() - {"header", "events"}:
        yield f"unknown property {name}"
    yield from _header_problems(document.get("header"))
    events = document.get("events")
    if not isinstance(events, list) or not events:
        yield "there are no events"
        return
    if len(events) > MAX_EVENTS:
        yield f"there are {len(events)} events"
    for event in events:
        yield from _event_problems(event)
    ids = [event.get("eventCustomID") for event in events if isinstance(event, dict)]
    if len({str(custom_id) for custom_id in ids}) < len(ids):
        yield "an eventCustomID occurs twice"


def _header_problems(header: object) -> Iterator[str]:
    if not isinstance(header, dict):
        yield "there is no header"
        return
    for name, kind in _HEADER_FIELDS.items():
        value = header.get(name)
        if not isinstance(value, kind) or not value.strip():
            yield f"{name} is missing in the header or no text"
    developed = [header[name] for name in _DEVELOPED_FIELDS if name in header]
    if len(developed) != 1 or not isinstance(developed[0], bool):
        yield "isBeingDeveloped is missing in the header or not true or false"
    for name in header.keys() - _KNOWN_HEADER_FIELDS:
        yield f"unknown property {name} in the header"


def _event_problems(event: object) -> Iterator[str]:
    if not isinstance(event, dict):
        yield "an event is no object"
        return
    for name in event.keys() - _EVENT_FIELDS:
        yield f"unknown property {name} in an event"
    if event.get("eventName") != "getCommanderProfile":
        yield f"unknown event {event.get('eventName')!r}"
    if not _is_int(event.get("eventCustomID")):
        yield f"the eventCustomID is {event.get('eventCustomID')!r}"
    if not _is_timestamp(event.get("eventTimestamp")):
        yield f"the eventTimestamp is {event.get('eventTimestamp')!r}"
    yield from _search_problems(event.get("eventData"))


def _search_problems(search: object) -> Iterator[str]:
    if not isinstance(search, dict):
        yield "the eventData is no object"
        return
    for name in search.keys() - {"searchName"}:
        yield f"unknown property {name} in the eventData"
    if "searchName" not in search:
        return
    name = search["searchName"]
    if not isinstance(name, str) or not name.strip():
        yield "the searchName is empty"
    elif name != name.strip():
        yield f"the searchName {name!r} is not trimmed"


def _is_timestamp(value: object) -> bool:
    """Whole seconds in UTC, and a moment that exists."""
    if not isinstance(value, str) or _TIMESTAMP.fullmatch(value) is None:
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True
