"""Why a run is reported, or is not. Pure."""

from __future__ import annotations

from enum import StrEnum

from inara_daemon.run_facts import RunFacts
from inara_daemon.tenants import ReportKind


class Reason(StrEnum):
    """Why a report is sent; what needs somebody comes first."""

    PROBLEM = "problem"
    """Something goes wrong that did not before."""
    PROBLEM_OVER = "problem_over"
    REMINDER = "reminder"
    """A problem is still there after a week."""
    UNDELIVERED = "undelivered"
    """An earlier report was lost."""
    FIRST = "first"
    CHANGES = "changes"
    ALWAYS = "always"
    """Nothing happened, and the tenant wants to hear of that too."""


_WANTED = {
    ReportKind.ALWAYS: frozenset(Reason),
    ReportKind.CHANGES: frozenset(Reason) - {Reason.ALWAYS},
    ReportKind.PROBLEMS: frozenset({Reason.PROBLEM, Reason.PROBLEM_OVER, Reason.REMINDER, Reason.UNDELIVERED}),
}


def why_report(kind: ReportKind, facts: RunFacts) -> Reason | None:
    """Why this run is reported to a tenant that wants reports of this kind; None: it isn't."""
    reasons = {
        Reason.PROBLEM: bool(facts.news.fresh),
        Reason.PROBLEM_OVER: bool(facts.news.over),
        Reason.REMINDER: bool(facts.news.reminded),
        Reason.UNDELIVERED: bool(facts.undelivered),
        Reason.FIRST: facts.first,
        Reason.CHANGES: bool(facts.changes),
        Reason.ALWAYS: True,
    }
    return next((reason for reason in Reason if reasons[reason] and reason in _WANTED[kind]), None)
