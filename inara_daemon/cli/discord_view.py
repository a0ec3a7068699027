"""Draws a Discord message in the terminal, about as Discord would."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text

_TIME = re.compile(r"<t:(\d+):([fR])>")
_CODE = re.compile(r"```text\n(.*?)\n```", re.DOTALL)
_TOKEN = re.compile(r"\\(.)|\*\*|\[((?:\\.|[^\]\\])*)\]\(([^)\s]*)\)|(?<!\w)_((?:\\.|[^_\\])+)_(?!\w)", re.DOTALL)


def draw(channel: str, payload: Mapping[str, Any]) -> RenderableType:
    """A panel for each embed, or the plain content."""
    panels: list[RenderableType] = []
    for embed in payload.get("embeds", []):
        parts: list[Text] = []
        if embed.get("description"):
            parts += [markdown(embed["description"]), Text()]
        for field in embed.get("fields", []):
            parts += [Text(field["name"], style="bold"), markdown(field["value"]), Text()]
        if embed.get("footer"):
            parts += [Text(embed["footer"]["text"], style="dim"), Text()]
        colour = f"#{embed.get('color', 0x95A5A6):06x}"
        title = Text.assemble((f"#{channel}  ", "dim"), markdown(embed.get("title", "")))
        panels.append(Panel(Group(*parts[:-1]), title=title, title_align="left", border_style=colour))
    if payload.get("content"):
        panels.append(Panel(markdown(payload["content"]), title=f"#{channel}", title_align="left"))
    return Group(*panels)


def markdown(text: str) -> Text:
    """The little Markdown that our messages use: bold, italic, links, a code block, escapes, times."""
    before, code, after = _parted(text)
    if code:
        return Text.assemble(markdown(before), (code, "dim"), markdown(after))
    text = _TIME.sub(lambda found: _relative(int(found[1])) if found[2] == "R" else _moment(int(found[1])), text)
    shown = Text()
    bold = False
    position = 0
    for token in _TOKEN.finditer(text):
        shown.append(text[position : token.start()], style="bold" if bold else "")
        position = token.end()
        if token[0] == "**":
            bold = not bold
        elif token[1] is not None:
            shown.append(token[1], style="bold" if bold else "")
        elif token[4] is not None:
            shown.append(markdown(token[4]).plain, style="italic")
        else:
            shown.append(markdown(token[2]).plain, style="bold blue" if bold else "blue")
    shown.append(text[position:], style="bold" if bold else "")
    return shown


def _parted(text: str) -> tuple[str, str, str]:
    """What stands before a code block, in it, and behind it."""
    found = _CODE.search(text)
    return (text, "", "") if found is None else (text[: found.start()], found[1], text[found.end() :])


def _moment(timestamp: int) -> str:
    return f"{datetime.fromtimestamp(timestamp, UTC):%Y-%m-%d %H:%M} UTC"


def _relative(timestamp: int) -> str:
    seconds = timestamp - datetime.now(UTC).timestamp()
    unit, size = next(
        ((unit, size) for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)) if abs(seconds) >= size),
        ("second", 1),
    )
    count = round(abs(seconds) / size)
    plural = "" if count == 1 else "s"
    return f"in {count} {unit}{plural}" if seconds >= 0 else f"{count} {unit}{plural} ago"
