"""Tells systemd how the service is, by its notification protocol (sd_notify(3))."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping


class Systemd:
    """Where to notify, from the environment that systemd gives; without it every call does nothing.

    systemd 252 does not know `Type=notify-reload`; newer ones want RELOADING=1 and MONOTONIC_USEC in one datagram,
    which the older one ignores, so both are always sent together.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        self.watchdog_seconds = _watchdog_seconds(environ)

    def ready(self, status: str) -> None:
        """The service has started, or has reloaded."""
        self._send(f"READY=1\nSTATUS={_line(status)}")

    def reloading(self) -> None:
        """The service reads its configuration again."""
        microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000
        self._send(f"RELOADING=1\nMONOTONIC_USEC={microseconds}")

    def stopping(self, status: str) -> None:
        """The service is on its way out."""
        self._send(f"STOPPING=1\nSTATUS={_line(status)}")

    def status(self, text: str) -> None:
        """What `systemctl status` shows: one line."""
        self._send(f"STATUS={_line(text)}")

    def keep_alive(self) -> None:
        """The service makes progress."""
        self._send("WATCHDOG=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        # An abstract socket's name begins with a NUL byte, which the environment writes as @.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as end:
                end.sendto(text.encode(), address)
        except OSError:
            return  # a full or vanished socket must not harm the service


def _line(text: str) -> str:
    """One line: what follows a line break would be another message to systemd."""
    return " ".join(text.split())


def _watchdog_seconds(environ: Mapping[str, str]) -> float | None:
    """The unit's WatchdogSec, or None if it is meant for another process or not set."""
    microseconds = environ.get("WATCHDOG_USEC", "")
    if not microseconds.isdigit() or environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(microseconds) / 1_000_000 or None
