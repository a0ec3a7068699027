"""Keeps far away from the number of invalid requests that gets an address banned. Pure."""

from __future__ import annotations

from collections import deque

WINDOW_SECONDS = 600.0
MOST_INVALID = 2_000
"""Invalid requests in a window after which nothing is sent for a while; Discord bans an address for 10,000."""


class InvalidRequests:
    """Counts them over a sliding window; times are seconds that never go back.

    Once they are too many nothing may be sent until half of them have left the window, so that it doesn't stutter on.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = MOST_INVALID if most is None else most
        self._times: deque[float] = deque(maxlen=self._most)
        self._full = False

    def add(self, now: float) -> None:
        """Count one."""
        self._times.append(now)

    def wait(self, now: float) -> float:
        """For how many seconds nothing may be sent; 0: it may."""
        while self._times and self._times[0] <= now - WINDOW_SECONDS:
            self._times.popleft()
        self._full = self._full or len(self._times) >= self._most
        excess = len(self._times) - self._most // 2
        if not self._full or excess <= 0:
            self._full = False
            return 0.0
        return self._times[excess - 1] + WINDOW_SECONDS - now
