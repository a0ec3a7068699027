"""What an outcome means for one name of one tenant, as a table over what came and what was known."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from inara_daemon.answers import Known, Namesake, Update, weigh
from inara_daemon.commander import (
    Change,
    ChangeKind,
    Found,
    NotFound,
    Outcome,
    Profile,
    RankKind,
    Record,
    Rejected,
    SetAside,
    Snapshot,
    Squadron,
    Standing,
    Unanswered,
)
from inara_daemon.roster_plan import Spelling
from inara_daemon.roster_row import row_of

NOW = datetime(2027, 1, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
COMBAT = RankKind.COMBAT
SPELLINGS = (Spelling("Nova", 9), Spelling("NOVA", 4))

NEVER_SEEN = None
REMEMBERED = Snapshot(7, "Nova", {COMBAT: 7}, power="Aisling Duval")
STORED = Snapshot(ranks={COMBAT: 7})
"""From the tenant's own row: no account, no name."""

HERSELF = Found(Profile("NOVA", 7, {COMBAT: 8}))
RENAMED = Found(Profile("Vega", 7, {COMBAT: 8}))
OTHER = Found(Profile("Nova", 9, {COMBAT: 8}))
STRANGER = Found(Profile("Vega", 9, {COMBAT: 8}))
HIDING = Found(Profile("Nova", 7))

PROMOTED = Change(ChangeKind.PROMOTED, "7", "8", COMBAT)


def decide(
    outcome: Outcome,
    snapshot: Snapshot | None = REMEMBERED,
    *,
    record: Record | None = None,
    namesake: Namesake | None = None,
    spellings: tuple[Spelling, ...] = SPELLINGS,
) -> Update:
    known = Known(spellings, record or Record(), snapshot, namesake)
    return weigh("nova", outcome, known, request=5, now=NOW)


@pytest.mark.parametrize(
    ("outcome", "snapshot", "changes"),
    [
        (HERSELF, NEVER_SEEN, (Change(ChangeKind.NEW, None, "NOVA"),)),
        (HERSELF, STORED, (PROMOTED,)),
        (HERSELF, REMEMBERED, (PROMOTED,)),
        (HIDING, NEVER_SEEN, (Change(ChangeKind.NEW, None, "Nova"),)),
        (HIDING, STORED, ()),
        (HIDING, REMEMBERED, ()),
        (RENAMED, REMEMBERED, (Change(ChangeKind.RENAMED, "Nova", "Vega"), PROMOTED)),
        (OTHER, NEVER_SEEN, (Change(ChangeKind.NEW, None, "Nova"),)),
        (OTHER, STORED, (PROMOTED,)),
        (OTHER, REMEMBERED, (Change(ChangeKind.OTHER_ACCOUNT, "7", "9"),)),
    ],
)
def test_a_profile_of_this_commander_is_remembered_told_and_written(
    outcome: Found, snapshot: Snapshot | None, changes: tuple[Change, ...]
) -> None:
    update = decide(outcome, snapshot)
    assert update.changes == changes
    assert update.snapshot is not None
    assert update.snapshot.inara_name == outcome.profile.commander_name
    assert update.snapshot.user_id == outcome.profile.user_id
    assert update.snapshot.ranks.get(COMBAT) == outcome.profile.ranks.get(COMBAT, 7 if snapshot else None)
    assert update.row == row_of(update.snapshot)
    assert update.spellings == SPELLINGS
    assert (update.detail, update.renamed_from) == (None, None)


@pytest.mark.parametrize(
    ("outcome", "standing", "detail"),
    [
        (STRANGER, Standing.AMBIGUOUS, "Vega"),
        (NotFound(), Standing.NOT_FOUND, None),
        (Rejected("a bad name"), Standing.REJECTED, "a bad name"),
        (SetAside("a bad batch"), Standing.SET_ASIDE, "a bad batch"),
    ],
)
@pytest.mark.parametrize(("misses", "days"), [(0, 1), (1, 2), (2, 4), (7, 30)])
def test_an_answer_about_nobody_changes_only_the_memory_of_it_and_backs_off(
    outcome: Outcome, standing: Standing, detail: str | None, misses: int, days: int
) -> None:
    for snapshot in (NEVER_SEEN, STORED, REMEMBERED):
        update = decide(outcome, snapshot, record=Record(standing, 3, NOW - DAY, misses, NOW, 2))
        assert update == Update("nova", Record(standing, 5, NOW, misses + 1, NOW + days * DAY, 9), detail=detail)


@pytest.mark.parametrize("snapshot", [NEVER_SEEN, STORED])
def test_identity_unknown_makes_a_renamed_commander_a_stranger(snapshot: Snapshot | None) -> None:
    assert decide(RENAMED, snapshot).record.standing is Standing.AMBIGUOUS
    assert decide(RENAMED, snapshot).snapshot is None


def test_failures_unanswered_does_not_count_against_the_name() -> None:
    update = decide(Unanswered(), record=Record(Standing.NOT_FOUND, 3, NOW - DAY, 2, NOW))
    assert update.record.standing is Standing.UNANSWERED
    assert (update.record.misses, update.record.due_at, update.record.answered_request) == (2, NOW, 5)
    assert update == Update("nova", update.record)


def test_being_found_ends_the_backing_off() -> None:
    update = decide(HERSELF, record=Record(Standing.NOT_FOUND, 3, NOW - DAY, 4, NOW + DAY, 2))
    assert update.record == Record(Standing.FOUND, 5, NOW, 0, None, 9)


def test_a_name_whose_events_are_gone_is_told_by_its_key_and_keeps_its_last_event() -> None:
    update = decide(HERSELF, NEVER_SEEN, record=Record(last_event_id=4), spellings=())
    assert update.record == Record(Standing.FOUND, 5, NOW, last_event_id=4)
    assert update.spellings == ()


def test_an_empty_profile_of_someone_new_still_makes_a_row() -> None:
    row = decide(HIDING, NEVER_SEEN).row
    assert row is not None
    assert set(row.values.values()) == {None}


def test_missing_fields_keep_what_was_known() -> None:
    update = decide(HIDING, replace(REMEMBERED, squadron=Squadron("Grim", "Recruit"), inara_url="https://inara.cz/c/7"))
    assert update.row is not None
    assert {column: text for column, text in update.row.values.items() if text is not None} == {
        "rank_combat": "7",
        "rank_power": "Aisling Duval",
        "inara_url": "https://inara.cz/c/7",
        "squadron_name": "Grim",
        "squadron_rank": "Recruit",
    }


# --- One account under two names -------------------------------------------------------------------------------------

BEFORE = Namesake("old name", Snapshot(7, "Old Name", {COMBAT: 7}))
MOVED = Change(ChangeKind.RENAMED, "Old Name", "NOVA")


@pytest.mark.parametrize("snapshot", [NEVER_SEEN, STORED])
def test_identity_a_rename_that_shows_in_the_events_is_told_once_and_nobody_is_new(snapshot: Snapshot | None) -> None:
    update = decide(HERSELF, snapshot, namesake=BEFORE)
    assert update.changes == (MOVED, PROMOTED)
    assert update.renamed_from == "old name"

    assert update.snapshot is not None
    told = replace(BEFORE.snapshot, inara_name=update.snapshot.inara_name)
    later = weigh("old name", HERSELF, Known((Spelling("Old Name", 2),), Record(), told), request=6, now=NOW)
    assert ChangeKind.RENAMED not in {change.kind for change in later.changes}


def test_identity_a_rename_told_under_the_old_name_is_not_told_under_the_new_one() -> None:
    known = Known((Spelling("Old Name", 2),), Record(), BEFORE.snapshot)
    told = weigh("old name", HERSELF, known, request=5, now=NOW)
    assert told.changes == (MOVED, PROMOTED)
    assert told.renamed_from is None

    assert told.snapshot is not None
    update = decide(HERSELF, NEVER_SEEN, namesake=Namesake("old name", told.snapshot))
    assert update.changes == ()
    assert update.row == row_of(told.snapshot)


def test_identity_a_rename_back_to_a_name_that_is_known_reaches_the_other_name_too() -> None:
    known = replace(REMEMBERED, inara_name="Old Name")
    update = decide(HERSELF, known, namesake=Namesake("old name", known))
    assert update.changes == (MOVED, PROMOTED)
    assert update.renamed_from == "old name"


def test_a_namesake_that_has_nothing_to_learn_is_left_alone() -> None:
    assert decide(HERSELF, REMEMBERED, namesake=BEFORE).renamed_from is None
    assert decide(RENAMED, REMEMBERED, namesake=Namesake("nova", REMEMBERED)).renamed_from is None
    assert decide(HERSELF, replace(REMEMBERED, user_id=9), namesake=BEFORE).renamed_from is None


def test_identity_two_spellings_are_one_change_and_a_row_each() -> None:
    update = decide(HERSELF, REMEMBERED, spellings=(Spelling("Nova", 9), Spelling("nova ", 8)))
    assert update.changes == (PROMOTED,)
    assert [spelling.name for spelling in update.spellings] == ["Nova", "nova "]
    assert update.record.last_event_id == 9


def test_identity_two_names_of_one_account_know_together_what_either_knew() -> None:
    stored = Snapshot(ranks={COMBAT: 7, RankKind.TRADE: 2}, power="Aisling Duval", squadron=Squadron("Grim"))
    update = decide(HIDING, stored, namesake=Namesake("old", Snapshot(7, "Old", {COMBAT: 8})))
    assert update.snapshot is not None
    assert update.snapshot.ranks == {COMBAT: 8, RankKind.TRADE: 2}
    assert update.snapshot.power == "Aisling Duval"
    assert update.snapshot.squadron == Squadron("Grim")


def test_a_name_that_was_not_answered_keeps_its_news_for_the_next_run() -> None:
    assert decide(Unanswered(), record=Record(last_event_id=3)).record.last_event_id == 3
