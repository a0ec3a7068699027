"""`check`: is everything in order, and what does a night cost."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from inara_daemon.cli.cost import cost_of, next_asking, print_cost
from inara_daemon.cli.exits import Exit
from inara_daemon.cli.place import Place, read_tenants, state_exists, state_url
from inara_daemon.cli.screen import console, plain, table
from inara_daemon.clock import system_clock
from inara_daemon.commander import Record
from inara_daemon.roster_plan import Roster, gather
from inara_daemon.service.engine import House
from inara_daemon.service.errand import Errand, HeldError
from inara_daemon.settings import Settings
from inara_daemon.store.engines import describe
from inara_daemon.store.errors import DatabaseError
from inara_daemon.store.state import roster as memory
from inara_daemon.store.state.database import StateDatabase
from inara_daemon.store.state.requests import RequestKind
from inara_daemon.store.tenant_db import TenantDatabase
from inara_daemon.store.tenant_engines import TenantEngines
from inara_daemon.tenants import Tenant, Tenants, masked
from inara_daemon.urls import masked_webhook


@dataclass(slots=True)
class _Finding:
    """What was found in one tenant's database."""

    tenant: Tenant
    identity: str = ""
    roster: Roster = field(default_factory=lambda: Roster({}))
    records: Mapping[str, Record] = field(default_factory=dict)
    problem: str | None = None


async def check_everything(place: Place, *, online: bool, quiet: bool) -> int:
    """Check it all and print it; raises ConfigurationError for what keeps the daemon from starting."""
    settings = place.settings()
    tenants = read_tenants(settings)
    records = await _remembered(place, settings, tenants)
    engines = TenantEngines()
    look = [_look(tenant, settings, records, engines, read_names=not quiet) for tenant in tenants.tenants]
    findings = await asyncio.gather(*look)
    troubles = [f"tenant {finding.tenant.id}: {finding.problem}" for finding in findings if finding.problem]
    remarks = [*settings.warnings, *tenants.warnings]
    remarks += [f"tenant {skipped.label} is skipped: it {skipped.reason}" for skipped in tenants.skipped]
    remarks += _shared_databases(findings)
    if not quiet:
        _print_settings(place, settings)
        _print_tenants(findings)
        _print_cost(settings, findings)
    if online:
        async with place.house(settings) as house:
            troubles += await _try_keys(house, tenants, quiet=quiet)
    for remark in remarks:
        console.print("note:", plain(remark), style="yellow")
    for trouble in troubles:
        console.print("problem:", plain(trouble), style="red")
    if not quiet and not troubles:
        console.print("All is well.", style="green")
    return Exit.TROUBLE if troubles else Exit.WELL


async def _remembered(place: Place, settings: Settings, tenants: Tenants) -> Mapping[str, Mapping[str, Record]]:
    """What the state database knows of each tenant's names; nothing is made if it isn't there yet."""
    url = state_url(settings, place.environ)
    if not state_exists(url):
        return {}
    state = StateDatabase(url)
    await state.open()
    try:
        async with state.read() as connection:
            return {tenant.id: await memory.records(connection, tenant.id) for tenant in tenants.tenants}
    finally:
        await state.close()


async def _look(
    tenant: Tenant,
    settings: Settings,
    records: Mapping[str, Mapping[str, Record]],
    engines: TenantEngines,
    *,
    read_names: bool,
) -> _Finding:
    finding = _Finding(tenant, records=records.get(tenant.id, {}))
    try:
        database = TenantDatabase(tenant.db_uri, settings.db_root, engines)
        finding.identity = database.identity
        await database.check()
        if read_names:
            finding.roster = gather([spelling async for chunk in database.spellings() for spelling in chunk])
    except DatabaseError as error:
        finding.problem = str(error)
    return finding


def _shared_databases(findings: Sequence[_Finding]) -> list[str]:
    users: dict[str, list[str]] = defaultdict(list)
    for finding in findings:
        if finding.identity:
            users[finding.identity].append(finding.tenant.id)
    return [
        f"tenants {', '.join(ids)} share one database: their runs take turns" for ids in users.values() if len(ids) > 1
    ]


def _print_settings(place: Place, settings: Settings) -> None:
    console.print("state    ", plain(describe(state_url(settings, place.environ))))
    console.print("tenants  ", plain(settings.tenant_file.absolute()))
    console.print("databases", plain(settings.db_root.absolute()), "(where relative SQLite paths start)")
    name = f"{settings.app_name or 'inara-daemon'} {settings.app_version}"
    console.print("inara    ", plain(settings.inara_url), "as", plain(name))
    webhook = settings.operator_webhook
    told = "told nothing (INARA_DAEMON_OPERATOR_WEBHOOK)" if webhook is None else masked_webhook(webhook.reveal())
    console.print("operator ", plain(told), "\n")


def _print_tenants(findings: Sequence[_Finding]) -> None:
    shown = table("Tenants", "id", "name", "database", "#commanders", "webhook", "schedule", "report")
    for finding in findings:
        seen = masked(finding.tenant)
        shown.add_row(
            *(plain(seen[key]) for key in ("id", "name", "db_uri")),
            "-" if finding.problem else f"{len(finding.roster.spellings):,}",
            *(plain(seen[key] or "-") for key in ("webhook", "schedule", "report")),
        )
    console.print(shown, "")


def _print_cost(settings: Settings, findings: Sequence[_Finding]) -> None:
    """What the next run of every tenant costs, counted from the events."""
    now = system_clock().now()
    askings = [next_asking(finding.tenant, finding.roster, finding.records, now) for finding in findings]
    print_cost("What the next run costs", cost_of(askings, settings), [finding.tenant for finding in findings])
    console.print()


async def _try_keys(house: House, tenants: Tenants, *, quiet: bool) -> list[str]:
    """One budgeted lookup for each distinct key."""
    owners: dict[str, list[str]] = defaultdict(list)
    for tenant in tenants.tenants:
        owners[house.state.fingerprint(tenant.inara_api_key)].append(tenant.id)
    if not owners:
        return []
    if not quiet:
        console.print(f"Trying {len(owners)} Inara key{'s' if len(owners) > 1 else ''}, within the budget ...")
    try:
        async with Errand(house, tenants) as errand:
            result = await errand.ask(RequestKind.VALIDATE_KEYS, {"fingerprints": list(owners)}, lambda _: None)
    except HeldError as held:
        return [f"Inara keys: not tried, as requests are held back ({held.reason})"]
    troubles = []
    for fingerprint, (outcome, text) in result["keys"].items():
        label = f"key of {', '.join(owners[fingerprint])}"
        if outcome != "ok":
            troubles.append(f"{label}: {outcome}: {text}")
        elif not quiet:
            console.print(plain(label), "is accepted by Inara", style="green")
    return troubles
