"""Which names a run asks for, and in which order. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from inara_daemon.commander import MAX_NAME_LENGTH, Record, Standing, lookup_key

_LONGEST_BACKOFF_DAYS = 30
_SLACK = timedelta(hours=6)
"""A run reaches a name at another minute each night: a wait of one day must not become two."""
_UNKNOWN_TO_INARA = frozenset({Standing.NOT_FOUND, Standing.AMBIGUOUS, Standing.REJECTED})


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


@dataclass(frozen=True, slots=True)
class Plan:
    """Lookup keys in the order to ask: `wanted` costs requests, `fillers` only take slots left free."""

    wanted: tuple[str, ...]
    fillers: tuple[str, ...]


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

    Names that Inara did not know, and whose wait is not over, become fillers.
    """
    wanted: list[tuple[tuple[int, int, str], str]] = []
    fillers: list[tuple[int, str]] = []
    for key, spellings in roster.spellings.items():
        record = records.get(key)
        if record is None or record.standing is None:
            wanted.append(((0, -newest_event(spellings), key), key))
        elif record.answered_request > first_request:
            continue
        elif waits(record, now):
            fillers.append((record.answered_request, key))
        else:
            has_news = newest_event(spellings) > record.last_event_id
            wanted.append(((1 if has_news else 2, record.answered_request, key), key))
    return Plan(tuple(key for _, key in sorted(wanted)), tuple(key for _, key in sorted(fillers)))


def waits(record: Record, now: datetime) -> bool:
    """Whether a name that Inara did not know is still backing off."""
    return record.standing in _UNKNOWN_TO_INARA and record.due_at is not None and now < record.due_at - _SLACK


def backoff(misses: int) -> timedelta:
    """How long a name waits after `misses` replies in a row that did not know it: 1, 2, 4 ... 30 days."""
    return timedelta(days=min(2 ** min(misses - 1, 10), _LONGEST_BACKOFF_DAYS))
