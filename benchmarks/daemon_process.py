"""The daemon as a process, seen from outside only: environment, log, /proc, systemd's socket, signals."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.daemon_log import DaemonLog
from benchmarks.notify_socket import NotifySocket, listening

UNLIMITED = "100000000"
"""Requests a minute that are as good as no limit."""
START_SECONDS = 300.0
_STOP_SECONDS = 60.0
_ROOT = Path(__file__).parents[1]


@dataclass(slots=True)
class DaemonProcess:
    """A daemon that runs; times are seconds of CLOCK_MONOTONIC."""

    process: asyncio.subprocess.Process
    log: DaemonLog
    notify: NotifySocket
    started: float

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    async def ready(self) -> float:
        """Seconds from its start until systemd heard that it is ready."""
        return await self.notify.ready(since=self.started, within=START_SECONDS) - self.started

    async def reload(self) -> float:
        """Seconds from SIGHUP until systemd heard that it is ready again."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGHUP)
        return await self.notify.ready(since=began, within=START_SECONDS) - began

    async def stop(self) -> float:
        """Seconds from SIGTERM until it was gone; it is killed after a minute."""
        began = time.monotonic()
        if self.process.returncode is None:
            self.process.terminate()
            try:
                await asyncio.wait_for(self.process.wait(), _STOP_SECONDS)
            except TimeoutError:
                self.process.kill()
                await self.process.wait()
        return time.monotonic() - began


@asynccontextmanager
async def running_daemon(
    folder: Path, url: str, settings: Mapping[str, str] | None = None
) -> AsyncIterator[DaemonProcess]:
    """The daemon of the tenants in this folder; its state is in `state.db` there, its last log in `log`.

    `settings` are more of its environment. Nothing is due by the schedule for the next twelve hours.
    """
    log = folder / "log"
    with listening(folder / "notify") as notify, log.open("wb") as output:
        started = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "inara_daemon"),
            cwd=folder,
            env=_environ(url, folder) | dict(settings or {}),
            stderr=output,
        )
        daemon = DaemonProcess(process, DaemonLog(log), notify, started)
        try:
            yield daemon
        finally:
            await daemon.stop()


def _environ(url: str, folder: Path) -> dict[str, str]:
    far = datetime.now(UTC) + timedelta(hours=12)
    return {
        "PATH": os.environ.get("PATH", ""),
        "PYTHONPATH": str(_ROOT),  # this checkout, whatever is installed
        "NOTIFY_SOCKET": str(folder / "notify"),
        "INARA_API_KEY": "bench",
        "INARA_DAEMON_INARA_URL": url,
        "INARA_DAEMON_APP_NAME": "bench",
        "INARA_DAEMON_REQUESTS_PER_MINUTE": UNLIMITED,
        "INARA_DAEMON_BATCH_SIZE": "30",
        "INARA_DAEMON_NIGHT_MINUTES": "100000",
        "INARA_DAEMON_SCHEDULE": f"{far.minute} {far.hour} * * *",
        "INARA_DAEMON_STATE_URL": f"sqlite:///{folder}/state.db",
        "INARA_DAEMON_LOG_FORMAT": "json",
        "INARA_DAEMON_HTTP": "off",
    }
