"""A report as one Discord message: every limit kept, names harmless, and what was cut is said. Pure.

The limits are those of Discord's API documentation (message and embed limits).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from inara_daemon.report import Entry, Outcome, Report, Section

CONTENT = 2_000
TITLE = 256
FIELDS = 25
FIELD_VALUE = 1_024
EMBED = 6_000
SUMMARY = 1_000
"""What the summary may take of the description, beside the time of the next run."""
_SECTION_TITLE = 80
_KEPT_ROOM = 40
"""What the lines of every section get, however long those before it are; with 25 sections it still fits."""
_SHORTEST_TEXT = 12
_LOG_TITLE = "Log"
_LOG_SHARE = 1_400
"""What the log lines may take of the embed."""
_COLOURS = {Outcome.GOOD: 0x2ECC71, Outcome.PARTIAL: 0xF1C40F, Outcome.FAILED: 0xE74C3C}
_JOINER = "\N{ZERO WIDTH JOINER}"
"""Not printable by itself, but what makes one emoji of two."""
_NOTHING = "\N{ZERO WIDTH SPACE}"
_MARKDOWN = re.compile(r"([\\*_~`|<>#\-\[\]])")
_CLEAN_URL = re.compile(r"https?://([a-z0-9-]+\.)*inara\.cz/[A-Za-z0-9/_.\-]*")


def length(text: str) -> int:
    """Characters as the strictest count of Discord's has them: UTF-16 units."""
    return len(text.encode("utf-16-le", "replace")) // 2


def cut(text: str, width: int) -> str:
    """The text, or its beginning and an ellipsis."""
    if length(text) <= width:
        return text
    kept = text[: width - 1]
    while length(kept) > width - 1:
        kept = kept[:-1]
    return f"{kept.rstrip(chr(92))}…"


def escape(text: str) -> str:
    """Text from outside as Discord shows it to the letter: one line, no Markdown, no mention, no link."""
    line = " ".join("".join(sign if sign.isprintable() or sign == _JOINER else " " for sign in text).split())
    escaped = _MARKDOWN.sub(r"\\\1", line).replace("://", f":{_NOTHING}//")
    return re.sub(r"^(\d+)\.", r"\1\\.", escaped)


def render(report: Report, *, plain: bool = False) -> dict[str, Any]:
    """The payload of the message; `plain` is a short text without an embed, for what refuses the rich form."""
    message: dict[str, Any] = {"allowed_mentions": {"parse": []}}
    if plain:
        lines = [f"**{escape(report.title)}**", escape(report.summary), *_closing(report)]
        return {**message, "content": cut("\n".join(lines), CONTENT)}
    return {**message, "embeds": [_embed(report)]}


def _closing(report: Report) -> list[str]:
    return [f"Next run <t:{int(report.next_run_at.timestamp())}:R>"] if report.next_run_at is not None else []


def _embed(report: Report) -> dict[str, Any]:
    log = _log_block(report.log_lines, report.log_lines_dropped)
    title = cut(escape(report.title), TITLE)
    closing = _closing(report)
    summary = "\n".join(escape(line) for line in report.summary.splitlines())
    description = "\n".join([cut(summary, SUMMARY), *closing])
    room = EMBED - length(title) - length(description) - length(log) - len(_LOG_TITLE)
    fields = _fields(report.sections, room, FIELDS - (1 if log else 0))
    if log:
        fields.append({"name": _LOG_TITLE, "value": log, "inline": False})
    return {
        "title": title,
        "description": description,
        "color": _COLOURS[report.outcome],
        "timestamp": report.ended_at.isoformat(),
        "fields": fields,
    }


def _fields(sections: Sequence[Section], room: int, most: int) -> list[dict[str, Any]]:
    """A field for each section; a long one leaves room for those behind it, as what went wrong stands there."""
    shown = sections[:most] if len(sections) <= most else [*sections[: most - 1], _rest(sections[most - 1 :])]
    names = [cut(section.title, _SECTION_TITLE) for section in shown]
    share = max(_KEPT_ROOM, room // max(len(shown), 1) - _SECTION_TITLE)
    values = [length(_value(section, FIELD_VALUE)) for section in shown]
    needs = [length(name) + min(max(value, _KEPT_ROOM), share) for name, value in zip(names, values, strict=True)]
    fields: list[dict[str, Any]] = []
    for position, (name, section) in enumerate(zip(names, shown, strict=True)):
        width = room - sum(needs[position + 1 :]) - length(name)
        value = _value(section, min(width, FIELD_VALUE))
        fields.append({"name": name, "value": value, "inline": False})
        room -= length(name) + length(value)
    return fields


def _rest(sections: Sequence[Section]) -> Section:
    """More sections than Discord shows, as one."""
    return Section(f"… and {len(sections)} sections more", tuple(Entry(section.title) for section in sections))


def _value(section: Section, width: int) -> str:
    """The entries that fit, each a line, and how many did not."""
    lines: list[str] = []
    used = 0
    total = len(section.entries) + section.omitted
    for entry in section.entries:
        line = _line(entry, width // 2)
        if used + length(line) + 1 > width - 24:
            break
        lines.append(line)
        used += length(line) + 1
    left = total - len(lines)
    if left:
        lines.append(f"… and {left:,} more")
    return "\n".join(lines)


def _line(entry: Entry, width: int) -> str:
    """A commander and what there is to say; what is too long loses its words first, then its link, then its end."""
    text = escape(entry.text)
    if entry.name is None:
        return cut(text, width) or "?"
    name = escape(entry.name.strip()) or "?"
    linked = f"[{name}]({entry.url})" if entry.url is not None and _CLEAN_URL.fullmatch(entry.url) else name
    for head in (linked, name):
        whole = f"**{head}** " if text else head
        left = width - length(whole)
        if left >= min(length(text), _SHORTEST_TEXT):
            return whole + cut(text, left)
    return cut(name, width)


def _log_block(lines: Sequence[str], dropped: int) -> str:
    """The newest log lines in a code block that nothing in them can close."""
    if not lines:
        return ""
    width = min(FIELD_VALUE, _LOG_SHARE) - 48
    kept: list[str] = []
    used = 0
    for line in reversed(lines):
        shown = cut(" ".join(line.replace("`", f"`{_NOTHING}").split()), 300)
        if used + length(shown) + 1 > width:
            break
        kept.append(shown)
        used += length(shown) + 1
    left = len(lines) - len(kept) + dropped
    head = [f"… {left:,} earlier lines"] if left else []
    return "```text\n" + "\n".join([*head, *reversed(kept)]) + "\n```"
