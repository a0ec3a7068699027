"""SQLAlchemy engines for any spelling of a URL: aiosqlite or asyncpg, with the pragmas and arguments they need."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote
from uuid import uuid4

from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, NullPool

from inara_daemon.settings import Secret
from inara_daemon.store.errors import DatabaseError, DatabaseFailure

BUSY_SECONDS = 0.25
"""SQLite's own busy timeout: a thread that waits in it can't be cancelled, so it is short; the loop tries again."""
STATEMENT_SECONDS = 30.0
CONNECT_SECONDS = 10.0

_POOLED: Mapping[str, Any] = {
    "poolclass": AsyncAdaptedQueuePool,
    "pool_size": 2,
    "pool_timeout": STATEMENT_SECONDS,
    "pool_recycle": 300,
}
_UNPOOLED: Mapping[str, Any] = {"poolclass": NullPool, "pool_reset_on_return": None}  # closing ends whatever was begun
_file: ContextVar[str] = ContextVar("file")
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
    return f"postgresql:{server(url)}:{url.database or url.username}"


def server(url: URL) -> str:
    """What makes two PostgreSQL URLs one server; holds no password."""
    hosts = url.host or url.query.get("host") or "localhost"
    port = url.port or url.query.get("port") or 5432
    return f"{hosts}:{port}"


def open_engine(url: URL, *, create: bool = False, pooled: bool = False) -> AsyncEngine:
    """An engine for a resolved URL; nothing is connected yet.

    `create` lets SQLite make the file: only for our own state, as a missing tenant file means a wrong root.
    `pooled` keeps up to two connections open; without it each transaction opens and closes its own, so that an
    idle tenant costs neither a thread nor a file descriptor.
    """
    pool = _POOLED if pooled else _UNPOOLED
    if url.drivername.startswith("sqlite"):
        return _open_sqlite(url, create=create, pool=pool)
    query, arguments = _asyncpg_arguments(url.query)
    try:
        return create_async_engine(
            url.set(query=query), connect_args=arguments, hide_parameters=True, pool_pre_ping=pooled, **pool
        )
    except (SQLAlchemyError, ValueError) as error:
        raise DatabaseError(DatabaseFailure.BAD_URL, "the URL's host or port can't be read") from error


def open_files_engine() -> AsyncEngine:
    """One engine for any number of SQLite files: statements are compiled, and their memory taken, only once.

    `for_file` makes it one of a certain file.
    """
    engine = _open_sqlite(URL.create("sqlite+aiosqlite", database="any"), create=False, pool=_UNPOOLED)

    @event.listens_for(engine.sync_engine, "do_connect")
    def choose_file(_dialect: object, _record: object, arguments: list[str], _parameters: object) -> None:
        arguments[0] = f"file:{quote(_file.get())}?mode=rw"

    return engine


def for_file(engine: AsyncEngine, url: URL) -> AsyncEngine:
    """The engine for files, as one of this file."""
    return engine.execution_options(file=str(url.database))


@contextmanager
def chosen_file(engine: AsyncEngine) -> Iterator[None]:
    """Within the block new connections are to this engine's own file, if it is one of many."""
    token = _file.set(engine.get_execution_options().get("file", ""))
    try:
        yield
    finally:
        _file.reset(token)


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
        if create:
            cursor = connection.cursor()
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute("PRAGMA synchronous=FULL")  # a message counted as sent must survive a power cut
            cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Any) -> None:  # noqa: ANN401
        # A writer that begins deferred and reads first fails at once, busy timeout or not, when another one wrote.
        if connection.get_execution_options().get("writes", False):
            connection.connection.dbapi_connection.run_async(lambda driver: driver.execute("BEGIN IMMEDIATE"))

    return engine


def _lenient_text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _asyncpg_arguments(query: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Libpq's query arguments in asyncpg's spelling: (what stays in the URL, connect arguments)."""
    given = {name: value if isinstance(value, str) else value[-1] for name, value in query.items()}
    settings = {"application_name": given.pop("application_name", "inara-daemon")}
    arguments: dict[str, Any] = {
        "timeout": CONNECT_SECONDS,
        "command_timeout": STATEMENT_SECONDS,
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


def describe_engine(engine: AsyncEngine) -> str:
    """Where an engine's database is, for people; never the password."""
    url = engine.url
    if url.drivername.startswith("sqlite"):
        return engine.get_execution_options().get("file") or unquote(str(url.database).removeprefix("file:"))
    return describe(url)
