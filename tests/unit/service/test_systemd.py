"""What systemd is told, as datagrams on a real socket."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from inara_daemon.service.systemd import Systemd


@pytest.fixture
def end(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as opened:
        opened.bind(str(tmp_path / "notify"))
        opened.settimeout(1)
        yield opened


def _systemd(end: socket.socket, **more: str) -> Systemd:
    return Systemd({"NOTIFY_SOCKET": end.getsockname(), **more})


def _heard(end: socket.socket) -> list[str]:
    return end.recv(4096).decode().split("\n")


def test_ready_and_its_status_are_one_datagram(end: socket.socket) -> None:
    _systemd(end).ready("3 tenants")
    assert _heard(end) == ["READY=1", "STATUS=3 tenants"]


def test_reloading_carries_the_monotonic_time_in_the_same_datagram(end: socket.socket) -> None:
    before = time.monotonic_ns() // 1_000
    _systemd(end).reloading()
    first, second = _heard(end)
    assert first == "RELOADING=1"
    name, _, value = second.partition("=")
    assert name == "MONOTONIC_USEC"
    assert before <= int(value) <= time.monotonic_ns() // 1_000


def test_stopping_and_keep_alive(end: socket.socket) -> None:
    systemd = _systemd(end)
    systemd.stopping("saving")
    systemd.keep_alive()
    assert _heard(end) == ["STOPPING=1", "STATUS=saving"]
    assert _heard(end) == ["WATCHDOG=1"]


def test_a_status_is_one_line_whatever_it_contains(end: socket.socket) -> None:
    _systemd(end).status("paused\nWATCHDOG=trigger\nREADY=1")
    assert _heard(end) == ["STATUS=paused WATCHDOG=trigger READY=1"]


def test_an_abstract_socket_is_reached_too() -> None:
    name = f"inara-daemon-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(f"\0{name}")
        end.settimeout(1)
        Systemd({"NOTIFY_SOCKET": f"@{name}"}).status("here")
        assert _heard(end) == ["STATUS=here"]


def test_a_full_socket_never_blocks(end: socket.socket) -> None:
    systemd = _systemd(end)
    for _ in range(10_000):
        systemd.status("x" * 1_000)


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "/nowhere/at/all"}])
def test_without_a_socket_nothing_happens(environ: dict[str, str]) -> None:
    Systemd(environ).ready("")


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "3000000"}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
    ],
)
def test_the_watchdog_is_ours_only_if_meant_for_this_process(environ: dict[str, str], seconds: float | None) -> None:
    assert Systemd(environ).watchdog_seconds == seconds
