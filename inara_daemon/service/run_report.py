"""Ends a run: its tally, its summary and its report, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from inara_daemon.commander import Record, Standing
from inara_daemon.report import CommanderChange, Problem, RunFacts, Totals, build, should_report, to_json
from inara_daemon.roster_plan import Roster, waits, waits_until
from inara_daemon.service.logbook import TenantLines
from inara_daemon.store.state import changes, outbox, runs
from inara_daemon.store.state import roster as memory
from inara_daemon.store.state.runs import Run, RunOutcome, RunReason
from inara_daemon.tenants import Tenant

SILENT_REASONS = frozenset({RunReason.DISCOVERY})
_FAILED = frozenset({Standing.REJECTED, Standing.SET_ASIDE, Standing.UNANSWERED})


@dataclass(frozen=True, slots=True)
class RunEnd:
    """All that a report needs and only the run itself knows."""

    run: Run
    outcome: RunOutcome
    roster: Roster
    ended_at: datetime
    next_run_at: datetime | None
    lines: TenantLines


def reports(run: Run) -> bool:
    """Whether a run tells of itself: discovery and single names leave their changes to the next report."""
    return run.reason not in SILENT_REASONS and run.only is None


def tally(roster: Roster, records: Mapping[str, Record], run: Run) -> dict[str, int]:
    """How far a run is, counted from memory, so that a resumed run counts right too."""
    asked = roster.spellings.keys() if run.only is None else roster.spellings.keys() & set(run.only)
    mine = [records[key] for key in asked if key in records and records[key].answered_request > run.first_request]
    resting = (
        0
        if run.only is not None
        else sum(
            1
            for key in asked
            if key in records
            and records[key].answered_request <= run.first_request
            and waits(records[key], run.started_at)
        )
    )
    standings = [record.standing for record in mine]
    return {
        "names": len(asked) - resting,
        "answered": len(mine),
        "found": standings.count(Standing.FOUND),
        "not_found": standings.count(Standing.NOT_FOUND),
        "ambiguous": standings.count(Standing.AMBIGUOUS),
        "failed": sum(standing in _FAILED for standing in standings),
        "requests": len({record.answered_request for record in mine}),
    }


async def end_run(connection: AsyncConnection, tenant: Tenant, end: RunEnd) -> int | None:
    """Close the run, claim the changes and put the report into the outbox; the message's id, if one is sent."""
    records = await memory.records(connection, tenant.id)
    counts = tally(end.roster, records, end.run)
    await runs.end(connection, end.run.id, ended_at=end.ended_at, outcome=end.outcome, tally=counts)
    await _prune(connection, tenant.id, end.ended_at)
    if not reports(end.run):
        return None
    row = await memory.load_tenant(connection, tenant.id)
    told = await changes.unreported(connection, tenant.id)
    losses = await outbox.take_losses(connection, tenant.id)
    facts = RunFacts(
        tenant=tenant.name,
        run_id=end.run.id,
        reason=end.run.reason.value,
        started_at=end.run.started_at,
        ended_at=end.ended_at,
        next_run_at=end.next_run_at,
        first=row is None or not row.reported,
        totals=_totals(counts, len({change.key for change in told})),
        changes=tuple(CommanderChange(change.name, change.inara_url, change.change) for change in told),
        not_found=_names(end, records, Standing.NOT_FOUND),
        ambiguous=_names(end, records, Standing.AMBIGUOUS),
        problems=_problems(end, records),
        undelivered=tuple(
            f"report of run {loss['run_id']}: {loss['status']} ({loss['error'] or 'no reason given'})"
            for loss in losses
        ),
        log_lines=tuple(end.lines.lines),
        log_lines_dropped=end.lines.dropped,
    )
    await changes.claim(connection, end.run.id, told)
    if tenant.webhook is None or should_report(tenant.report, facts) is None:
        return None
    await memory.save_tenant(connection, tenant.id, reported=True)
    body = to_json(build(facts))
    return await outbox.enqueue(connection, tenant_id=tenant.id, run_id=end.run.id, body=body, now=end.ended_at)


async def _prune(connection: AsyncConnection, tenant_id: str, now: datetime) -> None:
    """The state stays bounded, however many nights pass."""
    await runs.prune(connection, tenant_id)
    await outbox.prune(connection, now)
    await changes.prune(connection, tenant_id, now)


def _totals(counts: Mapping[str, int], changed: int) -> Totals:
    return Totals(
        names=counts["names"],
        answered=counts["answered"],
        written=changed,
        not_found=counts["not_found"],
        ambiguous=counts["ambiguous"],
        failed=counts["failed"],
        requests=counts["requests"],
    )


def _names(end: RunEnd, records: Mapping[str, Record], standing: Standing) -> tuple[str, ...]:
    """The spellings of those whom this run asked for and who have this standing."""
    return tuple(name for name, _ in _answered(end, records, standing))


def _answered(end: RunEnd, records: Mapping[str, Record], standing: Standing) -> list[tuple[str, Record]]:
    found = [
        (spellings[0].name.strip(), record)
        for key, spellings in end.roster.spellings.items()
        if (record := records.get(key)) is not None
        and record.standing is standing
        and record.answered_request > end.run.first_request
    ]
    return sorted(found, key=lambda item: item[0])


def _problems(end: RunEnd, records: Mapping[str, Record]) -> tuple[Problem, ...]:
    found = [Problem(kind, text) for kind, text in end.run.problems]
    found += [Problem("name_rejected", name) for name in _names(end, records, Standing.REJECTED)]
    found += [
        Problem("name_set_aside", _set_aside_words(name, record))
        for name, record in _answered(end, records, Standing.SET_ASIDE)
    ]
    found += [Problem("name_unanswered", name) for name in _names(end, records, Standing.UNANSWERED)]
    found += [Problem("name_too_long", f"{name[:40]}…") for name in end.roster.too_long]
    return tuple(found)


def _set_aside_words(name: str, record: Record) -> str:
    until = waits_until(record)
    when = "the next run" if until is None else f"the first run after {until:%Y-%m-%d %H:%M} UTC"
    return f"{name}: left out from now on, so that nobody else is refused; tried again by itself in {when}"
