"""Why a report is sent: every wish of a tenant with everything that may have happened."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from inara_daemon.commander import Change, ChangeKind
from inara_daemon.problem_memory import Problem, ProblemNews
from inara_daemon.report_reason import Reason, why_report
from inara_daemon.tenants import ReportKind
from tests.quiet_run import NOW, changed, facts

SINCE = {"outage": NOW}
HAPPENS: dict[Reason, dict[str, Any]] = {
    Reason.PROBLEM: {"news": {"fresh": frozenset({"bug"})}},
    Reason.PROBLEM_OVER: {"news": {"over": SINCE}},
    Reason.REMINDER: {"news": {"reminded": SINCE}},
    Reason.UNDELIVERED: {"undelivered": ("report of run 6: expired",)},
    Reason.FIRST: {"first": True},
    Reason.CHANGES: {"changes": (changed("Nova", Change(ChangeKind.NEW, new="Nova")),)},
}
PRECEDENCE = (*HAPPENS, Reason.ALWAYS)
WANTED = {
    ReportKind.ALWAYS: set(Reason),
    ReportKind.CHANGES: set(HAPPENS),
    ReportKind.PROBLEMS: {Reason.PROBLEM, Reason.PROBLEM_OVER, Reason.REMINDER, Reason.UNDELIVERED},
}


def a_run_with(happened: tuple[Reason, ...]) -> Any:
    told: dict[str, Any] = {}
    news: dict[str, Any] = {}
    for reason in happened:
        told |= HAPPENS[reason]
        news |= HAPPENS[reason].get("news", {})
    return facts(**told | {"news": ProblemNews(**news)})


TABLE = [
    ((), "always", None, None),
    ((Reason.CHANGES,), "changes", "changes", None),
    ((Reason.FIRST,), "first", "first", None),
    ((Reason.UNDELIVERED,), "undelivered", "undelivered", "undelivered"),
    ((Reason.REMINDER,), "reminder", "reminder", "reminder"),
    ((Reason.PROBLEM_OVER,), "problem_over", "problem_over", "problem_over"),
    ((Reason.PROBLEM,), "problem", "problem", "problem"),
    ((Reason.FIRST, Reason.CHANGES), "first", "first", None),
    ((Reason.UNDELIVERED, Reason.FIRST), "undelivered", "undelivered", "undelivered"),
    ((Reason.REMINDER, Reason.UNDELIVERED), "reminder", "reminder", "reminder"),
    ((Reason.PROBLEM_OVER, Reason.REMINDER), "problem_over", "problem_over", "problem_over"),
    ((Reason.PROBLEM, Reason.PROBLEM_OVER), "problem", "problem", "problem"),
    (tuple(HAPPENS), "problem", "problem", "problem"),
]


@pytest.mark.parametrize(("happened", "always", "changes", "problems"), TABLE)
def test_a_channel_hears_of_the_runs_that_it_asked_for(
    happened: tuple[Reason, ...], always: str | None, changes: str | None, problems: str | None
) -> None:
    run = a_run_with(happened)
    assert why_report(ReportKind.ALWAYS, run) == always
    assert why_report(ReportKind.CHANGES, run) == changes
    assert why_report(ReportKind.PROBLEMS, run) == problems


@pytest.mark.parametrize("kind", ReportKind)
def test_of_all_that_happened_the_first_that_is_wanted_is_the_reason(kind: ReportKind) -> None:
    assert tuple(Reason) == PRECEDENCE
    for count in range(len(HAPPENS) + 1):
        for happened in itertools.combinations(HAPPENS, count):
            wanted = [reason for reason in PRECEDENCE if reason in {*happened, Reason.ALWAYS} & WANTED[kind]]
            assert why_report(kind, a_run_with(happened)) is (wanted[0] if wanted else None)


@pytest.mark.parametrize("kind", [ReportKind.CHANGES, ReportKind.PROBLEMS])
@pytest.mark.parametrize(
    "quiet",
    [
        {"not_found": ("Vega",), "ambiguous": ("Lyra",)},
        {"problems": (Problem("bug", "boom"),), "news": ProblemNews(unchanged={"bug": NOW})},
        {"complete": False},
        {"log_lines": ("warning x_failed",), "log_lines_dropped": 3},
    ],
)
def test_what_is_normal_or_known_is_no_reason(kind: ReportKind, quiet: dict[str, Any]) -> None:
    assert why_report(kind, facts(**quiet)) is None
    assert why_report(ReportKind.ALWAYS, facts(**quiet)) is Reason.ALWAYS
