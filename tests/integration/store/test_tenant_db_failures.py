"""Why a tenant's database can't be used, told apart on real databases and in words that help and hold no password."""

from __future__ import annotations

import asyncio
import os
import pwd
import sqlite3
import tempfile
import threading
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from inara_daemon.roster_row import RosterRow
from inara_daemon.sandbox.backend import make_tenant_database
from inara_daemon.secret import Secret
from inara_daemon.store import engines, transactions
from inara_daemon.store.errors import DatabaseError, DatabaseFailure, explain
from inara_daemon.store.tenant_db import RosterWrite, TenantDatabase

WRITES = [RosterWrite("nova", "Nova", 1, RosterRow({"rank_combat": "7"}, squadron_known=False))]
_Use = Callable[[TenantDatabase], Awaitable[object]]


async def _read_all(database: TenantDatabase) -> None:
    assert [chunk async for chunk in database.spellings()]


USES: dict[str, _Use] = {
    "check": TenantDatabase.check,
    "spellings": _read_all,
    "spellings_since": lambda database: database.spellings_since(0),
    "stored": lambda database: database.stored(["Nova"]),
    "apply": lambda database: database.apply(WRITES),
}


async def failure(url: str, use: _Use = TenantDatabase.check, *, root: Path = Path("/")) -> tuple[DatabaseFailure, str]:
    """How using the database fails, in a text that holds no password; nor does the traceback that a log would show."""
    database = TenantDatabase(Secret(url), root)
    with pytest.raises(DatabaseError) as caught:
        await use(database)
    assert "canary" not in "".join(traceback.format_exception(caught.value))
    return caught.value.failure, str(caught.value)


@pytest.fixture(autouse=True)
async def _threads_end_first() -> AsyncIterator[None]:
    """A connection that could not be opened leaves its thread to end by itself, and that takes the loop."""
    yield
    while any("connection_worker" in thread.name for thread in threading.enumerate()):
        await asyncio.sleep(0.001)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An SQLite file as the backend makes it."""
    make_tenant_database(tmp_path / "tenant.db", ["Nova"], events=2, known=["Nova"])
    return tmp_path / "tenant.db"


@contextmanager
def as_nobody() -> Iterator[None]:
    """Within the block root is nobody, whom the modes of files bind."""
    was_root = os.geteuid() == 0
    if was_root:
        os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        yield
    finally:
        if was_root:
            os.seteuid(0)


@contextmanager
def write_lock(path: Path) -> Iterator[sqlite3.Connection]:
    """Within the block the backend is writing."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection


@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
async def test_a_missing_file_is_told_with_the_root_and_never_created(tmp_path: Path, use: _Use) -> None:
    kind, told = await failure("sqlite:///db/wrong.db", use, root=tmp_path)
    assert kind is DatabaseFailure.FILE_MISSING
    assert f"{tmp_path}/db/wrong.db does not exist" in told
    assert "INARA_DAEMON_DB_ROOT" in told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
async def test_a_file_that_vanishes_while_in_use_is_not_created_again(path: Path, use: _Use) -> None:
    database = TenantDatabase(Secret(f"sqlite:///{path}"), Path("/"))
    await database.check()
    path.unlink()
    with pytest.raises(DatabaseError, match="does not exist"):
        await use(database)
    assert not path.exists()


def _not_a_database(path: Path) -> None:
    path.write_bytes(b"-- a dump, not the database\n" * 100)


def _damaged(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _without(table: str) -> Callable[[Path], None]:
    def drop(path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"DROP TABLE {table}")

    return drop


@pytest.mark.parametrize(
    ("spoil", "kind", "told"),
    [
        (_not_a_database, DatabaseFailure.NOT_A_DATABASE, "is not an SQLite database"),
        (_damaged, DatabaseFailure.NOT_A_DATABASE, "is damaged: restore it from a backup"),
        (_directory, DatabaseFailure.FILE_MISSING, "can't be opened"),
        (_empty, DatabaseFailure.TABLES_MISSING, "has the backend initialised it?"),
        (_without("cmdr"), DatabaseFailure.TABLES_MISSING, "has the backend initialised it?"),
        (_without("event"), DatabaseFailure.TABLES_MISSING, "has the backend initialised it?"),
    ],
)
async def test_an_sqlite_file_that_is_no_tenants_is_told_apart_and_left_as_it_is(
    path: Path, spoil: Callable[[Path], None], kind: DatabaseFailure, told: str
) -> None:
    spoil(path)
    before = path.is_file() and path.read_bytes()
    found, text = await failure(f"sqlite:///{path}")
    assert found is kind
    assert text.startswith(f"{path} ")
    assert told in text
    assert (path.is_file() and path.read_bytes()) == before


async def test_a_name_that_is_no_text_spoils_no_other_and_gets_no_row(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO event (id, cmdr) VALUES (7, CAST(X'FF41' AS TEXT)), (8, X'414243')")
    database = TenantDatabase(Secret(f"sqlite:///{path}"), Path("/"))
    found = {spelling.name: spelling.event_id async for chunk in database.spellings() for spelling in chunk}
    assert found["Nova"] == 2
    row = RosterRow({}, squadron_known=False)
    await database.apply([RosterWrite(name.casefold(), name, event_id, row) for name, event_id in found.items()])
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM cmdr").fetchall() == [("Nova",)]


@pytest.fixture
def shared_path(path: Path) -> Iterator[Path]:
    """The file in a folder that everybody may enter."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield path.rename(folder / path.name)
        folder.chmod(0o755)


async def test_a_file_that_may_only_be_read_is_read_and_said_to_need_write_access(shared_path: Path) -> None:
    shared_path.chmod(0o444)
    with as_nobody():
        await _read_all(TenantDatabase(Secret(f"sqlite:///{shared_path}"), Path("/")))
        kind, told = await failure(f"sqlite:///{shared_path}")
    assert kind is DatabaseFailure.READ_ONLY
    assert "needs write access to it and to its folder" in told


@pytest.mark.parametrize("what", ["file", "folder"])
async def test_a_closed_file_or_folder_is_said_to_be_closed_not_missing(shared_path: Path, what: str) -> None:
    (shared_path if what == "file" else shared_path.parent).chmod(0)
    with as_nobody():
        _, told = await failure(f"sqlite:///{shared_path}")
    assert "may this user enter its folder?" in told
    assert "does not exist" not in told


@pytest.fixture
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (engines.BUSY_SECONDS, transactions.LOCKED_SECONDS) == (0.25, 30.0)
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.001)
    monkeypatch.setattr(transactions, "LOCKED_SECONDS", 3.0)


@pytest.mark.virtual_time
@pytest.mark.usefixtures("_short_waits")
async def test_deadlines_a_locked_file_is_tried_again_only_so_long(path: Path) -> None:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    with write_lock(path):
        kind, told = await failure(f"sqlite:///{path}", USES["apply"])
    assert (kind, told) == (DatabaseFailure.LOCKED, f"{path} is locked by another process")
    assert 3.0 <= loop.time() - begun < 3.2


@pytest.mark.virtual_time
@pytest.mark.usefixtures("_short_waits")
async def test_deadlines_a_locked_file_is_waited_for_and_reading_goes_on_meanwhile(path: Path) -> None:
    database = TenantDatabase(Secret(f"sqlite:///{path}"), Path("/"))
    with write_lock(path) as backend:
        writing = asyncio.create_task(database.apply(WRITES))
        await asyncio.sleep(2.0)
        await _read_all(database)
        assert not writing.done()
        backend.rollback()
        assert [write.name for write in (await writing).written] == ["Nova"]


class _CodedError(Exception):
    def __init__(self, sqlstate: str) -> None:
        super().__init__("the server's own words, with a canary")
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (sqlite3.OperationalError("database or disk is full"), DatabaseFailure.FULL),
        (sqlite3.OperationalError("disk I/O error"), DatabaseFailure.FULL),
        (sqlite3.OperationalError("no such column: canary"), DatabaseFailure.REFUSED),
        (_CodedError("53100"), DatabaseFailure.FULL),
        (_CodedError("40P01"), DatabaseFailure.LOCKED),
        (_CodedError("40001"), DatabaseFailure.LOCKED),
        (_CodedError("57P01"), DatabaseFailure.UNREACHABLE),
        (_CodedError("57P03"), DatabaseFailure.UNREACHABLE),
        (_CodedError("08006"), DatabaseFailure.UNREACHABLE),
        (_CodedError("22001"), DatabaseFailure.REFUSED),
        (ConnectionResetError("canary"), DatabaseFailure.UNREACHABLE),
    ],
)
def test_what_no_test_can_bring_about_is_told_apart_too(error: Exception, kind: DatabaseFailure) -> None:
    found = explain(error, "the place")
    assert found.failure is kind
    assert str(found).startswith("the place ")
    assert "canary" not in str(found)
