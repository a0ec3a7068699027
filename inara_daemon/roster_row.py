"""A commander as the backend's table `cmdr` writes one: ranks as text, NULL for unknown. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from inara_daemon.commander import RankKind, Snapshot, Squadron

RANK_COLUMNS: Mapping[str, RankKind] = {
    "rank_combat": RankKind.COMBAT,
    "rank_trade": RankKind.TRADE,
    "rank_explore": RankKind.EXPLORATION,
    "rank_cqc": RankKind.CQC,
    "rank_empire": RankKind.EMPIRE,
    "rank_federation": RankKind.FEDERATION,
}
"""The ladders that the table has a column for; the others live in the daemon's memory only."""

COLUMNS = (*RANK_COLUMNS, "rank_power", "inara_url", "squadron_name", "squadron_rank")
"""Every column that the daemon may write; `credits` and `assets` are not among them."""

_RANK = re.compile(r"[0-9]{1,18}")
_WIDTHS = {"rank_power": 64, "inara_url": 256, "squadron_name": 128, "squadron_rank": 64}
_DEFAULT_WIDTH = 64


@dataclass(frozen=True, slots=True)
class RosterRow:
    """The values for one row; None leaves a column as it is.

    With `squadron_known` both squadron columns are written even when None: the commander left, or the rank in a
    new squadron is unknown.
    """

    values: Mapping[str, str | None]
    squadron_known: bool


def row_of(snapshot: Snapshot) -> RosterRow:
    """The row that says what the snapshot knows, cut to the widths of the backend's columns."""
    values: dict[str, str | None] = {
        column: None if ladder not in snapshot.ranks else str(snapshot.ranks[ladder])
        for column, ladder in RANK_COLUMNS.items()
    }
    values["rank_power"] = snapshot.power
    values["inara_url"] = snapshot.inara_url
    values["squadron_name"] = snapshot.squadron.name if snapshot.squadron else None
    values["squadron_rank"] = snapshot.squadron.rank if snapshot.squadron else None
    cut = {column: value and value[: _WIDTHS.get(column, _DEFAULT_WIDTH)] for column, value in values.items()}
    return RosterRow(
        {column: value or None for column, value in cut.items()},
        squadron_known=snapshot.squadron is not None or snapshot.left_squadron,
    )


def snapshot_of(row: Mapping[str, object]) -> Snapshot:
    """What a stored row tells of a commander whom the daemon has no memory of; what is no text tells nothing."""
    texts = {column: value.strip() for column, value in row.items() if isinstance(value, str) and value.strip()}
    name = texts.get("squadron_name")
    return Snapshot(
        ranks={
            ladder: int(texts[column])
            for column, ladder in RANK_COLUMNS.items()
            if _RANK.fullmatch(texts.get(column, ""))
        },
        power=texts.get("rank_power"),
        inara_url=texts.get("inara_url"),
        squadron=Squadron(name, texts.get("squadron_rank")) if name else None,
    )
