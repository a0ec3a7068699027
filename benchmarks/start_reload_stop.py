"""A thousand tenants: from the start to READY, a reload that changes one of them, and stops, idle and in mid-night."""

from __future__ import annotations

import asyncio
import statistics
from dataclasses import dataclass
from pathlib import Path

from benchmarks import proc
from benchmarks.daemon_log import Line, is_event
from benchmarks.daemon_process import DaemonProcess, running_daemon
from benchmarks.figure import Figure
from benchmarks.first_night import first_night, folder_of
from benchmarks.fleet import Fleet
from benchmarks.stand_in import stand_in

TENANTS = 1_000
EACH = 3
RELOADS = 5
_SLOW_ANSWER = 2.0
_START_GOAL, _RELOAD_GOAL_MS, _STOP_GOAL = 3.0, 300.0, 5.0
_SETTLE_SECONDS = 120.0
_AFTER_RELOAD_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class _Reload:
    """`cpu` is of the reload and what it sets going; `touched` are the tenants of whom the log says anything."""

    seconds: float
    cpu: float
    touched: frozenset[str]


async def measure(folder: Path) -> list[Figure]:
    """All of it, on a state that a first night has left, and on a fresh one."""
    await first_night(folder, TENANTS, EACH)
    place = folder_of(folder, TENANTS, EACH)
    return [*await _mid_night(place), *await _idle(place)]


async def _mid_night(place: Path) -> list[Figure]:
    """A start on a fresh state, and a stop while every tenant waits for a slow Inara."""
    state = {"INARA_DAEMON_STATE_URL": f"sqlite:///{place}/state-fresh.db"}
    async with (
        stand_in(TENANTS * EACH, place / "journal-slow", latency=_SLOW_ANSWER) as inara,
        running_daemon(place, inara.url, state) as daemon,
    ):
        start = await daemon.ready()
        began = await daemon.log.wait(TENANTS, is_event("run_began"), within=_SETTLE_SECONDS)
        while len(inara.exchanges()) < 2:
            await asyncio.sleep(0.05)
        stop = await daemon.stop()
        note = f"{began:,} runs under way, an answer takes {_SLOW_ANSWER:.0f} s, {_left(daemon)}"
    return [
        Figure("1,000 tenants: start to READY, fresh state", start, "s", at_most=_START_GOAL),
        Figure("1,000 tenants: stop in mid-night", stop, "s", at_most=_STOP_GOAL, note=note),
    ]


def _left(daemon: DaemonProcess) -> str:
    """What the log says of the stop."""
    daemon.log.read()
    handed = sum(map(is_event("run_handed_over"), daemon.log.lines))
    abandoned = sum("abandoned" in line["event"] for line in daemon.log.lines)
    return f"{handed:,} runs handed over, {abandoned} complaints"


async def _idle(place: Path) -> list[Figure]:
    """A start on an existing state, reloads that change one tenant each, and a stop with nothing to do."""
    fleet = Fleet(place, TENANTS)
    async with (
        stand_in(TENANTS * EACH, place / "journal-quick") as inara,
        running_daemon(place, inara.url) as daemon,
    ):
        start = await daemon.ready()
        begun = proc.cpu_seconds(daemon.pid)
        await proc.settled(daemon.pid, within=_SETTLE_SECONDS)
        begun = proc.cpu_seconds(daemon.pid) - begun
        took, cpu, touched = [], [], set[str]()
        for number in range(RELOADS):
            reload = await _reload(daemon, fleet, f"t{number}")
            took.append(reload.seconds)
            cpu.append(reload.cpu)
            touched |= reload.touched - {f"t{number}"}
        stop = await daemon.stop()
    fleet.save()
    return [
        Figure("1,000 tenants: start to READY, existing state", start, "s", at_most=_START_GOAL),
        Figure("1,000 tenants: CPU from READY until all are at rest, existing state", begun, "s"),
        Figure("1,000 tenants: reload with one changed", 1e3 * statistics.median(took), "ms", at_most=_RELOAD_GOAL_MS),
        Figure("1,000 tenants: CPU of that reload and the two seconds after it", 1e3 * statistics.median(cpu), "ms"),
        Figure("1,000 tenants: others touched by a reload, by the log", len(touched), at_most=0),
        Figure("1,000 tenants: stop when idle", stop, "s", at_most=_STOP_GOAL),
    ]


async def _reload(daemon: DaemonProcess, fleet: Fleet, changed: str) -> _Reload:
    fleet.save(**{changed: {"inara_daemon": {"report": "changes"}}})
    daemon.log.read()
    before = proc.cpu_seconds(daemon.pid)
    seconds = await daemon.reload()
    await asyncio.sleep(_AFTER_RELOAD_SECONDS)
    cpu = proc.cpu_seconds(daemon.pid) - before
    touched = frozenset(tenant for line in daemon.log.read() for tenant in _tenants_of(line))
    fleet.save()
    await daemon.reload()
    return _Reload(seconds, cpu, touched)


def _tenants_of(line: Line) -> list[str]:
    """Every tenant that a line names."""
    lists = (*line.get("added", ()), *line.get("removed", ()), *line.get("changed", ()))
    return [*lists, *([line["tenant"]] if "tenant" in line else [])]
