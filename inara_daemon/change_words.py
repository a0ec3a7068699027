"""What changed about a commander, in the words that players use. Pure."""

from __future__ import annotations

from inara_daemon.commander import Change, ChangeKind, RankKind, ladder_name, rank_title


def words(change: Change) -> str:
    """A change in words, such as `Combat: Deadly → Elite`."""
    old, new = change.old, change.new
    if change.ladder is not None:
        return _rank_words(change.ladder, old, new)
    return {
        ChangeKind.RENAMED: f"now called {new} on Inara",
        ChangeKind.OTHER_ACCOUNT: "another Inara account now answers to this name",
        ChangeKind.SQUADRON_JOINED: f"joined {new}",
        ChangeKind.SQUADRON_MOVED: f"moved from {old} to {new}",
        ChangeKind.SQUADRON_LEFT: f"left {old}",
        ChangeKind.SQUADRON_RANK: _from_to("Squadron rank", old, new),
        ChangeKind.POWER: _from_to("Power", old, new),
        ChangeKind.NEW: "new on the roster",
    }.get(change.kind, _from_to(change.kind.value, old, new))


def _from_to(what: str, old: str | None, new: str | None) -> str:
    return f"{what}: {new or 'unknown'}" if old is None else f"{what}: {old} → {new or 'unknown'}"


def _rank_words(ladder: RankKind, old: str | None, new: str | None) -> str:
    title = rank_title(ladder, int(new or 0))
    if old is None:
        return f"{ladder_name(ladder)}: {title} (first seen)"
    return f"{ladder_name(ladder)}: {rank_title(ladder, int(old))} → {title}"
