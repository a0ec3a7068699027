"""`run`: the daemon in the foreground; signals become calls here and nowhere else."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable

import structlog

from inara_daemon.cli.exits import Exit
from inara_daemon.cli.place import Place, read_tenants
from inara_daemon.service.daemon import Daemon, Health
from inara_daemon.service.garbage import leave_it_to_quiet_moments
from inara_daemon.service.systemd import Systemd
from inara_daemon.settings import Settings
from inara_daemon.store.state.lock import engine_lock
from inara_daemon.web import health as web

STOP_SECONDS = 40.0
"""Less than the unit's TimeoutStopSec, after which systemd would kill without a word."""
_log = structlog.get_logger("inara_daemon.run")


async def run_daemon(place: Place) -> int:
    """Run until a signal says stop."""
    settings = place.settings()
    async with place.house(settings, quiet=False) as house:
        for warning in settings.warnings:
            _log.warning("setting_odd", warning=warning)
        daemon = Daemon(
            house=house,
            lock=engine_lock(house.state),
            systemd=Systemd(place.environ),
            read_tenants=lambda: read_tenants(settings),
            serve_web=lambda health: _serve_web(settings, health),
        )
        _turn_signals_into_calls(daemon)
        leave_it_to_quiet_moments()
        return Exit.WELL if await daemon.run() else Exit.TROUBLE


def _turn_signals_into_calls(daemon: Daemon) -> None:
    loop = asyncio.get_running_loop()
    stops = 0

    def stop(name: str) -> None:
        nonlocal stops
        stops += 1
        if stops > 1:
            _log.warning("stop_forced", signal=name, action="leaving at once")
            os._exit(Exit.TROUBLE)
        _log.info("stop_asked", signal=name)
        loop.call_later(STOP_SECONDS, _leave_at_once)
        daemon.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number.name)
    loop.add_signal_handler(signal.SIGHUP, daemon.reload)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})


def _leave_at_once() -> None:
    """The last bound: whatever still waits is named and left."""
    _log.error("stop_abandoned", left=sorted(task.get_name() for task in asyncio.all_tasks()), seconds=STOP_SECONDS)
    os._exit(Exit.TROUBLE)


async def _serve_web(settings: Settings, health: Health) -> Callable[[], Awaitable[None]]:
    """Open the health page; a port in use must not keep the daemon from its work."""

    async def nothing_to_close() -> None:
        return

    if settings.http is None:
        return nothing_to_close
    host, port = settings.http.host, settings.http.port or 0
    try:
        runner = await web.serve(health, host, port)
    except OSError as error:
        _log.error("web_unavailable", address=f"{host}:{port}", error=os.strerror(error.errno or 0))
        return nothing_to_close
    _log.info("web_started", address=f"{host}:{port}")
    return runner.cleanup
