"""Far away from a ban, whatever comes: an invariant over any history of invalid requests."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from inara_daemon.notify.invalid_requests import MOST_INVALID, WINDOW_SECONDS, InvalidRequests


def test_delivery_the_guard_stands_long_before_discords_limit() -> None:
    assert MOST_INVALID * 2 <= 10_000 / 2
    assert WINDOW_SECONDS == 600.0


def test_delivery_everything_may_be_sent_while_the_window_is_not_full() -> None:
    guard = InvalidRequests(4)
    for second in range(0, 10_000, 200):  # three in any ten minutes
        assert guard.wait(float(second)) == 0.0
        guard.add(float(second))


def test_delivery_a_full_window_is_left_alone_until_half_of_it_has_gone() -> None:
    guard = InvalidRequests(4)
    for second in (0.0, 100.0, 200.0, 300.0):
        assert guard.wait(second) == 0.0
        guard.add(second)
    assert guard.wait(300.0) == 400.0
    assert guard.wait(699.0) == 1.0
    assert guard.wait(700.0) == 0.0
    guard.add(700.0)
    assert guard.wait(700.0) == 0.0


def test_delivery_what_was_under_way_when_the_window_became_full_prolongs_the_wait() -> None:
    guard = InvalidRequests(2)
    for second in (0.0, 10.0, 20.0):
        guard.add(second)
    assert guard.wait(20.0) == 590.0


def test_the_usual_guard_holds_no_more_than_it_must() -> None:
    guard = InvalidRequests()
    for number in range(3 * MOST_INVALID):
        guard.add(number / 1_000)
    assert len(guard._times) == MOST_INVALID


@given(st.lists(st.floats(0.0, 300.0), max_size=60), st.integers(1, 6))
def test_delivery_whoever_keeps_the_waits_never_has_more_in_any_window(gaps: Sequence[float], most: int) -> None:
    guard, now, made = InvalidRequests(most), 0.0, list[float]()
    for gap in gaps:
        now += gap
        wait = guard.wait(now)
        assert 0.0 <= wait <= WINDOW_SECONDS + 1e-6
        if wait > 0:
            now += wait + 1e-6
        if guard.wait(now) == 0.0:
            guard.add(now)
            made.append(now)
    for end in made:
        assert len([at for at in made if end - WINDOW_SECONDS < at <= end]) <= most
