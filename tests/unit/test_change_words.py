"""Every kind of change in the words that players use."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inara_daemon.change_words import words
from inara_daemon.commander import Change, ChangeKind, RankKind

COMBAT, TRADE, FEDERATION = RankKind.COMBAT, RankKind.TRADE, RankKind.FEDERATION

WORDS = [
    (Change(ChangeKind.RENAMED, "Nova", "Vega"), "now called Vega on Inara"),
    (Change(ChangeKind.OTHER_ACCOUNT, "7", "9"), "another Inara account now answers to this name"),
    (Change(ChangeKind.PROMOTED, "7", "8", COMBAT), "Combat: Deadly → Elite"),
    (Change(ChangeKind.PROMOTED, "3", "4", RankKind.CQC), "CQC: Semi Professional → Professional"),
    (Change(ChangeKind.PROMOTED, "0", "15", FEDERATION), "Federation: None → rank 15"),
    (Change(ChangeKind.SQUADRON_JOINED, None, "Grim"), "joined Grim"),
    (Change(ChangeKind.SQUADRON_MOVED, "Dawn", "Grim"), "moved from Dawn to Grim"),
    (Change(ChangeKind.SQUADRON_LEFT, "Grim"), "left Grim"),
    (Change(ChangeKind.SQUADRON_RANK, "Recruit", "Officer"), "Squadron rank: Recruit → Officer"),
    (Change(ChangeKind.SQUADRON_RANK, None, "Officer"), "Squadron rank: Officer"),
    (Change(ChangeKind.SQUADRON_RANK, "Officer"), "Squadron rank: Officer → unknown"),
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


def test_every_kind_of_change_is_among_those_tested() -> None:
    assert {change.kind for change, _ in WORDS} == set(ChangeKind)


@given(st.sampled_from(ChangeKind), st.none() | st.text(), st.none() | st.text())
def test_a_change_of_any_names_has_words_in_which_no_unknown_is_called_none(
    kind: ChangeKind, old: str | None, new: str | None
) -> None:
    what_must_be_known = {ChangeKind.RENAMED, ChangeKind.SQUADRON_JOINED, ChangeKind.SQUADRON_MOVED}
    if kind in what_must_be_known | {ChangeKind.SQUADRON_LEFT}:
        old, new = old or "Dawn", new or "Grim"
    said = words(Change(kind, old, new))
    assert said
    assert "None" not in said.replace(old or "\0", "").replace(new or "\0", "")
