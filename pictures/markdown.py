"""Discord's Markdown as far as webhooks use it: blocks of lines, each made of spans in one style. Pure."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from pictures.moments import shown


@dataclass(frozen=True, slots=True)
class Style:
    """How text looks; `boxed` is the darker ground of a timestamp or of code in a line."""

    bold: bool = False
    italic: bool = False
    mono: bool = False
    boxed: bool = False
    link: str | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """Text in one style, with nothing left to resolve."""

    text: str
    style: Style = Style()


class Kind(StrEnum):
    """What a block is."""

    TEXT = "text"
    ITEM = "item"
    SUBTEXT = "subtext"
    CODE = "code"


@dataclass(frozen=True, slots=True)
class Block:
    """A line of text, or the whole of a code block."""

    kind: Kind
    spans: tuple[Span, ...]


_CODE_BLOCK = re.compile(r"```(?:[A-Za-z0-9_+.-]+\n)?\n*(.+?)\n*```", re.DOTALL)
_PREFIXES = {"-# ": Kind.SUBTEXT, "- ": Kind.ITEM, "* ": Kind.ITEM}
_INLINE = re.compile(
    r"""
      \\(?P<escaped>[^0-9A-Za-z\s])
    | (?P<ticks>`+)(?P<code>.+?)(?<!`)(?P=ticks)(?!`)
    | <t:(?P<unix>-?\d{1,11})(?::(?P<format>[tTdDfFR]))?>
    | \[(?P<label>(?:\\.|[^\]\\])+)\]\((?P<url>https?://[^)\s]+)\)
    | (?P<address>https?://[^\s<>\\]*[^\s<>\\.,:;"'\])])
    | \*\*(?P<bold>(?:\\.|[^\\])+?)\*\*(?!\*)
    | \*(?=[^\s*])(?P<star>(?:\*\*|\\.|[^*\\])+?)(?<!\s)\*(?!\*)
    | \b_(?P<italic>(?:__|\\.|[^_\\])+?)_\b
    """,
    re.VERBOSE,
)


def parse(text: str, now: datetime) -> list[Block]:
    """The blocks of a text as somebody sees it at `now`."""
    blocks: list[Block] = []
    for position, part in enumerate(_CODE_BLOCK.split(text)):
        if position % 2:
            blocks.append(Block(Kind.CODE, (Span(part, Style(mono=True)),)))
        elif part.strip("\n"):
            blocks += [_line(line, now) for line in part.strip("\n").split("\n")]
    return blocks


def spans_of(text: str, now: datetime) -> tuple[Span, ...]:
    """One line's spans."""
    return tuple(_merged(_spans(text, Style(), now)))


def _line(line: str, now: datetime) -> Block:
    prefix = next((prefix for prefix in _PREFIXES if line.startswith(prefix)), "")
    return Block(_PREFIXES.get(prefix, Kind.TEXT), spans_of(line.removeprefix(prefix), now))


def _spans(text: str, style: Style, now: datetime) -> Iterator[Span]:
    position = 0
    for found in _INLINE.finditer(text):
        yield Span(text[position : found.start()], style)
        yield from _token(found, style, now)
        position = found.end()
    yield Span(text[position:], style)


def _token(found: re.Match[str], style: Style, now: datetime) -> Iterator[Span]:
    token = {name: value for name, value in found.groupdict().items() if value is not None}
    match token:
        case {"escaped": sign}:
            yield Span(sign, style)
        case {"code": code}:
            yield Span(code.strip(), replace(style, mono=True, boxed=True))
        case {"unix": unix}:
            yield Span(shown(int(unix), token.get("format"), now), replace(style, boxed=True))
        case {"label": label, "url": url}:
            yield from _spans(label, replace(style, link=url), now)
        case {"address": address}:
            yield Span(address, replace(style, link=address))
        case {"bold": inner}:
            yield from _spans(inner, replace(style, bold=True), now)
        case {"star": inner} | {"italic": inner}:
            yield from _spans(inner, replace(style, italic=True), now)


def _merged(spans: Iterator[Span]) -> Iterator[Span]:
    for style, group in itertools.groupby(spans, lambda span: span.style):
        text = "".join(span.text for span in group)
        if text:
            yield Span(text, style)
