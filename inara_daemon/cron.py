"""Cron expressions: what the scheduler would refuse, misread or never reach is refused here. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from inara_daemon.problems import Refused

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LONGEST_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_PART = re.compile(r"(?:\*|(?P<first>[0-9]{1,4}|[a-z]+)(?:-(?P<last>[0-9]{1,4}|[a-z]+))?)(?:/(?P<step>[0-9]{1,4}))?")
_EXAMPLE = "write it like '0 1 * * *': minute, hour, day of month, month, weekday, in UTC"


@dataclass(frozen=True, slots=True)
class _Field:
    """One of the five fields: its limits and, where names stand for numbers, the names from the lowest on."""

    name: str
    lowest: int
    highest: int
    names: Sequence[str] = ()


_MINUTE = _Field("minute", 0, 59)
_HOUR = _Field("hour", 0, 23)
_DAY = _Field("day of month", 1, 31)
_MONTH = _Field("month", 1, 12, _MONTHS)
_WEEKDAY = _Field("weekday", 0, 6, _WEEKDAYS)
_FIELDS = (_MINUTE, _HOUR, _DAY, _MONTH, _WEEKDAY)


def cron_expression(text: str) -> str:
    """The expression with single blanks between its fields; Refused if it is none or can never come true."""
    fields = text.lower().split()
    if len(fields) != len(_FIELDS):
        raise Refused(f"a schedule has 5 fields, this one has {len(fields)}", _EXAMPLE)
    if any(character.isdigit() for character in fields[-1]):
        # The scheduler's 0 is Monday, cron's is Sunday: digits would mean another day than their writer thinks.
        raise Refused("the weekday is a number, and 0 means Monday here but Sunday in cron", "use names: sun, mon-fri")
    values = [_values(field, text) for field, text in zip(_FIELDS, fields, strict=True)]
    days, months = values[2], values[3]
    if not any(day <= _LONGEST_MONTHS[month - 1] for month in months for day in days):
        raise Refused("this day of month does not exist in any of these months: the schedule never comes", _EXAMPLE)
    return " ".join(fields)


def _values(field: _Field, text: str) -> set[int]:
    values: set[int] = set()
    for part in text.split(","):
        if field is _DAY and part == "last":
            values.add(1)  # every month has a last day: as reachable as its first
        else:
            values.update(_part_values(field, part))
    return values


def _part_values(field: _Field, part: str) -> range:
    match = _PART.fullmatch(part)
    if match is None:
        raise Refused(f"the {field.name} field can't be read", _EXAMPLE)
    first = field.lowest if match["first"] is None else _number(field, match["first"])
    step = None if match["step"] is None else int(match["step"])
    if match["last"] is not None:
        last = _number(field, match["last"])
    else:
        last = field.highest if match["first"] is None or step is not None else first
    if first > last:
        raise Refused(f"the {field.name} field has a range that ends before it begins", "split it: 'fri-sun,mon'")
    if step is not None:
        _check_step(field, step, last - first, named=(match["first"] or "*").isalpha())
    return range(first, last + 1, step or 1)


def _number(field: _Field, text: str) -> int:
    if text.isalpha():
        if text not in field.names:
            raise Refused(f"the {field.name} field has an unknown name", _names_hint(field))
        return field.names.index(text) + field.lowest
    number = int(text)
    if not field.lowest <= number <= field.highest:
        raise Refused(f"the {field.name} field must be {field.lowest} to {field.highest}", _EXAMPLE)
    return number


def _names_hint(field: _Field) -> str:
    return f"known names are {', '.join(field.names)}" if field.names else _EXAMPLE


def _check_step(field: _Field, step: int, width: int, *, named: bool) -> None:
    if named:
        raise Refused(f"the {field.name} field has a step after names", "list the names: 'jan,mar,may'")
    if not 1 <= step <= width:
        raise Refused(f"the {field.name} field has a step that is 0 or leaves its range", _EXAMPLE)
