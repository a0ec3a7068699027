"""Ranks, whose reply it is, what is known after it, and what it changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inara_daemon.commander import (
    Change,
    ChangeKind,
    Identity,
    Profile,
    RankKind,
    Snapshot,
    Squadron,
    Standing,
    diff,
    identify,
    ladder_name,
    lookup_key,
    merge,
    rank_title,
)

NOW = datetime(2027, 1, 1, 1, tzinfo=UTC)
COMBAT, TRADE, CQC = RankKind.COMBAT, RankKind.TRADE, RankKind.CQC

# --- Ranks: the tables as they stand in the facts ---------------------------------------------------------------------

PILOTS = """
combat          | trade           | exploration    | cqc               | soldier            | exobiologist
Harmless        | Penniless       | Aimless        | Helpless          | Defenceless        | Directionless
Mostly Harmless | Mostly Penniless| Mostly Aimless | Mostly Helpless   | Mostly Defenceless | Mostly Directionless
Novice          | Peddler         | Scout          | Amateur           | Rookie             | Compiler
Competent       | Dealer          | Surveyor       | Semi Professional | Soldier            | Collector
Expert          | Merchant        | Trailblazer    | Professional      | Gunslinger         | Cataloguer
Master          | Broker          | Pathfinder     | Champion          | Warrior            | Taxonomist
Dangerous       | Entrepreneur    | Ranger         | Hero              | Gladiator          | Ecologist
Deadly          | Tycoon          | Pioneer        | Legend            | Deadeye            | Geneticist
"""
NAVIES = """
empire   | federation
None     | None
Outsider | Recruit
Serf     | Cadet
Master   | Midshipman
Squire   | Petty Officer
Knight   | Chief Petty Officer
Lord     | Warrant Officer
Baron    | Ensign
Viscount | Lieutenant
Count    | Lieutenant Commander
Earl     | Post Commander
Marquis  | Post Captain
Duke     | Rear Admiral
Prince   | Vice Admiral
King     | Admiral
"""
ELITES = ("Elite", "Elite I", "Elite II", "Elite III", "Elite IV", "Elite V")


def ladders(table: str, *more: str) -> dict[RankKind, tuple[str, ...]]:
    kinds, *rows = [[cell.strip() for cell in row.split("|")] for row in table.strip().splitlines()]
    return {RankKind(kinds[column]): (*(row[column] for row in rows), *more) for column in range(len(kinds))}


TITLES: Mapping[RankKind, tuple[str, ...]] = ladders(PILOTS, *ELITES) | ladders(NAVIES)


@pytest.mark.parametrize("kind", RankKind)
def test_every_rank_has_its_title_and_a_rank_beyond_the_table_its_number(kind: RankKind) -> None:
    titles = TITLES[kind]
    assert tuple(rank_title(kind, value) for value in range(len(titles))) == titles
    assert rank_title(kind, len(titles)) == f"rank {len(titles)}"
    assert rank_title(kind, 10**6) == "rank 1000000"
    assert rank_title(kind, -1) == "rank -1"


def test_ladders_are_called_what_players_call_them() -> None:
    called = "Combat Trade Exploration CQC Mercenary Exobiologist Empire Federation"
    assert " ".join(ladder_name(kind) for kind in RankKind) == called


# --- Whose reply it is ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "key"),
    [("Nova", "nova"), ("  NOVA\t", "nova"), ("No va", "no va"), ("GROẞ", "gross"), ("ΖΕΥΣ", "ζευσ"), (" ", "")],
)
def test_spellings_share_a_key_whatever_their_case_and_padding(name: str, key: str) -> None:
    assert lookup_key(name) == key


@pytest.mark.parametrize(
    ("searched", "answered", "user_id", "known_user_id", "identity"),
    [
        ("Nova", "Nova", 7, None, Identity.SAME),
        (" nova ", "NOVA", 7, 7, Identity.SAME),
        ("Nova", "Nova", None, 7, Identity.SAME),
        ("Nova", "Nova", None, None, Identity.SAME),
        ("Nova", "Nova", 8, 7, Identity.OTHER_ACCOUNT),
        ("Nova", "Vega", 7, 7, Identity.RENAMED),
        ("Nova", "Vega", 8, 7, Identity.STRANGER),
        ("Nova", "Vega", 7, None, Identity.STRANGER),
        ("Nova", "Vega", None, 7, Identity.STRANGER),
        ("Nova", "Vega", None, None, Identity.STRANGER),
        ("Nova", "Nova Prime", 7, None, Identity.STRANGER),
    ],
)
def test_identity_is_told_by_name_and_account(
    searched: str, answered: str, user_id: int | None, known_user_id: int | None, identity: Identity
) -> None:
    assert identify(searched, Profile(answered, user_id), known_user_id) is identity


# --- What is known after a reply --------------------------------------------------------------------------------------

words = st.text(min_size=1, max_size=3)
squadrons = st.builds(Squadron, st.sampled_from(["Grim", "Dawn"]), st.none() | st.sampled_from(["Recruit", "Officer"]))
profiles = st.builds(
    Profile,
    commander_name=st.sampled_from(["Nova", "NOVA", "Vega"]),
    user_id=st.none() | st.integers(1, 3),
    ranks=st.dictionaries(st.sampled_from(RankKind), st.integers(0, 15), max_size=3),
    power=st.none() | words,
    squadron=st.none() | squadrons,
    squadron_absent=st.booleans(),
    inara_url=st.none() | words,
)
replies = st.tuples(profiles, st.integers(-20, 20).map(lambda hours: NOW + timedelta(hours=hours)))


def after(told: Sequence[tuple[Profile, datetime]]) -> Snapshot | None:
    known: Snapshot | None = None
    for profile, at in told:
        known = merge(known, profile, at)
    return known


@given(st.lists(replies, min_size=1, max_size=6))
def test_missing_is_unknown_and_never_lost(told: list[tuple[Profile, datetime]]) -> None:
    told = [(replace(profile, user_id=profile.user_id and 7), at) for profile, at in told]  # one and the same account
    known = after(told)
    assert known is not None
    said = [profile for profile, _ in told]
    ranks: dict[RankKind, int] = {}
    for profile in said:
        ranks.update(profile.ranks)
    assert known.ranks == ranks
    assert known.inara_name == said[-1].commander_name
    for field in ("user_id", "power", "inara_url"):
        values = [value for profile in said if (value := getattr(profile, field)) is not None]
        assert getattr(known, field) == (values[-1] if values else None)


@given(st.lists(replies, max_size=4), replies)
def test_a_reply_merged_twice_changes_nothing_and_tells_nothing(
    told: list[tuple[Profile, datetime]], reply: tuple[Profile, datetime]
) -> None:
    once = merge(after(told), *reply)
    twice = merge(once, *reply)
    assert twice == once
    assert diff(once, twice, Identity.SAME) == ()


HERE, OUT, NO_ID, HIDDEN, UNREADABLE, OTHER = "here", "out", "no id", "hidden", "unreadable", "other"
REPLIES = {
    HERE: Profile("Nova", 7, ranks={COMBAT: 3}, squadron=Squadron("Grim")),
    OUT: Profile("Nova", 7, ranks={COMBAT: 3}, squadron_absent=True),
    NO_ID: Profile("Nova", ranks={COMBAT: 3}, squadron_absent=True),
    HIDDEN: Profile("Nova", 7, squadron_absent=True),
    UNREADABLE: Profile("Nova", 7, ranks={COMBAT: 3}),
    OTHER: Profile("Nova", 9, ranks={COMBAT: 3}, squadron_absent=True),
}


@pytest.mark.parametrize(
    ("timeline", "member", "left"),
    [
        ([(0, HERE)], True, False),
        ([(0, HERE), (1, OUT)], True, False),
        ([(0, HERE), (1, OUT), (12.99, OUT)], True, False),
        ([(0, HERE), (1, OUT), (13, OUT)], False, True),
        ([(0, HERE), (1, OUT), (5, OUT), (13, OUT)], False, True),
        ([(0, HERE), (1, OUT), (7, HIDDEN), (13, OUT)], False, True),
        ([(0, HERE), (1, HIDDEN), (14, HIDDEN)], True, False),
        ([(0, HERE), (1, HIDDEN), (14, OUT)], True, False),
        ([(0, HERE), (1, OUT), (14, HIDDEN)], True, False),
        ([(0, HERE), (1, UNREADABLE), (14, UNREADABLE)], True, False),
        ([(0, HERE), (1, OUT), (7, HERE), (14, OUT)], True, False),
        ([(0, HERE), (1, OUT), (14, OUT), (15, HERE)], True, False),
        ([(0, HERE), (1, OUT), (14, OUT), (15, HIDDEN)], False, True),
        ([(0, HERE), (1, OUT), (14, NO_ID)], False, True),
        ([(0, HERE), (1, NO_ID), (14, NO_ID)], False, True),
        # How long another account was in no squadron says nothing.
        ([(0, HERE), (1, OUT), (14, OTHER)], False, False),
        ([(0, HERE), (1, OUT), (14, OTHER), (26, OTHER)], False, True),
        ([(0, OUT)], False, False),
        ([(0, OUT), (12, OUT)], False, True),
        # The clock went back by 19 hours: the wait starts again, and is not stretched.
        ([(0, HERE), (20, OUT), (1, OUT), (12.99, OUT)], True, False),
        ([(0, HERE), (20, OUT), (1, OUT), (13, OUT)], False, True),
    ],
)
def test_a_squadron_is_left_when_two_replies_with_ranks_twelve_hours_apart_lack_it(
    timeline: list[tuple[float, str]],
    member: bool,
    left: bool,
) -> None:
    known = after([(REPLIES[reply], NOW + timedelta(hours=hours)) for hours, reply in timeline])
    assert known is not None
    assert (known.squadron is not None, known.left_squadron) == (member, left)


@pytest.mark.parametrize(
    ("before", "told", "rank"),
    [
        (None, Squadron("Grim"), None),
        (None, Squadron("Grim", "Recruit"), "Recruit"),
        (Squadron("Grim", "Recruit"), Squadron("Grim"), "Recruit"),
        (Squadron("Grim", "Recruit"), Squadron("Grim", "Officer"), "Officer"),
        (Squadron("Grim", "Recruit"), Squadron("Dawn"), None),
        (Squadron("Grim", "Recruit"), Squadron("Dawn", "Officer"), "Officer"),
    ],
)
def test_a_hidden_rank_is_kept_in_the_same_squadron_and_unknown_in_a_new_one(
    before: Squadron | None, told: Squadron, rank: str | None
) -> None:
    known = merge(Snapshot(squadron=before), Profile("Nova", squadron=told), NOW)
    assert known.squadron == Squadron(told.name, rank)


# --- What changed -----------------------------------------------------------------------------------------------------

BASE = Snapshot(7, "Nova", {COMBAT: 7, TRADE: 8}, power="Aisling Duval", squadron=Squadron("Grim", "Recruit"))


@pytest.mark.parametrize(
    ("previous", "current", "change"),
    [
        (BASE, replace(BASE, inara_name="Vega"), Change(ChangeKind.RENAMED, "Nova", "Vega")),
        (BASE, replace(BASE, ranks={COMBAT: 8, TRADE: 8}), Change(ChangeKind.PROMOTED, "7", "8", COMBAT)),
        (BASE, replace(BASE, ranks={COMBAT: 0, TRADE: 8}), Change(ChangeKind.DEMOTED, "7", "0", COMBAT)),
        (BASE, replace(BASE, ranks={**BASE.ranks, CQC: 0}), Change(ChangeKind.RANK_LEARNED, None, "0", CQC)),
        (replace(BASE, squadron=None), BASE, Change(ChangeKind.SQUADRON_JOINED, None, "Grim")),
        (BASE, replace(BASE, squadron=Squadron("Dawn")), Change(ChangeKind.SQUADRON_MOVED, "Grim", "Dawn")),
        (BASE, replace(BASE, squadron=None), Change(ChangeKind.SQUADRON_LEFT, "Grim")),
        (
            BASE,
            replace(BASE, squadron=Squadron("Grim", "Officer")),
            Change(ChangeKind.SQUADRON_RANK, "Recruit", "Officer"),
        ),
        (BASE, replace(BASE, power="Archon Delaine"), Change(ChangeKind.POWER, "Aisling Duval", "Archon Delaine")),
        (replace(BASE, power=None), BASE, Change(ChangeKind.POWER, None, "Aisling Duval")),
    ],
)
def test_one_difference_is_one_change(previous: Snapshot, current: Snapshot, change: Change) -> None:
    assert diff(previous, current, Identity.SAME) == (change,)


@pytest.mark.parametrize(
    ("previous", "current"),
    [
        (BASE, replace(BASE, inara_name="NOVA")),
        (replace(BASE, inara_name=None), BASE),
        (BASE, replace(BASE, inara_name=None)),
        (BASE, replace(BASE, ranks={COMBAT: 7})),
        (BASE, replace(BASE, inara_url="https://inara.cz/elite/cmdr/7/", squadron_absent_since=NOW)),
        (replace(BASE, user_id=None), BASE),
    ],
)
def test_what_concerns_nobody_is_no_change(previous: Snapshot, current: Snapshot) -> None:
    assert diff(previous, current, Identity.SAME) == ()


def test_a_commander_never_seen_before_is_one_change() -> None:
    assert diff(None, BASE, Identity.SAME) == (Change(ChangeKind.NEW, None, "Nova"),)


def test_identity_of_another_account_is_said_and_brings_no_promotion() -> None:
    other = Snapshot(9, "Nova", {COMBAT: 8, TRADE: 1, CQC: 3}, power="Aisling Duval", squadron=BASE.squadron)
    assert diff(BASE, other, Identity.OTHER_ACCOUNT) == (Change(ChangeKind.OTHER_ACCOUNT, "7", "9"),)


def test_the_words_that_the_memory_holds_stay_what_they_are() -> None:
    kinds = "renamed other_account promoted squadron_joined squadron_moved squadron_left squadron_rank"
    assert " ".join(ChangeKind) == f"{kinds} power new demoted rank_learned"
    assert " ".join(Standing) == "found not_found ambiguous rejected set_aside unanswered"


def test_changes_are_told_the_most_notable_first() -> None:
    current = Snapshot(7, "Vega", {COMBAT: 8, TRADE: 7, CQC: 1}, power="Archon Delaine", squadron=Squadron("Dawn"))
    assert [change.kind for change in diff(BASE, current, Identity.RENAMED)] == [
        ChangeKind.RENAMED,
        ChangeKind.PROMOTED,
        ChangeKind.SQUADRON_MOVED,
        ChangeKind.POWER,
        ChangeKind.DEMOTED,
        ChangeKind.RANK_LEARNED,
    ]
