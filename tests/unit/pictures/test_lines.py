"""Lines that fit, whatever the text."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from pictures.lines import wrap
from pictures.markdown import Span, Style

_STYLES = st.builds(Style, bold=st.booleans(), mono=st.booleans())
_SPANS = st.lists(st.builds(Span, st.text("aW \n→é🚀", min_size=1), _STYLES))


def texts(spans: list[Span], room: float) -> list[str]:
    return [" ".join(run.text for run in line) for line in wrap(spans, 10, room)]


def test_a_line_breaks_at_a_space() -> None:
    assert texts([Span("aaaa aaaa aaaa")], 50) == ["aaaa aaaa", "aaaa"]


def test_a_word_too_long_for_a_line_breaks_inside() -> None:
    assert texts([Span("a aaaaaaaaaaaa")], 50) == ["a aaaaaaa", "aaaaa"]


def test_a_word_of_two_styles_stays_whole() -> None:
    assert texts([Span("aaaa "), Span("aaaa", Style(bold=True)), Span(",")], 47) == ["aaaa", "aaaa ,"]


def test_what_stands_in_a_box_stays_whole() -> None:
    assert texts([Span("aaaa "), Span("aa aa", Style(boxed=True))], 50) == ["aaaa", "aa aa"]


@given(_SPANS, st.floats(20, 200))
def test_no_line_is_wider_than_its_room_and_no_letter_is_lost(spans: list[Span], room: float) -> None:
    lines = wrap(spans, 10, room)
    assert all(line[-1].x + line[-1].width <= room + 1e-6 for line in lines if line)
    drawn = "".join(run.text for line in lines for run in line)
    assert drawn.replace(" ", "") == "".join(span.text for span in spans).replace(" ", "").replace("\n", "")


@given(_SPANS, st.floats(20, 200))
def test_runs_do_not_overlap(spans: list[Span], room: float) -> None:
    for line in wrap(spans, 10, room):
        for left, right in itertools.pairwise(line):
            assert left.x + left.width <= right.x + 1e-6
