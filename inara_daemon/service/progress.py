"""Who was seen to make progress, and when: what the watchdog and the health page go by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Progress:
    """The last sign of life of each part; `time` gives seconds that only grow.

    A part that waits on purpose wakes up now and then to say so: silence is never a good sign.
    """

    time: Callable[[], float]
    _patience: dict[str, float] = field(default_factory=dict)
    _seen: dict[str, float] = field(default_factory=dict)

    def watch(self, part: str, *, patience: float) -> Callable[[], None]:
        """Expect a sign of life at least every `patience` seconds; returns the function that gives one."""
        self._patience[part] = patience
        self._seen[part] = self.time()
        return lambda: self.beat(part)

    def beat(self, part: str) -> None:
        """Note a sign of life; a part that isn't watched any more is ignored."""
        if part in self._seen:
            self._seen[part] = self.time()

    def forget(self, part: str) -> None:
        """Expect nothing more from a part that has ended."""
        self._patience.pop(part, None)
        self._seen.pop(part, None)

    def silent(self, prefix: str = "") -> tuple[str, ...]:
        """The parts that have been silent for too long."""
        now = self.time()
        return tuple(
            part for part, seen in self._seen.items() if part.startswith(prefix) and now - seen > self._patience[part]
        )
