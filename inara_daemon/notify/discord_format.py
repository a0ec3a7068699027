"""A report as one Discord message: every limit kept, names harmless, and what was cut is said. Pure.

The limits are those of Discord's API documentation (message and embed limits).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from inara_daemon.report import Entry, Outcome, Report, Section

CONTENT = 2_000
TITLE = 256
FIELDS = 25
FIELD_VALUE = 1_024
DESCRIPTION = 4_096
EMBED = 6_000
SUMMARY = 800
TOTALS = 500
FOOTER = 200
"""What these may take, so that 23 sections still find room."""
_SECTION_TITLE = 80
_KEPT_ROOM = 40
"""What the lines of every section get, however long those before it are; with 25 sections it still fits."""
_SHORTEST_TEXT = 12
_ROOM_BESIDE_HINT = 120
"""What a section's names want beside the hint, or they come without it."""
_ROOM_FOR_MORE = 24
_ROOM_FOR_FENCES = 48
_CLOSING_TITLE = "This run"
_LOG_TITLE = "Log"
_LOG_LINE = 400
_LOG_ALONE = 3_500
"""What log lines may take where there is nothing else to tell."""
_PLAIN_LOG_LINES = 3
_CONTINUED = ", continued"
_FULL = FIELD_VALUE + _SECTION_TITLE + _ROOM_FOR_MORE
"""The most that a field costs."""
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
    if width <= 0:
        return ""
    kept = text[: width - 1]
    while length(kept) > width - 1:
        kept = kept[:-1]
    return f"{kept.rstrip(chr(92))}…"


def escape(text: str) -> str:
    """Text from outside as Discord shows it to the letter: one line, no Markdown, no mention, no link."""
    escaped = _MARKDOWN.sub(r"\\\1", _one_line(text)).replace("://", f":{_NOTHING}//")
    return re.sub(r"^(\d+)\.", r"\1\\.", escaped)


def _one_line(text: str) -> str:
    return " ".join("".join(sign if sign.isprintable() or sign == _JOINER else " " for sign in text).split())


def render(report: Report, *, plain: bool = False) -> dict[str, Any]:
    """The payload of the message; `plain` is a short text without an embed, for what refuses the rich form."""
    message: dict[str, Any] = {"allowed_mentions": {"parse": []}}
    if plain:
        log = list(map(escape, report.log_lines[:_PLAIN_LOG_LINES]))
        left = len(report.log_lines) - len(log) + report.log_lines_dropped
        log += [f"… and {left:,} more in the log"] if left else []
        lines = [f"**{escape(report.title)}**", *_shown_lines(report.summary), *_shown_lines(report.totals)]
        lines += [*_next_run(report), *log, *_shown_lines(report.footer)]
        return {**message, "content": cut("\n".join(lines), CONTENT)}
    return {**message, "embeds": [_embed(report)]}


def _next_run(report: Report) -> list[str]:
    """When the next run is, as a date and as a countdown in the reader's own time zone."""
    if report.next_run_at is None:
        return []
    at = int(report.next_run_at.timestamp())
    return [f"Next run <t:{at}:f> (<t:{at}:R>)"]


def _shown_lines(text: str) -> list[str]:
    """The lines in which there is something to be seen."""
    return [line for line in map(escape, text.splitlines()) if line]


def _embed(report: Report) -> dict[str, Any]:
    embed: dict[str, Any] = {
        "title": cut(escape(report.title), TITLE),
        "color": _COLOURS[report.outcome],
        "timestamp": report.ended_at.isoformat(),
    }
    footer = cut(_one_line(report.footer), FOOTER)
    if footer:
        embed["footer"] = {"text": footer}
    is_log = not report.sections and not report.totals
    summary = "\n".join(_shown_lines(report.summary))
    description = [cut(summary, SUMMARY)] if summary else []
    last = _last_fields(report, with_log=not is_log)
    room = EMBED - length(embed["title"]) - length(footer) - sum(map(length, description))
    room -= sum(length(field["name"]) + length(field["value"]) for field in last)
    if is_log and report.log_lines:
        left = DESCRIPTION - sum(map(length, description)) - 1
        description.append(_log_block(report, min(room, left, _LOG_ALONE)))
    if description:
        embed["description"] = "\n".join(description)
    return {**embed, "fields": [*_fields(report.sections, room, FIELDS - len(last)), *last]}


def _last_fields(report: Report, *, with_log: bool) -> list[dict[str, Any]]:
    """What has its place whatever else there is to tell."""
    fields = []
    if with_log and report.log_lines:
        fields.append(_field(_LOG_TITLE, _log_block(report, FIELD_VALUE)))
    totals = "\n".join(_shown_lines(report.totals))
    closing = [*([cut(totals, TOTALS)] if totals else []), *_next_run(report)]
    if closing:
        fields.append(_field(_CLOSING_TITLE, "\n".join(closing)))
    return fields


def _field(name: str, value: str) -> dict[str, Any]:
    return {"name": name, "value": value, "inline": False}


def _fields(sections: Sequence[Section], room: int, most: int) -> list[dict[str, Any]]:
    """The fields of the sections; a long one leaves room for those behind it, as what went wrong stands there."""
    shown = sections[:most] if len(sections) <= most else [*sections[: most - 1], _rest(sections[most - 1 :])]
    parts = _parts(shown, room, most)
    names = [cut(part.title, _SECTION_TITLE) for part in parts]
    share = max(_KEPT_ROOM, room // max(len(parts), 1) - _SECTION_TITLE)
    values = [length(_value(part, FIELD_VALUE)) for part in parts]
    needs = [length(name) + min(max(value, _KEPT_ROOM), share) for name, value in zip(names, values, strict=True)]
    fields: list[dict[str, Any]] = []
    for position, (name, part) in enumerate(zip(names, parts, strict=True)):
        width = room - sum(needs[position + 1 :]) - length(name)
        value = _value(part, min(width, FIELD_VALUE))
        fields.append(_field(name, value))
        room -= length(name) + length(value)
    return fields


def _parts(sections: Sequence[Section], room: int, most: int) -> list[Section]:
    """The sections, the long ones in several parts as far as there is room: a field holds too little for them."""
    spare = room - sum(map(_cost, sections))
    found: list[Section] = []
    for position, section in enumerate(sections):
        before = _cost(section)
        parts = _split(section, most - len(found) - (len(sections) - position - 1))
        costs = list(map(_cost, parts))
        while len(parts) > 1 and sum(costs) > spare + before:
            *parts, last_but_one, last = parts
            parts.append(replace(last_but_one, entries=last_but_one.entries + last.entries, omitted=last.omitted))
            costs = [*costs[: len(parts) - 1], _FULL]
        spare -= sum(costs) - before if len(parts) > 1 else 0
        found += parts
    return found


def _split(section: Section, most: int) -> list[Section]:
    """Parts of a section that fit a field each, all but the last one of so many."""
    parts: list[Section] = []
    rest = section
    while len(parts) < most - 1 and (fitting := len(_shown(rest, FIELD_VALUE))) < len(rest.entries):
        parts.append(replace(rest, entries=rest.entries[:fitting], omitted=0))
        title = f"{cut(section.title, _SECTION_TITLE - len(_CONTINUED))}{_CONTINUED}"
        rest = Section(title, rest.entries[fitting:], section.omitted)
    return [*parts, rest]


def _cost(section: Section) -> int:
    """What a field wants of the room: its name, and its value with the room to say how many are left."""
    value = length(_value(section, FIELD_VALUE)) + _ROOM_FOR_MORE + len(_between(section))
    return length(cut(section.title, _SECTION_TITLE)) + max(value, _KEPT_ROOM)


def _rest(sections: Sequence[Section]) -> Section:
    """More sections than Discord shows, as one."""
    return Section(f"… and {len(sections)} sections more", tuple(Entry(section.title) for section in sections))


def _value(section: Section, width: int) -> str:
    """The hint if there is room, the entries that fit, each a line or names in a row, and how many did not."""
    shown = _shown(section, width)
    left = len(section.entries) + section.omitted - len(shown)
    more = [f"… and {left:,} more"] if left else []
    return _hint(section, width) + _between(section).join([*shown, *more])


def _shown(section: Section, width: int) -> list[str]:
    """The entries that fit, with room to say how many did not."""
    width -= length(_hint(section, width))
    between, used = len(_between(section)), 0
    shown: list[str] = []
    for entry in section.entries:
        line = _line(entry, width // 2)
        used += length(line) + between
        if used > width - _ROOM_FOR_MORE:
            break
        shown.append(line)
    return shown


def _hint(section: Section, width: int) -> str:
    return f"_{section.hint}_\n" if section.hint and length(section.hint) + _ROOM_BESIDE_HINT <= width else ""


def _between(section: Section) -> str:
    return "\n" if any(entry.text for entry in section.entries) else ", "


def _line(entry: Entry, width: int) -> str:
    """A commander and what there is to say; what is too long loses its words first, then its link, then its end."""
    text = escape(entry.text[:FIELD_VALUE])  # no more can be shown
    if entry.name is None:
        return cut(text, width) or "?"
    name = escape(entry.name.strip()[:FIELD_VALUE]) or "?"
    linked = f"[{name}]({entry.url})" if entry.url is not None and _CLEAN_URL.fullmatch(entry.url) else name
    for head in (linked, name):
        whole = f"**{head}** " if text else head
        left = width - length(whole)
        if left >= min(length(text), _SHORTEST_TEXT):
            return whole + cut(text, left)
    return cut(name, width)


def _log_block(report: Report, width: int) -> str:
    """The first log lines in a code block that nothing in them can close, and how many did not fit."""
    width -= _ROOM_FOR_FENCES
    kept: list[str] = []
    used = 0
    for line in report.log_lines:
        shown = cut(_one_line(line).replace("`", f"`{_NOTHING}"), _LOG_LINE)
        if used + length(shown) + 1 > width:
            break
        kept.append(shown)
        used += length(shown) + 1
    left = len(report.log_lines) - len(kept) + report.log_lines_dropped
    more = [f"… and {left:,} more"] if left else []
    return "```text\n" + "\n".join([*kept, *more]) + "\n```"
