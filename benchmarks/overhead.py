"""The engine's overhead: a whole run against a bare loop of aiohttp and the raw SQLite driver."""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import aiosqlite

from inara_daemon.cli.place import Place, read_tenants
from inara_daemon.sandbox.backend import make_tenant_database
from inara_daemon.service.duty import Duty
from inara_daemon.service.engine import Engine
from inara_daemon.store.state import runs
from inara_daemon.store.state.lock import engine_lock

BATCH = 30
_UPSERT = (
    "INSERT INTO cmdr (name, rank_combat, rank_trade, squadron_name) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (name) DO UPDATE SET rank_combat = excluded.rank_combat, rank_trade = excluded.rank_trade,"
    " squadron_name = excluded.squadron_name"
)


@asynccontextmanager
async def stand_in(count: int) -> AsyncIterator[tuple[str, list[str]]]:
    """Inara's URL and the names it knows."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.stand_in",
        str(count),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=64 * 1024 * 1024,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        told = json.loads(await process.stdout.readline())
        yield told["url"], told["names"]
    finally:
        process.stdin.close()
        await process.wait()


async def bare(url: str, names: Sequence[str], path: Path) -> float:
    """Seconds of the least that could do: ask, parse, upsert, commit."""
    make_tenant_database(path, names, events=len(names))
    began = time.perf_counter()
    async with aiohttp.ClientSession() as session, aiosqlite.connect(path) as connection:
        rows = await connection.execute_fetchall("SELECT DISTINCT cmdr FROM event")
        found = [str(row[0]) for row in rows]
        for start in range(0, len(found), BATCH):
            await _bare_batch(session, connection, url, found[start : start + BATCH])
    return time.perf_counter() - began


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


async def engine(url: str, names: Sequence[str], folder: Path) -> tuple[float, int]:
    """Seconds of a whole run of the engine, from its start to its end, and its requests."""
    make_tenant_database(folder / "db" / "bench.db", names, events=len(names))
    tenants = [{"id": "bench", "name": "Bench", "db_uri": "sqlite:///db/bench.db"}]
    (folder / "tenant.json").write_text(json.dumps(tenants))
    environ = {
        "INARA_DAEMON_INARA_URL": url,
        "INARA_DAEMON_APP_NAME": "bench",
        "INARA_DAEMON_REQUESTS_PER_MINUTE": "100000000",
        "INARA_DAEMON_BATCH_SIZE": str(BATCH),
        "INARA_DAEMON_NIGHT_MINUTES": "100000",
        "INARA_DAEMON_TENANT_FILE": str(folder / "tenant.json"),
        "INARA_DAEMON_DB_ROOT": str(folder),
        "INARA_DAEMON_STATE_URL": f"sqlite:///{folder}/state.db",
        "INARA_DAEMON_LOG_LEVEL": "warning",
        "INARA_API_KEY": "bench",
    }
    place = Place(environ, None)
    async with place.house(place.settings()) as house:
        lock = engine_lock(house.state)
        assert await lock.acquire()
        running = Engine(house, read_tenants(house.settings), Duty.SCHEDULE)
        began = time.perf_counter()
        await running.start()
        while True:
            async with house.state.read() as connection:
                run = await runs.latest(connection, "bench", full=True)
            if run is not None and run.ended_at is not None:
                break
            await asyncio.sleep(0.05)
        seconds = time.perf_counter() - began
        await running.stop()
        await lock.release()
        return seconds, run.tally["requests"]


async def measure(count: int, rounds: int, folder: Path) -> None:
    """Print both, and the ratio of their medians."""
    async with stand_in(count) as (url, names):
        bares, engines, requests = [], [], 0
        for number in range(rounds):
            bares.append(await bare(url, names, folder / f"bare{number}.db"))
            seconds, requests = await engine(url, names, folder / f"engine{number}")
            engines.append(seconds)
    base, whole = statistics.median(bares), statistics.median(engines)
    least = -(-count // BATCH)
    print(f"{count:,} commanders, {rounds} rounds, medians")
    print(f"  bare loop   {base:6.2f} s  {base / count * 1e3:6.2f} ms a commander")
    print(f"  engine      {whole:6.2f} s  {whole / count * 1e3:6.2f} ms a commander")
    print(f"  ratio       {whole / base:6.2f}    (goal: at most 2)")
    print(f"  requests    {requests:,} of at least {least:,}: {requests / least:.2f}    (goal: 1.00)")
