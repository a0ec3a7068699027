"""Draws a Discord message in the terminal, about as Discord would."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text

_TIME = re.compile(r"<t:(\d+):R>")
_TOKEN = re.compile(r"\\(.)|\*\*|\[((?:\\.|[^\]\\])*)\]\(([^)\s]*)\)", re.DOTALL)


def draw(channel: str, payload: Mapping[str, Any]) -> RenderableType:
    """A panel for each embed, or the plain content."""
    panels: list[RenderableType] = []
    for embed in payload.get("embeds", []):
        parts: list[Text] = [markdown(embed.get("description", "")), Text()]
        for field in embed.get("fields", []):
            parts += [Text(field["name"], style="bold"), markdown(field["value"]), Text()]
        colour = f"#{embed.get('color', 0x95A5A6):06x}"
        title = Text.assemble((f"#{channel}  ", "dim"), markdown(embed.get("title", "")))
        panels.append(Panel(Group(*parts[:-1]), title=title, title_align="left", border_style=colour))
    if payload.get("content"):
        panels.append(Panel(markdown(payload["content"]), title=f"#{channel}", title_align="left"))
    return Group(*panels)


def markdown(text: str) -> Text:
    """The little Markdown that our messages use: bold, links, code blocks, escapes, relative times."""
    text = _TIME.sub(lambda found: _relative(int(found[1])), text)
    if text.startswith("```"):
        return Text(text.removeprefix("```text\n").removesuffix("\n```"), style="dim")
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
        else:
            shown.append(markdown(token[2]).plain, style="bold blue" if bold else "blue")
    shown.append(text[position:], style="bold" if bold else "")
    return shown


def _relative(timestamp: int) -> str:
    seconds = timestamp - datetime.now(UTC).timestamp()
    unit, size = next(
        ((unit, size) for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)) if abs(seconds) >= size),
        ("second", 1),
    )
    count = round(abs(seconds) / size)
    plural = "" if count == 1 else "s"
    return f"in {count} {unit}{plural}" if seconds >= 0 else f"{count} {unit}{plural} ago"
