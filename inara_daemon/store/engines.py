"""SQLAlchemy engines and transactions: any spelling of a URL in, aiosqlite or asyncpg out, failures told apart."""

from __future__ import annotations

import asyncio
import sqlite3
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, unquote
from uuid import uuid4

from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, NullPool

from inara_daemon.settings import Secret
from inara_daemon.store.errors import DatabaseError, DatabaseFailure, explain

BUSY_SECONDS = 1.0
"""SQLite's own busy timeout: a thread that waits in it can't be cancelled, so it is short."""
LOCKED_SECONDS = 30.0
"""For how long a locked SQLite file is tried again on the loop."""
TRANSACTION_SECONDS = 45.0
"""The deadline of one whole transaction."""
CONNECT_SECONDS = 10.0

_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_LIBPQ_ARGUMENTS_WITHOUT_EFFECT = frozenset(
    {
        "channel_binding",
        "client_encoding",
        "fallback_application_name",
        "gssencmode",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "sslcompression",
        "sslcrl",
        "sslsni",
        "tcp_user_timeout",
    }
)
_Result = TypeVar("_Result")


def resolve_url(uri: Secret, root: Path) -> URL:
    """The URL for our drivers: relative SQLite paths start at `root`, PostgreSQL's arguments are spelled for asyncpg.

    Raises DatabaseError (BAD_URL) for a URL that names no file or holds an argument nobody knows.
    """
    try:
        url = make_url(uri.reveal().strip())
    except (ArgumentError, ValueError) as error:
        raise DatabaseError(DatabaseFailure.BAD_URL, "not a database URL such as sqlite:///db/file.db") from error
    backend = url.drivername.partition("+")[0]
    if backend == "sqlite":
        return _sqlite_url(url, root)
    if backend in {"postgresql", "postgres"}:
        return url.set(drivername="postgresql+asyncpg")
    raise DatabaseError(DatabaseFailure.BAD_URL, f"{backend} is not supported; use sqlite or postgresql")


def _sqlite_url(url: URL, root: Path) -> URL:
    database = url.database or ""
    if database.startswith("file:"):
        database = unquote(database.removeprefix("file:").partition("?")[0])
    if database in {"", ":memory:"} or url.query.get("mode") == "memory":
        raise DatabaseError(DatabaseFailure.BAD_URL, "an SQLite URL must name a file: sqlite:///db/file.db")
    try:
        path = (root / database).expanduser().resolve()
    except (RuntimeError, OSError, ValueError) as error:  # nobody's home, links in a circle, a NUL
        raise DatabaseError(DatabaseFailure.BAD_URL, f"the path in the URL leads nowhere: {error}") from error
    return URL.create("sqlite+aiosqlite", database=str(path))


def describe(url: URL) -> str:
    """Where a database is, for people: the path or the host and name, never the password."""
    if url.drivername.startswith("sqlite"):
        return str(url.database)
    return url.set(query={}).render_as_string(hide_password=True)


def identity(url: URL) -> str:
    """What makes two URLs one database; holds no password."""
    if url.drivername.startswith("sqlite"):
        return f"sqlite:{url.database}"
    hosts = url.host or url.query.get("host") or "localhost"
    port = url.port or url.query.get("port") or 5432
    return f"postgresql:{hosts}:{port}:{url.database or url.username}"


def open_engine(url: URL, *, create: bool = False, pooled: bool = False) -> AsyncEngine:
    """An engine for a resolved URL; nothing is connected yet.

    `create` lets SQLite make the file: only for our own state, as a missing tenant file means a wrong root.
    `pooled` keeps up to two connections open; without it each transaction opens and closes its own, so that an
    idle tenant costs neither a thread nor a file descriptor.
    """
    pool: dict[str, Any] = (
        {"poolclass": AsyncAdaptedQueuePool, "pool_size": 2, "pool_timeout": LOCKED_SECONDS, "pool_recycle": 300}
        if pooled
        else {"poolclass": NullPool}
    )
    if url.drivername.startswith("sqlite"):
        return _open_sqlite(url, create=create, pool=pool)
    query, arguments = _asyncpg_arguments(url.query)
    try:
        return create_async_engine(
            url.set(query=query), connect_args=arguments, hide_parameters=True, pool_pre_ping=pooled, **pool
        )
    except (SQLAlchemyError, ValueError) as error:
        raise DatabaseError(DatabaseFailure.BAD_URL, "the URL's host or port can't be read") from error


def _open_sqlite(url: URL, *, create: bool, pool: Mapping[str, Any]) -> AsyncEngine:
    mode = "rwc" if create else "rw"
    engine = create_async_engine(
        url.set(database=f"file:{quote(str(url.database))}", query={"mode": mode, "uri": "true"}),
        connect_args={"isolation_level": None, "timeout": BUSY_SECONDS},
        hide_parameters=True,
        **pool,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def set_pragmas(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's own type
        # One name in broken UTF-8 must not make the whole table unreadable; it matches nobody, as its bytes differ.
        connection.driver_connection.text_factory = _lenient_text
        cursor = connection.cursor()
        if create:
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute("PRAGMA synchronous=FULL")  # a message counted as sent must survive a power cut
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Any) -> None:  # noqa: ANN401
        # A writer that begins deferred and reads first fails at once, busy timeout or not, when another one wrote.
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _lenient_text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _asyncpg_arguments(query: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Libpq's query arguments in asyncpg's spelling: (what stays in the URL, connect arguments)."""
    given = {name: value if isinstance(value, str) else value[-1] for name, value in query.items()}
    settings = {"application_name": given.pop("application_name", "inara-daemon")}
    arguments: dict[str, Any] = {
        "timeout": CONNECT_SECONDS,
        "command_timeout": LOCKED_SECONDS,
        # Behind PgBouncer in transaction mode a prepared statement may meet another server connection.
        "statement_cache_size": 0,
        "prepared_statement_cache_size": 0,
        "prepared_statement_name_func": lambda: f"__inara_{uuid4()}__",
        "server_settings": settings,
    }
    mode = given.pop("sslmode", None) or given.pop("ssl", None)
    if mode is not None and mode not in _SSL_MODES:
        raise DatabaseError(DatabaseFailure.BAD_URL, f"the URL's sslmode must be one of {', '.join(_SSL_MODES)}")
    files = {name: given.pop(name, None) for name in ("sslrootcert", "sslcert", "sslkey")}
    if mode is not None:
        arguments["ssl"] = _ssl_context(mode, files) if any(files.values()) else mode
    if "connect_timeout" in given:
        arguments["timeout"] = _seconds(given.pop("connect_timeout"))
    settings.update(_server_options(given.pop("options", "")))
    kept: dict[str, Any] = {name: given.pop(name) for name in ("host", "port") if name in given}
    for name in ("target_session_attrs", "passfile", "service", "servicefile"):
        if name in given:
            arguments[name] = given.pop(name)
    unknown = sorted(given.keys() - _LIBPQ_ARGUMENTS_WITHOUT_EFFECT)
    if unknown:
        raise DatabaseError(DatabaseFailure.BAD_URL, f"the URL's argument {', '.join(unknown)} is not supported")
    return kept, arguments


def _seconds(text: str) -> float:
    try:
        return min(max(float(text), 1.0), CONNECT_SECONDS)
    except ValueError as error:
        raise DatabaseError(DatabaseFailure.BAD_URL, "connect_timeout must be a number of seconds") from error


def _server_options(options: str) -> dict[str, str]:
    words = unquote(options).replace("-c ", "-c").split()
    pairs = (word.removeprefix("-c").removeprefix("--").partition("=") for word in words)
    return {name: value for name, _, value in pairs if value}


def _ssl_context(mode: str, files: Mapping[str, str | None]) -> ssl.SSLContext | str:
    if mode in {"disable", "allow", "prefer"}:
        return mode
    try:
        context = ssl.create_default_context(cafile=files["sslrootcert"])
        if files["sslcert"]:
            context.load_cert_chain(files["sslcert"], files["sslkey"])
    except OSError as error:
        raise DatabaseError(DatabaseFailure.BAD_URL, f"the URL's certificate files can't be read: {error}") from error
    context.check_hostname = mode == "verify-full"
    if mode == "require" and not files["sslrootcert"]:
        context.verify_mode = ssl.CERT_NONE
    return context


@asynccontextmanager
async def read_transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A transaction that only reads. Raises DatabaseError."""
    async with _transaction(engine, writes=False) as connection:
        yield connection


@asynccontextmanager
async def write_transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A transaction that may write, committed at the end of the block. Raises DatabaseError."""
    async with _transaction(engine, writes=True) as connection:
        yield connection


@asynccontextmanager
async def _transaction(engine: AsyncEngine, *, writes: bool) -> AsyncIterator[AsyncConnection]:
    place = describe_engine(engine)
    try:
        async with asyncio.timeout(TRANSACTION_SECONDS):
            connection = await _patiently(lambda: _connect(engine))
            try:
                await connection.execution_options(writes=writes)
                await _patiently(connection.begin)
                yield connection
                if writes:
                    await connection.commit()
            finally:
                await asyncio.shield(connection.close())
    except TimeoutError as error:
        text = f"{place} did not answer within {TRANSACTION_SECONDS:.0f} s"
        raise DatabaseError(DatabaseFailure.UNREACHABLE, text) from error
    except (SQLAlchemyError, OSError, sqlite3.Error) as error:
        failure = explain(error, place)
        if failure.failure is DatabaseFailure.FILE_MISSING and _is_missing_file(engine.url, place):
            text = f"{place} does not exist: check db_uri and the root of relative paths (INARA_DAEMON_DB_ROOT)"
            failure = DatabaseError(DatabaseFailure.FILE_MISSING, text)
        raise failure from error


def _is_missing_file(url: URL, place: str) -> bool:
    """SQLite says `unable to open` for a missing file and for a closed folder alike; people need to know which."""
    try:
        return url.drivername.startswith("sqlite") and not Path(place).exists()
    except OSError:
        return False  # not ours to see


async def _connect(engine: AsyncEngine) -> AsyncConnection:
    try:
        return await engine.connect()
    except (SQLAlchemyError, OSError, sqlite3.Error):
        raise
    except Exception as error:  # SQLAlchemy 2.0 lets asyncpg's own exceptions through while it connects
        raise explain(error, describe_engine(engine)) from error


async def _patiently(work: Callable[[], Awaitable[_Result]]) -> _Result:
    """Do it, trying again on the loop while another process holds SQLite's lock."""
    deadline = asyncio.get_running_loop().time() + LOCKED_SECONDS
    while True:
        try:
            return await work()
        except (DBAPIError, sqlite3.Error) as error:
            if "locked" not in str(error) or asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(0.05)


def describe_engine(engine: AsyncEngine) -> str:
    """Where an engine's database is, for people; never the password."""
    url = engine.url
    if url.drivername.startswith("sqlite"):
        return unquote(str(url.database).removeprefix("file:"))
    return describe(url)
