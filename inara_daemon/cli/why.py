"""Why a commander is, or is not, asked for, and what holds requests up, in plain sentences."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from inara_daemon.cli.screen import moment
from inara_daemon.commander import MAX_NAME_LENGTH, Record, Standing
from inara_daemon.inara.pauses import Pause
from inara_daemon.night import Pace
from inara_daemon.report_text import counted
from inara_daemon.roster_plan import PARTS, Part, Plan, Reason, waits_until

STANDINGS: Mapping[Standing | None, str] = {
    None: "never asked for",
    Standing.FOUND: "found on Inara",
    Standing.NOT_FOUND: "not on Inara",
    Standing.AMBIGUOUS: "ambiguous: Inara showed somebody else",
    Standing.REJECTED: "Inara refuses this name",
    Standing.SET_ASIDE: "set aside: Inara refuses every request that carries this name",
    Standing.UNANSWERED: "not answered: Inara's replies left it out",
}
"""How the last reply ended."""

_REASONS: Mapping[Reason, str] = {
    Reason.NEVER_ASKED: "due, with the first: it was never asked for",
    Reason.NEWS: "due: it has new events since its last answer",
    Reason.STALEST: "due: a full run asks everyone, the stalest first",
    Reason.TRIED_ALONE: "due, in a request of its own: it was set aside, and its wait is over",
    Reason.BACKING_OFF: "not due before {until} UTC, as {standing}; until then it only fills a free slot",
    Reason.SET_ASIDE: "not due before {until} UTC, as it is set aside; then it is tried in a request of its own",
    Reason.ANSWERED: "not due: it was answered in the run under way",
    Reason.NO_EVENT: "not asked: no event carries it any more",
    Reason.TOO_LONG: f"never asked: the name is longer than {MAX_NAME_LENGTH} characters",
}
_CAUSES: Mapping[Standing | None, str] = {
    Standing.NOT_FOUND: "Inara does not know it",
    Standing.AMBIGUOUS: "it is ambiguous on Inara",
    Standing.REJECTED: "Inara refuses it",
}


def reason_in_words(reason: Reason, record: Record) -> str:
    """Whether a name is due, and why."""
    said = _REASONS[reason].format(until=moment(waits_until(record)), standing=_CAUSES.get(record.standing, ""))
    waited = reason in {Reason.NEWS, Reason.STALEST} and record.standing in _CAUSES
    return f"{said}; its wait is over" if waited else said


def place_in_words(key: str, reason: Reason, plan: Plan, pace: Pace, *, has_neighbours: bool) -> str:
    """Where a name stands in its tenant's run; neighbours are tenants who take their turns in between."""
    match PARTS[reason]:
        case Part.WANTED:
            place = f"{ordinal(plan.wanted.index(key) + 1)} of {len(plan.wanted):,}"
            request = ordinal(request_of(key, plan, pace))
            requests = counted(pace.requests_for(len(plan.wanted)), "request")
            turns = ", not counting other tenants' turns" if has_neighbours else ""
            return f"{place}, so in the {request} of about {requests}{turns}"
        case Part.ALONE:
            return "a request of its own"
        case Part.FILLER:
            return f"none of its own: {ordinal(plan.fillers.index(key) + 1)} of {len(plan.fillers):,} for free slots"
        case Part.LEFT_OUT:
            return "none"


def request_of(key: str, plan: Plan, pace: Pace) -> int:
    """The number of the request, from 1, that a wanted name leaves with if its tenant has every turn."""
    return pace.requests_for(plan.wanted.index(key) + 1)


def held_until(pause: Pause, seconds: float, now: datetime) -> str:
    """How long a pause holds that has so many seconds left."""
    if pause.until is None:
        return "until the key changes"
    return f"until {moment(now + timedelta(seconds=seconds))} UTC"


def ordinal(number: int) -> str:
    """A number as a rank, such as `1st` or `1,012th`."""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number:,}{'th' if number // 10 % 10 == 1 else ending}"
