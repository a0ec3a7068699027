"""Points in time in Discord's words, in UTC. Pure."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_RELATIVE = (
    (45, 1, "a few seconds"),
    (1.5 * _MINUTE, 1, "a minute"),
    (44.5 * _MINUTE, _MINUTE, "{} minutes"),
    (1.5 * _HOUR, 1, "an hour"),
    (21.5 * _HOUR, _HOUR, "{} hours"),
    (1.5 * _DAY, 1, "a day"),
    (25.5 * _DAY, _DAY, "{} days"),
    (45 * _DAY, 1, "a month"),
    (320 * _DAY, 30.4 * _DAY, "{} months"),
    (548 * _DAY, 1, "a year"),
    (math.inf, 365.25 * _DAY, "{} years"),
)
"""Below so many seconds, counted in this unit, these words."""
_FORMATS = {"t": "%H:%M", "T": "%H:%M:%S", "d": "%d/%m/%Y", "D": "%d %B %Y", "F": "%A, %d %B %Y %H:%M"}
_USUAL_FORMAT = "%d %B %Y %H:%M"


def shown(unix: int, style: str | None, now: datetime) -> str:
    """What stands for `<t:unix:style>` at `now`."""
    when = datetime.fromtimestamp(unix, UTC)
    return relative(when, now) if style == "R" else f"{when:{_FORMATS.get(style or 'f', _USUAL_FORMAT)}}"


def relative(when: datetime, now: datetime) -> str:
    """Such as `in 20 hours` or `a day ago`."""
    seconds = (when - now).total_seconds()
    unit, words = next((unit, words) for below, unit, words in _RELATIVE if abs(seconds) < below)
    amount = words.format(round(abs(seconds) / unit))
    return f"in {amount}" if seconds >= 0 else f"{amount} ago"


def day_and_time(when: datetime, now: datetime) -> str:
    """The time beside a sender's name and in a footer."""
    there, here = when.astimezone(UTC), now.astimezone(UTC)
    day = {timedelta(0): "Today at", timedelta(1): "Yesterday at"}.get(here.date() - there.date(), f"{there:%d/%m/%Y}")
    return f"{day} {there:%H:%M}"
