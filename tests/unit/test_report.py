"""What a run tells and whom: when there is a report, its words, and its order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inara_daemon.commander import Change, ChangeKind, RankKind
from inara_daemon.report import (
    CommanderChange,
    Entry,
    Outcome,
    Problem,
    Reason,
    Report,
    RunFacts,
    Section,
    Totals,
    build,
    from_json,
    notice,
    should_report,
    to_json,
    words,
)
from inara_daemon.tenants import ReportKind

NOW = datetime(2027, 1, 1, 1, tzinfo=UTC)
COMBAT, TRADE, FEDERATION = RankKind.COMBAT, RankKind.TRADE, RankKind.FEDERATION
NOTHING = Totals(names=0, answered=0, written=0, not_found=0, ambiguous=0, failed=0, requests=0)


def facts(**more: Any) -> RunFacts:
    """A run of 62 seconds in which nothing happened, but for `more`."""
    quiet: dict[str, Any] = {
        "tenant": "Grim's Squad",
        "run_id": 7,
        "reason": "cron",
        "started_at": NOW,
        "ended_at": NOW + timedelta(seconds=62),
        "next_run_at": NOW + timedelta(days=1),
        "first": False,
        "totals": NOTHING,
    }
    return RunFacts(**quiet | more)


def changed(name: str, change: Change, url: str | None = None) -> CommanderChange:
    return CommanderChange(name, url, change)


def promoted(name: str, value: int, ladder: RankKind = COMBAT) -> CommanderChange:
    return changed(name, Change(ChangeKind.PROMOTED, str(value - 1), str(value), ladder))


def told(report: Report) -> dict[str, list[tuple[str | None, str]]]:
    return {section.title: [(entry.name, entry.text) for entry in section.entries] for section in report.sections}


# --- Whether ---------------------------------------------------------------------------------------------------------

CHANGES = (changed("Nova", Change(ChangeKind.NEW, new="Nova")),)
PROBLEMS = (Problem("bug", "boom"),)
LOST = ("report of run 6: expired",)
ALWAYS = Reason.ALWAYS


@pytest.mark.parametrize(
    ("told_by", "always", "changes", "problems"),
    [
        ({}, ALWAYS, None, None),
        ({"changes": CHANGES}, ALWAYS, Reason.CHANGES, None),
        ({"first": True}, ALWAYS, Reason.FIRST, None),
        ({"first": True, "changes": CHANGES}, ALWAYS, Reason.FIRST, None),
        ({"problems": PROBLEMS}, ALWAYS, Reason.PROBLEMS, Reason.PROBLEMS),
        ({"undelivered": LOST}, ALWAYS, Reason.PROBLEMS, Reason.PROBLEMS),
        ({"first": True, "problems": PROBLEMS}, ALWAYS, Reason.PROBLEMS, Reason.PROBLEMS),
        ({"changes": CHANGES, "problems": PROBLEMS}, ALWAYS, Reason.PROBLEMS, Reason.PROBLEMS),
        ({"not_found": ("Vega",), "ambiguous": ("Lyra",)}, ALWAYS, None, None),
    ],
)
def test_a_channel_hears_of_the_runs_that_it_asked_for(
    told_by: dict[str, Any], always: Reason | None, changes: Reason | None, problems: Reason | None
) -> None:
    run = facts(**told_by)
    assert should_report(ReportKind.ALWAYS, run) is always
    assert should_report(ReportKind.CHANGES, run) is changes
    assert should_report(ReportKind.PROBLEMS, run) is problems


# --- The words -------------------------------------------------------------------------------------------------------

WORDS = [
    (Change(ChangeKind.RENAMED, "Nova", "Vega"), "now called Vega on Inara"),
    (Change(ChangeKind.OTHER_ACCOUNT, "7", "9"), "another Inara account now answers to this name"),
    (Change(ChangeKind.PROMOTED, "7", "8", COMBAT), "Combat: Deadly → Elite"),
    (Change(ChangeKind.PROMOTED, "0", "15", FEDERATION), "Federation: None → rank 15"),
    (Change(ChangeKind.SQUADRON_JOINED, None, "Grim"), "joined Grim"),
    (Change(ChangeKind.SQUADRON_MOVED, "Dawn", "Grim"), "moved from Dawn to Grim"),
    (Change(ChangeKind.SQUADRON_LEFT, "Grim"), "left Grim"),
    (Change(ChangeKind.SQUADRON_RANK, "Recruit", "Officer"), "Squadron rank: Recruit → Officer"),
    (Change(ChangeKind.SQUADRON_RANK, None, "Officer"), "Squadron rank: Officer"),
    (Change(ChangeKind.POWER, "Archon Delaine", "Aisling Duval"), "Power: Archon Delaine → Aisling Duval"),
    (Change(ChangeKind.POWER, None, "Aisling Duval"), "Power: Aisling Duval"),
    (Change(ChangeKind.POWER, "Archon Delaine"), "Power: Archon Delaine → unknown"),
    (Change(ChangeKind.NEW, None, "Nova"), "new on the roster"),
    (Change(ChangeKind.DEMOTED, "8", "7", RankKind.SOLDIER), "Mercenary: Elite → Deadeye"),
    (Change(ChangeKind.RANK_LEARNED, None, "0", TRADE), "Trade: Penniless (first seen)"),
]


@pytest.mark.parametrize(("change", "text"), WORDS)
def test_a_change_in_words(change: Change, text: str) -> None:
    assert words(change) == text


def test_every_kind_of_change_has_words_and_a_section() -> None:
    assert {change.kind for change, _ in WORDS} == set(ChangeKind)
    for change, text in WORDS:
        assert [entries for entries in told(build(facts(changes=(changed("Nova", change),)))).values()] == [
            [("Nova", text)]
        ]


@pytest.mark.parametrize(
    ("totals", "seconds", "summary"),
    [
        (NOTHING, 62, "0 of 0 commanders answered, 0 changed.\n0 requests in 62 s (cron run 7)."),
        (NOTHING, 90, "0 of 0 commanders answered, 0 changed.\n0 requests in 2 min (cron run 7)."),
        (
            Totals(names=30, answered=29, written=4, not_found=3, ambiguous=2, failed=1, requests=1),
            89,
            """29 of 30 commanders answered, 4 changed, 3 not on Inara, 2 ambiguous, 1 failed.
1 request in 89 s (cron run 7).""",
        ),
        (
            Totals(names=100_000, answered=52_000, written=1_234, not_found=0, ambiguous=0, failed=0, requests=1_734),
            21_600,
            "52,000 of 100,000 commanders answered, 1,234 changed.\n1,734 requests in 360 min (cron run 7).",
        ),
    ],
)
def test_the_totals_in_words(totals: Totals, seconds: float, summary: str) -> None:
    assert build(facts(totals=totals, ended_at=NOW + timedelta(seconds=seconds))).summary == summary


@pytest.mark.parametrize(
    ("answered", "failed", "problems", "outcome"),
    [
        (3, 0, (), Outcome.GOOD),
        (0, 0, (), Outcome.GOOD),
        (3, 1, (), Outcome.PARTIAL),
        (3, 0, PROBLEMS, Outcome.PARTIAL),
        (0, 0, PROBLEMS, Outcome.FAILED),
    ],
)
def test_how_it_went_at_a_glance(answered: int, failed: int, problems: Sequence[Problem], outcome: Outcome) -> None:
    totals = Totals(3, answered, 0, 0, 0, failed, 1)
    assert build(facts(totals=totals, problems=tuple(problems))).outcome is outcome


# --- The sections ----------------------------------------------------------------------------------------------------


def test_a_run_that_changed_nothing_has_no_sections() -> None:
    assert build(facts()).sections == ()


def test_sections_come_in_their_order_and_names_and_lines_as_they_are() -> None:
    run = facts(
        changes=tuple(changed("*Nova*", change) for change, _ in reversed(WORDS)),
        not_found=("Vega", "_Lyra_"),
        ambiguous=("Exiton",),
        problems=PROBLEMS,
        undelivered=LOST,
        log_lines=("warning outage_began",),
        log_lines_dropped=3,
    )
    report = build(run)
    assert list(told(report)) == [
        "New commanders",
        "Promotions",
        "Squadrons",
        "Powers",
        "Names and accounts",
        "Other changes",
        "Not on Inara (they may not have an account: nothing to do)",
        "Ambiguous on Inara (check the spelling; nothing was changed)",
        "A bug in the daemon (1)",
        "Earlier reports that did not arrive",
    ]
    assert told(report)["New commanders"] == [("*Nova*", "new on the roster")]
    assert [name for name, _ in told(report)["Not on Inara (they may not have an account: nothing to do)"]] == [
        "Vega",
        "_Lyra_",
    ]
    assert told(report)["Earlier reports that did not arrive"] == [(None, LOST[0])]
    assert (report.title, report.tenant, report.run_id) == ("Commander sync for Grim's Squad", "Grim's Squad", 7)
    assert (report.next_run_at, report.ended_at) == (run.next_run_at, run.ended_at)
    assert (report.log_lines, report.log_lines_dropped) == (("warning outage_began",), 3)


def test_promotions_are_told_the_highest_first_and_a_commanders_in_one_line() -> None:
    run = facts(changes=(promoted("Nova", 3), promoted("Vega", 13), promoted("Lyra", 8), promoted("Nova", 9, TRADE)))
    assert told(build(run))["Promotions"] == [
        ("Vega", "Combat: Elite IV → Elite V"),
        ("Nova", "Trade: Elite → Elite I; Combat: Novice → Competent"),
        ("Lyra", "Combat: Deadly → Elite"),
    ]


def test_many_ranks_of_one_commander_that_were_unknown_are_counted() -> None:
    learned = [changed("Nova", Change(ChangeKind.RANK_LEARNED, None, "3", ladder)) for ladder in RankKind]
    demoted = changed("Nova", Change(ChangeKind.DEMOTED, "8", "7", COMBAT))
    assert told(build(facts(changes=(*learned, demoted)))) == {
        "Other changes": [("Nova", "Combat: Elite → Deadly; 8 ranks first seen")]
    }


def test_an_entry_links_to_the_page_that_the_commander_had_last() -> None:
    urls = (None, "https://inara.cz/elite/cmdr/1/", "https://inara.cz/elite/cmdr/7/")
    (section,) = build(facts(changes=tuple(changed("Nova", CHANGES[0].change, url) for url in urls))).sections
    assert [entry.url for entry in section.entries] == ["https://inara.cz/elite/cmdr/7/"]


def test_a_first_report_names_the_ten_most_notable_and_counts_the_rest() -> None:
    new = [changed(f"New {number}", Change(ChangeKind.NEW)) for number in range(9)]
    learned = changed("Lyra", Change(ChangeKind.RANK_LEARNED, None, "3", COMBAT))
    power = changed("Nova", Change(ChangeKind.POWER, None, "Aisling Duval"))
    report = build(facts(first=True, changes=(learned, *new, power, promoted("Nova", 3), promoted("Vega", 8))))
    assert [section.title for section in report.sections] == ["Most notable"]
    assert told(report)["Most notable"] == [
        ("Nova", "Combat: Novice → Competent; Power: Aisling Duval"),
        ("Vega", "Combat: Deadly → Elite"),
        *((f"New {number}", "new on the roster") for number in range(8)),
    ]
    assert report.sections[0].omitted == 2


@pytest.mark.parametrize(("count", "named", "omitted"), [(1, 1, 0), (5, 5, 0), (6, 5, 1), (1_000, 5, 995)])
def test_problems_are_grouped_by_kind_with_a_count_and_five_examples(count: int, named: int, omitted: int) -> None:
    rejected = [Problem("name_rejected", f"Nova {number}") for number in range(count)]
    report = build(facts(problems=(*rejected[:2], Problem("outage", "HTTP 503"), *rejected[2:])))
    rejections, outage = report.sections
    assert rejections.title == f"Names that Inara refuses ({count})"
    assert [entry.text for entry in rejections.entries] == [f"Nova {number}" for number in range(named)]
    assert rejections.omitted == omitted
    assert outage == Section("Inara was away (1)", (Entry("HTTP 503"),))


@pytest.mark.parametrize(
    ("kind", "title"),
    [
        ("outage", "Inara was away"),
        ("limited", "Inara's limit"),
        ("not_whitelisted", "Application not white-listed"),
        ("bad_key", "Inara key refused"),
        ("unknown_refusal", "Refused for an unknown reason"),
        ("incomplete", "Not everyone was covered"),
        ("state", "The daemon's own database"),
        ("bug", "A bug in the daemon"),
        ("name_set_aside", "Names that make Inara refuse a whole request"),
        ("name_unanswered", "Names that Inara did not answer"),
        ("name_too_long", "Names too long for the table"),
        ("disk_full", "Disk full"),
    ],
)
def test_a_problem_is_told_under_a_title_that_people_understand(kind: str, title: str) -> None:
    assert told(build(facts(problems=(Problem(kind, "so it was"),)))) == {f"{title} (1)": [(None, "so it was")]}


def test_a_notice_is_a_report_of_no_run() -> None:
    assert notice("Grim", "Test", "It works.", NOW) == Report(
        "Grim", 0, Outcome.GOOD, "Test", "It works.", (), None, NOW
    )


# --- The queue -------------------------------------------------------------------------------------------------------

moments = st.datetimes(timezones=st.just(UTC))
entries = st.builds(Entry, st.text(), st.none() | st.text(), st.none() | st.text())
sections = st.builds(Section, st.text(), st.lists(entries, max_size=3).map(tuple), st.integers(0, 10**6))
reports = st.builds(
    Report,
    tenant=st.text(),
    run_id=st.integers(0, 2**63 - 1),
    outcome=st.sampled_from(Outcome),
    title=st.text(),
    summary=st.text(),
    sections=st.lists(sections, max_size=3).map(tuple),
    next_run_at=st.none() | moments,
    ended_at=moments,
    log_lines=st.lists(st.text(), max_size=3).map(tuple),
    log_lines_dropped=st.integers(0, 10**6),
)


@given(reports)
def test_a_report_comes_out_of_the_queue_as_it_went_in(report: Report) -> None:
    assert from_json(to_json(report)) == report
    assert f'"outcome":"{report.outcome.name.lower()}"' in to_json(report)
