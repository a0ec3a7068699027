"""Answers are saved once, together when they came together, and kept for as long as they can't be."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from inara_daemon.answers import Update
from inara_daemon.inara import desk
from inara_daemon.sandbox.inara import Arrival
from inara_daemon.sandbox.world import make_world
from inara_daemon.service.roster_sync import RosterSync
from inara_daemon.store import engines, transactions
from inara_daemon.store.state import roster as memory
from inara_daemon.store.tenant_db import RosterWrite
from tests.stage import Stage, open_stage, rows

pytestmark = pytest.mark.virtual_time
MINUTE = 60.0
_BATCH = 30


@pytest.fixture
async def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.002)  # a wait in SQLite's thread takes real time
    monkeypatch.setattr(transactions, "LOCKED_SECONDS", 1.0)
    async with open_stage(tmp_path, make_world(330, 4), rate=2) as opened:
        opened.extra = {"INARA_DAEMON_SCHEDULE": "0 20 * * *"}
        yield opened
        opened.assert_never_banned()


_OF_INTEREST = frozenset(
    {
        "run_began",
        "run_ended",
        "state_unwritable",
        "state_writable",
        "database_failed",
        "tenant_crashed",
        "tenant_unusable",
        "tenant_stuck",
    }
)


class Said(logging.Handler):
    """The events that the daemon logs."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.events.append(record.msg["event"] if isinstance(record.msg, dict) else str(record.msg))


def names_of(stage: Stage, count: int) -> list[str]:
    return [commander.name for commander in stage.inara.world.commanders[:count]]


def asked(stage: Stage) -> list[str]:
    return [name for arrival in stage.inara.arrivals for name in arrival.names]


async def test_answers_are_kept_while_the_state_can_not_be_written_and_are_not_asked_for_again(stage: Stage) -> None:
    names = names_of(stage, 90)
    path = stage.add_tenant("alpha", names)
    async with stage.engine():
        with closing(sqlite3.connect(stage.folder / "state" / "state.db", isolation_level=None)) as other:

            def lock(_arrival: Arrival) -> None:
                """The request is on its way, and its answer can't be kept."""
                if len(stage.inara.arrivals) == 2:
                    other.execute("BEGIN IMMEDIATE")

            stage.inara.on_arrival = lock
            await asyncio.sleep(4 * MINUTE)
            assert len(stage.inara.arrivals) == 2
            assert len(rows(path)) == _BATCH
            other.execute("ROLLBACK")
        await asyncio.sleep(3 * MINUTE)
    assert set(rows(path)) == set(names)
    assert sorted(asked(stage)) == sorted(names)
    assert len(stage.titles("alpha")) == 1
    assert "locked" not in stage.texts("alpha")


async def test_isolation_an_unwritable_state_is_said_to_be_no_tenants_fault(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "_LONGEST_NAP_SECONDS", MINUTE)
    stage.add_tenant("alpha", names_of(stage, 60))
    said = Said()
    async with stage.engine():
        logging.getLogger().addHandler(said)
        with closing(sqlite3.connect(stage.folder / "state" / "state.db", isolation_level=None)) as other:

            def lock(_arrival: Arrival) -> None:
                if len(stage.inara.arrivals) == 1:
                    other.execute("BEGIN IMMEDIATE")

            stage.inara.on_arrival = lock
            await asyncio.sleep(2 * MINUTE)
            other.execute("ROLLBACK")
        await asyncio.sleep(3 * MINUTE)
    told = [event for event in said.events if event in _OF_INTEREST]
    assert told == ["run_began", "state_unwritable", "state_writable", "run_ended"]


async def test_answers_that_come_while_the_database_is_locked_are_written_ahead_and_applied_when_it_is_free(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[int] = []
    save = RosterSync.save

    async def note(self: RosterSync, run_id: int, updates: Sequence[Update]) -> Sequence[RosterWrite]:
        saved.append(len(updates))
        return await save(self, run_id, updates)

    monkeypatch.setattr(RosterSync, "save", note)
    names = names_of(stage, 330)
    path = stage.add_tenant("alpha", names)
    with closing(sqlite3.connect(path, isolation_level=None)) as backend:
        async with stage.engine():

            def lock(_arrival: Arrival) -> None:
                if len(stage.inara.arrivals) == 1:
                    backend.execute("BEGIN IMMEDIATE")

            stage.inara.on_arrival = lock
            while len(stage.inara.arrivals) < 11:
                await asyncio.sleep(10)
            await asyncio.sleep(MINUTE)
            assert rows(path) == {}
            assert sum(saved) == 330
        backend.execute("ROLLBACK")
        async with stage.engine():  # what the engine before had heard is applied, and nobody is asked again
            await asyncio.sleep(20 * MINUTE)
    assert set(rows(path)) == set(names)
    async with stage.house() as house, house.state.read() as connection:
        records = await memory.records(connection, "alpha")
    found = {name: records[name.casefold()].answered_request for name in names}
    assert found == {name: number for number, each in enumerate(stage.inara.arrivals, 1) for name in each.names}
    assert sorted(asked(stage)) == sorted(names)
