"""One POST against loopback servers that misbehave in every way: a failure is a value, nothing is sent twice."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from inara_daemon.commander import NotFound
from inara_daemon.inara.client import LARGEST_ANSWER, InaraClient, open_session
from inara_daemon.inara.wire import Answers, Application, Outage, Refusal, RefusalKind, Reply
from inara_daemon.settings import Secret

KEY = Secret("canary-key-0123456789")
GOOD = b'{"header":{"eventStatus":200},"events":[{"eventStatus":204,"eventCustomID":0}]}'
NOW = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
_Behaviour = Callable[[asyncio.StreamWriter], Awaitable[None]]


def http(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(head).encode() + body


@dataclass
class Server:
    """Reads each request whole, then behaves as told."""

    behave: _Behaviour
    port: int = 0
    heads: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            lengths = [line for line in head.lower().splitlines() if line.startswith("content-length:")]
            self.bodies.append(await reader.readexactly(int(lengths[0].partition(":")[2])))
            await self.behave(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def ask(self, *, seconds: float = 5.0, names: tuple[str, ...] = ("Nova",)) -> Reply:
        url = f"http://127.0.0.1:{self.port}/inapi/v1/"
        async with open_session() as session:
            client = InaraClient(session, url, Application("Stage", "1.0"), lambda: NOW, timeout=seconds)
            return await client.lookup(KEY, names)


@asynccontextmanager
async def server(behave: _Behaviour) -> AsyncIterator[Server]:
    running = Server(behave)
    listening = await asyncio.start_server(running.serve, "127.0.0.1", 0)
    running.port = listening.sockets[0].getsockname()[1]
    async with listening:
        yield running


def says(*parts: bytes) -> _Behaviour:
    async def behave(writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.01)

    return behave


async def test_a_request_says_who_asks_and_is_not_compressed() -> None:
    async with server(says(http(GOOD))) as at:
        assert await at.ask() == Answers({0: NotFound()})
    head = at.heads[0].lower()
    assert "user-agent: stage/1.0" in head
    assert "content-type: application/json" in head
    assert "content-encoding" not in head
    assert head.startswith("post /inapi/v1/ ")
    assert b'"searchName":"Nova"' in at.bodies[0]


async def test_an_answer_in_pieces_is_one_answer() -> None:
    whole = http(GOOD)
    async with server(says(whole[:30], whole[30:90], whole[90:])) as at:
        assert await at.ask() == Answers({0: NotFound()})


async def _hang(_writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


async def _reset(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def _trickle(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    for _ in range(3_000):
        writer.write(b" ")
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("behave", "text"),
    [
        (_hang, "no answer within"),
        (_trickle, "no answer within"),
        (_reset, "the connection broke"),
        (says(b""), "the connection broke"),
        (says(b"garbage\r\n\r\n"), "the connection broke"),
        (says(http(GOOD)[:-10]), "the connection broke"),
        (says(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope"), "the connection broke"),
        (says(http(b"<html>", "503 Maintenance")), "HTTP 503"),
        (says(http(b"", "301 Moved", "Location: http://127.0.0.1:9/")), "HTTP 301"),
        (says(http(b"x" * 50)), "without a usable answer"),
    ],
    ids=["hangs", "trickles", "resets", "closes", "garbage", "half", "bad gzip", "503", "redirect", "text"],
)
async def test_a_server_that_misbehaves_is_an_outage_asked_once(behave: _Behaviour, text: str) -> None:
    async with server(behave) as at:
        answer = await at.ask(seconds=0.4)
        assert isinstance(answer, Outage)
        assert text in answer.text
        assert len(at.bodies) == 1
        assert "canary" not in repr(answer)


async def test_nobody_listening_is_an_outage() -> None:
    async with server(says(b"")) as at:
        pass
    assert await at.ask() == Outage("can't connect (ConnectionRefusedError)")


async def test_a_name_that_can_not_be_resolved_is_an_outage() -> None:
    async with open_session() as session:
        client = InaraClient(session, "http://nowhere.invalid/", Application("a", "1"), lambda: NOW, timeout=5)
        assert isinstance(await client.lookup(KEY, ["Nova"]), Outage)


async def test_a_server_that_does_not_speak_tls_is_an_outage() -> None:
    async with server(says(b"plain")) as at, open_session() as session:
        client = InaraClient(session, f"https://127.0.0.1:{at.port}/", Application("a", "1"), lambda: NOW, timeout=1)
        assert isinstance(await client.lookup(KEY, ["Nova"]), Outage)
    assert ssl.HAS_TLSv1_2


async def test_an_answer_that_never_ends_is_not_read_to_its_end() -> None:
    huge = b'{"header":' + b" " * (LARGEST_ANSWER + 1_000_000)
    async with server(says(http(huge))) as at:
        assert isinstance(await at.ask(), Outage)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("Retry-After: 7200", 7_200.0),
        ("Retry-After: Tue, 24 Nov 2026 01:02:00 GMT", 120.0),
        ("Retry-After: soon", None),
        ("Retry-After: -5", None),
        ("Retry-After: inf", None),
        ("X-Nothing: 1", None),
    ],
)
async def test_the_wait_that_the_server_names_is_read(header: str, seconds: float | None) -> None:
    async with server(says(http(b"", "429 Too Many", header))) as at:
        assert await at.ask() == Refusal(RefusalKind.LIMITED, "HTTP 429", seconds)


async def test_an_aborted_request_leaves_nothing_that_could_arrive_later() -> None:
    async with server(_hang) as at:
        asking = asyncio.create_task(at.ask(seconds=30))
        while not at.bodies:
            await asyncio.sleep(0.01)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await asyncio.sleep(0.1)
        assert len(at.bodies) == 1
