"""Between the backend's columns and what is known: texts, widths, and NULL for unknown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inara_daemon.commander import RankKind, Snapshot, Squadron
from inara_daemon.roster_row import COLUMNS, row_of, snapshot_of

LADDERS = {
    "rank_combat": RankKind.COMBAT,
    "rank_trade": RankKind.TRADE,
    "rank_explore": RankKind.EXPLORATION,
    "rank_cqc": RankKind.CQC,
    "rank_empire": RankKind.EMPIRE,
    "rank_federation": RankKind.FEDERATION,
}
TEXTS = {"rank_power": 64, "inara_url": 256, "squadron_name": 128, "squadron_rank": 64}
NOTHING: dict[str, str | None] = dict.fromkeys([*LADDERS, *TEXTS])


def test_nothing_but_the_backends_rank_and_squadron_columns_is_written() -> None:
    assert sorted(COLUMNS) == sorted(NOTHING)
    assert row_of(Snapshot(7, "Nova", {RankKind.SOLDIER: 3, RankKind.EXOBIOLOGIST: 4})).values == NOTHING


@pytest.mark.parametrize(("column", "ladder"), LADDERS.items())
@pytest.mark.parametrize("value", [0, 7, 1_000])
def test_a_rank_is_written_as_its_number_in_text(column: str, ladder: RankKind, value: int) -> None:
    assert row_of(Snapshot(ranks={ladder: value})).values == NOTHING | {column: str(value)}


@pytest.mark.parametrize(("column", "width"), TEXTS.items())
@pytest.mark.parametrize("sign", ["x", "\N{ROCKET}"])
def test_a_value_is_cut_to_its_columns_characters(column: str, width: int, sign: str) -> None:
    def written(length: int) -> str | None:
        text = sign * length
        known = Snapshot(power=text, inara_url=text, squadron=Squadron(text, text))
        return row_of(known).values[column]

    assert written(width) == sign * width
    assert written(width + 1) == sign * width


@pytest.mark.parametrize(
    ("snapshot", "name", "rank", "known"),
    [
        (Snapshot(), None, None, False),
        (Snapshot(squadron=Squadron("Grim", "Recruit")), "Grim", "Recruit", True),
        (Snapshot(squadron=Squadron("Grim")), "Grim", None, True),
        (Snapshot(left_squadron=True), None, None, True),
    ],
)
def test_only_a_squadron_that_is_known_or_left_for_sure_may_overwrite_a_stored_one(
    snapshot: Snapshot,
    name: str | None,
    rank: str | None,
    known: bool,
) -> None:
    row = row_of(snapshot)
    assert (row.values["squadron_name"], row.values["squadron_rank"], row.squadron_known) == (name, rank, known)


def test_unknown_is_null_and_never_an_empty_text() -> None:
    assert row_of(Snapshot(power="", inara_url="", squadron=Squadron("Grim", ""))).values == NOTHING | {
        "squadron_name": "Grim"
    }


def test_a_stored_row_is_the_previous_state_where_there_is_no_memory() -> None:
    stored = {column: str(number) for number, column in enumerate(LADDERS)} | {
        "rank_power": "Aisling Duval",
        "inara_url": "https://inara.cz/elite/cmdr/7/",
        "squadron_name": "Grim's Squad",
        "squadron_rank": "Recruit",
    }
    assert snapshot_of(stored) == Snapshot(
        ranks={ladder: number for number, ladder in enumerate(LADDERS.values())},
        power="Aisling Duval",
        inara_url="https://inara.cz/elite/cmdr/7/",
        squadron=Squadron("Grim's Squad", "Recruit"),
    )


@pytest.mark.parametrize("blank", [None, "", "   ", "\t\n"])
def test_a_blank_column_is_unknown(blank: str | None) -> None:
    assert snapshot_of(dict.fromkeys(COLUMNS, blank)) == Snapshot()


@pytest.mark.parametrize("column", LADDERS)
@pytest.mark.parametrize("junk", ["Elite", "7.5", "-1", "+7", "1_0", "0x7", "7 8", "²", "\u0663", "None"])
def test_a_stored_rank_that_is_no_number_is_unknown(column: str, junk: str) -> None:
    assert snapshot_of({column: junk}) == Snapshot()


@pytest.mark.parametrize(("stored", "value"), [("0", 0), (" 7 ", 7), ("007", 7), ("13", 13)])
def test_a_stored_rank_is_read_with_its_padding(stored: str, value: int) -> None:
    assert snapshot_of({"rank_combat": stored}) == Snapshot(ranks={RankKind.COMBAT: value})


def test_a_squadron_rank_without_a_squadron_is_nothing() -> None:
    assert snapshot_of({"squadron_name": " ", "squadron_rank": "Recruit"}) == Snapshot()


def texts(column: str) -> st.SearchStrategy[str]:
    return st.text(min_size=1, max_size=TEXTS[column]).filter(lambda text: text == text.strip())


squadrons = st.builds(Squadron, texts("squadron_name"), st.none() | texts("squadron_rank"))


@given(
    ranks=st.dictionaries(st.sampled_from(list(LADDERS.values())), st.integers(0, 10**9)),
    power=st.none() | texts("rank_power"),
    url=st.none() | texts("inara_url"),
    squadron=st.none() | squadrons,
)
def test_what_a_row_holds_is_read_back_as_it_was(
    ranks: dict[RankKind, int], power: str | None, url: str | None, squadron: Squadron | None
) -> None:
    known = Snapshot(ranks=ranks, power=power, inara_url=url, squadron=squadron)
    assert snapshot_of(row_of(known).values) == known


def test_a_stored_rank_of_absurd_length_is_unknown() -> None:
    assert snapshot_of({"rank_combat": "9" * 5_000}).ranks == {}
