"""A JSON file written by hand: read strictly, and told in its writer's terms what is wrong with it. Pure."""

from __future__ import annotations

import codecs
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from inara_daemon.problems import ConfigurationError, Problem, one_line

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SHOWN_KEY_CHARACTERS = 64
_TOP = "top level"
_COMMON_SLIPS = {
    "'": "use double quotes",
    "}": "remove the comma before it",
    "]": "remove the comma before it",
    "/": "JSON has no comments",
    "#": "JSON has no comments",
    "T": "write true in lower case",
    "F": "write false in lower case",
    "N": "write null",
    "\u201c": 'use straight double quotes: "',
    "": "the file ends too early: close the last quote, bracket or brace",
}
_SLIPS_BY_MESSAGE = (
    ("trailing comma", "remove the last comma"),
    ("Expecting ','", "put a comma between two entries, or close the quote or bracket before"),
    ("Expecting ':'", "put a colon between key and value"),
    ("Extra data", "remove what follows the end of the document, or put [ ] around all of it"),
    ("Unterminated string", "close the quote"),
    ("control character", "close the quote before the end of the line"),
    ("escape", "write a backslash twice: \\\\"),
)


class _Object(dict[str, object]):
    """A JSON object that remembers which of its keys were written twice."""

    __slots__ = ("duplicates",)
    duplicates: tuple[str, ...]


def read_document(text: bytes) -> tuple[object, list[Problem]]:
    """The document and the keys written twice in it; ConfigurationError where it can't be read at all."""
    decoded = _decode(text)
    try:
        document: object = json.loads(decoded, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ConfigurationError([Problem(where, "is not valid JSON", _what_to_check(error))]) from None
    except RecursionError:
        raise ConfigurationError([Problem(_TOP, "is nested too deeply")]) from None
    except ValueError:  # Python's limit for digits
        raise ConfigurationError([Problem(_TOP, "contains a number with thousands of digits")]) from None
    return document, list(_duplicates(document))


def json_path(parts: Sequence[int | str]) -> str:
    """A place in the document, such as `tenants[2].inara_daemon.schedule`."""
    path = ""
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        elif _PLAIN_KEY.fullmatch(part):
            path += f".{part}" if path else part
        else:
            path += f"[{json.dumps(one_line(part[:_SHOWN_KEY_CHARACTERS]), ensure_ascii=False)}]"
    return path or _TOP


def _decode(text: bytes) -> str:
    if text.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ConfigurationError([Problem(_TOP, "is UTF-16", "save the file as UTF-8")])
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise ConfigurationError([Problem(f"line {line}", "is not UTF-8", "save the file as UTF-8")]) from None
    if not decoded.strip():
        raise ConfigurationError([Problem(_TOP, "is empty", "tenant.json.example shows what belongs here")])
    return decoded


def _what_to_check(error: json.JSONDecodeError) -> str | None:
    for message, slip in _SLIPS_BY_MESSAGE:
        if message in error.msg:
            return slip
    return _COMMON_SLIPS.get(error.doc[error.pos : error.pos + 1])


def _object(pairs: list[tuple[str, object]]) -> _Object:
    result = _Object(pairs)
    counts = Counter(key for key, _ in pairs)
    result.duplicates = tuple(key for key, count in counts.items() if count > 1)
    return result


def _duplicates(document: object) -> Iterator[Problem]:
    # Not recursive: the parser accepts deeper nesting than Python's own stack.
    waiting: list[tuple[tuple[int | str, ...], object]] = [((), document)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, _Object):
            for key in value.duplicates:
                yield Problem(json_path((*path, key)), "is written twice", "keep one of them")
            waiting.extend(((*path, key), inner) for key, inner in value.items())
        elif isinstance(value, list):
            waiting.extend(((*path, index), inner) for index, inner in enumerate(value))
