"""What went wrong in a run: kept for its report, each thing once, as soon as the state can be written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from inara_daemon.store.errors import StateError
from inara_daemon.store.state import runs
from inara_daemon.store.state.database import StateDatabase


@dataclass(slots=True)
class RunProblems:
    """The problems of one run; `note_unwritable` is told when they can't be stored yet."""

    state: StateDatabase
    run_id: int
    note_unwritable: Callable[[StateError], None]
    _stored: dict[tuple[str, str], bool] = field(default_factory=dict)

    async def add(self, kind: str, text: str) -> None:
        """Keep a problem."""
        self._stored.setdefault((kind, text), False)
        await self.store()

    async def store(self) -> None:
        """Store what could not be stored before."""
        waiting = [problem for problem, stored in self._stored.items() if not stored]
        if not waiting:
            return
        try:
            async with self.state.write() as connection:
                for problem in waiting:
                    await runs.add_problem(connection, self.run_id, *problem)
        except StateError as error:
            self.note_unwritable(error)
        else:
            self._stored.update(dict.fromkeys(waiting, True))
