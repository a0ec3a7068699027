"""A state of the first release comes up as today's with everything kept, on SQLite and PostgreSQL."""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData, insert, inspect, select

from inara_daemon.clock import Clock, Moment
from inara_daemon.commander import Change, ChangeKind, RankKind, Standing
from inara_daemon.inara.pauses import Pauses
from inara_daemon.inara.suspicion import NO_SUSPICION
from inara_daemon.secret import Secret
from inara_daemon.store import migrations
from inara_daemon.store.engines import open_engine, resolve_url
from inara_daemon.store.state import changes, outbox, roster
from inara_daemon.store.state.budget import BudgetTable
from inara_daemon.store.state.database import SCHEMA_VERSION
from inara_daemon.store.state.outbox import OutboxTable
from inara_daemon.store.transactions import read_transaction, write_transaction
from tests.integration.store.test_state import _differences, open_state

NOW = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
_KEY = "9" * 64
_ROW = '{"values": {"rank_combat": "7"}, "squadron_known": false}'


def _change(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "tenant_id": "alpha",
        "run_id": 7,
        "key": "nova",
        "name": "Nova",
        "inara_url": "https://inara.cz/1",
        "kind": "promoted",
        "ladder": "combat",
        "old": "6",
        "new": "7",
        "at": NOW,
        "applied": True,
        "report_run_id": None,
    } | more


def _pause(scope: str, reason: str, **more: Any) -> dict[str, Any]:
    return {
        "scope": scope,
        "reason": reason,
        "text": "hm",
        "boot_id": "boot-1",
        "until": 5_000.0,
        "seconds": 900.0,
        "level": 1,
        "batch_limit": None,
    } | more


def _message(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "tenant_id": "alpha",
        "run_id": 7,
        "request_id": None,
        "body": "{}",
        "status": "waiting",
        "attempts": 2,
        "error": "503",
        "created_at": NOW,
        "settled_at": None,
        "loss_told": False,
    } | more


_CONTENT: Mapping[str, Sequence[dict[str, Any]]] = {
    "budget": [{"id": 1, "boot_id": "boot-1", "base": 4_321.5, "open": False, "requests": 12_345}],
    "change": [
        _change(1, applied=False),
        _change(2),
        _change(3, report_run_id=7),
        _change(4, tenant_id="beta", kind="new", ladder=None, old=None, new=None),
    ],
    "commander": [
        {
            "tenant_id": "alpha",
            "key": "nova",
            "standing": "found",
            "answered_request": 12_300,
            "answered_at": NOW,
            "misses": 0,
            "due_at": None,
            "last_event_id": 41,
            "user_id": 2**40,
            "snapshot": '{"user_id": 1099511627776}',
        }
    ],
    "meta": [{"key": "fingerprint_key", "value": "ab" * 32}],
    "message": [
        _message(3),
        _message(4, status="unknown", settled_at=NOW),
        _message(5, status="dead", settled_at=NOW, loss_told=True),
        _message(6, status="sent", settled_at=NOW),
    ],
    "pause": [
        _pause("*", "limited", seconds=3_600.0),
        _pause(_KEY, "unknown_refusal", level=3, batch_limit=7),
        _pause("b" * 64, "bad_key", until=None, seconds=None),
    ],
    "roster_write": [{"tenant_id": "alpha", "name": "Nova", "key": "nova", "event_id": 41, "row": _ROW}],
    "run": [
        {
            "id": 7,
            "tenant_id": "alpha",
            "reason": "cron",
            "request_id": None,
            "only": None,
            "started_at": NOW,
            "deadline": NOW,
            "first_request": 12_000,
            "ended_at": None,
            "outcome": None,
            "tally": '{"names": 1}',
            "problems": '[["incomplete", "x"]]',
        }
    ],
    "tenant": [{"id": "alpha", "database": "sqlite:/x.db", "cursor": 41, "last_full_at": NOW, "reported": True}],
    "request": [
        {
            "id": 9,
            "kind": "sync",
            "arguments": "{}",
            "created_at": NOW,
            "taken": True,
            "progress": "{}",
            "result": None,
        }
    ],
    "dead_webhook": [{"fingerprint": "f", "error": "gone", "at": NOW}],
    "delivery_hold": [{"scope": "*", "boot_id": "boot-1", "until": 10.0, "seconds": 5.0}],
}


def _make_first_release(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(str(migrations.__file__)).parent))
    config.attributes["connection"] = connection
    command.upgrade(config, "0001")
    tables = MetaData()
    tables.reflect(connection)
    for name, rows in _CONTENT.items():
        connection.execute(insert(tables.tables[name]), rows)


def _everything(connection: Connection) -> dict[str, list[dict[str, Any]]]:
    tables = MetaData()
    tables.reflect(connection)
    return {
        name: sorted((dict(row) for row in connection.execute(select(table)).mappings()), key=str)
        for name, table in tables.tables.items()
    }


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path}/state.db"


@pytest.fixture
async def before(url: str) -> dict[str, list[dict[str, Any]]]:
    """What a state of the first release holds; it is there to be opened."""
    engine = open_engine(resolve_url(Secret(url), Path("/")), create=True)
    async with write_transaction(engine) as connection:
        await connection.run_sync(_make_first_release)
    async with read_transaction(engine) as connection:
        found = await connection.run_sync(_everything)
    await engine.dispose()
    assert all(len(found[name]) == len(rows) for name, rows in _CONTENT.items())
    assert all("suspicion" not in row for row in found["pause"])
    return found


async def test_everything_that_the_first_release_stored_is_kept(url: str, before: dict[str, Any]) -> None:
    async with open_state(url) as state, state.read() as connection:
        after = await connection.run_sync(_everything)
        assert await connection.run_sync(_differences) == []
    assert after.pop("alembic_version") == [{"version_num": SCHEMA_VERSION}]
    assert before.pop("alembic_version") == [{"version_num": "0001"}]
    assert [json.loads(row.pop("suspicion")) for row in after["pause"]] == [{}, {}, {}]
    for row in before["message"]:
        row |= {"attempt": None, "plain": False, "summary": "", "told_in": 0 if row.pop("loss_told") else None}
        row["body"] = "" if row["settled_at"] else row["body"]
    before["delivery_hold"][0]["scope"] = "discord"
    assert {row["id"]: row for row in after.pop("message")} == {row["id"]: row for row in before.pop("message")}
    assert [after.pop(name) for name in ("log_buffer", "told_problem")] == [[], []]
    assert after == before


async def test_the_pauses_of_the_first_release_hold_and_suspect_nobody(url: str, before: dict[str, Any]) -> None:
    assert before["pause"]
    async with open_state(url) as state:
        pauses = Pauses(BudgetTable(state), Clock(lambda: NOW, lambda: 4_900.0, "boot-1"), application="App")
        await pauses.start()
        assert pauses.wait_seconds("any") == pytest.approx(100.0)
        assert pauses.batch_limit(_KEY) == 7
        assert pauses.suspicion(_KEY) == NO_SUSPICION
        assert pauses.refused("b" * 64) is not None
        await pauses.worked(_KEY, ["x"], 30)
    async with open_state(url) as state:
        assert {row["scope"]: row["batch_limit"] for row in await BudgetTable(state).pauses()}[_KEY] == 14


async def test_the_changes_of_the_first_release_are_told_once_and_written_once(
    url: str, before: dict[str, Any]
) -> None:
    assert before["change"]
    told = Change(ChangeKind.PROMOTED, "6", "7", RankKind.COMBAT)
    async with open_state(url) as state, state.read() as connection:
        unreported = await changes.unreported(connection, "alpha")
        assert [(item.id, item.change) for item in unreported] == [(2, told)]
        assert [write.name for write in await roster.pending_writes(connection, "alpha")] == ["Nova"]
        assert (await roster.records(connection, "alpha"))["nova"].standing is Standing.FOUND


async def test_a_fingerprint_of_the_first_release_means_the_same_secret(url: str, before: dict[str, Any]) -> None:
    assert before["meta"]
    names = set()
    for _ in range(2):
        async with open_state(url) as state:
            names.add(state.fingerprint(Secret("canary")))
    assert names == {hmac.new(bytes.fromhex("ab" * 32), b"canary", "sha256").hexdigest()[:16]}


async def test_the_messages_of_the_first_release_go_on_and_their_losses_are_told_once(
    url: str, before: dict[str, Any]
) -> None:
    assert before["message"]
    async with open_state(url) as state:
        table = OutboxTable(state)
        assert await table.waiting() == [{"id": 3, "tenant_id": "alpha", "attempts": 2, "plain": False}]
        assert await table.begin(3, "once") == "{}"
        assert await table.holds() == {"discord": (Moment("boot-1", 10.0), 5.0)}
        async with state.read() as connection:
            assert [loss.id for loss in await outbox.losses(connection, "alpha")] == [4]
        await table.prune(NOW + timedelta(days=31), Moment("boot-1", 0.0))
        async with state.read() as connection:
            assert await outbox.counts(connection) == {("alpha", "sending"): 1, ("alpha", "unknown"): 1}


async def test_the_indexes_for_what_is_looked_for_are_made(url: str, before: dict[str, Any]) -> None:
    def indexes(connection: Connection) -> set[str | None]:
        return {index["name"] for index in inspect(connection).get_indexes("change")}

    assert before["change"]
    async with open_state(url) as state, state.read() as connection:
        assert {"change_unapplied", "change_unreported"} <= await connection.run_sync(indexes)
        version = await connection.run_sync(lambda sync: MigrationContext.configure(sync).get_current_revision())
    assert version == SCHEMA_VERSION
