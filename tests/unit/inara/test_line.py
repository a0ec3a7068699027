"""What a line hears of its names, and how much of it at a time."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inara_daemon.commander import NotFound
from inara_daemon.inara.decision import Failure
from inara_daemon.inara.line import Line, Notice, Served, Stopped, Trouble
from inara_daemon.settings import Secret

_REFUSED, _STOPPED = Trouble(Failure.OUTAGE, "x"), Stopped("bad_key", "x")


def line() -> Line:
    return Line("a", Secret("k"), "k", 0)


def served(request: int, names: int) -> Served:
    return Served(request, {f"{request} {number}": NotFound() for number in range(names)})


_notices = st.lists(st.one_of(st.integers(1, 30), st.sampled_from([_REFUSED, _STOPPED])), min_size=1, max_size=40).map(
    lambda drawn: [served(at, each) if isinstance(each, int) else each for at, each in enumerate(drawn, 1)]
)


@given(notices=_notices, most=st.integers(0, 60))
def test_answers_that_came_together_are_heard_together_in_their_order_and_none_is_lost(
    notices: list[Notice], most: int
) -> None:
    heard: list[Notice] = []
    waiting = line()
    for notice in notices:
        waiting.tell(notice)
    while (first := waiting.heard()) is not None:
        more = waiting.heard_more(most) if isinstance(first, Served) else []
        assert sum(len(each.outcomes) for each in more[:-1]) < max(most, 1)  # no more than one answer too many
        heard += [first, *more]
    assert heard == notices


def test_as_many_are_heard_as_there_are_until_something_else_was_said() -> None:
    waiting = line()
    for notice in (served(1, 10), served(2, 10), _REFUSED, served(3, 10)):
        waiting.tell(notice)
    assert waiting.heard_more(200) == [served(1, 10), served(2, 10)]
    assert waiting.heard_more(200) == []
    assert waiting.heard() == _REFUSED
    assert waiting.heard_more(200) == [served(3, 10)]


@pytest.mark.parametrize(("most", "answers"), [(0, 0), (1, 1), (10, 1), (11, 2), (20, 2), (1_000, 5)])
def test_the_answer_that_reaches_the_limit_is_the_last(most: int, answers: int) -> None:
    waiting = line()
    for request in range(5):
        waiting.tell(served(request, 10))
    assert len(waiting.heard_more(most)) == answers


@pytest.mark.virtual_time
async def test_whoever_listens_is_woken_by_a_notice_or_a_poke_and_else_when_its_time_is_over() -> None:
    loop = asyncio.get_running_loop()
    waiting = line()
    loop.call_later(3, waiting.tell, _REFUSED)
    await waiting.listen(10)
    assert loop.time() == pytest.approx(3)
    await waiting.listen(10)  # what was said and not yet heard is worth no wait
    assert loop.time() == pytest.approx(3)
    waiting.heard()
    loop.call_later(4, waiting.poke)
    await waiting.listen(10)
    assert loop.time() == pytest.approx(7)
    await waiting.listen(10)
    assert loop.time() == pytest.approx(17)
