"""What is on its way to the channels, what holds it up, and what was lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from inara_daemon.cli.screen import console, duration, plain, table
from inara_daemon.notify.channels import open_channels
from inara_daemon.report_text import counted
from inara_daemon.secret import Secret
from inara_daemon.service.engine import House
from inara_daemon.store.state import log_buffers, outbox
from inara_daemon.store.state.outbox import OPERATOR, MessageStatus, OutboxTable
from inara_daemon.tenants import Tenant

_STATUSES = tuple(status.value for status in MessageStatus)


@dataclass(frozen=True, slots=True)
class _Destination:
    id: str
    label: str
    webhook: Secret | None


async def print_delivery(house: House, tenants: Sequence[Tenant], *, with_operator: bool) -> None:
    """Print the messages of these tenants, and of the operator, by status, and a line for whatever is out of order."""
    destinations = [_Destination(tenant.id, tenant.id, tenant.webhook) for tenant in tenants]
    if with_operator:
        destinations.append(_Destination(OPERATOR, "the operator", house.settings.operator_webhook))
    async with house.state.read() as connection:
        counts = await outbox.counts(connection)
        lost = {each.id: await outbox.losses(connection, each.id) for each in destinations}
        logs = {each.id: await log_buffers.load(connection, each.id, house.clock) for each in destinations}
    shown = table("Outbox", "tenant", *(f"#{status}" for status in _STATUSES))
    for each in destinations:
        numbers = [counts.get((each.id, status), 0) for status in _STATUSES]
        if any(numbers):
            shown.add_row(plain(each.label), *map(str, numbers))
    if shown.row_count:
        console.print(shown)
    else:
        console.print("Outbox: empty")
    await _print_places(house, destinations)
    for each in destinations:
        if lost[each.id]:
            told = f"{counted(len(lost[each.id]), 'lost message')}, named in the next report that arrives"
            console.print(plain(f"{each.label}: {told}"), style="yellow")
        lines = sum(line.count for line in logs[each.id].lines)
        if lines:
            console.print(plain(f"{each.label}: {counted(lines, 'log line')} to be told"))


async def _print_places(house: House, destinations: Sequence[_Destination]) -> None:
    """Webhooks that are dead, and those where nothing may be sent yet."""
    store = OutboxTable(house.state)
    dead, waits = await store.dead_webhooks(), await _waits(house, store)
    for each in destinations:
        place = "" if each.webhook is None else house.state.fingerprint(each.webhook)
        if place in dead:
            told = f"its webhook is dead ({dead[place]}): nothing is sent until it is replaced"
            console.print(plain(f"{each.label}: {told}"), style="red")
        elif place in waits:
            console.print(plain(f"{each.label}: nothing is sent to its webhook for {duration(waits[place])}"))
    for channel in open_channels(version="", boottime=house.clock.boottime):
        if channel.name in waits:
            console.print(f"Nothing is sent to {channel.name} at all for {duration(waits[channel.name])}", style="red")


async def _waits(house: House, store: OutboxTable) -> Mapping[str, float]:
    """Seconds that are left, by webhook's fingerprint or service's name."""
    now = house.clock.boottime()
    holds = await store.holds()
    left = {scope: house.clock.here(until, seconds).seconds - now for scope, (until, seconds) in holds.items()}
    return {scope: seconds for scope, seconds in left.items() if seconds > 0}
