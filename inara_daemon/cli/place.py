"""Where a verb works: environment, settings, tenant.json and the state database."""

from __future__ import annotations

import asyncio
import os
import pwd
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL

from inara_daemon.clock import system_clock
from inara_daemon.service import logbook as logs
from inara_daemon.service.engine import House
from inara_daemon.service.progress import Progress
from inara_daemon.settings import (
    ConfigurationError,
    LogFormat,
    LogLevel,
    Problem,
    Settings,
    load_settings,
    state_location,
)
from inara_daemon.store.engines import resolve_url
from inara_daemon.store.state.database import StateDatabase
from inara_daemon.tenants import Tenants, parse_tenants

_STATE = "INARA_DAEMON_STATE_URL"


@dataclass(frozen=True, slots=True)
class Place:
    """The environment and what the command line says of tenant.json."""

    environ: Mapping[str, str]
    tenants_file: Path | None

    def settings(self) -> Settings:
        """The daemon's settings. Raises ConfigurationError."""
        return load_settings(self.environ, tenants_file=self.tenants_file)

    @asynccontextmanager
    async def house(self, settings: Settings, *, quiet: bool = True) -> AsyncIterator[House]:
        """The state database, opened, with logs set up. Raises ConfigurationError, DatabaseError."""
        redactor, logbook = logs.Redactor(), logs.Logbook()
        redactor.know(settings.secret_texts())
        # A verb for people talks for itself: of the log only trouble is shown, unless a level was asked for.
        level = LogLevel.WARNING if quiet and settings.log_level is LogLevel.INFO else settings.log_level
        json = settings.log_format is LogFormat.JSON or (
            settings.log_format is LogFormat.AUTO and not sys.stderr.isatty() and not quiet
        )
        logs.configure(level=level.value, json=json, redactor=redactor, logbook=logbook)
        state = StateDatabase(state_url(settings, self.environ))
        await state.open()
        try:
            progress = Progress(asyncio.get_running_loop().time)
            yield House(settings, system_clock(), state, redactor, logbook, progress)
        finally:
            await state.close()


def read_tenants(settings: Settings) -> Tenants:
    """The tenants of tenant.json. Raises ConfigurationError with every error at once."""
    path = settings.tenant_file
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        hint = "cp tenant.json.example tenant.json and edit it, or set INARA_DAEMON_TENANT_FILE"
        raise ConfigurationError([Problem(str(path), "does not exist", hint)]) from None
    except OSError as error:
        what = f"can't be read ({os.strerror(error.errno or 0)})"
        hint = "it must be a file" if path.is_dir() else "this user needs read access to it"
        raise ConfigurationError([Problem(str(path), what, hint)]) from None
    try:
        return parse_tenants(text, settings)
    except ConfigurationError as error:
        named = [Problem(f"{path.name}: {problem.where}", problem.what, problem.hint) for problem in error.problems]
        raise ConfigurationError(named) from None


def state_url(settings: Settings, environ: Mapping[str, str]) -> URL:
    """The state database's URL. Raises ConfigurationError if this user may not use it, DatabaseError for a bad URL."""
    location = state_location(settings, environ, Path.exists)
    if isinstance(location, Path):
        url = URL.create("sqlite+aiosqlite", database=str(location.absolute()))
    else:
        url = resolve_url(location, Path.cwd())
    if url.drivername.startswith("sqlite"):
        _refuse_foreign_state(Path(str(url.database)))
    return url


def state_exists(url: URL) -> bool:
    """Whether a daemon has ever run with this state: a verb that only looks makes no database."""
    return not url.drivername.startswith("sqlite") or Path(str(url.database)).exists()


def _refuse_foreign_state(path: Path) -> None:
    """A shell of another user must not quietly start a second state elsewhere: say how to become the right one."""
    folder = path.parent
    try:
        if not folder.exists():
            return
        usable = os.access(folder, os.R_OK | os.W_OK | os.X_OK) and (
            not path.exists() or os.access(path, os.R_OK | os.W_OK)
        )
        owner = pwd.getpwuid(folder.stat().st_uid).pw_name
    except (PermissionError, KeyError):
        usable, owner = False, "USER"
    if not usable:
        hint = f"become the user whom the state belongs to: sudo -u {owner} {sys.executable} -m inara_daemon ..."
        raise ConfigurationError([Problem(str(path), "is not accessible for this user", f"{hint}, or set {_STATE}")])
