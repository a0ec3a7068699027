"""Which names a run asks for, in which order, and why. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from inara_daemon.commander import MAX_NAME_LENGTH, Record, Standing, lookup_key

_LONGEST_BACKOFF_DAYS = 30
_SLACK = timedelta(hours=6)
"""A run reaches a name at another minute each night: a wait of one day must not become two."""
_BACKING_OFF = frozenset({Standing.NOT_FOUND, Standing.AMBIGUOUS, Standing.REJECTED, Standing.SET_ASIDE})


@dataclass(frozen=True, slots=True)
class Spelling:
    """One spelling of a name in `event`, exactly as it stands there, and its newest event."""

    name: str
    event_id: int


@dataclass(frozen=True, slots=True)
class Roster:
    """The commanders of a tenant: their spellings by lookup key, and the names that were skipped."""

    spellings: Mapping[str, tuple[Spelling, ...]]
    too_long: tuple[str, ...] = ()


class Reason(StrEnum):
    """Why a name is asked in a full run, or is not; those asked come in this order."""

    NEVER_ASKED = "never_asked"
    NEWS = "news"
    STALEST = "stalest"
    """A full run asks everyone."""
    TRIED_ALONE = "tried_alone"
    """It was set aside, and its wait is over."""
    BACKING_OFF = "backing_off"
    """Inara did not know the name, or refused it, and its wait is not over."""
    SET_ASIDE = "set_aside"
    """Inara refuses every request that carries the name, and its wait is not over."""
    ANSWERED = "answered"
    """The run under way has its answer."""
    NO_EVENT = "no_event"
    TOO_LONG = "too_long"


class Part(StrEnum):
    """How a run asks for a name."""

    WANTED = "wanted"
    FILLER = "filler"
    ALONE = "alone"
    LEFT_OUT = "left_out"


PARTS: Mapping[Reason, Part] = {
    Reason.NEVER_ASKED: Part.WANTED,
    Reason.NEWS: Part.WANTED,
    Reason.STALEST: Part.WANTED,
    Reason.TRIED_ALONE: Part.ALONE,
    Reason.BACKING_OFF: Part.FILLER,
    Reason.SET_ASIDE: Part.LEFT_OUT,
    Reason.ANSWERED: Part.LEFT_OUT,
    Reason.NO_EVENT: Part.LEFT_OUT,
    Reason.TOO_LONG: Part.LEFT_OUT,
}


@dataclass(frozen=True, slots=True)
class Plan:
    """Lookup keys in the order to ask: `wanted` costs requests, `fillers` only take slots left free.

    Those in `alone` cost a request each: whoever shares one with them is refused too.
    """

    wanted: tuple[str, ...]
    fillers: tuple[str, ...]
    alone: tuple[str, ...] = ()


def gather(spellings: Iterable[Spelling]) -> Roster:
    """Join the spellings of one commander; blank names are nobody, overlong ones are skipped and named."""
    newest: dict[str, dict[str, int]] = {}
    too_long = set()
    for spelling in spellings:
        key = lookup_key(spelling.name)
        if not key:
            continue
        if len(spelling.name) > MAX_NAME_LENGTH:
            too_long.add(spelling.name)
            continue
        known = newest.setdefault(key, {})
        known[spelling.name] = max(spelling.event_id, known.get(spelling.name, 0))
    return Roster(
        {key: _newest_first(names) for key, names in newest.items()},
        tuple(sorted(too_long)),
    )


def _newest_first(names: Mapping[str, int]) -> tuple[Spelling, ...]:
    ordered = sorted(names.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Spelling(name, event_id) for name, event_id in ordered)


def newest_event(spellings: Iterable[Spelling]) -> int:
    """The highest event id of a commander."""
    return max((spelling.event_id for spelling in spellings), default=0)


def plan(roster: Roster, records: Mapping[str, Record], *, first_request: int, now: datetime) -> Plan:
    """Everyone not answered since request `first_request`: never seen, then those with new events, then the stalest.

    Names that Inara did not know, and whose wait is not over, become fillers; names set aside are asked alone when
    their wait is over, and not at all before.
    """
    return plan_of(sort_out(roster, records, first_request=first_request, now=now))


def plan_of(names: Mapping[Reason, tuple[str, ...]]) -> Plan:
    """What follows from the reasons that `sort_out` found."""
    by_part: dict[Part, list[str]] = {part: [] for part in Part}
    for reason in Reason:
        by_part[PARTS[reason]].extend(names[reason])
    return Plan(tuple(by_part[Part.WANTED]), tuple(by_part[Part.FILLER]), tuple(by_part[Part.ALONE]))


def plan_named(
    keys: Iterable[str], roster: Roster, records: Mapping[str, Record], *, first_request: int | None = None
) -> Plan:
    """A run that was asked for by name: whoever has events, waiting or not; names set aside are asked alone.

    With `first_request`: unless answered since that request.
    """
    asked = [
        key
        for key in dict.fromkeys(keys)
        if key in roster.spellings
        and (first_request is None or records.get(key, Record()).answered_request <= first_request)
    ]
    alone = {key for key in asked if records.get(key, Record()).standing is Standing.SET_ASIDE}
    return Plan(tuple(key for key in asked if key not in alone), (), tuple(key for key in asked if key in alone))


def sort_out(
    roster: Roster, records: Mapping[str, Record], *, first_request: int, now: datetime
) -> dict[Reason, tuple[str, ...]]:
    """Every name of the roster under the reason why it is, or is not, asked, in the order to ask."""
    found: dict[Reason, list[tuple[int, str]]] = {reason: [] for reason in Reason}
    for key, spellings in roster.spellings.items():
        record = records.get(key, Record())
        reason = _reason_of(spellings, record, first_request, now)
        # Those never asked have no answer that could be stale: the newest event decides.
        age = -newest_event(spellings) if reason is Reason.NEVER_ASKED else record.answered_request
        found[reason].append((age, key))
    return {reason: tuple(key for _, key in sorted(names)) for reason, names in found.items()}


def reason_for(key: str, roster: Roster, records: Mapping[str, Record], *, first_request: int, now: datetime) -> Reason:
    """Why a run asks for this name, or does not, whether it is on the roster or not."""
    if key in roster.spellings:
        return _reason_of(roster.spellings[key], records.get(key, Record()), first_request, now)
    too_long = any(lookup_key(name) == key for name in roster.too_long)
    return Reason.TOO_LONG if too_long else Reason.NO_EVENT


def _reason_of(spellings: tuple[Spelling, ...], record: Record, first_request: int, now: datetime) -> Reason:
    if record.standing is None:
        return Reason.NEVER_ASKED
    if record.answered_request > first_request:
        return Reason.ANSWERED
    is_set_aside = record.standing is Standing.SET_ASIDE
    if waits(record, now):
        return Reason.SET_ASIDE if is_set_aside else Reason.BACKING_OFF
    if is_set_aside:
        return Reason.TRIED_ALONE
    return Reason.NEWS if newest_event(spellings) > record.last_event_id else Reason.STALEST


def waits(record: Record, now: datetime) -> bool:
    """Whether a name that Inara did not know, or refused, is still backing off."""
    until = waits_until(record)
    return until is not None and now < until


def waits_until(record: Record) -> datetime | None:
    """When the wait of such a name is over; None for every other name."""
    return None if record.due_at is None or record.standing not in _BACKING_OFF else record.due_at - _SLACK


def backoff(misses: int) -> timedelta:
    """How long a name waits after `misses` replies in a row that did not know it: 1, 2, 4 ... 30 days."""
    return timedelta(days=min(2 ** min(misses - 1, 10), _LONGEST_BACKOFF_DAYS))
