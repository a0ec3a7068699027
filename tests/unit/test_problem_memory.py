"""Nobody is told the same problem every night, and nobody misses one: over many nights, and whatever the clock does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from inara_daemon.problem_memory import (
    NO_NEWS,
    REMINDED_AFTER,
    Problem,
    ProblemNews,
    ToldProblem,
    digest,
    is_due,
    problem_news,
    remember,
)

NOW = datetime(2027, 1, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
BUG = Problem("bug", "KeyError in the desk")


@dataclass(slots=True)
class Tenant:
    """One that hears of every run, night after night."""

    told: Mapping[str, ToldProblem] = field(default_factory=dict)

    def hears(
        self, *problems: Problem, at: datetime = NOW, complete: bool = True, lost: bool = False, sent: bool = True
    ) -> ProblemNews:
        """What a run tells; it is remembered if its report was sent."""
        news = problem_news(problems, self.told, at, complete=complete, lost=lost)
        if sent:
            self.told = {known.kind: known for known in remember(problems, self.told, news, at)}
        return news


def rejected(*names: str) -> list[Problem]:
    return [Problem("name_rejected", "", name) for name in names]


# --- One problem, night after night ----------------------------------------------------------------------------------


def test_without_problems_there_is_no_news() -> None:
    assert Tenant().hears() == NO_NEWS
    assert not NO_NEWS.tells("bug")


def test_a_problem_is_told_the_first_night_then_weekly_and_once_when_it_is_over() -> None:
    tenant = Tenant()
    assert tenant.hears(BUG) == ProblemNews(fresh=frozenset({"bug"}))
    for night in range(1, 22):
        news = tenant.hears(BUG, at=NOW + night * DAY)
        is_week = night % 7 == 0
        assert news == (ProblemNews(reminded={"bug": NOW}) if is_week else ProblemNews(unchanged={"bug": NOW}))
        assert news.tells("bug") is is_week
    assert tenant.hears(at=NOW + 22 * DAY) == ProblemNews(over={"bug": NOW})
    assert tenant.hears(at=NOW + 23 * DAY) == NO_NEWS
    assert tenant.hears(BUG, at=NOW + 24 * DAY) == ProblemNews(fresh=frozenset({"bug"}))


@given(st.lists(st.integers(-170, 170), min_size=8, max_size=40))
def test_a_week_is_seven_nights_however_early_or_late_each_of_them_ends(minutes: list[int]) -> None:
    tenant = Tenant()
    nights = [tenant.hears(BUG, at=NOW + n * DAY + late * MINUTE).tells("bug") for n, late in enumerate(minutes)]
    assert nights == [night % 7 == 0 for night in range(len(minutes))]


@pytest.mark.parametrize(
    ("ago", "due"),
    [
        (timedelta(0), False),
        (REMINDED_AFTER - timedelta(hours=6, seconds=1), False),
        (REMINDED_AFTER - timedelta(hours=6), True),
        (REMINDED_AFTER, True),
        (timedelta(days=4_000), True),
        (-timedelta(hours=1), False),
        (-(REMINDED_AFTER - timedelta(hours=6)), True),
        (-timedelta(days=4_000), True),
    ],
)
def test_what_is_unchanged_is_due_after_a_week_less_six_hours_either_way(ago: timedelta, *, due: bool) -> None:
    assert timedelta(days=7) == REMINDED_AFTER
    assert is_due(NOW - ago, NOW) is due


# --- What counts as another problem ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "is_news"),
    [
        ([BUG], [Problem("bug", "KeyError in the outbox")], True),
        ([Problem("bug", "line 17 of 230")], [Problem("bug", "line 4 of 1")], False),
        ([Problem("bug", "")], [Problem("bug", "0")], True),
        ([BUG], [BUG, BUG], False),
        ([BUG], [BUG, Problem("bug", "another")], True),
        ([BUG, Problem("bug", "another")], [Problem("bug", "another"), BUG], False),
        ([Problem("outage", "HTTP 503")], [Problem("outage", "no route to host")], False),
        ([Problem("limited", "asked to wait")], [Problem("limited", "too many")], False),
        ([Problem("incomplete", "3 of 9 covered")], [Problem("incomplete", "nobody was covered")], False),
        (rejected("Nova"), rejected("Vega"), True),
        (rejected("Nova"), rejected("Nova", "Vega"), True),
        (rejected("Nova", "Vega"), rejected("Nova"), True),
        (rejected("Nova", "Vega"), rejected("Vega", "Nova"), False),
        (rejected("Nova 1"), rejected("Nova 2"), True),
        ([Problem("name_set_aside", "until Monday", "Nova")], [Problem("name_set_aside", "until May", "Nova")], False),
    ],
)
def test_a_problem_is_fresh_if_names_or_words_differ_but_not_if_only_numbers_do(
    before: Sequence[Problem], after: Sequence[Problem], *, is_news: bool
) -> None:
    tenant = Tenant()
    tenant.hears(*before)
    kind = before[0].kind
    news = tenant.hears(*after, at=NOW + DAY)
    assert news == (ProblemNews(fresh=frozenset({kind})) if is_news else ProblemNews(unchanged={kind: NOW}))


def test_a_problem_that_changed_is_there_since_it_began_and_waits_a_week_from_its_new_telling() -> None:
    tenant = Tenant()
    tenant.hears(*rejected("Nova"))
    tenant.hears(*rejected("Vega"), at=NOW + 3 * DAY)
    assert tenant.told["name_rejected"] == ToldProblem("name_rejected", digest(rejected("Vega")), NOW, NOW + 3 * DAY)
    assert tenant.hears(*rejected("Vega"), at=NOW + 7 * DAY) == ProblemNews(unchanged={"name_rejected": NOW})
    assert tenant.hears(*rejected("Vega"), at=NOW + 10 * DAY) == ProblemNews(reminded={"name_rejected": NOW})


def test_each_kind_has_news_of_its_own() -> None:
    tenant = Tenant()
    outage, limited = Problem("outage", "away"), Problem("limited", "wait")
    tenant.hears(outage)
    tenant.hears(outage, limited, at=NOW + 4 * DAY)
    assert tenant.hears(limited, BUG, outage, at=NOW + 7 * DAY) == ProblemNews(
        fresh=frozenset({"bug"}), reminded={"outage": NOW}, unchanged={"limited": NOW + 4 * DAY}
    )
    assert tenant.hears(BUG, at=NOW + 8 * DAY) == ProblemNews(
        unchanged={"bug": NOW + 7 * DAY}, over={"limited": NOW + 4 * DAY, "outage": NOW}
    )


@given(st.lists(st.builds(Problem, st.just("bug"), st.text(), st.none() | st.text()), min_size=1))
def test_a_form_is_short_and_does_not_depend_on_the_order(problems: list[Problem]) -> None:
    assert digest(problems) == digest(reversed(problems))
    assert len(digest(problems)) == 32


def test_a_form_is_made_of_any_text() -> None:
    assert digest([Problem("bug", "half a sign: \ud800")]) != digest([Problem("bug", "half a sign:")])


# --- Runs that did not end well, and reports that did not arrive ------------------------------------------------------


def test_an_incomplete_run_ends_no_problem_but_those_of_names() -> None:
    tenant = Tenant()
    tenant.hears(BUG, Problem("bad_key", "refused"), *rejected("Nova"), Problem("name_too_long", "", "Vega"))
    news = tenant.hears(at=NOW + DAY, complete=False)
    assert news == ProblemNews(over={"name_rejected": NOW, "name_too_long": NOW})
    assert set(tenant.told) == {"bug", "bad_key"}
    assert tenant.hears(BUG, at=NOW + 2 * DAY) == ProblemNews(unchanged={"bug": NOW}, over={"bad_key": NOW})


def test_a_problem_told_in_a_report_that_was_lost_is_told_again_and_waits_a_week_from_then() -> None:
    tenant = Tenant()
    tenant.hears(BUG)
    assert tenant.hears(BUG, at=NOW + DAY, lost=True) == ProblemNews(reminded={"bug": NOW})
    assert tenant.hears(BUG, at=NOW + 7 * DAY) == ProblemNews(unchanged={"bug": NOW})
    assert tenant.hears(BUG, at=NOW + 8 * DAY) == ProblemNews(reminded={"bug": NOW})


def test_a_loss_makes_no_news_of_its_own() -> None:
    assert Tenant().hears(lost=True) == NO_NEWS
    assert Tenant().hears(BUG, lost=True) == ProblemNews(fresh=frozenset({"bug"}))


def test_what_was_not_sent_is_news_until_it_is() -> None:
    tenant = Tenant()
    for night in range(3):
        assert tenant.hears(BUG, at=NOW + night * DAY, sent=False).fresh == {"bug"}
    tenant.hears(BUG, at=NOW + 3 * DAY)
    assert tenant.hears(at=NOW + 4 * DAY, sent=False).over == {"bug": NOW + 3 * DAY}
    assert tenant.hears(at=NOW + 5 * DAY).over == {"bug": NOW + 3 * DAY}


# --- Clocks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [timedelta(days=days) for days in (-3_000, -90, -8, 8, 90, 3_000)])
def test_after_a_step_of_the_clock_a_problem_is_told_at_once_and_then_weekly_again(step: timedelta) -> None:
    tenant = Tenant()
    tenant.hears(BUG)
    nights = [tenant.hears(BUG, at=NOW + step + night * DAY).tells("bug") for night in range(15)]
    assert nights == [night % 7 == 0 for night in range(15)]


@given(st.integers(-4_000, 4_000), st.integers(0, 6))
def test_no_step_of_the_clock_silences_a_problem_for_more_than_two_weeks(days: int, told_before: int) -> None:
    tenant = Tenant()
    for night in range(told_before):
        tenant.hears(BUG, at=NOW + night * DAY)
    tenant.hears(BUG, at=NOW + days * DAY)  # one night under a wrong clock
    after = [tenant.hears(BUG, at=NOW + (told_before + night) * DAY).tells("bug") for night in range(14)]
    assert any(after)


# --- Every history ---------------------------------------------------------------------------------------------------

NAMES = ["Nova", "Vega"]
KINDS = ["bug", "outage", "name_rejected", "name_unanswered"]
some_problems = st.lists(
    st.sampled_from(KINDS).flatmap(
        lambda kind: st.builds(
            Problem,
            st.just(kind),
            st.sampled_from(["boom 1", "boom 2", "crash"]),
            st.sampled_from(NAMES) if kind.startswith("name_") else st.none(),
        )
    ),
    max_size=5,
)


@dataclass(slots=True)
class Known:
    """What a tenant should have heard of one kind."""

    form: object
    since: datetime
    told_at: datetime


class Nights(RuleBasedStateMachine):
    """Runs of every kind, against the plain rules in words."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.tenant = Tenant()
        self.known: dict[str, Known] = {}

    @staticmethod
    def form(problems: Sequence[Problem], kind: str) -> object:
        mine = [problem for problem in problems if problem.kind == kind]
        if kind == "outage":
            return None
        return frozenset(problem.name or problem.text.rstrip("0123456789") for problem in mine)

    @rule(problems=some_problems, complete=st.booleans(), lost=st.booleans(), late=st.integers(-180, 180))
    def night(self, problems: list[Problem], complete: bool, lost: bool, late: int) -> None:
        at = self.now + late * MINUTE
        news = self.tenant.hears(*problems, at=at, complete=complete, lost=lost)
        kinds = {problem.kind for problem in problems}
        assert {*news.fresh, *news.reminded, *news.unchanged} == kinds
        assert len(kinds) == len(news.fresh) + len(news.reminded) + len(news.unchanged)
        for kind in kinds:
            known = self.known.get(kind)
            if known is None or known.form != self.form(problems, kind):
                assert kind in news.fresh
                since = at if known is None else known.since
                self.known[kind] = Known(self.form(problems, kind), since, at)
            elif lost or abs(at - known.told_at) >= timedelta(days=6, hours=18):
                assert news.reminded[kind] == known.since
                known.told_at = at
            else:
                assert news.unchanged[kind] == known.since
        for kind in [kind for kind in self.known if kind not in kinds]:
            is_over = complete or kind.startswith("name_")
            assert (kind in news.over) is is_over
            if is_over:
                assert news.over[kind] == self.known.pop(kind).since
        assert not set(news.over) & kinds
        self.now += DAY

    @precondition(lambda self: self.known)
    @rule(days=st.integers(-400, 400))
    def clock_steps(self, days: int) -> None:
        self.now += days * DAY

    @invariant()
    def remembers_exactly_what_was_told(self) -> None:
        remembered = {kind: (told.since, told.told_at) for kind, told in self.tenant.told.items()}
        assert remembered == {kind: (known.since, known.told_at) for kind, known in self.known.items()}


test_over_many_nights_every_problem_is_told_when_it_should_be = Nights.TestCase
