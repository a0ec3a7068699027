"""A webhook's payload as Discord's dark theme shows it. Pure.

The measures and colours are those of Discord's own style sheets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from xml.etree import ElementTree as ET

from pictures.letters import width
from pictures.markdown import Block, Kind, Span, Style, parse, spans_of
from pictures.moments import day_and_time
from pictures.svg import NOTHING, Font, Part, document, element, moved, paragraph, stack

_PAGE, _CARD, _CODE = "#313338", "#2b2d31", "#1e1f22"
_BRIGHT, _TEXT, _MUTED = "#f2f3f5", "#dbdee1", "#949ba4"
_GREY_BAR = 0x1E1F22
_SENDER = "Inara daemon"
_MARGIN = 16
_LEFT = 72
"""Where a message's text begins, right of the avatar."""
_CARD_WIDTH = 520
_CARD_TEXT = _CARD_WIDTH - 4 - 12 - 16
_WIDTH = _LEFT + _CARD_WIDTH + 48
_COLUMNS = 3
_COLUMN_GAP = 8
_ITEM_INDENT = 16

_CONTENT = Font(16, 22, _TEXT)
_TITLE = Font(16, 22, _BRIGHT, bold=True)
_BODY = Font(14, 18, _TEXT)
_FIELD_NAME = Font(14, 18, _BRIGHT, bold=True)
_SMALL = Font(12, 16, _TEXT)
_QUIET = Font(12, 16, _MUTED)


def draw(payload: Mapping[str, Any], now: datetime) -> str:
    """The message at `now`, as an SVG document that loads nothing."""
    body = stack(
        [
            _markdown(payload.get("content") or "", _CONTENT, _CARD_WIDTH, now),
            *(_card(embed, now) for embed in payload.get("embeds", ())),
        ],
        gap=8,
    )
    sender = payload.get("username") or _SENDER
    header = _header(sender, now)
    height = 2 * _MARGIN + header.height + 5 + body.height
    page = Part(
        (
            element("rect", width=_WIDTH, height=height, rx=8, fill=_PAGE),
            moved(_MARGIN, _MARGIN + 2, _avatar()),
            moved(_LEFT, _MARGIN, header.elements),
            moved(_LEFT, _MARGIN + header.height + 5, body.elements),
        ),
        height,
    )
    drawn = document(page, _WIDTH, f"A message from {sender} on Discord")
    ET.indent(drawn)
    return ET.tostring(drawn, encoding="unicode") + "\n"


def _avatar() -> list[ET.Element]:
    return [
        element("circle", cx=20, cy=20, r=20, fill="#17181b"),
        element("circle", cx=20, cy=20, r=16.5, fill="none", stroke="#f58220", stroke_width=1.5, stroke_opacity=0.45),
        element("path", d="M20 8 L28.5 28 L20 23.5 L11.5 28 Z", fill="#f58220"),
    ]


def _header(sender: str, now: datetime) -> Part:
    """Who wrote, that it is no human, and when."""
    tag = width(sender, 16, Style(bold=True)) + 5
    return Part(
        (
            *paragraph([Span(sender)], Font(16, 22, _BRIGHT, bold=True), _CARD_WIDTH).elements,
            element("rect", x=tag, y=4, width=32, height=15, rx=4, fill="#5865f2"),
            moved(tag + 4.5, 4, paragraph([Span("APP")], Font(10.5, 15, "#ffffff", bold=True), 40).elements),
            moved(tag + 40, 3, paragraph([Span(day_and_time(now, now))], _QUIET, 160).elements),
        ),
        22,
    )


def _card(embed: Mapping[str, Any], now: datetime) -> Part:
    inside = stack(
        [
            _title(embed, now),
            _markdown(embed.get("description") or "", _BODY, _CARD_TEXT, now),
            stack((_row(row, now) for row in _rows(embed.get("fields", ()))), gap=8),
            _footer(embed, now),
        ],
        gap=8,
    )
    height = inside.height + 32
    colour = f"#{embed.get('color') or _GREY_BAR:06x}"
    return Part(
        (
            element("rect", width=_CARD_WIDTH, height=height, rx=4, fill=_CARD),
            element("path", d=f"M4 0 V{height:g} A4 4 0 0 1 0 {height - 4:g} V4 A4 4 0 0 1 4 0 Z", fill=colour),
            moved(16, 16, inside.elements),
        ),
        height,
    )


def _title(embed: Mapping[str, Any], now: datetime) -> Part:
    link = embed.get("url")
    spans = [
        Span(span.text, replace(span.style, link=link or span.style.link))
        for span in spans_of(embed.get("title") or "", now)
    ]
    return paragraph(spans, _TITLE, _CARD_TEXT) if spans else NOTHING


def _rows(fields: Iterable[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Fields that stand beside one another: up to three inline ones."""
    rows: list[list[Mapping[str, Any]]] = []
    for field in fields:
        if field.get("inline") and rows and rows[-1][-1].get("inline") and len(rows[-1]) < _COLUMNS:
            rows[-1].append(field)
        else:
            rows.append([field])
    return rows


def _row(fields: list[Mapping[str, Any]], now: datetime) -> Part:
    columns = min(len(fields), _COLUMNS)
    room = (_CARD_TEXT - _COLUMN_GAP * (columns - 1)) / columns
    cells = [_field(field, room, now) for field in fields]
    placed = [moved(column * (room + _COLUMN_GAP), 0, cell.elements) for column, cell in enumerate(cells)]
    return Part(tuple(placed), max(cell.height for cell in cells))


def _field(field: Mapping[str, Any], room: float, now: datetime) -> Part:
    name = paragraph(spans_of(field["name"], now), _FIELD_NAME, room)
    return stack([name, _markdown(field["value"], _BODY, room, now)], gap=2)


def _footer(embed: Mapping[str, Any], now: datetime) -> Part:
    """Its text, which is no Markdown, and the time."""
    when = embed.get("timestamp")
    told = [
        (embed.get("footer") or {}).get("text"),
        day_and_time(datetime.fromisoformat(when), now) if when else None,
    ]
    text = "  •  ".join(part for part in told if part)
    return paragraph([Span(text)], _SMALL, _CARD_TEXT) if text else NOTHING


def _markdown(text: str, font: Font, room: float, now: datetime) -> Part:
    return stack((_block(block, font, room) for block in parse(text, now)), gap=0)


def _block(block: Block, font: Font, room: float) -> Part:
    match block.kind:
        case Kind.CODE:
            return _code_block(block, room)
        case Kind.SUBTEXT:
            return paragraph(block.spans, _QUIET, room)
        case Kind.ITEM:
            item = paragraph(block.spans, font, room - _ITEM_INDENT)
            dot = element("circle", cx=7, cy=font.line_height / 2 + 1, r=2.5, fill=font.colour)
            return Part((dot, moved(_ITEM_INDENT, 0, item.elements)), item.height)
        case Kind.TEXT:
            return paragraph(block.spans, font, room)


def _code_block(block: Block, room: float) -> Part:
    lines = paragraph(block.spans, _SMALL, room - 16)
    ground = element("rect", x=0.5, y=4.5, width=room - 1, height=lines.height + 15, rx=4, fill=_CODE, stroke="#26282c")
    return Part((ground, moved(8, 12, lines.elements)), lines.height + 20)
