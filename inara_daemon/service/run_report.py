"""Ends a run: its tally, its summary and its report, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter

from sqlalchemy.ext.asyncio import AsyncConnection

from inara_daemon.commander import Record, Standing
from inara_daemon.report import CommanderChange, Problem, RunFacts, Totals, build, should_report, to_json
from inara_daemon.roster_plan import Roster, waits, waits_until
from inara_daemon.service import undelivered
from inara_daemon.service.logbook import TenantLines
from inara_daemon.store.state import changes, outbox, runs
from inara_daemon.store.state import roster as memory
from inara_daemon.store.state.runs import Run, RunOutcome, RunReason
from inara_daemon.tenants import Tenant

SILENT_REASONS = frozenset({RunReason.DISCOVERY})
_FAILED = frozenset({Standing.REJECTED, Standing.SET_ASIDE, Standing.UNANSWERED})


@dataclass(frozen=True, slots=True)
class Summary:
    """What came of the names that a run asked for."""

    counts: Mapping[str, int]
    not_found: tuple[str, ...]
    ambiguous: tuple[str, ...]
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class RunEnd:
    """All that a report needs and only the run itself knows."""

    run: Run
    outcome: RunOutcome
    summary: Summary
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


def summarise(run: Run, roster: Roster, records: Mapping[str, Record]) -> Summary:
    """Sum up a run; pure, and long work for a large roster."""
    by_standing: dict[Standing, list[tuple[str, Record]]] = {standing: [] for standing in Standing}
    for key, spellings in roster.spellings.items():
        record = records.get(key)
        if record is not None and record.standing is not None and record.answered_request > run.first_request:
            by_standing[record.standing].append((spellings[0].name.strip(), record))
    for answered in by_standing.values():
        answered.sort(key=itemgetter(0))
    return Summary(
        tally(roster, records, run),
        _names(by_standing[Standing.NOT_FOUND]),
        _names(by_standing[Standing.AMBIGUOUS]),
        _problems(run, roster, by_standing),
    )


async def end_run(connection: AsyncConnection, tenant: Tenant, end: RunEnd) -> int | None:
    """Close the run, claim the changes and put the report into the outbox; the message's id, if one is sent."""
    counts = end.summary.counts
    await runs.end(connection, end.run.id, ended_at=end.ended_at, outcome=end.outcome, tally=counts)
    await _prune(connection, tenant.id, end.ended_at)
    if not reports(end.run):
        return None
    row = await memory.load_tenant(connection, tenant.id)
    told = await changes.unreported(connection, tenant.id)
    losses = await outbox.losses(connection, tenant.id)
    changed = len({change.key for change in told})
    facts = RunFacts(
        tenant=tenant.name,
        run_id=end.run.id,
        reason=end.run.reason.value,
        started_at=end.run.started_at,
        ended_at=end.ended_at,
        next_run_at=end.next_run_at,
        first=row is None or not row.reported,
        totals=_totals(counts, changed),
        changes=tuple(CommanderChange(change.name, change.inara_url, change.change) for change in told),
        not_found=end.summary.not_found,
        ambiguous=end.summary.ambiguous,
        problems=end.summary.problems,
        undelivered=undelivered.in_words(losses),
        log_lines=tuple(end.lines.lines),
        log_lines_dropped=end.lines.dropped,
    )
    await changes.claim(connection, end.run.id, told)
    if tenant.webhook is None or should_report(tenant.report, facts) is None:
        return None
    await memory.save_tenant(connection, tenant.id, reported=True)
    body = to_json(build(facts))
    number = await outbox.enqueue(
        connection,
        tenant_id=tenant.id,
        run_id=end.run.id,
        body=body,
        summary=undelivered.totals_line(counts, changed),
        now=end.ended_at,
    )
    await outbox.tell_losses(connection, [loss.id for loss in losses], told_in=number)
    return number


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


def _names(answered: Iterable[tuple[str, Record]]) -> tuple[str, ...]:
    return tuple(name for name, _ in answered)


def _problems(
    run: Run, roster: Roster, answered: Mapping[Standing, Sequence[tuple[str, Record]]]
) -> tuple[Problem, ...]:
    found = [Problem(kind, text) for kind, text in run.problems]
    found += [Problem("name_rejected", name) for name, _ in answered[Standing.REJECTED]]
    found += [
        Problem("name_set_aside", _set_aside_words(name, record)) for name, record in answered[Standing.SET_ASIDE]
    ]
    found += [Problem("name_unanswered", name) for name, _ in answered[Standing.UNANSWERED]]
    found += [Problem("name_too_long", f"{name[:40]}…") for name in roster.too_long]
    return tuple(found)


def _set_aside_words(name: str, record: Record) -> str:
    until = waits_until(record)
    when = "the next run" if until is None else f"the first run after {until:%Y-%m-%d %H:%M} UTC"
    return f"{name}: left out from now on, so that nobody else is refused; tried again by itself in {when}"
