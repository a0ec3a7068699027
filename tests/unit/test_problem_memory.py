"""Nobody is told the same problem every night, and nobody misses one: over many nights, and whatever the clock does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import Enum, auto

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


class Fate(Enum):
    """What became of a message."""

    UNDER_WAY = auto()
    ARRIVED = auto()
    LOST = auto()


@dataclass(slots=True)
class Tenant:
    """One that hears of every run, night after night, unless the message is lost."""

    told: Mapping[str, ToldProblem] = field(default_factory=dict)
    messages: list[Fate] = field(default_factory=list)

    def heard(self) -> dict[str, ToldProblem]:
        """What was told, as the state has it; that something is over is forgotten once that has arrived."""
        return {
            kind: replace(known, lost=self.fate(known) is Fate.LOST)
            for kind, known in self.told.items()
            if not (known.over and self.fate(known) is Fate.ARRIVED)
        }

    def fate(self, known: ToldProblem) -> Fate:
        assert known.told_in is not None
        return self.messages[known.told_in]

    def hears(
        self,
        *problems: Problem,
        at: datetime = NOW,
        complete: bool = True,
        names_read: bool = True,
        fate: Fate = Fate.ARRIVED,
        sent: bool = True,
    ) -> ProblemNews:
        """What a run tells; it is remembered if its report was sent."""
        known = self.heard()
        news = problem_news(problems, known, at, complete=complete, names_read=names_read)
        if sent:
            self.messages.append(fate)
            remembered = remember(problems, known, news, at)
            number = len(self.messages) - 1
            self.told = {
                told.kind: replace(told, told_in=number if told.told_in is None else told.told_in)
                for told in remembered
            }
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
    assert tenant.told["name_rejected"] == ToldProblem(
        "name_rejected", digest(rejected("Vega")), NOW, NOW + 3 * DAY, told_in=1
    )
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


@pytest.mark.parametrize(
    ("complete", "names_read", "over"),
    [
        (True, True, {"bug", "bad_key", "name_rejected", "name_too_long"}),
        (False, True, {"name_rejected", "name_too_long"}),
        (False, False, set()),
        (True, False, {"bug", "bad_key"}),
    ],
)
def test_problems_of_names_are_over_once_the_names_were_read_and_others_after_a_complete_run(
    over: set[str], *, complete: bool, names_read: bool
) -> None:
    tenant = Tenant()
    tenant.hears(BUG, Problem("bad_key", "refused"), *rejected("Nova"), Problem("name_too_long", "", "Vega"))
    kinds = set(tenant.heard())
    news = tenant.hears(at=NOW + DAY, complete=complete, names_read=names_read)
    assert news == ProblemNews(over=dict.fromkeys(over, NOW))
    assert set(tenant.heard()) == kinds - over


def test_what_an_incomplete_run_did_not_end_is_over_after_the_next_complete_one() -> None:
    tenant = Tenant()
    tenant.hears(BUG, Problem("bad_key", "refused"))
    assert tenant.hears(at=NOW + DAY, complete=False) == NO_NEWS
    assert tenant.hears(BUG, at=NOW + 2 * DAY) == ProblemNews(unchanged={"bug": NOW}, over={"bad_key": NOW})


def test_a_problem_told_in_a_report_that_was_lost_is_told_again_and_waits_a_week_from_then() -> None:
    tenant = Tenant()
    tenant.hears(BUG, fate=Fate.LOST)
    assert tenant.hears(BUG, at=NOW + DAY, fate=Fate.LOST) == ProblemNews(reminded={"bug": NOW})
    assert tenant.hears(BUG, at=NOW + 2 * DAY) == ProblemNews(reminded={"bug": NOW})
    assert tenant.hears(BUG, at=NOW + 8 * DAY) == ProblemNews(unchanged={"bug": NOW})
    assert tenant.hears(BUG, at=NOW + 9 * DAY) == ProblemNews(reminded={"bug": NOW})


def test_only_what_the_lost_report_told_is_told_again() -> None:
    tenant = Tenant()
    tenant.hears(BUG)
    tenant.hears(BUG, *rejected("Nova"), at=NOW + DAY, fate=Fate.LOST)
    assert tenant.hears(BUG, *rejected("Nova"), at=NOW + 2 * DAY) == ProblemNews(
        unchanged={"bug": NOW}, reminded={"name_rejected": NOW + DAY}
    )
    assert {kind: known.told_in for kind, known in tenant.told.items()} == {"bug": 0, "name_rejected": 2}


def test_a_loss_is_not_forgotten_over_a_run_that_tried_nothing() -> None:
    tenant = Tenant()
    tenant.hears(BUG, fate=Fate.LOST)
    assert tenant.hears(at=NOW + DAY, complete=False) == NO_NEWS
    assert tenant.hears(BUG, at=NOW + 2 * DAY) == ProblemNews(reminded={"bug": NOW})


def test_what_is_under_way_is_not_told_twice() -> None:
    tenant = Tenant()
    tenant.hears(BUG, fate=Fate.UNDER_WAY)
    assert tenant.hears(BUG, at=NOW + DAY) == ProblemNews(unchanged={"bug": NOW})
    tenant.messages[0] = Fate.LOST
    assert tenant.hears(BUG, at=NOW + 2 * DAY) == ProblemNews(reminded={"bug": NOW})


@pytest.mark.parametrize(("complete", "names_read"), [(True, True), (False, True), (False, False)])
def test_that_a_problem_is_over_is_told_until_it_has_arrived(*, complete: bool, names_read: bool) -> None:
    tenant = Tenant()
    tenant.hears(*rejected("Nova"))
    over = ProblemNews(over={"name_rejected": NOW})
    assert tenant.hears(at=NOW + DAY, fate=Fate.LOST) == over

    def night(number: int, fate: Fate = Fate.ARRIVED) -> ProblemNews:
        return tenant.hears(at=NOW + number * DAY, complete=complete, names_read=names_read, fate=fate)

    assert night(2, Fate.LOST) == over
    assert night(3, Fate.UNDER_WAY) == over
    assert night(30) == NO_NEWS
    tenant.messages[3] = Fate.LOST
    assert night(31, Fate.UNDER_WAY) == over
    tenant.messages[-1] = Fate.ARRIVED
    assert night(32) == NO_NEWS
    assert tenant.heard() == {}


@pytest.mark.parametrize("fate", Fate)
def test_a_problem_that_is_back_is_fresh_and_there_since_it_came_back(fate: Fate) -> None:
    tenant = Tenant()
    tenant.hears(BUG)
    tenant.hears(at=NOW + DAY, fate=fate)
    assert tenant.hears(BUG, at=NOW + 2 * DAY) == ProblemNews(fresh=frozenset({"bug"}))
    assert tenant.hears(BUG, at=NOW + 9 * DAY) == ProblemNews(reminded={"bug": NOW + 2 * DAY})


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
    """What a tenant should have heard of one kind, and in which message."""

    form: object
    since: datetime
    told_at: datetime
    message: int
    over: bool = False


class Nights(RuleBasedStateMachine):
    """Runs of every kind, reports with every fate, against the plain rules in words."""

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

    def is_lost(self, known: Known) -> bool:
        return self.tenant.messages[known.message] is Fate.LOST

    @rule(
        problems=some_problems,
        complete=st.booleans(),
        names_read=st.booleans(),
        fate=st.sampled_from(Fate),
        sent=st.booleans(),
        late=st.integers(-180, 180),
    )
    def night(
        self, *, problems: list[Problem], complete: bool, names_read: bool, fate: Fate, sent: bool, late: int
    ) -> None:
        at, message = self.now + late * MINUTE, len(self.tenant.messages)
        news = self.tenant.hears(*problems, at=at, complete=complete, names_read=names_read, fate=fate, sent=sent)
        kinds = {problem.kind for problem in problems}
        assert {*news.fresh, *news.reminded, *news.unchanged} == kinds
        assert len(kinds) == len(news.fresh) + len(news.reminded) + len(news.unchanged)
        assert not set(news.over) & kinds
        after = dict(self.known)
        for kind in kinds:
            known = self.known.get(kind)
            form = self.form(problems, kind)
            if known is None or known.over:
                assert kind in news.fresh
                after[kind] = Known(form, at, at, message)
            elif known.form != form:
                assert kind in news.fresh
                after[kind] = Known(form, known.since, at, message)
            elif self.is_lost(known) or abs(at - known.told_at) >= timedelta(days=6, hours=18):
                assert news.reminded[kind] == known.since
                after[kind] = Known(form, known.since, at, message)
            else:
                assert news.unchanged[kind] == known.since
        for kind, known in self.known.items():
            if kind in kinds:
                continue
            is_gone = names_read if kind.startswith("name_") else complete
            if self.is_lost(known) if known.over else is_gone:
                assert news.over[kind] == known.since
                after[kind] = Known(known.form, known.since, at, message, over=True)
            else:
                assert kind not in news.over
        if sent:
            self.known = after
        self.forget_what_has_arrived()
        self.now += DAY

    @precondition(lambda self: Fate.UNDER_WAY in self.tenant.messages)
    @rule(fate=st.sampled_from([Fate.ARRIVED, Fate.LOST]))
    def the_oldest_message_under_way_reaches_its_end(self, fate: Fate) -> None:
        self.tenant.messages[self.tenant.messages.index(Fate.UNDER_WAY)] = fate
        self.forget_what_has_arrived()

    @precondition(lambda self: self.known)
    @rule(days=st.integers(-400, 400))
    def clock_steps(self, days: int) -> None:
        self.now += days * DAY

    def forget_what_has_arrived(self) -> None:
        for kind, known in list(self.known.items()):
            if known.over and self.tenant.messages[known.message] is Fate.ARRIVED:
                del self.known[kind]

    @invariant()
    def remembers_exactly_what_was_told(self) -> None:
        remembered = {
            kind: (told.since, told.told_at, told.told_in, told.over) for kind, told in self.tenant.heard().items()
        }
        assert remembered == {
            kind: (known.since, known.told_at, known.message, known.over) for kind, known in self.known.items()
        }


test_over_many_nights_every_problem_is_told_when_it_should_be = Nights.TestCase
