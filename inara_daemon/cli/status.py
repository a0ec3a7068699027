"""`status`: what the daemon has done, does, and will do."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import click

from inara_daemon.cli.commander_status import CommanderStatus
from inara_daemon.cli.cost import cost_of, next_asking, next_run_at, print_cost, remembered_roster
from inara_daemon.cli.delivery import print_delivery
from inara_daemon.cli.exits import Exit
from inara_daemon.cli.place import Place, read_tenants, state_exists, state_url
from inara_daemon.cli.screen import console, duration, moment, plain, table
from inara_daemon.cli.sync import choose
from inara_daemon.cli.why import held_until
from inara_daemon.commander import lookup_key
from inara_daemon.inara.budget import Budget
from inara_daemon.inara.pauses import EVERY_KEY, OUTAGE, Pauses
from inara_daemon.night import Asking
from inara_daemon.report_text import counted
from inara_daemon.service.engine import REQUEST_SECONDS, House
from inara_daemon.store.state import roster as memory
from inara_daemon.store.state import runs
from inara_daemon.store.state.budget import BudgetTable
from inara_daemon.store.state.lock import engine_lock
from inara_daemon.store.state.runs import Run
from inara_daemon.tenants import Skipped, Tenant, Tenants


async def show_status(place: Place, *, tenant_ids: Sequence[str] = (), names: Sequence[str] = ()) -> int:
    """Print tables of tenants, cost, budget and outbox; with names, what is known of these commanders instead.

    Raises click.BadParameter for a tenant that isn't there or a blank name.
    """
    if any(not lookup_key(name) for name in names):
        raise click.BadParameter("a blank name is nobody's", param_hint="--name")
    settings = place.settings()
    tenants = read_tenants(settings)
    chosen = set(choose(tenants, tenant_ids))
    shown = [tenant for tenant in tenants.tenants if tenant.id in chosen]
    url = state_url(settings, place.environ)
    if not state_exists(url):
        console.print(plain(f"The daemon has not run yet: there is no state database at {url.database}."))
        return Exit.WELL
    async with place.house(settings) as house:
        console.print("state ", plain(house.state.place))
        console.print("engine", await _engine_state(house), "\n")
        budget, pauses = await _look_at_inara(house)
        askings = await _remembered_askings(house, tenants)
        if names:
            return await CommanderStatus(house, budget, pauses, askings).show(shown, names)
        await _print_tenants(house, shown, () if tenant_ids else tenants.skipped)
        _print_cost(house, tenants, askings, chosen)
        _print_budget(house, budget, pauses)
        await print_delivery(house, shown, with_operator=not tenant_ids)
    return Exit.WELL


async def _look_at_inara(house: House) -> tuple[Budget, Pauses]:
    """The budget and the pauses as they are stored."""
    store = BudgetTable(house.state)
    budget = Budget(store, house.clock, rate=house.settings.requests_per_minute, deadline=REQUEST_SECONDS)
    await budget.look()
    pauses = Pauses(store, house.clock, application=house.settings.app_name or "")
    await pauses.look()
    return budget, pauses


async def _remembered_askings(house: House, tenants: Tenants) -> dict[str, Asking]:
    """What each tenant's next run asks as far as known: no tenant's database is opened."""
    now = house.clock.now()
    found = {}
    async with house.state.read() as connection:
        for tenant in tenants.tenants:
            records = await memory.records(connection, tenant.id)
            found[tenant.id] = next_asking(tenant, remembered_roster(records), records, now)
    return found


async def _engine_state(house: House) -> str:
    lock = engine_lock(house.state)
    if await lock.acquire():
        await lock.release()
        return "not running"
    return "running"


async def _print_tenants(house: House, tenants: Sequence[Tenant], skipped_ones: Sequence[Skipped]) -> None:
    shown = table(
        "Tenants", "id", "#known", "#found", "last run (UTC)", "outcome", "#answered", "next run (UTC)", "now"
    )
    now = house.clock.now()
    async with house.state.read() as connection:
        for tenant in tenants:
            known = await memory.counts(connection, tenant.id)
            last = await runs.latest(connection, tenant.id, full=True)
            under_way = await runs.open_run(connection, tenant.id)
            shown.add_row(
                plain(tenant.id),
                f"{sum(known.values()):,}",
                f"{known.get('found', 0):,}",
                moment(last.started_at if last else None),
                "-" if last is None else str(last.outcome or "under way"),
                _covered(last),
                moment(next_run_at(tenant, now)) if last else "at once",
                "idle" if under_way is None else f"{under_way.reason} run {under_way.id}, {_covered(under_way)}",
            )
    for skipped in skipped_ones:
        shown.add_row(plain(skipped.label), "", "", "skipped:", plain(skipped.reason))
    console.print(shown, "")
    await _print_problems(house, tenants)


def _covered(run: Run | None) -> str:
    return "-" if run is None else f"{run.tally.get('answered', 0):,} of {run.tally.get('names', 0):,}"


async def _print_problems(house: House, tenants: Sequence[Tenant]) -> None:
    async with house.state.read() as connection:
        for tenant in tenants:
            last = await runs.latest(connection, tenant.id, full=True)
            for kind, text in last.problems if last is not None else ():
                console.print("problem:", plain(f"{tenant.id}: {kind}: {text}"), style="red")


def _print_cost(house: House, tenants: Tenants, askings: Mapping[str, Asking], shown_ids: Collection[str]) -> None:
    cost = cost_of(askings.values(), house.settings)
    print_cost("What the next run costs, as far as known", cost, tenants.tenants, shown_ids)
    unknown = sum(not any(asking.names.values()) for asking in askings.values())
    if unknown:
        console.print(f"Not counted: {counted(unknown, 'tenant')} that never ran.")
    console.print(
        "New names and new events since the last run are not in it: check reads the events and counts anew.\n"
    )


def _print_budget(house: House, budget: Budget, pauses: Pauses) -> None:
    wait = budget.wait_seconds()
    console.print(
        f"Budget: {budget.requests:,} requests so far, one each {budget.interval:.1f} s;",
        "the next may leave now" if wait == 0 else f"the next may leave in {duration(wait)}",
    )
    for pause in pauses.all_in_force():
        who = "every key" if pause.scope in {EVERY_KEY, OUTAGE} else f"key {pause.scope}"
        until = held_until(pause, pauses.wait_seconds(pause.scope), house.clock.now())
        console.print(plain(f"Paused: {who}, {until}: {pause.reason}: {pause.text}"), style="red")
    console.print()
