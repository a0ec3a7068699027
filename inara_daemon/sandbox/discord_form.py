"""One webhook message, held against the limits that Discord states. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

INVALID_FORM = 50035
EMPTY_MESSAGE = 50006
_CONTENT = 2000
_EMBEDS = 10
_FIELDS = 25
_ALL_EMBEDS = 6000
_USERNAME = 80
_FORBIDDEN_IN_USERNAMES = ("discord", "clyde")
_BRIGHTEST = 0xFFFFFF
_MENTION_NOBODY: dict[str, list[str]] = {"parse": []}
_MESSAGE_PARTS = frozenset({"content", "embeds", "username", "avatar_url", "allowed_mentions", "flags", "tts"})
_EMBED_PARTS = frozenset({"title", "description", "url", "timestamp", "color", "footer", "author", "fields"})

Problem = tuple[str, str]
"""Where (`embeds.0.title`), and what is wrong there."""
_EMPTY: Problem = ("", "shows nothing")


def form_problems(message: dict[str, Any] | None) -> list[Problem]:
    """All that Discord would not take, and mentions that are not switched off."""
    if message is None:
        return [("", "the body is no JSON object")]
    problems = [*_message_problems(message), *_embeds_problems(message.get("embeds", []))]
    return problems or ([_EMPTY] if _is_empty(message) else [])


def form_error(problems: list[Problem]) -> dict[str, Any]:
    """The body with which Discord answers: each problem at the end of its path."""
    if problems == [_EMPTY]:
        return {"message": "Cannot send an empty message", "code": EMPTY_MESSAGE}
    errors: dict[str, Any] = {}
    for path, text in problems:
        place = errors
        for step in filter(None, path.split(".")):
            place = place.setdefault(step, {})
        place.setdefault("_errors", []).append({"code": "INVALID", "message": text})
    return {"message": "Invalid Form Body", "code": INVALID_FORM, "errors": errors}


def _is_empty(message: dict[str, Any]) -> bool:
    return not (message.get("content") or "").strip() and not any(map(_embed_length, message.get("embeds", [])))


def _message_problems(message: dict[str, Any]) -> Iterator[Problem]:
    for name in message.keys() - _MESSAGE_PARTS:
        yield name, "is unknown"
    yield from _text_problems("content", message.get("content"), _CONTENT)
    if message.get("allowed_mentions") != _MENTION_NOBODY:
        yield "allowed_mentions", "must let nobody be mentioned"
    if "flags" in message and not _is_int(message["flags"]):
        yield "flags", "must be a number"
    if "username" in message:
        yield from _username_problems(message["username"])


def _username_problems(username: object) -> Iterator[Problem]:
    yield from _text_problems("username", username, _USERNAME, required=True)
    for word in _FORBIDDEN_IN_USERNAMES:
        if word in str(username).casefold():
            yield "username", f'cannot contain "{word}"'


def _embeds_problems(embeds: object) -> Iterator[Problem]:
    if not isinstance(embeds, list) or not all(isinstance(embed, dict) for embed in embeds):
        yield "embeds", "must be a list of objects"
        return
    if len(embeds) > _EMBEDS:
        yield "embeds", f"must be {_EMBEDS} or fewer in length"
    for number, embed in enumerate(embeds):
        yield from _embed_problems(f"embeds.{number}", embed)
    length = sum(map(_embed_length, embeds))
    if length > _ALL_EMBEDS:
        yield "embeds", f"have {length} characters in all, more than {_ALL_EMBEDS}"


def _embed_problems(path: str, embed: dict[str, Any]) -> Iterator[Problem]:
    for name in embed.keys() - _EMBED_PARTS:
        yield f"{path}.{name}", "is unknown"
    yield from _text_problems(f"{path}.title", embed.get("title"), 256)
    yield from _text_problems(f"{path}.description", embed.get("description"), 4096)
    if "footer" in embed:
        yield from _text_problems(f"{path}.footer.text", _part(embed["footer"], "text"), 2048, required=True)
    if "author" in embed:
        yield from _text_problems(f"{path}.author.name", _part(embed["author"], "name"), 256, required=True)
    color = embed.get("color", 0)
    if not _is_int(color) or not 0 <= color <= _BRIGHTEST:
        yield f"{path}.color", "must be a colour's number"
    if "timestamp" in embed and not _is_timestamp(embed["timestamp"]):
        yield f"{path}.timestamp", "must be an ISO 8601 moment"
    yield from _fields_problems(f"{path}.fields", embed.get("fields", []))


def _fields_problems(path: str, fields: object) -> Iterator[Problem]:
    if not isinstance(fields, list):
        yield path, "must be a list"
        return
    if len(fields) > _FIELDS:
        yield path, f"must be {_FIELDS} or fewer in length"
    for number, field in enumerate(fields):
        yield from _text_problems(f"{path}.{number}.name", _part(field, "name"), 256, required=True)
        yield from _text_problems(f"{path}.{number}.value", _part(field, "value"), 1024, required=True)
        if not isinstance(_part(field, "inline") or False, bool):
            yield f"{path}.{number}.inline", "must be true or false"


def _text_problems(path: str, text: object, limit: int, *, required: bool = False) -> Iterator[Problem]:
    if text is None and not required:
        return
    if not isinstance(text, str):
        yield path, "must be text"
    elif required and not text.strip():
        yield path, "is required"
    elif len(text.strip()) > limit:
        yield path, f"must be {limit} or fewer in length"


def _embed_length(embed: dict[str, Any]) -> int:
    """The characters that count, of an embed of any shape."""
    fields = embed.get("fields")
    texts = [
        embed.get("title"),
        embed.get("description"),
        _part(embed.get("footer"), "text"),
        _part(embed.get("author"), "name"),
    ]
    for field in fields if isinstance(fields, list) else []:
        texts += [_part(field, "name"), _part(field, "value")]
    return sum(len(text.strip()) for text in texts if isinstance(text, str))


def _part(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_timestamp(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(datetime.fromisoformat(value))
    except ValueError:
        return False
