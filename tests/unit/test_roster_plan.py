"""Whose turn it is: names gathered from events, the order of a run, and the waits of unknown names."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inara_daemon.commander import Record, Standing
from inara_daemon.roster_plan import (
    PARTS,
    Part,
    Plan,
    Reason,
    Roster,
    Spelling,
    backoff,
    gather,
    newest_event,
    plan,
    plan_named,
    reason_for,
    sort_out,
    waits,
)

NOW = datetime(2027, 1, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
SLACK = timedelta(hours=6)
"""So that a wait of one day ends with the next night, at whatever minute of a night it began."""
WAITING = (Standing.NOT_FOUND, Standing.AMBIGUOUS, Standing.REJECTED, Standing.SET_ASIDE)


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
def test_only_a_name_that_inara_did_not_know_or_refused_waits_until_it_is_due(
    standing: Standing, due_at: datetime | None
) -> None:
    waiting = standing in WAITING and due_at is not None and due_at > NOW + SLACK
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


rosters = st.lists(
    st.builds(Spelling, st.sampled_from(["a", "A", "b", "B ", "c", "d", " ", "e" + " " * 64]), st.integers(1, 6))
).map(gather)
memories = st.dictionaries(st.sampled_from("abcdex"), records_of_any_kind)


@given(rosters, memories, st.integers(0, 5))
def test_everyone_is_wanted_or_a_filler_or_alone_or_left_out_and_nobody_twice(
    roster: Roster, records: dict[str, Record], first_request: int
) -> None:
    made = plan(roster, records, first_request=first_request, now=NOW)
    left_out = {
        key
        for key in roster.spellings.keys() & records.keys()
        if records[key].standing is not None
        and (
            records[key].answered_request > first_request
            or (records[key].standing is Standing.SET_ASIDE and waits(records[key], NOW))
        )
    }
    assert sorted([*made.wanted, *made.fillers, *made.alone, *left_out]) == sorted(roster.spellings)
    assert all(waits(records[key], NOW) for key in made.fillers)
    assert not any(waits(records.get(key, Record()), NOW) for key in (*made.wanted, *made.alone))


@given(rosters, memories, st.integers(0, 5))
def test_a_name_set_aside_shares_no_request_with_anybody(
    roster: Roster, records: dict[str, Record], first_request: int
) -> None:
    made = plan(roster, records, first_request=first_request, now=NOW)
    named = plan_named(sorted(records), roster, records)
    for key in (*made.wanted, *made.fillers, *named.wanted, *named.fillers):
        assert records.get(key, Record()).standing is not Standing.SET_ASIDE
    for key in (*made.alone, *named.alone):
        assert records[key].standing is Standing.SET_ASIDE


@given(rosters, memories, st.integers(0, 5))
def test_the_reason_that_is_given_for_a_name_is_the_one_that_decides(
    roster: Roster, records: dict[str, Record], first_request: int
) -> None:
    made = plan(roster, records, first_request=first_request, now=NOW)
    sorted_out = sort_out(roster, records, first_request=first_request, now=NOW)
    given_reasons = {
        key: reason_for(key, roster, records, first_request=first_request, now=NOW)
        for key in {*roster.spellings, *records, "nobody"}
    }
    by_part = {part: {key for key, reason in given_reasons.items() if PARTS[reason] is part} for part in Part}
    assert (set(made.wanted), set(made.fillers), set(made.alone)) == (
        by_part[Part.WANTED],
        by_part[Part.FILLER],
        by_part[Part.ALONE],
    )
    assert {key: reason for reason, keys in sorted_out.items() for key in keys} == {
        key: given_reasons[key] for key in roster.spellings
    }


@given(rosters, memories, st.integers(0, 5))
def test_nobody_is_asked_before_one_who_was_never_seen_or_has_news_or_is_staler(
    roster: Roster, records: dict[str, Record], first_request: int
) -> None:
    """Rests on nothing but the records: never seen < new events < the rest, and the stalest first among equals."""

    def urgency(key: str) -> tuple[int, int]:
        record, newest = records.get(key, Record()), newest_event(roster.spellings[key])
        if record.standing is None:
            return 0, -newest
        return (1 if newest > record.last_event_id else 2), record.answered_request

    made = plan(roster, records, first_request=first_request, now=NOW)
    asked = [urgency(key) for key in made.wanted]
    assert asked == sorted(asked)
    for keys in (made.fillers, made.alone):
        ages = [records[key].answered_request for key in keys]
        assert ages == sorted(ages)


# --- Why --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "reason", "part"),
    [
        (None, Reason.NEVER_ASKED, Part.WANTED),
        (Record(), Reason.NEVER_ASKED, Part.WANTED),
        (found(20, last_event=99), Reason.NEWS, Part.WANTED),
        (found(20), Reason.STALEST, Part.WANTED),
        (Record(Standing.UNANSWERED, 20, last_event_id=100), Reason.STALEST, Part.WANTED),
        (missed(20, NOW), Reason.STALEST, Part.WANTED),
        (missed(20, NOW + DAY), Reason.BACKING_OFF, Part.FILLER),
        (missed(20, NOW + DAY, Standing.AMBIGUOUS), Reason.BACKING_OFF, Part.FILLER),
        (missed(20, NOW + DAY, Standing.REJECTED), Reason.BACKING_OFF, Part.FILLER),
        (missed(20, NOW, Standing.SET_ASIDE), Reason.TRIED_ALONE, Part.ALONE),
        (missed(20, NOW + SLACK, Standing.SET_ASIDE), Reason.TRIED_ALONE, Part.ALONE),
        (missed(20, NOW + DAY, Standing.SET_ASIDE), Reason.SET_ASIDE, Part.LEFT_OUT),
        (missed(51, NOW + DAY, Standing.SET_ASIDE), Reason.ANSWERED, Part.LEFT_OUT),
        (found(51), Reason.ANSWERED, Part.LEFT_OUT),
        (found(51, last_event=99), Reason.ANSWERED, Part.LEFT_OUT),
    ],
)
def test_why_a_name_is_asked_or_not_is_one_reason_and_decides_how(
    record: Record | None, reason: Reason, part: Part
) -> None:
    roster, records = gather([Spelling("Nova", 100)]), {} if record is None else {"nova": record}
    assert reason_for("nova", roster, records, first_request=50, now=NOW) is reason
    assert PARTS[reason] is part
    expected = {Part.WANTED: Plan(("nova",), ()), Part.FILLER: Plan((), ("nova",)), Part.ALONE: Plan((), (), ("nova",))}
    assert plan(roster, records, first_request=50, now=NOW) == expected.get(part, Plan((), ()))


def test_why_a_name_that_is_not_on_the_roster_is_not_asked() -> None:
    long = "x" * 65
    roster = gather([Spelling(long, 1), Spelling("Nova" + " " * 61, 1), Spelling("Nova", 1)])
    for key, reason in ((long, Reason.TOO_LONG), ("nobody", Reason.NO_EVENT), ("nova", Reason.NEVER_ASKED)):
        assert reason_for(key, roster, {"nobody": found(1)}, first_request=50, now=NOW) is reason


def test_every_reason_decides() -> None:
    assert set(PARTS) == set(Reason)


# --- Runs that were asked for by name -------------------------------------------------------------------------------


def test_who_is_named_is_asked_however_long_it_would_wait_and_whoever_is_set_aside_alone() -> None:
    roster = gather(Spelling(name, 100) for name in ("b", "a", "poison", "done"))
    records = {
        "a": missed(20, NOW + 9 * DAY),
        "poison": missed(20, NOW + 9 * DAY, Standing.SET_ASIDE),
        "done": found(51),
        "gone": found(1),
    }
    names = ["b", "a", "poison", "done", "gone", "stranger", "a"]
    assert plan_named(names, roster, records, first_request=50) == Plan(("b", "a"), (), ("poison",))
    assert plan_named(names, roster, records) == Plan(("b", "a", "done"), (), ("poison",))
