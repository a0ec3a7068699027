"""Garbage is collected while nobody waits for a token, and not all the time."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from inara_daemon.service.garbage import SECONDS, Garbage, leave_it_to_quiet_moments


class Knot:
    def __init__(self) -> None:
        self.own = self


@pytest.fixture(autouse=True)
def _collector_as_it_was() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def test_a_knot_is_undone_at_the_first_quiet_moment_after_a_while_and_then_rarely() -> None:
    leave_it_to_quiet_moments()
    time = [0.0]
    garbage = Garbage(lambda: time[0])
    for seconds, undone in ((SECONDS - 1, False), (SECONDS, True), (2 * SECONDS - 1, False), (2 * SECONDS, True)):
        time[0] = seconds
        knot = weakref.ref(Knot())
        gc.disable()
        garbage.collect()
        gc.enable()
        assert (knot() is None) is undone
        gc.collect()


def test_python_itself_looks_through_what_lives_long_only_in_an_emergency() -> None:
    young, middle, _ = gc.get_threshold()
    leave_it_to_quiet_moments()
    assert gc.get_threshold()[:2] == (young, middle)
    assert gc.get_threshold()[2] >= 100
    assert gc.get_freeze_count() > 0
