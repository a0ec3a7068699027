"""Discord's Markdown as spans: styles, times, and names that try to be more than names."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inara_daemon.notify.discord_format import escape
from pictures.markdown import Block, Kind, Span, Style, parse, spans_of

NOW = datetime(2027, 3, 14, 1, tzinfo=UTC)
UNIX = int(NOW.timestamp())
PAGE = "https://inara.cz/elite/cmdr/7/"
BOLD, ITALIC, MONO = Style(bold=True), Style(italic=True), Style(mono=True)
CODE, TIME, LINK = Style(mono=True, boxed=True), Style(boxed=True), Style(link=PAGE)


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("", ()),
        ("plain", (Span("plain"),)),
        ("a **b** c", (Span("a "), Span("b", BOLD), Span(" c"))),
        ("*a* _b_", (Span("a", ITALIC), Span(" "), Span("b", ITALIC))),
        ("**a *b***", (Span("a ", BOLD), Span("b", Style(bold=True, italic=True)))),
        ("snake_case_name", (Span("snake_case_name"),)),
        ("2 * 3 * 4", (Span("2 * 3 * 4"),)),
        ("**open", (Span("**open"),)),
        ("`**a**`", (Span("**a**", CODE),)),
        (f"[Nova]({PAGE})", (Span("Nova", LINK),)),
        (f"**[Nova]({PAGE})** new", (Span("Nova", Style(bold=True, link=PAGE)), Span(" new"))),
        (f"[a **b**]({PAGE})", (Span("a ", LINK), Span("b", Style(bold=True, link=PAGE)))),
        (f"see {PAGE}.", (Span("see "), Span(PAGE, LINK), Span("."))),
        ("[Nova](javascript:alert)", (Span("[Nova](javascript:alert)"),)),
    ],
)
def test_each_mark_becomes_a_style(text: str, spans: tuple[Span, ...]) -> None:
    assert spans_of(text, NOW) == spans


@pytest.mark.parametrize(
    "name",
    ["a*b*c", "**bold**", "_x_", "[WoL] Nova", "](https://evil.example)", "<script>", "R&D", "`x`", "<t:1:R>", "\\"],
)
def test_an_escaped_name_is_shown_to_the_letter_also_in_a_link(name: str) -> None:
    assert spans_of(f"**[{escape(name)}]({PAGE})**", NOW)[0] == Span(
        name.replace("://", ":\N{ZERO WIDTH SPACE}//"), Style(bold=True, link=PAGE)
    )


@given(st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1))
def test_whatever_was_escaped_is_plain_text(name: str) -> None:
    shown = spans_of(f"x{escape(name)}", NOW)
    assert shown == (Span("x" + name.replace("://", ":\N{ZERO WIDTH SPACE}//")),)


@pytest.mark.parametrize(
    ("seconds", "style", "words"),
    [
        (0, ":R", "in a few seconds"),
        (-60, ":R", "a minute ago"),
        (120, ":R", "in 2 minutes"),
        (-3_600, ":R", "an hour ago"),
        (75_600, ":R", "in 21 hours"),
        (86_400, ":R", "in a day"),
        (-172_800, ":R", "2 days ago"),
        (40 * 86_400, ":R", "in a month"),
        (90 * 86_400, ":R", "in 3 months"),
        (400 * 86_400, ":R", "in a year"),
        (800 * 86_400, ":R", "in 2 years"),
        (0, ":t", "01:00"),
        (0, ":f", "14 March 2027 01:00"),
        (0, "", "14 March 2027 01:00"),
        (0, ":F", "Sunday, 14 March 2027 01:00"),
    ],
)
def test_a_timestamp_is_told_as_of_now(seconds: int, style: str, words: str) -> None:
    assert spans_of(f"<t:{UNIX + seconds}{style}>", NOW) == (Span(words, TIME),)


def test_a_line_may_be_an_item_or_subtext() -> None:
    assert parse("a\n\n- b\n-# c", NOW) == [
        Block(Kind.TEXT, (Span("a"),)),
        Block(Kind.TEXT, ()),
        Block(Kind.ITEM, (Span("b"),)),
        Block(Kind.SUBTEXT, (Span("c"),)),
    ]


def test_nothing_inside_a_code_block_is_markdown() -> None:
    assert parse("a\n```text\n**b**\n  <c> \\*\n```\nd", NOW) == [
        Block(Kind.TEXT, (Span("a"),)),
        Block(Kind.CODE, (Span("**b**\n  <c> \\*", MONO),)),
        Block(Kind.TEXT, (Span("d"),)),
    ]


def test_an_empty_text_has_no_lines() -> None:
    assert parse("", NOW) == []
