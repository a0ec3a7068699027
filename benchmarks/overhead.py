"""The daemon's overhead: a whole run against a bare loop of aiohttp and the raw SQLite driver, one tenant, no limit.

Both are measured in CPU time of their process, Inara being another one, and in wall time.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import aiohttp
import aiosqlite

from benchmarks import proc
from benchmarks.daemon_log import is_event
from benchmarks.daemon_process import running_daemon
from benchmarks.figure import Figure
from benchmarks.fleet import make_fleet
from benchmarks.stand_in import StandIn, stand_in
from inara_daemon.sandbox.backend import make_tenant_database

COMMANDERS = 3_000
ROUNDS = 3
ANSWER_SECONDS = 0.05
"""What Inara would take at least, over a network."""
BATCH = 30
_PATIENCE_SECONDS = 120.0
_GOAL = 2.0
_UPSERT = (
    "INSERT INTO cmdr (name, rank_combat, rank_trade, squadron_name) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (name) DO UPDATE SET rank_combat = excluded.rank_combat, rank_trade = excluded.rank_trade,"
    " squadron_name = excluded.squadron_name"
)


@dataclass(frozen=True, slots=True)
class _Took:
    """Seconds."""

    cpu: float
    wall: float


@dataclass(frozen=True, slots=True)
class _Both:
    """The bare loop and the daemon's run, and how many requests that took."""

    bare: _Took
    run: _Took
    requests: int


async def measure(folder: Path) -> list[Figure]:
    """Medians of both, taken in turns: with answers at once, which is hardest, and with answers that take time."""
    at_once = await _rounds(folder / "at-once", ROUNDS, latency=0.0)
    slowly = await _rounds(folder / "slowly", 1, latency=ANSWER_SECONDS)
    what, each = f"a run of {COMMANDERS:,} commanders", 1e3 / COMMANDERS
    slow = f"{what}, answers take {1e3 * ANSWER_SECONDS:.0f} ms"
    return [
        Figure(f"{what}: CPU each", at_once.run.cpu * each, "ms", at_once.bare.cpu * each, "bare loop"),
        _wall(what, at_once, ratio_at_most=_GOAL),
        _wall(slow, slowly, ratio_at_most=_GOAL),
        Figure(f"{what}: requests", at_once.requests, "", -(-COMMANDERS // BATCH), "least", ratio_at_most=1.0),
    ]


def _wall(what: str, took: _Both, *, ratio_at_most: float) -> Figure:
    each = 1e3 / COMMANDERS
    measured, baseline = took.run.wall * each, took.bare.wall * each
    return Figure(f"{what}: wall each", measured, "ms", baseline, "bare loop", ratio_at_most=ratio_at_most)


async def _rounds(folder: Path, rounds: int, *, latency: float) -> _Both:
    folder.mkdir()
    bares, runs, requests = [], [], 0
    async with stand_in(COMMANDERS, folder / "journal", latency=latency) as inara:
        for number in range(rounds):
            bares.append(await _bare(inara, folder / f"bare{number}.db"))
            before = len(inara.exchanges())
            runs.append(await _run(inara, folder / f"run{number}"))
            requests = len(inara.exchanges()) - before
    return _Both(_median(bares), _median(runs), requests)


def _median(rounds: Sequence[_Took]) -> _Took:
    return _Took(statistics.median(each.cpu for each in rounds), statistics.median(each.wall for each in rounds))


async def _bare(inara: StandIn, path: Path) -> _Took:
    """The least that could do: ask, parse, upsert, commit."""
    make_tenant_database(path, inara.names, events=len(inara.names))
    cpu, began = time.process_time(), time.perf_counter()
    async with aiohttp.ClientSession() as session, aiosqlite.connect(path) as connection:
        rows = await connection.execute_fetchall("SELECT DISTINCT cmdr FROM event")
        found = [str(row[0]) for row in rows]
        for start in range(0, len(found), BATCH):
            await _bare_batch(session, connection, inara.url, found[start : start + BATCH])
    return _Took(time.process_time() - cpu, time.perf_counter() - began)


async def _bare_batch(
    session: aiohttp.ClientSession, connection: aiosqlite.Connection, url: str, names: Sequence[str]
) -> None:
    events = [
        {
            "eventName": "getCommanderProfile",
            "eventTimestamp": "2026-01-01T00:00:00Z",
            "eventCustomID": index,
            "eventData": {"searchName": name},
        }
        for index, name in enumerate(names)
    ]
    header = {"appName": "bench", "appVersion": "1", "isBeingDeveloped": False, "APIkey": "bench"}
    async with session.post(
        url, json={"header": header, "events": events}, headers={"User-Agent": "bench/1"}
    ) as response:
        reply = json.loads(await response.read())
    rows = []
    for name, event in zip(names, reply["events"], strict=True):
        data = event["eventData"]
        ranks = {rank["rankName"]: rank["rankValue"] for rank in data["commanderRanksPilot"]}
        squadron = (data.get("commanderSquadron") or {}).get("squadronName")
        rows.append((name, ranks.get("combat"), ranks.get("trade"), squadron))
    await connection.executemany(_UPSERT, rows)
    await connection.commit()


async def _run(inara: StandIn, folder: Path) -> _Took:
    """A whole first run of a daemon with one tenant, from READY to the run's end by its own log."""
    make_fleet(folder, [inara.names], events=1)
    async with running_daemon(folder, inara.url) as daemon:
        await daemon.ready()
        cpu = proc.cpu_seconds(daemon.pid)
        await daemon.log.wait(1, is_event("run_ended"), within=_PATIENCE_SECONDS)
        cpu = proc.cpu_seconds(daemon.pid) - cpu
        times = {line["event"]: datetime.fromisoformat(line["timestamp"]) for line in daemon.log.lines}
    return _Took(cpu, (times["run_ended"] - times["engine_started"]).total_seconds())
