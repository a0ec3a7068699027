"""Lost reports, and the one that names them: in the transaction that ends a run, and across the whole engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from inara_daemon import report
from inara_daemon.clock import Clock
from inara_daemon.problem_memory import Problem
from inara_daemon.sandbox.world import demo_world
from inara_daemon.secret import Secret
from inara_daemon.service.run_report import RunEnd, Summary, end_run
from inara_daemon.store.engines import resolve_url
from inara_daemon.store.state import outbox, runs
from inara_daemon.store.state.database import StateDatabase
from inara_daemon.store.state.outbox import OPERATOR, OutboxTable
from inara_daemon.store.state.runs import RunOutcome, RunReason
from inara_daemon.tenant_entry import ReportKind
from inara_daemon.tenants import Tenant
from tests.stage import open_stage, until

NOW = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
CLOCK = Clock(lambda: NOW, lambda: 0.0, "boot-1")
WEBHOOK = Secret("https://discord.com/api/webhooks/1/canary")
COUNTS = {"names": 4, "answered": 3, "found": 3, "not_found": 0, "ambiguous": 0, "failed": 1, "requests": 1}


@pytest.fixture
async def state(tmp_path: Path) -> AsyncIterator[StateDatabase]:
    opened = StateDatabase(resolve_url(Secret(f"sqlite:///{tmp_path}/state.db"), tmp_path))
    await opened.open()
    yield opened
    await opened.close()


async def end_a_run(
    state: StateDatabase,
    *,
    day: int = 0,
    webhook: Secret | None = WEBHOOK,
    kind: ReportKind = ReportKind.CHANGES,
    problem: bool = False,
) -> int | None:
    """A run's end; the number of its report's message, if it has one."""
    tenant = Tenant("alpha", "Alpha", Secret("sqlite:///x"), Secret("k"), "0 1 * * *", webhook=webhook, report=kind)
    at = NOW + timedelta(days=day)
    problems = (Problem("outage", "away"),) if problem else ()
    async with state.write() as connection:
        run = await runs.start(
            connection, tenant_id="alpha", reason=RunReason.CRON, started_at=at, deadline=None, first_request=0
        )
        summary = Summary(COUNTS, (), (), problems)
        await end_run(connection, tenant, RunEnd(run, RunOutcome.COMPLETE, summary, at, None, CLOCK, names_read=True))
        message = await outbox.of_run(connection, run.id)
    return None if message is None else int(message["id"])


async def settle(state: StateDatabase, number: int | None, status: str) -> list[str]:
    """Let a message end; the lines in which it named the losses before it."""
    assert number is not None
    body = await OutboxTable(state).begin(number, "once")
    assert body is not None
    await OutboxTable(state).settle(number, status=status, error="gone", now=NOW)
    named = [section for section in report.from_json(body).sections if "did not arrive" in section.title]
    return [entry.text for section in named for entry in section.entries]


async def losses(state: StateDatabase) -> int:
    async with state.read() as connection:
        return len(await outbox.losses(connection, "alpha"))


async def test_delivery_a_chain_of_lost_reports_is_told_in_full_by_the_first_that_arrives(state: StateDatabase) -> None:
    told = [
        await settle(state, await end_a_run(state, day=day, kind=ReportKind.ALWAYS, problem=True), status)
        for day, status in enumerate(("dead", "expired", "unknown", "sent", "sent"))
    ]
    assert [len(lines) for lines in told] == [0, 1, 2, 3, 0]
    totals = "3 of 4 commanders looked up, 0 changed, 1 failed"
    assert told[3] == [
        f"The report of run 1 of 2026-11-24 was lost with its webhook (gone): {totals}",
        f"The report of run 2 of 2026-11-25 was given up (gone): {totals}",
        f"The report of run 3 of 2026-11-26 may have arrived or not (gone): {totals}",
    ]


async def test_delivery_a_loss_waits_for_a_report_that_is_really_sent(state: StateDatabase) -> None:
    await settle(state, await end_a_run(state, problem=True), "dead")
    assert await end_a_run(state, day=1, webhook=None, problem=True) is None
    assert await losses(state) == 1
    quiet = await end_a_run(state, day=2)  # who wants changes only hears of losses too
    assert quiet is not None
    assert await losses(state) == 0
    assert len(await settle(state, quiet, "sent")) == 1


async def test_a_run_that_reports_nothing_leaves_the_losses_of_its_tenant_alone(state: StateDatabase) -> None:
    await settle(state, await end_a_run(state, kind=ReportKind.ALWAYS), "sent")
    assert await end_a_run(state, day=1, kind=ReportKind.PROBLEMS) is None
    assert await losses(state) == 0


async def test_the_operator_has_a_webhook_that_is_no_tenants_and_may_share_ones_lane(tmp_path: Path) -> None:
    async with open_stage(tmp_path, demo_world()) as stage:
        stage.add_tenant("alpha", ["Nova Kestrel"])
        stage.extra["INARA_DAEMON_OPERATOR_WEBHOOK"] = stage.discord.webhook("alpha")
        async with stage.house() as house, house.state.write() as connection:
            body = report.to_json(report.notice("", "To the operator", "all well", NOW))
            await outbox.enqueue(connection, tenant_id=OPERATOR, body=body, now=NOW)
        async with stage.engine():
            await until(lambda: len(stage.discord.messages) == 2)
        assert stage.titles("alpha") == ["To the operator", "Alpha: first look at 1 commander"]
        stage.assert_never_banned()
