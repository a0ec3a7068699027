"""`sync`: one run now, with progress, and then what changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import click
from rich.live import Live
from rich.text import Text

from inara_daemon.change_words import words
from inara_daemon.cli.exits import Exit
from inara_daemon.cli.place import Place, read_tenants
from inara_daemon.cli.screen import console, duration, moment, plain
from inara_daemon.report_text import counted
from inara_daemon.service.engine import House
from inara_daemon.service.errand import Errand, HeldError, Progress
from inara_daemon.store.state import changes, runs
from inara_daemon.store.state.outbox import MessageStatus
from inara_daemon.store.state.requests import RequestKind
from inara_daemon.store.state.runs import Run, RunOutcome
from inara_daemon.tenants import Tenants

_DELIVERY_SECONDS = 30.0
_SHOWN_CHANGES = 50
_UNRESOLVED = {
    "not_found": "not on Inara",
    "ambiguous": "ambiguous on Inara",
    "set_aside": "set aside, as Inara refuses every request that carries them",
}


async def sync_now(place: Place, *, tenant_ids: Sequence[str], names: Sequence[str], dry_run: bool) -> int:
    """Run, or ask the running daemon to; 0 only if everything went well."""
    settings = place.settings()
    tenants = read_tenants(settings)
    chosen = choose(tenants, tenant_ids)
    kind = RequestKind.DRY_RUN if dry_run else RequestKind.SYNC
    arguments = {"tenants": chosen, "names": list(names) or None}
    async with place.house(settings) as house:
        console.print("state", plain(house.state.place))
        show_skipped(tenants)
        if not chosen:
            return Exit.TROUBLE
        try:
            async with Errand(house, tenants) as errand:
                with Live(console=console, refresh_per_second=4, transient=True) as live:
                    result = await errand.ask(kind, arguments, lambda progress: live.update(progress_line(progress)))
                if dry_run:
                    return _show_dry_run(result)
                return await _show_runs(house, errand, result, names)
        except HeldError as held:
            _say_held(house, held)
            return Exit.TROUBLE


def choose(tenants: Tenants, ids: Sequence[str]) -> list[str]:
    """The tenants asked for, or all. Raises click.BadParameter for an id that isn't there."""
    known = [tenant.id for tenant in tenants.tenants]
    unknown = [name for name in ids if name not in known]
    if unknown:
        raise click.BadParameter(f"no tenant {', '.join(unknown)}; known: {', '.join(known)}", param_hint="--tenant")
    return list(dict.fromkeys(ids)) or known


def show_skipped(tenants: Tenants) -> None:
    """Nobody is left out in silence."""
    for skipped in tenants.skipped:
        console.print("note:", plain(f"tenant {skipped.label} is skipped: it {skipped.reason}"), style="yellow")


def progress_line(progress: Progress) -> Text:
    """One line: how far each tenant is, and when the next request leaves."""
    if not progress.taken:
        return Text("waiting for the engine ...")
    parts = []
    for tenant_id, each in progress.values.get("tenants", {}).items():
        counts = f"{each.get('answered', 0)}/{each.get('names', '?')}"
        parts.append(f"{tenant_id} {'done' if each.get('done') else counts}")
    line = "  ".join(parts) or "reading names ..."
    waits = [each.get("next_request_in") for each in progress.values.get("tenants", {}).values() if not each["done"]]
    wait = min((seconds for seconds in waits if seconds is not None), default=None)
    who = "" if progress.leading else "  (served by the running daemon)"
    return plain(f"{line}   next request in {wait:.0f} s{who}" if wait is not None else f"{line}{who}")


def show_problems(result: Mapping[str, Any]) -> int:
    """Name the tenants that could not be served."""
    for tenant_id, problem in result["problems"].items():
        console.print(plain(f"{tenant_id}: not served: {problem}"), style="red")
    return Exit.TROUBLE if result["problems"] else Exit.WELL


def _say_held(house: House, held: HeldError) -> None:
    until = ""
    if held.seconds is not None:
        until = f", until {moment(house.clock.now() + timedelta(seconds=held.seconds))} UTC ({duration(held.seconds)})"
    console.print(plain(f"Held back: {held.reason}{until}."), style="red")
    console.print("What is left of this run is taken up by the daemon, or by the next sync after that.")


async def _show_runs(house: House, errand: Errand, result: Mapping[str, Any], names: Sequence[str]) -> int:
    code: int = Exit.WELL
    found = False
    for tenant_id, run_id in result["runs"].items():
        async with house.state.read() as connection:
            run = await runs.load(connection, run_id)
            told = await changes.history(connection, tenant_id=tenant_id, run_id=run_id)
        if run is None:
            continue
        found = found or run.tally.get("names", 0) > 0
        code = max(code, _show_run(run, [(change.name, words(change.change)) for change in told]))
    code = max(code, show_problems(result))
    if names and not found:
        console.print("No tenant has events of", plain(", ".join(names)), style="red")
        code = Exit.TROUBLE
    for tenant_id, row in (await errand.reports_delivered(result["runs"], _DELIVERY_SECONDS)).items():
        sent = row["status"] == MessageStatus.SENT.value
        text = (
            "report delivered" if sent else f"report not delivered: {row['status']}: {row['error'] or 'not sent yet'}"
        )
        console.print(plain(f"{tenant_id}: {text}"), style="green" if sent else "yellow")
        code = max(code, Exit.WELL if sent else Exit.TROUBLE)
    return code


def _show_run(run: Run, told: Sequence[tuple[str, str]]) -> int:
    tally = run.tally
    good = run.outcome is RunOutcome.COMPLETE and not run.problems
    console.print(
        plain(f"{run.tenant_id}: {run.outcome}"),
        f"{tally.get('answered', 0):,} of {tally.get('names', 0):,} commanders,",
        f"{tally.get('found', 0):,} found, {tally.get('not_found', 0):,} not on Inara,",
        f"{tally.get('ambiguous', 0):,} ambiguous, {tally.get('failed', 0):,} failed,",
        counted(tally.get("requests", 0), "request"),
        style="green" if good else "yellow",
    )
    for name, text in told[:_SHOWN_CHANGES]:
        console.print("  ", plain(f"{name}: {text}"))
    if len(told) > _SHOWN_CHANGES:
        console.print(f"   ... and {len(told) - _SHOWN_CHANGES:,} more: see history")
    for kind, text in run.problems:
        console.print("  ", plain(f"{kind}: {text}"), style="red")
    return Exit.WELL if good and not tally.get("failed", 0) else Exit.TROUBLE


def _show_dry_run(result: Mapping[str, Any]) -> int:
    code = show_problems(result)
    for tenant_id, found in result["tenants"].items():
        console.print(
            plain(f"{tenant_id}: {found['answered']:,} of {found['names']:,} commanders answered; nothing was stored")
        )
        for name, text in found["changes"]:
            console.print("  ", plain(f"{name}: {text}"))
        for key, label in _UNRESOLVED.items():
            if found.get(key):
                console.print("  ", plain(f"{label}: {', '.join(found[key])}"))
        for problem in found["problems"]:
            console.print("  ", plain(problem), style="red")
            code = Exit.TROUBLE
    return code
