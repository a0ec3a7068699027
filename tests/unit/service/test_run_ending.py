"""How a run ends, and what is said of one that did not reach everybody."""

from __future__ import annotations

import pytest

from inara_daemon.service.run_ending import OUTCOMES, Ending, shortfall
from inara_daemon.store.state.runs import RunOutcome

COUNTS = {"answered": 52_000, "names": 100_000}
COVERED = "covered 52,000 of 100,000 commanders"


@pytest.mark.parametrize(
    ("ending", "paused", "said"),
    [
        (Ending.ANSWERED, None, None),
        (Ending.DEADLINE, None, f"{COVERED}; the time until the next run is over; the next run begins with the rest"),
        (
            Ending.DEADLINE,
            "not_whitelisted",
            f"{COVERED}; requests are paused (not whitelisted); the next run begins with the rest",
        ),
        (Ending.NIGHT_SPENT, None, f"{COVERED} in the 360 minutes of a night; the next run goes on"),
        (Ending.NIGHT_SPENT, "limited", f"{COVERED} in the 360 minutes of a night; the next run goes on"),
        (Ending.KEY_REFUSED, "bad_key", None),
        (Ending.DATABASE, None, None),
    ],
)
def test_a_run_that_stopped_early_says_what_it_covered_and_why_no_more(
    ending: Ending, paused: str | None, said: str | None
) -> None:
    assert shortfall(ending, COUNTS, paused=paused, night_minutes=360) == said


def test_every_ending_but_a_handover_has_an_outcome() -> None:
    assert OUTCOMES.keys() == set(Ending) - {Ending.HANDED_OVER}
    assert [ending for ending, outcome in OUTCOMES.items() if outcome is RunOutcome.COMPLETE] == [Ending.ANSWERED]
