"""Breaks spans into lines that fit: at spaces, and inside a word only if no line is long enough for it. Pure."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pictures.letters import is_wide, width
from pictures.markdown import Span, Style

_PIECES = re.compile(r"\n| +|[^ \n]+")


@dataclass(frozen=True, slots=True)
class Run:
    """Text of one style at its place in a line, in pixels."""

    x: float
    width: float
    text: str
    style: Style


def wrap(spans: Iterable[Span], size: float, room: float) -> list[list[Run]]:
    """The lines of the text at a font size, none wider than `room` pixels."""
    lines: list[list[Span]] = [[]]
    used = 0.0
    for word in _breakable(_words(spans), size, room):
        needed = _width(word, size)
        line_break = word[0].text == "\n"
        full = bool(used) and used + needed > room
        if line_break or full:
            lines.append([])
            used = 0.0
        if line_break or (full and word[0].text.isspace()):
            continue
        lines[-1] += word
        used += needed
    return [list(_runs(line, size)) for line in lines]


def _words(spans: Iterable[Span]) -> Iterator[list[Span]]:
    """Spans without a space between them are one word; so is what stands in a box."""
    word: list[Span] = []
    for span in spans:
        for piece in [span.text] if span.style.boxed else _PIECES.findall(span.text):
            if piece.isspace():
                yield from [word] * bool(word)
                yield [Span(piece, span.style)]
                word = []
            else:
                word.append(Span(piece, span.style))
    yield from [word] * bool(word)


def _breakable(words: Iterable[list[Span]], size: float, room: float) -> Iterator[list[Span]]:
    for word in words:
        if _width(word, size) <= room:
            yield word
        else:
            yield from ([Span(letter, span.style)] for span in word for letter in span.text)


def _width(word: Sequence[Span], size: float) -> float:
    return sum(width(span.text, size, span.style) for span in word)


def _runs(line: Sequence[Span], size: float) -> Iterator[Run]:
    x = 0.0
    for (style, _), group in itertools.groupby(line, lambda span: (span.style, is_wide(span.text))):
        text = "".join(span.text for span in group)
        bare = text.strip(" ")
        indent = width(text[: len(text) - len(text.lstrip(" "))], size, Style(style.bold, mono=style.mono))
        if bare:
            yield Run(x + indent, width(bare, size, style), bare, style)
        x += width(text, size, style)
