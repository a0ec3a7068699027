"""Earlier messages that were lost, in the words of the report that names them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from inara_daemon.store.state.outbox import Loss, MessageStatus

NAMED = 5
"""Losses that are named one by one, the newest ones; the others are counted."""
_ENDS: Mapping[str, str] = {
    MessageStatus.UNKNOWN: "may have arrived or not",
    MessageStatus.DEAD: "was lost with its webhook",
    MessageStatus.EXPIRED: "was given up",
    MessageStatus.REFUSED: "was refused",
}


def in_words(losses: Sequence[Loss]) -> tuple[str, ...]:
    """A line for each of the newest losses, and one for all before them; `losses` come the oldest first."""
    before, named = losses[:-NAMED], losses[-NAMED:]
    lines = [_line(loss) for loss in named]
    if before:
        lines.append(f"and {len(before):,} more since {before[0].created_at:%Y-%m-%d}")
    return tuple(lines)


def _line(loss: Loss) -> str:
    what = "A message" if loss.run_id is None else f"The report of run {loss.run_id}"
    why = f"{_ENDS[loss.status]} ({loss.error or 'no reason given'})"
    totals = f": {loss.summary}" if loss.summary else ""
    return f"{what} of {loss.created_at:%Y-%m-%d} {why}{totals}"
