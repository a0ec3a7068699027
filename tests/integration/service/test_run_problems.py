"""A run's problems reach its report, though the state was away when they were met."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from inara_daemon.service.run_problems import RunProblems
from inara_daemon.store import transactions
from inara_daemon.store.errors import StateError
from inara_daemon.store.state import runs
from inara_daemon.store.state.runs import RunReason
from tests.integration.store.test_state import open_state


async def test_a_problem_met_while_the_state_is_locked_is_stored_later_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[StateError] = []
    async with open_state(f"sqlite:///{tmp_path}/state.db") as state:
        now = datetime(2026, 11, 24, 1, tzinfo=UTC)
        async with state.write() as connection:
            run = await runs.start(
                connection, tenant_id="alpha", reason=RunReason.CRON, started_at=now, deadline=None, first_request=0
            )
        problems = RunProblems(state, run.id, told.append)
        await problems.add("outage", "away")
        monkeypatch.setattr(transactions, "LOCKED_SECONDS", 0.1)
        with closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            await problems.add("database_locked", "beta.db is locked")
            assert len(told) == 1
        await problems.store()
        await problems.add("outage", "away")
        async with state.read() as connection:
            stored = await runs.load(connection, run.id)
    assert stored is not None
    assert stored.problems == (("outage", "away"), ("database_locked", "beta.db is locked"))
