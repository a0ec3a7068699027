"""What a run says of itself, counted from memory: its tally, and the names that it tells as problems."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from inara_daemon.commander import Record, Standing
from inara_daemon.problem_memory import Problem
from inara_daemon.report_text import build
from inara_daemon.roster_plan import Roster, Spelling, gather
from inara_daemon.service.run_report import reports, summarise, tally
from inara_daemon.store.state.runs import Run, RunReason
from tests.quiet_run import facts

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
        "vega": answered(Standing.SET_ASIDE, 50),
    }
    assert problems(roster(" Nova ", "Vega"), records) == [
        Problem("name_set_aside", "tried again in the first run after 2027-01-02 19:00 UTC", "Nova"),
        Problem("name_set_aside", "tried again in the next run", "Vega"),
    ]


def test_problems_come_by_kind_those_of_the_run_first_and_names_in_their_order() -> None:
    records = {
        "vega": answered(Standing.REJECTED),
        "nova": answered(Standing.REJECTED),
        "lyra": answered(Standing.UNANSWERED),
        "atair": answered(Standing.UNANSWERED),
        "rigel": answered(Standing.FOUND),
    }
    long = roster("Vega", "Nova", "Lyra", "Atair", "Rigel", "x" * 65)
    met = replace(run(), problems=(("outage", "away"), ("bug", "boom")))
    assert list(summarise(met, long, records).problems) == [
        Problem("outage", "away"),
        Problem("bug", "boom"),
        Problem("name_rejected", "", "Nova"),
        Problem("name_rejected", "", "Vega"),
        Problem("name_unanswered", "", "Atair"),
        Problem("name_unanswered", "", "Lyra"),
        Problem("name_too_long", "", "x" * 65),
    ]


@pytest.mark.parametrize("standing", [Standing.REJECTED, Standing.SET_ASIDE, Standing.UNANSWERED])
def test_a_problem_of_a_name_lasts_also_in_runs_that_leave_it_alone(standing: Standing) -> None:
    for request in (50, 51):
        (problem,) = problems(roster("Nova"), {"nova": answered(standing, request, NOW + 9 * DAY)})
        assert problem.name == "Nova"


@pytest.mark.parametrize("standing", [Standing.FOUND, Standing.NOT_FOUND, Standing.AMBIGUOUS])
def test_a_normal_answer_is_no_problem(standing: Standing) -> None:
    assert problems(roster("Nova", "Vega"), {"nova": answered(standing)}) == []


def test_the_unknown_are_those_of_this_run_and_who_is_it_newly_comes_first() -> None:
    def missed(standing: Standing, misses: int, request: int = 51) -> Record:
        return Record(standing, request, NOW, misses=misses)

    records = {
        "vega": missed(Standing.NOT_FOUND, 3),
        "nova": missed(Standing.NOT_FOUND, 1),
        "lyra": missed(Standing.NOT_FOUND, 1),
        "old": missed(Standing.NOT_FOUND, 1, 50),
        "atair": missed(Standing.AMBIGUOUS, 2),
        "rigel": missed(Standing.AMBIGUOUS, 1),
    }
    summary = summarise(run(), roster("Vega", "Nova", "Lyra", "Old", " Atair", "Rigel", "Gone"), records)
    assert summary.not_found == ("Lyra", "Nova", "Vega")
    assert summary.ambiguous == ("Rigel", "Atair")
    assert (summary.counts["not_found"], summary.counts["ambiguous"]) == (3, 2)


@pytest.mark.parametrize("reason", RunReason)
def test_a_run_tells_of_itself_unless_it_only_looks_for_new_names_or_asks_for_single_ones(reason: RunReason) -> None:
    assert reports(replace(run(), reason=reason)) is (reason is not RunReason.DISCOVERY)
    assert not reports(replace(run(("nova",)), reason=reason))


@pytest.mark.parametrize("reason", [reason for reason in RunReason if reports(replace(run(), reason=reason))])
def test_every_run_that_tells_of_itself_says_in_its_footer_why_it_was(reason: RunReason) -> None:
    assert build(facts(reason=reason.value)).footer != f"Run 7, {reason.value}"
