"""What to do about a reply: one table from failure to action. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from inara_daemon.inara.wire import Answers, Outage, RefusalKind, Reply

OUTAGE_DELAYS = (0.0, 60.0, 120.0, 300.0, 900.0)
"""Seconds to wait after the first, second ... outage in a row; the last one repeats."""
LONGEST_RETRY_AFTER = 24 * 3_600.0


class Failure(StrEnum):
    """Every way in which a request or a name can fail: log key, problem kind and metric label."""

    OUTAGE = "outage"
    LIMITED = "limited"
    NOT_WHITELISTED = "not_whitelisted"
    BAD_KEY = "bad_key"
    UNKNOWN_REFUSAL = "unknown_refusal"


class Names(StrEnum):
    """What becomes of the names of a batch."""

    ANSWERED = "answered"
    AGAIN = "again"
    BLOCKED = "blocked"
    """Their key is refused: they leave the desk unanswered."""
    CULPRIT = "culprit"
    """The one name of the batch is what Inara refuses: it is set aside."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from a reply: a refusal pauses, an outage holds every request for `delay` seconds."""

    names: Names
    failure: Failure | None = None
    delay: float = 0.0


_REFUSALS = {
    RefusalKind.LIMITED: Decision(Names.AGAIN, Failure.LIMITED),
    RefusalKind.NOT_WHITELISTED: Decision(Names.AGAIN, Failure.NOT_WHITELISTED),
    RefusalKind.BAD_KEY: Decision(Names.BLOCKED, Failure.BAD_KEY),
    RefusalKind.UNKNOWN: Decision(Names.AGAIN, Failure.UNKNOWN_REFUSAL),
}


def decide(reply: Reply, *, convicted: bool, outages_before: int) -> Decision:
    """The action for a reply after `outages_before` outages in a row.

    `convicted`: a refusal for no known reason is the fault of the only name of the batch.
    """
    if isinstance(reply, Answers):
        return Decision(Names.ANSWERED)
    if isinstance(reply, Outage):
        delay = OUTAGE_DELAYS[min(outages_before, len(OUTAGE_DELAYS) - 1)]
        asked = min(max(reply.retry_after or 0.0, 0.0), LONGEST_RETRY_AFTER)
        return Decision(Names.AGAIN, Failure.OUTAGE, delay=max(delay, asked))
    if reply.kind is RefusalKind.UNKNOWN and convicted:
        return Decision(Names.CULPRIT, Failure.UNKNOWN_REFUSAL)
    return _REFUSALS[reply.kind]
