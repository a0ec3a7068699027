"""`status`: what the daemon has done, does, and will do."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from inara_daemon.cli.exits import Exit
from inara_daemon.cli.place import Place, read_tenants, state_exists, state_url
from inara_daemon.cli.screen import console, duration, moment, plain, table
from inara_daemon.inara.budget import Budget
from inara_daemon.inara.pauses import EVERY_KEY, OUTAGE, Pauses
from inara_daemon.service.engine import REQUEST_SECONDS, House
from inara_daemon.service.schedule import Timetable
from inara_daemon.settings import Settings
from inara_daemon.store.state import outbox, runs
from inara_daemon.store.state import roster as memory
from inara_daemon.store.state.budget import BudgetTable
from inara_daemon.store.state.lock import engine_lock
from inara_daemon.store.state.outbox import MessageStatus, OutboxTable
from inara_daemon.store.state.runs import Run
from inara_daemon.tenants import Tenants


async def show_status(place: Place) -> int:
    """Print tables of tenants, budget and outbox."""
    settings = place.settings()
    tenants = read_tenants(settings)
    url = state_url(settings, place.environ)
    if not state_exists(url):
        console.print(plain(f"The daemon has not run yet: there is no state database at {url.database}."))
        return Exit.WELL
    async with place.house(settings) as house:
        console.print("state ", plain(house.state.place))
        console.print("engine", await _engine_state(house), "\n")
        await _print_tenants(house, tenants)
        await _print_budget(house, settings)
        await _print_outbox(house)
    return Exit.WELL


async def _engine_state(house: House) -> str:
    lock = engine_lock(house.state)
    if await lock.acquire():
        await lock.release()
        return "not running"
    return "running"


async def _print_tenants(house: House, tenants: Tenants) -> None:
    shown = table(
        "Tenants", "id", "#known", "#found", "last run (UTC)", "outcome", "#answered", "next run (UTC)", "now"
    )
    now = house.clock.now()
    async with house.state.read() as connection:
        for tenant in tenants.tenants:
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
                moment(Timetable(tenant.schedule).after(now)) if last else "at once",
                "idle" if under_way is None else f"{under_way.reason} run {under_way.id}, {_covered(under_way)}",
            )
    for skipped in tenants.skipped:
        shown.add_row(plain(skipped.label), "", "", "skipped:", plain(skipped.reason))
    console.print(shown, "")
    await _print_problems(house, tenants)


def _covered(run: Run | None) -> str:
    return "-" if run is None else f"{run.tally.get('answered', 0):,} of {run.tally.get('names', 0):,}"


async def _print_problems(house: House, tenants: Tenants) -> None:
    async with house.state.read() as connection:
        for tenant in tenants.tenants:
            last = await runs.latest(connection, tenant.id, full=True)
            for kind, text in last.problems if last is not None else ():
                console.print("problem:", plain(f"{tenant.id}: {kind}: {text}"), style="red")


async def _print_budget(house: House, settings: Settings) -> None:
    store = BudgetTable(house.state)
    budget = Budget(store, house.clock, rate=settings.requests_per_minute, deadline=REQUEST_SECONDS)
    await budget.look()
    pauses = Pauses(store, house.clock, application=settings.app_name or "")
    await pauses.look()
    wait = budget.wait_seconds()
    console.print(
        f"Budget: {budget.requests:,} requests so far, one each {budget.interval:.1f} s;",
        "the next may leave now" if wait == 0 else f"the next may leave in {duration(wait)}",
    )
    for pause in pauses.all_in_force():
        who = "every key" if pause.scope in {EVERY_KEY, OUTAGE} else f"key {pause.scope}"
        seconds = pauses.wait_seconds(pause.scope)
        until = (
            "until the key changes"
            if pause.until is None
            else f"until {moment(house.clock.now() + timedelta(seconds=seconds))} UTC"
        )
        console.print(plain(f"Paused: {who}, {until}: {pause.reason}: {pause.text}"), style="red")
    console.print()


async def _print_outbox(house: House) -> None:
    async with house.state.read() as connection:
        counts = await outbox.counts(connection)
    dead = await OutboxTable(house.state).dead_webhooks()
    if not counts:
        console.print("Outbox: empty")
        return
    statuses = [status.value for status in MessageStatus]
    shown = table("Outbox", "tenant", *(f"#{status}" for status in statuses))
    for tenant_id, by_status in _by_tenant(counts).items():
        shown.add_row(plain(tenant_id), *(str(by_status.get(status, 0)) for status in statuses))
    console.print(shown)
    for fingerprint, error in dead.items():
        console.print(plain(f"Dead webhook {fingerprint}: {error}"), style="red")


def _by_tenant(counts: Mapping[tuple[str, str], int]) -> dict[str, dict[str, int]]:
    grouped: dict[str, dict[str, int]] = {}
    for (tenant_id, status), count in counts.items():
        grouped.setdefault(tenant_id, {})[status] = count
    return grouped
