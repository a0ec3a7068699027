"""How a run ends: its outcome, and what to say of one that did not reach everybody. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from inara_daemon.store.state.runs import RunOutcome


class Ending(StrEnum):
    """Why a run stopped asking."""

    ANSWERED = "answered"
    DEADLINE = "deadline"
    NIGHT_SPENT = "night_spent"
    KEY_REFUSED = "key_refused"
    DATABASE = "database"
    HANDED_OVER = "handed_over"
    """The engine stops or the tenant's configuration changed: the run stays open."""


OUTCOMES: Mapping[Ending, RunOutcome] = {
    Ending.ANSWERED: RunOutcome.COMPLETE,
    Ending.DEADLINE: RunOutcome.INCOMPLETE,
    Ending.NIGHT_SPENT: RunOutcome.INCOMPLETE,
    Ending.KEY_REFUSED: RunOutcome.FAILED,
    Ending.DATABASE: RunOutcome.FAILED,
}
"""A run that was handed over has none yet."""


def shortfall(ending: Ending, counts: Mapping[str, int], *, paused: str | None, night_minutes: int) -> str | None:
    """What was covered and why no more; None where another problem says it. `paused` is why requests are."""
    covered = f"covered {counts['answered']:,} of {counts['names']:,} commanders"
    if ending is Ending.DEADLINE:
        because = "the time until the next run is over"
        if paused is not None:
            because = f"requests are paused ({paused.replace('_', ' ')})"
        return f"{covered}; {because}; the next run begins with the rest"
    if ending is Ending.NIGHT_SPENT:
        return f"{covered} in the {night_minutes} minutes of a night; the next run goes on"
    return None
