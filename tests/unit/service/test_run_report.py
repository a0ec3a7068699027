"""What a run says of itself, counted from memory: its tally, and the names that it tells as problems."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from inara_daemon.commander import Record, Standing
from inara_daemon.report import Problem
from inara_daemon.roster_plan import Roster, Spelling, gather
from inara_daemon.service.run_report import summarise, tally
from inara_daemon.store.state.runs import Run, RunReason

NOW = datetime(2027, 1, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def run(only: tuple[str, ...] | None = None) -> Run:
    return Run(7, "alpha", RunReason.CRON, None, only, NOW, NOW + DAY, 50, None, None, {}, ())


def answered(standing: Standing, request: int = 51, due_at: datetime | None = None) -> Record:
    return Record(standing, request, NOW, misses=1, due_at=due_at)


def roster(*names: str) -> Roster:
    return gather(Spelling(name, 1) for name in names)


def problems(roster: Roster, records: dict[str, Record]) -> list[Problem]:
    return list(summarise(run(), roster, records).problems)


@pytest.mark.parametrize(
    ("standing", "count"),
    [
        (Standing.FOUND, "found"),
        (Standing.NOT_FOUND, "not_found"),
        (Standing.AMBIGUOUS, "ambiguous"),
        (Standing.REJECTED, "failed"),
        (Standing.SET_ASIDE, "failed"),
        (Standing.UNANSWERED, "failed"),
    ],
)
def test_every_answer_counts_once(standing: Standing, count: str) -> None:
    counts = tally(roster("Nova", "Vega"), {"nova": answered(standing), "vega": answered(standing, 50)}, run())
    expected = {"names": 2, "answered": 1, "requests": 1, count: 1}
    assert counts == dict.fromkeys(counts, 0) | expected


@pytest.mark.parametrize("standing", [Standing.NOT_FOUND, Standing.REJECTED, Standing.SET_ASIDE])
def test_who_waits_is_not_asked_for_and_so_not_missing(standing: Standing) -> None:
    records = {"nova": answered(standing, 50, NOW + DAY), "vega": answered(standing, 50, NOW)}
    assert tally(roster("Nova", "Vega"), records, run())["names"] == 1
    assert tally(roster("Nova", "Vega"), records, run(("nova",)))["names"] == 1


def test_a_name_set_aside_is_told_with_what_it_means_and_when_it_is_tried_again() -> None:
    records = {
        "nova": answered(Standing.SET_ASIDE, 51, NOW + 2 * DAY),
        "vega": answered(Standing.SET_ASIDE, 50, NOW + DAY),
        "lyra": answered(Standing.REJECTED, 51, NOW + DAY),
    }
    assert problems(roster(" Nova ", "Vega", "Lyra"), records) == [
        Problem("name_rejected", "Lyra"),
        Problem(
            "name_set_aside",
            "Nova: left out from now on, so that nobody else is refused; tried again by itself in the first run after "
            "2027-01-02 19:00 UTC",
        ),
    ]
