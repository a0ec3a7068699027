"""Ends a run: its tally, its summary and its report, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from operator import itemgetter

from sqlalchemy.ext.asyncio import AsyncConnection

from inara_daemon.clock import Clock
from inara_daemon.commander import Record, Standing
from inara_daemon.log_lines import ROOM_IN_A_REPORT
from inara_daemon.problem_memory import Problem, problem_news, remember
from inara_daemon.report import to_json
from inara_daemon.report_reason import Reason, why_report
from inara_daemon.report_text import build, totals_in_words
from inara_daemon.roster_plan import Roster, waits, waits_until
from inara_daemon.run_facts import CommanderChange, RunFacts, Totals
from inara_daemon.service import undelivered
from inara_daemon.store.state import changes, log_buffers, outbox, problems, runs
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
    clock: Clock
    names_read: bool
    """The roster is known, and with it every problem of a name."""


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
        # A problem lasts until it is over, also in runs that leave the name alone.
        if record is not None and record.standing is not None:
            is_mine = record.answered_request > run.first_request
            if is_mine or record.standing in _FAILED:
                by_standing[record.standing].append((spellings[0].name.strip(), record))
    return Summary(
        tally(roster, records, run),
        _names(by_standing[Standing.NOT_FOUND]),
        _names(by_standing[Standing.AMBIGUOUS]),
        _problems(run, roster, by_standing),
    )


async def end_run(connection: AsyncConnection, tenant: Tenant, end: RunEnd) -> Reason | None:
    """Close the run, claim the changes and put the report into the outbox; why it is sent, None if it isn't."""
    counts = end.summary.counts
    await runs.end(connection, end.run.id, ended_at=end.ended_at, outcome=end.outcome, tally=counts)
    await _prune(connection, tenant.id, end.ended_at)
    if not reports(end.run):
        return None
    row = await memory.load_tenant(connection, tenant.id)
    told = await changes.unreported(connection, tenant.id)
    losses = await outbox.losses(connection, tenant.id)
    known = await problems.told(connection, tenant.id)
    complete = end.outcome is RunOutcome.COMPLETE
    now = end.ended_at
    facts = RunFacts(
        tenant=tenant.name,
        run_id=end.run.id,
        reason=end.run.reason.value,
        started_at=end.run.started_at,
        ended_at=now,
        next_run_at=end.next_run_at,
        first=row is None or not row.reported,
        totals=_totals(counts, len({change.key for change in told})),
        complete=complete,
        changes=tuple(CommanderChange(change.name, change.inara_url, change.change) for change in told),
        not_found=end.summary.not_found,
        ambiguous=end.summary.ambiguous,
        problems=end.summary.problems,
        news=problem_news(end.summary.problems, known, now, complete=complete, names_read=end.names_read),
        undelivered=undelivered.in_words(losses),
    )
    await changes.claim(connection, end.run.id, told)
    if tenant.webhook is None:
        return None
    await memory.save_tenant(connection, tenant.id, reported=True)
    reason = why_report(tenant.report, facts)
    if reason is None:
        return None
    lines, held_back = await log_buffers.take(connection, tenant.id, end.clock, room=ROOM_IN_A_REPORT)
    facts = replace(facts, log_lines=tuple(map(str, lines)), log_lines_dropped=held_back)
    message_id = await outbox.enqueue(
        connection,
        tenant_id=tenant.id,
        run_id=end.run.id,
        body=to_json(build(facts)),
        summary=totals_in_words(facts).splitlines()[0],
        now=now,
    )
    await outbox.tell_losses(connection, [loss.id for loss in losses], told_in=message_id)
    heard = remember(facts.problems, known, facts.news, now)
    await problems.save_told(connection, tenant.id, heard, told_in=message_id)
    return reason


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
    """Those whom Inara did not know before first."""
    return tuple(name for name, _ in sorted(answered, key=lambda one: (one[1].misses, one[0])))


def _problems(
    run: Run, roster: Roster, answered: Mapping[Standing, Sequence[tuple[str, Record]]]
) -> tuple[Problem, ...]:
    found = [Problem(kind, text) for kind, text in run.problems]
    found += [Problem("name_rejected", "", name) for name, _ in sorted(answered[Standing.REJECTED], key=itemgetter(0))]
    found += [
        Problem("name_set_aside", _set_aside_words(record), name)
        for name, record in sorted(answered[Standing.SET_ASIDE], key=itemgetter(0))
    ]
    found += [
        Problem("name_unanswered", "", name) for name, _ in sorted(answered[Standing.UNANSWERED], key=itemgetter(0))
    ]
    found += [Problem("name_too_long", "", name) for name in roster.too_long]
    return tuple(found)


def _set_aside_words(record: Record) -> str:
    until = waits_until(record)
    when = "the next run" if until is None else f"the first run after {until:%Y-%m-%d %H:%M} UTC"
    return f"tried again in {when}"
