"""Earlier reports that were lost, in the words of the report that names them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from inara_daemon.store.state.outbox import Loss

NAMED = 5
"""Losses that are named one by one, the newest ones; the others are counted."""


def totals_line(counts: Mapping[str, int], changed: int) -> str:
    """What a run came to, for the report that names the loss of this one's."""
    told = [f"{counts['answered']:,} of {counts['names']:,} commanders answered", f"{changed:,} changed"]
    if counts["failed"]:
        told.append(f"{counts['failed']:,} failed")
    return ", ".join(told)


def in_words(losses: Sequence[Loss]) -> tuple[str, ...]:
    """A line for each of the newest losses, and one for all before them; `losses` come the oldest first."""
    before, named = losses[:-NAMED], losses[-NAMED:]
    lines = [_line(loss) for loss in named]
    if before:
        lines.append(f"and {len(before):,} more since {before[0].created_at:%Y-%m-%d}")
    return tuple(lines)


def _line(loss: Loss) -> str:
    what = "message" if loss.run_id is None else f"run {loss.run_id}"
    totals = f"; {loss.summary}" if loss.summary else ""
    return f"{what} of {loss.created_at:%Y-%m-%d}: {loss.status} ({loss.error or 'no reason given'}){totals}"
