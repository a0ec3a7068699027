"""Collects garbage while no token is near: with 100,000 commanders in memory that takes a tenth of a second."""

from __future__ import annotations

import gc
from collections.abc import Callable

SECONDS = 600.0
"""How often at most."""
_RARELY = 100


def leave_it_to_quiet_moments() -> None:
    """Let Python look through everything that lives long only in an emergency; for this whole process.

    What was imported stays for good and is looked through no more.
    """
    youngest, middle, _ = gc.get_threshold()
    gc.set_threshold(youngest, middle, _RARELY)
    gc.freeze()


class Garbage:
    """Looks for cycles that nobody needs any more, whenever it is told that there is time."""

    def __init__(self, time: Callable[[], float]) -> None:
        self._time = time
        self._next_at = time() + SECONDS

    def collect(self) -> None:
        """There is time: nothing is due for at least a second."""
        if self._time() >= self._next_at:
            gc.collect()
            self._next_at = self._time() + SECONDS
