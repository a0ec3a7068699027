"""Whose turn it is: names gathered from events, the order of a run, and the waits of unknown names."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inara_daemon.commander import Record, Standing
from inara_daemon.roster_plan import Plan, Roster, Spelling, backoff, gather, newest_event, plan, waits

NOW = datetime(2027, 1, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
SLACK = timedelta(hours=6)
"""So that a wait of one day ends with the next night, at whatever minute of a night it began."""
UNKNOWN = (Standing.NOT_FOUND, Standing.AMBIGUOUS, Standing.REJECTED)


def names(roster: Roster) -> dict[str, list[str]]:
    return {key: [spelling.name for spelling in spellings] for key, spellings in roster.spellings.items()}


# --- Names ------------------------------------------------------------------------------------------------------------


def test_spellings_of_one_commander_are_joined_the_one_with_the_newest_event_first() -> None:
    roster = gather([Spelling("nova", 5), Spelling("NOVA", 9), Spelling("Nova", 5), Spelling("Vega", 1)])
    assert roster.spellings == {
        "nova": (Spelling("NOVA", 9), Spelling("Nova", 5), Spelling("nova", 5)),
        "vega": (Spelling("Vega", 1),),
    }


@pytest.mark.parametrize("event_ids", [(3, 8), (8, 3)])
def test_a_spelling_met_in_several_chunks_counts_with_its_newest_event(event_ids: tuple[int, int]) -> None:
    roster = gather(Spelling("Nova", event_id) for event_id in event_ids)
    assert roster.spellings == {"nova": (Spelling("Nova", 8),)}


def test_padded_names_stay_as_they_stand_in_the_events() -> None:
    assert names(gather([Spelling("  Nova ", 2), Spelling("Nova", 1)])) == {"nova": ["  Nova ", "Nova"]}


@pytest.mark.parametrize("blank", ["", " ", "\t \n", " " * 70])
def test_blank_names_are_nobody(blank: str) -> None:
    assert gather([Spelling(blank, 1)]) == Roster({})


@pytest.mark.parametrize(
    ("name", "kept"),
    [("x" * 64, True), ("x" * 65, False), (" " * 60 + "Nova", True), (" " * 61 + "Nova", False), ("😀" * 64, True)],
)
def test_a_name_over_64_characters_is_skipped_and_named_never_cut(name: str, kept: bool) -> None:
    roster = gather([Spelling(name, 1), Spelling(name, 2)])
    assert names(roster) == ({name.strip().casefold(): [name]} if kept else {})
    assert roster.too_long == (() if kept else (name,))


def test_the_newest_event_of_nobody_is_none() -> None:
    assert newest_event([]) == 0
    assert newest_event([Spelling("a", 3), Spelling("A", 7), Spelling("á", 5)]) == 7


# --- The order --------------------------------------------------------------------------------------------------------


def found(answered: int, last_event: int = 100) -> Record:
    return Record(Standing.FOUND, answered, NOW - DAY, last_event_id=last_event)


def missed(answered: int, due: datetime, standing: Standing = Standing.NOT_FOUND) -> Record:
    return Record(standing, answered, NOW - DAY, misses=1, due_at=due, last_event_id=100)


def planned(records: Mapping[str, Record | None], *, first_request: int = 50, events: Mapping[str, int]) -> Plan:
    roster = gather(Spelling(name, events.get(name, 100)) for name in records)
    known = {name: record for name, record in records.items() if record is not None}
    return plan(roster, known, first_request=first_request, now=NOW)


def test_never_seen_names_come_first_then_those_with_news_then_the_stalest() -> None:
    records = {
        "stale": found(20),
        "stalest": found(10),
        "news": found(40),
        "older news": found(30),
        "new": None,
        "newest": None,
        "noted": Record(),
    }
    events = {"news": 101, "older news": 101, "new": 7, "newest": 9, "noted": 8}
    assert planned(records, events=events) == Plan(
        ("newest", "noted", "new", "older news", "news", "stalest", "stale"),
        (),
    )


def test_equals_are_asked_in_the_order_of_their_names() -> None:
    assert planned({"b": None, "a": None, "d": found(3), "c": found(3)}, events={}).wanted == ("a", "b", "c", "d")


def test_an_event_of_any_spelling_is_news() -> None:
    roster = gather([Spelling("Nova", 90), Spelling("NOVA", 101), Spelling("Vega", 100)])
    records = {"nova": found(40), "vega": found(10)}
    assert plan(roster, records, first_request=50, now=NOW).wanted == ("nova", "vega")


def test_resuming_asks_only_the_rest() -> None:
    records = {
        "before": found(50),
        "since": found(51),
        "missed since": missed(52, NOW + DAY),
        "given up": Record(Standing.UNANSWERED, 53),
        "new": None,
    }
    assert planned(records, events={}) == Plan(("new", "before"), ())


def test_names_that_still_wait_fill_free_slots_the_stalest_first() -> None:
    records = {"late": missed(30, NOW + DAY), "early": missed(20, NOW + 9 * DAY), "due": missed(40, NOW)}
    assert planned(records, events={"late": 500}) == Plan(("due",), ("early", "late"))


@pytest.mark.parametrize("standing", Standing)
@pytest.mark.parametrize("due_at", [None, NOW - DAY, NOW, NOW + SLACK, NOW + SLACK + timedelta(microseconds=1)])
def test_only_a_name_that_inara_did_not_know_waits_until_it_is_due(standing: Standing, due_at: datetime | None) -> None:
    waiting = standing in UNKNOWN and due_at is not None and due_at > NOW + SLACK
    assert waits(Record(standing, due_at=due_at), NOW) is waiting


@pytest.mark.parametrize(
    ("misses", "days"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 30), (7, 30), (100, 30), (10**9, 30)]
)
def test_the_wait_doubles_from_one_day_to_thirty(misses: int, days: int) -> None:
    assert backoff(misses) == days * DAY


records_of_any_kind = st.builds(
    Record,
    standing=st.none() | st.sampled_from(Standing),
    answered_request=st.integers(0, 6),
    due_at=st.none() | st.sampled_from([NOW - DAY, NOW, NOW + DAY]),
    last_event_id=st.integers(0, 5),
)


@given(
    st.lists(st.builds(Spelling, st.sampled_from(["a", "A", "b", "B ", "c", "d", " "]), st.integers(1, 6))),
    st.dictionaries(st.sampled_from("abcdx"), records_of_any_kind),
    st.integers(0, 5),
)
def test_everyone_is_wanted_or_a_filler_or_answered_and_nobody_twice(
    spellings: list[Spelling], records: dict[str, Record], first_request: int
) -> None:
    roster = gather(spellings)
    made = plan(roster, records, first_request=first_request, now=NOW)
    answered = {
        key
        for key in roster.spellings.keys() & records.keys()
        if records[key].standing is not None and records[key].answered_request > first_request
    }
    assert sorted([*made.wanted, *made.fillers, *answered]) == sorted(roster.spellings)
    assert all(waits(records[key], NOW) for key in made.fillers)
    assert not any(waits(records.get(key, Record()), NOW) for key in made.wanted)
