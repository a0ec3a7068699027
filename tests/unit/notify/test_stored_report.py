"""A report that another version of the daemon stored is told as far as it can be understood."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from inara_daemon import report
from inara_daemon.notify.discord_format import render
from inara_daemon.notify.stored_report import read

NOW = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
WHOLE = report.notice("Alpha", "Roster of Alpha", "all well", NOW)


def test_a_report_of_this_version_comes_back_whole() -> None:
    assert read(report.to_json(WHOLE), NOW) == WHOLE


def test_a_field_that_is_not_known_yet_takes_nothing_away() -> None:
    later = {**json.loads(report.to_json(WHOLE)), "mood": "splendid"}
    assert read(json.dumps(later), NOW) == WHOLE


def test_of_a_form_that_is_not_known_title_and_summary_are_told_and_that_there_was_more() -> None:
    other = {"tenant": "Alpha", "title": "Roster", "summary": "3 of 3", "sections": {"not": "a list"}}
    found = read(json.dumps(other), NOW)
    assert found is not None
    assert (found.tenant, found.title, found.ended_at) == ("Alpha", "Roster", NOW)
    assert found.summary == "3 of 3\nIts details were stored by another version of the daemon and can't be read."
    assert render(found)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["title", "summary"]), inner),
        max_leaves=6,
    ).map(json.dumps)
    | st.text(max_size=20)
)
def test_nothing_that_may_be_stored_raises(body: str) -> None:
    read(body, NOW)
    assert read("[" * 200_000, NOW) is None
