"""A Discord message in the terminal, about as Discord shows it."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from inara_daemon.cli.discord_view import draw, markdown
from inara_daemon.notify.discord_format import escape, render
from inara_daemon.problem_memory import Problem
from inara_daemon.report_text import build
from tests.quiet_run import PAGE, met, promoted


def drawn(message: dict[str, object]) -> str:
    console = Console(file=io.StringIO(), width=100, color_system=None)
    console.print(draw("alpha", message))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def styled(text: str) -> list[tuple[str, str]]:
    """The parts that look special, and how."""
    shown = markdown(text)
    return [(shown.plain[span.start : span.end], str(span.style)) for span in shown.spans]


@pytest.mark.parametrize(
    ("text", "plain", "styles"),
    [
        ("Nova", "Nova", []),
        ("**Nova** Elite", "Nova Elite", [("Nova", "bold")]),
        ("_No harm._\nNova", "No harm.\nNova", [("No harm.", "italic")]),
        (r"_a\_b_ c", "a_b c", [("a_b", "italic")]),
        ("snake_case_name", "snake_case_name", []),
        (r"\*\*Nova\*\* \_x\_", "**Nova** _x_", []),
        (f"[Nova]({PAGE})", "Nova", [("Nova", "blue")]),
        (rf"**[N\]ova]({PAGE})** x", "N]ova x", [("N]ova", "bold blue")]),
        ("a\n```text\n**b** _c_ \\d\n```\n**e**", "a\n**b** _c_ \\d\ne", [("**b** _c_ \\d", "dim"), ("e", "bold")]),
    ],
)
def test_the_markdown_of_our_messages_is_shown(text: str, plain: str, styles: list[tuple[str, str]]) -> None:
    assert markdown(text).plain == plain
    assert styled(text) == styles


@given(st.text())
def test_text_from_outside_is_shown_to_the_letter(text: str) -> None:
    one_line = " ".join("".join(sign if sign.isprintable() or sign == "\u200d" else " " for sign in text).split())
    shown = markdown(escape(text))
    assert shown.plain.replace("\u200b", "") == one_line
    assert not {str(span.style) for span in shown.spans} - {""}


@pytest.mark.parametrize(
    ("ahead", "said"),
    [
        (timedelta(seconds=1), "in 1 second"),
        (timedelta(seconds=59), "in 59 seconds"),
        (timedelta(minutes=1), "in 1 minute"),
        (timedelta(hours=23, minutes=40), "in 24 hours"),
        (timedelta(days=2), "in 2 days"),
        (-timedelta(hours=1), "1 hour ago"),
        (-timedelta(days=3), "3 days ago"),
    ],
)
def test_times_are_dates_in_utc_and_countdowns(ahead: timedelta, said: str) -> None:
    at = datetime(2027, 1, 1, 1, tzinfo=UTC)
    with time_machine.travel(at - ahead, tick=False):
        stamp = int(at.timestamp())
        assert markdown(f"Next run <t:{stamp}:f> (<t:{stamp}:R>)").plain == f"Next run 2027-01-01 01:00 UTC ({said})"


def test_a_report_is_drawn_with_everything_that_it_tells() -> None:
    run = met(
        Problem("outage", "HTTP 503"),
        changes=(promoted("No_va", 8),),
        not_found=("Vega", "Lyra"),
        log_lines=("01:02:03 warning x_failed",),
    )
    text = drawn(render(build(run)))
    for part in (
        "#alpha",
        "Grim's Squad: 1 promoted, 1 problem",
        "Promotions (1)",
        "No_va Combat: Deadly → Elite",
        "Vega, Lyra",
        "HTTP 503",
        "01:02:03 warning x_failed",
        "3 of 3 commanders looked up",
        "Next run 2027-01-02 01:00 UTC",
        "Run 7, scheduled",
    ):
        assert part in text


def test_a_plain_message_is_drawn_as_it_is() -> None:
    text = drawn(render(build(met(Problem("bug", "boom"))), plain=True))
    assert "Grim's Squad: 1 problem" in text
    assert "Run 7, scheduled" in text


def test_a_message_without_colour_or_fields_is_drawn_too() -> None:
    assert "It works." in drawn({"embeds": [{"title": "Test", "description": "It works."}]})
