"""What can be made to go wrong, one fault per request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

CLOUDFLARE_PAGE = "<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>cloudflare</body></html>"


class InaraFaultKind(StrEnum):
    """Where the exchange with Inara leaves the road."""

    BODY = "body"
    """The HTTP status and body of the fault instead of an answer."""
    REFUSAL = "refusal"
    """The whole batch refused in the header."""
    HANG = "hang"
    """Read, then no answer until the client goes."""
    CLOSE_BEFORE = "close_before"
    """Connection closed, request not read."""
    CLOSE_AFTER = "close_after"
    """Request read, connection reset."""
    HALF = "half"
    """The right answer, broken off in its middle."""
    DROP_EVENT = "drop_event"
    """The right answer without its first event."""
    NO_EVENTS = "no_events"
    """The right header, and no `events` at all."""
    SHUFFLE = "shuffle"
    """The right answer, its events in reverse order."""
    WRONG_ID = "wrong_id"
    """The right answer in the right order, every `eventCustomID` one that nobody sent."""
    NO_ID = "no_id"
    """The right answer in the right order, without any `eventCustomID`."""


class EventsOfRefusal(StrEnum):
    """What stands in `events` beside a refusing header."""

    ABSENT = "absent"
    EMPTY = "empty"
    PRESENT = "present"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of Inara; `status` is HTTP's for a body, the header's `eventStatus` for a refusal."""

    kind: InaraFaultKind
    name: str
    """How an arrival that met this fault names it."""
    status: int = 200
    body: str = ""
    content_type: str = "application/json"
    retry_after: float | None = None
    events: EventsOfRefusal = EventsOfRefusal.ABSENT


def body(name: str, text: str, content_type: str = "application/json") -> Fault:
    """HTTP 200 with this body."""
    return Fault(InaraFaultKind.BODY, name, body=text, content_type=content_type)


def http_error(status: int, *, retry_after: float | None = None) -> Fault:
    """An HTTP status with an HTML page; `retry_after` in seconds becomes the header of that name."""
    page = f"<html><body><h1>{status}</h1></body></html>"
    return Fault(InaraFaultKind.BODY, f"http_{status}", status, page, "text/html", retry_after)


def refusal(text: str, *, status: int = 400, events: EventsOfRefusal = EventsOfRefusal.ABSENT) -> Fault:
    """The whole batch refused with this text."""
    return Fault(InaraFaultKind.REFUSAL, "refusal", status, text, events=events)


HTML_PAGE = body("html_page", CLOUDFLARE_PAGE, "text/html")
EMPTY_BODY = body("empty_body", "")
JSON_NULL = body("json_null", "null")
NOT_JSON = body("not_json", "Warning: mysqli_connect(): (HY000/2002)")
LIMIT_EXCEEDED = refusal("Too much requests, please slow down.")
ACCESS_REVOKED = refusal("Your access was temporarily revoked.")
INVALID_KEY = refusal("Invalid API key.")
NO_ACCESS = refusal("There is no access allowed for this application.")
UNKNOWN_REFUSAL = refusal("Something went wrong on our side of the galaxy.")
HANG = Fault(InaraFaultKind.HANG, "hang")
CLOSE_BEFORE = Fault(InaraFaultKind.CLOSE_BEFORE, "close_before")
CLOSE_AFTER = Fault(InaraFaultKind.CLOSE_AFTER, "close_after")
HALF = Fault(InaraFaultKind.HALF, "half")
DROP_EVENT = Fault(InaraFaultKind.DROP_EVENT, "drop_event")
NO_EVENTS = Fault(InaraFaultKind.NO_EVENTS, "no_events")
SHUFFLE = Fault(InaraFaultKind.SHUFFLE, "shuffle")
WRONG_ID = Fault(InaraFaultKind.WRONG_ID, "wrong_id")
NO_ID = Fault(InaraFaultKind.NO_ID, "no_id")


class Scope(StrEnum):
    """Whom a wait asked for by Discord concerns."""

    USER = "user"
    SHARED = "shared"
    GLOBAL = "global"
    CLOUDFLARE = "cloudflare"
    """The address: an HTML page without `Via`."""


class DiscordFaultKind(StrEnum):
    """Where the exchange with Discord leaves the road."""

    WAIT = "wait"
    """429: nothing passes until `retry_after` seconds are over."""
    HTTP_ERROR = "http_error"
    """An HTTP status with an HTML page."""
    API_ERROR = "api_error"
    """An HTTP status with Discord's JSON `code`."""
    HANG = "hang"
    """Read, then no answer until the client goes."""
    CLOSE_BEFORE = "close_before"
    """Connection closed, request not read."""
    CLOSE_AFTER = "close_after"
    """Request read, connection reset."""
    HALF = "half"
    """The right answer, broken off in its middle; the message is stored."""


@dataclass(frozen=True, slots=True)
class DiscordFault:
    """One fault of Discord; `stored` says whether the message arrived in the channel nevertheless."""

    kind: DiscordFaultKind
    status: int = 200
    code: int = 0
    text: str = ""
    retry_after: float = 1.0
    scope: Scope = Scope.USER
    stored: bool = False


def discord_wait(scope: Scope = Scope.USER, retry_after: float = 1.0) -> DiscordFault:
    """429: the webhook, or everything for the global and the Cloudflare scope, is closed for so many seconds."""
    return DiscordFault(DiscordFaultKind.WAIT, 429, retry_after=retry_after, scope=scope)


def discord_http_error(status: int, *, stored: bool = False) -> DiscordFault:
    """An HTTP status with an HTML page, as a gateway in front of Discord sends it."""
    return DiscordFault(DiscordFaultKind.HTTP_ERROR, status, stored=stored)


def discord_api_error(status: int, code: int, text: str) -> DiscordFault:
    """An error in Discord's own JSON; one of status 404 is final for the webhook."""
    return DiscordFault(DiscordFaultKind.API_ERROR, status, code, text)


def discord_hang(*, stored: bool = False) -> DiscordFault:
    """Read, then no answer."""
    return DiscordFault(DiscordFaultKind.HANG, stored=stored)


def discord_close_after(*, stored: bool = False) -> DiscordFault:
    """Read, then a reset connection."""
    return DiscordFault(DiscordFaultKind.CLOSE_AFTER, stored=stored)


DISCORD_CLOSE_BEFORE = DiscordFault(DiscordFaultKind.CLOSE_BEFORE)
DISCORD_HALF = DiscordFault(DiscordFaultKind.HALF, stored=True)
UNKNOWN_WEBHOOK = discord_api_error(404, 10015, "Unknown Webhook")
INVALID_WEBHOOK_TOKEN = discord_api_error(401, 50027, "Invalid Webhook Token")
MISSING_ACCESS = discord_api_error(403, 50001, "Missing Access")
INVALID_FORM = discord_api_error(400, 50035, "Invalid Form Body")
GATEWAY_ERRORS = (500, 502, 503, 504, 520, 524)
"""What stands in front of Discord says these, whether the message was stored or not."""
DISCORD_FAULTS: Mapping[str, DiscordFault] = {
    **{f"wait_{scope}": discord_wait(scope) for scope in Scope},
    **{f"http_{status}": discord_http_error(status) for status in (401, 403, *GATEWAY_ERRORS)},
    **{f"http_{status}_stored": discord_http_error(status, stored=True) for status in GATEWAY_ERRORS},
    "hang": discord_hang(),
    "hang_stored": discord_hang(stored=True),
    "close_before": DISCORD_CLOSE_BEFORE,
    "close_after": discord_close_after(),
    "close_after_stored": discord_close_after(stored=True),
    "half": DISCORD_HALF,
    "unknown_webhook": UNKNOWN_WEBHOOK,
    "invalid_token": INVALID_WEBHOOK_TOKEN,
    "missing_access": MISSING_ACCESS,
    "invalid_form": INVALID_FORM,
}
"""All of them by a word; a wait lasts a second."""
