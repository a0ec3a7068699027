"""The loop that the timers of other tests run on."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiosqlite
import pytest

from tests.virtual_time import START, following_wall_clock

pytestmark = pytest.mark.virtual_time


async def test_a_day_passes_in_a_moment() -> None:
    begun = time.monotonic()
    loop = asyncio.get_running_loop()
    with following_wall_clock():
        await asyncio.sleep(86_400)
        assert loop.time() == pytest.approx(86_400)
        assert datetime.now(UTC) - START == timedelta(days=1)
    assert time.monotonic() - begun < 5


async def test_timers_fire_in_order() -> None:
    order: list[int] = []

    async def after(seconds: int) -> None:
        await asyncio.sleep(seconds)
        order.append(seconds)

    await asyncio.gather(after(300), after(5), after(60))
    assert order == [5, 60, 300]


async def test_time_stands_still_while_a_thread_works() -> None:
    async with asyncio.timeout(1):
        await asyncio.to_thread(time.sleep, 0.05)
    assert asyncio.get_running_loop().time() < 1


async def test_time_stands_still_while_a_database_works(tmp_path: Path) -> None:
    async with asyncio.timeout(1), aiosqlite.connect(tmp_path / "x.db") as connection:
        slow = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000) SELECT count(*) FROM n"
        async with connection.execute(slow) as cursor:
            assert await cursor.fetchone() == (300_000,)
    assert asyncio.get_running_loop().time() < 1


async def test_a_loopback_server_answers_before_time_passes() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with asyncio.timeout(1):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"hello\n")
            assert await reader.readline() == b"hello\n"
            writer.close()
            await writer.wait_closed()
