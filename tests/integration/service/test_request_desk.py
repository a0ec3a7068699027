"""How soon an idle daemon notices what another process asks of it, and what the watch costs."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from inara_daemon.sandbox.world import demo_world
from inara_daemon.service import request_desk
from inara_daemon.store.state.database import StateDatabase
from inara_daemon.store.state.requests import Request, RequestKind, RequestTable
from tests.integration.store.test_state import open_state
from tests.stage import Stage, open_stage, until

_ASK = """
import sqlite3, sys
with sqlite3.connect(sys.argv[1]) as connection:
    connection.execute(
        "INSERT INTO request (kind, arguments, created_at, taken, progress) VALUES (?, ?, ?, 0, '{}')", sys.argv[2:]
    )
"""
_SLACK_SECONDS = 0.1
"""For a message to be written and sent, by the virtual clock."""


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path, demo_world()) as opened:
        opened.add_tenant("alpha", ["Nova Kestrel"])
        yield opened


def ask_from_another_process(stage: Stage) -> None:
    place = str(stage.folder / "state" / "state.db")
    asked_at = datetime.now(UTC).replace(tzinfo=None).isoformat(" ")
    words = (RequestKind.TEST_WEBHOOK.value, json.dumps({"tenants": None}), asked_at)
    subprocess.run([sys.executable, "-c", _ASK, place, *words], check=True)


async def seconds_until_noticed(stage: Stage) -> float:
    """Ask an idle daemon for a test message."""
    loop = asyncio.get_running_loop()
    async with stage.engine():
        await asyncio.sleep(300)
        assert stage.titles("alpha") == ["Alpha: first look at 1 commander"]
        ask_from_another_process(stage)
        asked_at = loop.time()
        await until(lambda: "Alpha: test message" in stage.titles("alpha"), seconds=60)
        return loop.time() - asked_at


@pytest.mark.virtual_time
async def test_what_another_process_asks_is_noticed_within_half_a_second_by_the_files_time(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_desk, "LOOK_SECONDS", 1e9)  # nothing else tells
    assert await seconds_until_noticed(stage) <= 0.5 + _SLACK_SECONDS


@pytest.mark.virtual_time
async def test_what_is_asked_is_noticed_though_the_files_time_tells_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StateDatabase, "stamp", lambda _self: "always the same")
    assert await seconds_until_noticed(stage) <= 10.0 + 0.5 + _SLACK_SECONDS


@pytest.mark.virtual_time
async def test_an_idle_daemon_asks_its_state_for_requests_six_times_a_minute_and_not_more(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []
    unfinished = RequestTable.unfinished

    async def look(self: RequestTable) -> list[Request]:
        looks.append(asyncio.get_running_loop().time())
        return list(await unfinished(self))

    async with stage.engine():
        await asyncio.sleep(120)
        monkeypatch.setattr(RequestTable, "unfinished", look)
        await asyncio.sleep(300)
    assert 28 <= len(looks) <= 31


async def test_the_stamp_of_a_file_changes_with_every_write_of_anybody_and_only_then(tmp_path: Path) -> None:
    async with open_state(f"sqlite:///{tmp_path}/state.db") as state:
        table = RequestTable(state)
        await table.ask(RequestKind.SYNC, {}, datetime.now(UTC))
        stamp = state.stamp()
        await table.unfinished()
        assert state.stamp() == stamp
        with closing(sqlite3.connect(tmp_path / "state.db")) as other, other:
            other.execute("UPDATE request SET taken = 1")
        assert state.stamp() != stamp
        stamp = state.stamp()
        await table.ask(RequestKind.SYNC, {}, datetime.now(UTC) + timedelta(seconds=1))
        assert state.stamp() != stamp


async def test_the_stamp_of_a_server_never_says_that_nothing_was_written(postgres_url: str) -> None:
    async with open_state(postgres_url) as state:
        assert state.stamp() != state.stamp()
