"""The daemon's log, read while it grows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Line = dict[str, Any]
_LOOK_SECONDS = 0.02


@dataclass(slots=True)
class DaemonLog:
    """Every line so far, as JSON."""

    path: Path
    lines: list[Line] = field(default_factory=list)
    _offset: int = 0

    def read(self) -> list[Line]:
        """Take in what is new; returns it."""
        with self.path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        new = [json.loads(line) for line in whole.splitlines() if line.startswith(b"{")]
        self.lines.extend(new)
        return new

    async def wait(self, count: int, wanted: Callable[[Line], bool], *, within: float) -> int:
        """Wait until so many lines of a kind were written since the start; returns how many were. Never raises."""
        found = sum(map(wanted, self.lines))
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within
        while True:
            found += sum(map(wanted, self.read()))
            if found >= count or loop.time() > deadline:
                return found
            await asyncio.sleep(_LOOK_SECONDS)


def is_event(name: str) -> Callable[[Line], bool]:
    """Whether a line is of this event."""
    return lambda line: line["event"] == name
