"""Parts of a picture that are stacked on one another, and the text in them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from xml.etree.ElementTree import Element

from pictures.letters import box_padding, font_size
from pictures.lines import Run, wrap
from pictures.markdown import Span

_SANS = "Helvetica, Arial, 'Liberation Sans', 'Noto Sans', sans-serif"
_MONO = "Menlo, Consolas, 'Liberation Mono', 'DejaVu Sans Mono', monospace"
_LINK = "#00a8fc"
_CODE_BOX, _TIME_BOX = "#1e1f22", "#404248"
_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BASELINE = 0.36
"""Of the font's size, below the middle of a line."""


@dataclass(frozen=True, slots=True)
class Part:
    """What is drawn from the height 0 on."""

    elements: tuple[Element, ...]
    height: float


NOTHING = Part((), 0)


@dataclass(frozen=True, slots=True)
class Font:
    """How a paragraph is set, in pixels."""

    size: float
    line_height: float
    colour: str
    bold: bool = False


def element(tag: str, *children: Element, text: str | None = None, **attributes: str | float) -> Element:
    """An element; `stroke_width=2` is its attribute `stroke-width`."""
    made = Element(tag, {name.replace("_", "-"): _value(value) for name, value in attributes.items()})
    made.text = None if text is None else _legal(text)
    made.extend(children)
    return made


def moved(x: float, y: float, elements: Sequence[Element]) -> Element:
    """The elements at another place."""
    return element("g", *elements, transform=f"translate({_value(x)} {_value(y)})")


def stack(parts: Iterable[Part], gap: float) -> Part:
    """The parts below one another; those without height vanish."""
    shown = [part for part in parts if part.height]
    elements: list[Element] = []
    y = 0.0
    for part in shown:
        elements.append(moved(0, y, part.elements))
        y += part.height + gap
    return Part(tuple(elements), y - gap if shown else 0.0)


def paragraph(spans: Sequence[Span], font: Font, room: float) -> Part:
    """Text that wraps."""
    if font.bold:
        spans = [Span(span.text, replace(span.style, bold=True)) for span in spans]
    lines = wrap(spans, font.size, room)
    elements = [
        drawn
        for number, line in enumerate(lines)
        for run in line
        for drawn in _run(run, font, number * font.line_height)
    ]
    return Part(tuple(elements), len(lines) * font.line_height)


def _run(run: Run, font: Font, top: float) -> list[Element]:
    """The text and what lies under it; `textLength` keeps the layout whatever font the viewer has."""
    style = run.style
    padding = box_padding(style)
    look: dict[str, str | float] = {
        "x": run.x + padding,
        "y": top + font.line_height / 2 + font.size * _BASELINE,
        "font_size": font_size(font.size, style),
        "fill": _LINK if style.link else font.colour,
        "textLength": run.width - 2 * padding,
        "lengthAdjust": "spacingAndGlyphs",
    }
    optional = {
        "font_family": _MONO if style.mono else "",
        "font_weight": "bold" if style.bold else "",
        "font_style": "italic" if style.italic else "",
    }
    look |= {name: value for name, value in optional.items() if value}
    text = element("text", text=run.text.replace("  ", " \N{NO-BREAK SPACE}"), **look)
    shown = element("a", text, href=_legal(style.link)) if style.link else text
    return [_box(run, font, top), shown] if style.boxed else [shown]


def _box(run: Run, font: Font, top: float) -> Element:
    height = font.size + 4
    return element(
        "rect",
        x=run.x,
        y=top + (font.line_height - height) / 2,
        width=run.width,
        height=height,
        rx=3,
        fill=_CODE_BOX if run.style.mono else _TIME_BOX,
    )


def document(part: Part, width: float, label: str) -> Element:
    """The picture; `label` says what it shows to those who can't see it."""
    return element(
        "svg",
        element("title", text=label),
        *part.elements,
        xmlns="http://www.w3.org/2000/svg",
        width=width,
        height=part.height,
        viewBox=f"0 0 {_value(width)} {_value(part.height)}",
        font_family=_SANS,
        role="img",
    )


def _value(value: str | float) -> str:
    return _legal(value) if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")


def _legal(text: str) -> str:
    """Without the characters that XML can't hold at all."""
    return _ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", text)
