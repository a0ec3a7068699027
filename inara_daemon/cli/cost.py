"""What the next full runs cost, as `check` and `status` show it."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from inara_daemon.cli.screen import console, duration, plain, table
from inara_daemon.commander import Record
from inara_daemon.inara.budget import MARGIN
from inara_daemon.night import Asking, NightCost, Pace, night_cost
from inara_daemon.report_text import counted
from inara_daemon.roster_plan import Roster, sort_out
from inara_daemon.service.schedule import Timetable
from inara_daemon.settings import Settings
from inara_daemon.tenants import Tenant

NO_ANSWER_YET = sys.maxsize
"""The request before a run that has yet to begin: no answer is newer, so everyone is asked."""
_NAMED_TENANTS = 3
_NAMED_LEFT_OVER = 5


def pace_of(settings: Settings) -> Pace:
    """How fast the daemon asks with these settings."""
    interval = 60 / settings.requests_per_minute * (1 + MARGIN)
    return Pace(settings.batch_size, interval, settings.night_minutes)


def next_run_at(tenant: Tenant, now: datetime) -> datetime | None:
    """When the tenant's schedule fires next; None if it never does."""
    return Timetable(tenant.schedule).after(now)


def next_asking(tenant: Tenant, roster: Roster, records: Mapping[str, Record], now: datetime) -> Asking:
    """What the tenant's next scheduled run asks: who waits now may be due by then."""
    then = next_run_at(tenant, now) or now
    names = sort_out(roster, records, first_request=NO_ANSWER_YET, now=then)
    return Asking(tenant.id, tenant.inara_api_key, names)


def remembered_roster(records: Mapping[str, Record]) -> Roster:
    """The names that the daemon knows of, without a look at the events."""
    return Roster(dict.fromkeys(records, ()))


def cost_of(askings: Iterable[Asking], settings: Settings) -> NightCost:
    """What these runs cost together."""
    return night_cost(askings, pace_of(settings))


def print_cost(
    title: str, cost: NightCost, tenants: Sequence[Tenant], shown_ids: Collection[str] | None = None
) -> None:
    """A row for each key that one of the tenants `shown_ids` has, all by default, and whether a night is enough."""
    shown = table(title, "key of", "#names to ask", "#resting", "#set aside", "#requests", "#time")
    for key in cost.keys:
        if shown_ids is None or key.tenants.keys() & shown_ids:
            counts = (key.names, key.resting, key.set_aside, key.requests)
            shown.add_row(
                plain(_some(list(key.tenants), _NAMED_TENANTS)),
                *(f"{count:,}" for count in counts),
                duration(key.requests * cost.pace.interval),
            )
    console.print(shown)
    for line in _verdict(cost):
        console.print(plain(line), style="" if cost.fits else "yellow")
    schedules = {tenant.schedule for tenant in tenants}
    if len(schedules) > 1:
        console.print(
            f"The runs begin at {len(schedules)} different times: each has a night of its own from there, and those",
            "that do not overlap share no lookups.",
        )


def _verdict(cost: NightCost) -> list[str]:
    pace = cost.pace
    total = f"{counted(cost.requests, 'request')}, {duration(cost.seconds)}:"
    night = f"the night of {counted(pace.night_minutes, 'minute')} ({counted(pace.night_requests, 'request')})"
    if cost.fits:
        return [f"{total} fits into {night}"]
    left = cost.left_over()
    wishes = {tenant_id: count for key in cost.keys for tenant_id, count in key.tenants.items()}
    most = sorted(left, key=lambda tenant_id: -left[tenant_id])
    some = _some([f"{name} {left[name]:,} of {wishes[name]:,} names" for name in most], _NAMED_LEFT_OVER)
    return [
        f"{total} more than {night}; to ask everyone takes about {cost.nights:,} nights.",
        f"Left for later nights, about: {some}.",
        "In each night those never seen come first, then those with new events, then the stalest.",
    ]


def _some(texts: Sequence[str], most: int) -> str:
    """The first ones, and how many more there are."""
    more = len(texts) - most
    return ", ".join(texts[:most]) + (f" and {more:,} more" if more > 0 else "")
