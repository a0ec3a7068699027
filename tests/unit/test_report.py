"""A report is the same before and after it waits in the queue, also one of an older version."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inara_daemon.report import Entry, Outcome, Report, Section, from_json, notice, to_json

NOW = datetime(2027, 1, 1, 1, tzinfo=UTC)

HIGH, LOW = chr(0xD83D), chr(0xDE80)
moments = st.datetimes(timezones=st.just(UTC))
texts = st.text(st.characters() | st.just(HIGH))
entries = st.builds(Entry, texts, st.none() | texts, st.none() | texts)
sections = st.builds(Section, texts, st.lists(entries, max_size=3).map(tuple), st.integers(0, 10**6), texts)
reports = st.builds(
    Report,
    tenant=texts,
    run_id=st.integers(0, 2**63 - 1),
    outcome=st.sampled_from(Outcome),
    title=texts,
    summary=texts,
    sections=st.lists(sections, max_size=3).map(tuple),
    next_run_at=st.none() | moments,
    ended_at=moments,
    log_lines=st.lists(texts, max_size=3).map(tuple),
    log_lines_dropped=st.integers(0, 10**6),
    totals=texts,
    footer=texts,
)


@given(reports)
def test_a_report_comes_out_of_the_queue_as_it_went_in(report: Report) -> None:
    assert from_json(to_json(report)) == report
    assert json.loads(to_json(report))["outcome"] == report.outcome.name.lower()


@pytest.mark.parametrize("half", [HIGH, LOW, f"{LOW}{HIGH}", f"x{HIGH}"])
def test_halves_of_surrogate_pairs_come_out_of_the_queue_too(half: str) -> None:
    report = notice("Grim", "Test", f"half a sign: {half}", NOW)
    assert from_json(to_json(report)) == report
    assert to_json(report).isascii()


def test_a_report_that_an_older_version_queued_is_still_understood() -> None:
    queued = {
        "tenant": "Grim",
        "run_id": 7,
        "outcome": "partial",
        "title": "Commander sync for Grim",
        "summary": "1 of 2 answered.",
        "sections": [{"title": "Promotions", "entries": [{"text": "Elite", "name": "Nova", "url": None}]}],
        "next_run_at": None,
        "ended_at": "2027-01-01T01:00:00Z",
        "log_lines": ["warning x_failed"],
    }
    assert from_json(json.dumps(queued)) == Report(
        "Grim",
        7,
        Outcome.PARTIAL,
        "Commander sync for Grim",
        "1 of 2 answered.",
        (Section("Promotions", (Entry("Elite", "Nova"),)),),
        None,
        NOW,
        ("warning x_failed",),
    )


@pytest.mark.parametrize("text", ["null", "{}", "[1]", '{"tenant": "Grim"}'])
def test_what_is_no_report_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="validation error"):
        from_json(text)


@pytest.mark.parametrize("text", ["", "not JSON", "{"])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="line 1 column"):
        from_json(text)


def test_what_is_nested_too_deeply_is_refused() -> None:
    with pytest.raises(ValueError, match="is nested too deeply"):
        from_json("[" * 100_000)


def test_a_notice_is_a_report_of_no_run() -> None:
    assert notice("Grim", "Test", "It works.", NOW) == Report(
        "Grim", 0, Outcome.GOOD, "Test", "It works.", (), None, NOW
    )
