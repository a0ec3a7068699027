"""One attempt against servers of every mood: what certainly did not arrive is told from what may have."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from multidict import CIMultiDict
from structlog.testing import capture_logs

from inara_daemon import report
from inara_daemon.notify import invalid_requests
from inara_daemon.notify.channel import Delivery, Scope, SendResult
from inara_daemon.notify.discord import DiscordChannel
from inara_daemon.notify.discord_answer import classify, is_invalid
from inara_daemon.sandbox import faults
from inara_daemon.sandbox.discord import SandboxDiscord
from inara_daemon.sandbox.faults import DiscordFault
from inara_daemon.secret import Secret
from tests.integration.inara.test_client import http, says, server

REPORT = report.notice("Alpha", "Roster of Alpha", "all well", datetime(2026, 11, 24, 1, 0, tzinfo=UTC))
VIA = "Via: 1.1 google"
_Behaviour = Callable[[asyncio.StreamWriter], Awaitable[None]]


def coded(code: int) -> bytes:
    return json.dumps({"message": "canary", "code": code}).encode()


@pytest.mark.parametrize(
    ("status", "body", "delivery"),
    [
        (200, b'{"id": "1300000000000000000"}', Delivery.SENT),
        (200, b"", Delivery.SENT),
        (204, b"", Delivery.SENT),
        (404, coded(10015), Delivery.DEAD),
        (404, b"<html>canary", Delivery.DEAD),
        (404, coded(10003), Delivery.DEAD),
        (400, coded(10003), Delivery.DEAD),
        (401, coded(50027), Delivery.DEAD),
        (403, coded(50001), Delivery.DEAD),
        (403, coded(50013), Delivery.DEAD),
        (400, coded(50035), Delivery.REFUSED),
        (400, coded(50006), Delivery.REFUSED),
        (400, coded(50045), Delivery.REFUSED),
        (400, coded(200000), Delivery.REFUSED),
        (400, coded(240000), Delivery.REFUSED),
        (400, coded(220001), Delivery.DEAD),
        (413, coded(40005), Delivery.REFUSED),
        (413, b"<html>canary", Delivery.REFUSED),
        *((status, b"<html>canary", Delivery.RETRY) for status in (500, 502, 503, 520, 521, 522, 523)),
        (503, coded(130000), Delivery.RETRY),
        (500, b'{"code": []}', Delivery.RETRY),
        (500, b'{"code": {}}', Delivery.RETRY),
        (400, coded(130000), Delivery.RETRY),
        (403, coded(40333), Delivery.RETRY),
        (403, b"<html>canary", Delivery.RETRY),
        (504, b"", Delivery.UNKNOWN),
        (524, b"<html>canary", Delivery.UNKNOWN),
        (429, b'{"retry_after": 1.5}', Delivery.RATE_LIMITED),
        (429, b"<html>canary", Delivery.RATE_LIMITED),
    ],
)
def test_delivery_an_answer_means_what_discords_documentation_says(
    status: int, body: bytes, delivery: Delivery
) -> None:
    found = classify(status, {}, body)
    assert found.delivery is delivery
    assert (found.error is None) is (delivery is Delivery.SENT)
    assert (found.error or f"HTTP {status}").startswith(f"HTTP {status}")
    assert "canary" not in str(found)


@pytest.mark.parametrize(
    ("status", "scope", "counts"),
    [
        (401, None, True),
        (403, None, True),
        (429, "user", True),
        (429, "global", True),
        (429, None, True),
        (429, "shared", False),
        (404, None, False),
        (400, None, False),
        (500, None, False),
        (200, None, False),
    ],
)
def test_delivery_what_discord_counts_as_invalid(status: int, scope: str | None, *, counts: bool) -> None:
    assert is_invalid(status, {} if scope is None else {"X-RateLimit-Scope": scope}) is counts


@pytest.mark.virtual_time
async def test_delivery_after_too_many_invalid_requests_nothing_leaves_until_the_window_has_emptied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(invalid_requests, "MOST_INVALID", 4)
    refused = says(http(b"{}", "403 Forbidden", VIA))
    with capture_logs() as lines:
        async with server(refused) as at, channel() as opened:
            for _ in range(5):
                await opened.send(Secret(webhook(at.port)), REPORT)
            result = await opened.send(Secret(webhook(at.port)), REPORT)
            assert (result.delivery, result.scope) == (Delivery.RATE_LIMITED, Scope.SERVICE)
            assert result.retry_after == pytest.approx(600.0, abs=1.0)
            assert len(at.heads) == 4
            await asyncio.sleep(result.retry_after or 0.0)
            assert (await opened.send(Secret(webhook(at.port)), REPORT)).delivery is Delivery.RETRY
    assert [line["event"] for line in lines] == ["discord_rests"]


async def test_a_channel_can_be_closed_twice_and_opens_again_when_it_must() -> None:
    async with server(says(http(b"{}"))) as at, channel() as opened:
        for _ in range(2):
            assert (await opened.send(Secret(webhook(at.port)), REPORT)).delivery is Delivery.SENT
            await opened.close()
            await opened.close()


@pytest.mark.parametrize("body", [b"null", b"[]", b"[" * 200_000, b"\xff\xfe", b'{"code": "10015"}', b'{"id": 5}'])
@pytest.mark.parametrize(
    ("status", "delivery"), [(200, Delivery.SENT), (404, Delivery.DEAD), (400, Delivery.REFUSED), (503, Delivery.RETRY)]
)
def test_a_body_that_makes_no_sense_leaves_the_status_to_decide(status: int, delivery: Delivery, body: bytes) -> None:
    assert classify(status, {}, body).delivery is delivery


def test_codes_and_ids_are_told() -> None:
    assert classify(404, {}, coded(10015)).error == "HTTP 404, code 10015"
    assert classify(200, {}, b'{"id": "1300"}') == SendResult(Delivery.SENT, message_id="1300")


BEHIND_DISCORD = {"Via": "1.1 google", "Retry-After": "2"}


@pytest.mark.parametrize(
    ("headers", "body", "wait", "scope"),
    [
        (BEHIND_DISCORD | {"X-RateLimit-Scope": "user"}, b'{"retry_after": 1.337}', 1.337, Scope.DESTINATION),
        (BEHIND_DISCORD | {"X-RateLimit-Scope": "shared"}, b'{"retry_after": 60}', 60.0, Scope.DESTINATION),
        (BEHIND_DISCORD, b'{"retry_after": 0.5, "global": true}', 0.5, Scope.SERVICE),
        (BEHIND_DISCORD | {"X-RateLimit-Scope": "global"}, b'{"retry_after": 0.5}', 0.5, Scope.SERVICE),
        ({}, b'{"retry_after": 0.25, "global": false}', 0.25, Scope.DESTINATION),
        (BEHIND_DISCORD, b"<html>", 2.0, Scope.DESTINATION),
        (BEHIND_DISCORD, b'{"global": false}', 2.0, Scope.DESTINATION),
        ({"Retry-After": "120"}, b"<html>", 120.0, Scope.SERVICE),
        ({}, b"<html>", 600.0, Scope.SERVICE),
        ({"Retry-After": "Tue, 24 Nov 2026 01:02:00 GMT"}, b"", 600.0, Scope.SERVICE),
    ],
)
def test_delivery_a_rate_limit_says_how_long_and_who_must_wait(
    headers: Mapping[str, str], body: bytes, wait: float, scope: Scope
) -> None:
    found = classify(429, CIMultiDict(headers), body)
    assert (found.delivery, found.retry_after, found.scope) == (Delivery.RATE_LIMITED, wait, scope)


@pytest.mark.parametrize(
    "named", ["-5", "NaN", "Infinity", "-Infinity", "1e400", "1" + "0" * 400, "true", '"9"', "null"]
)
def test_a_wait_that_can_not_be_meant_gives_way_to_the_header(named: str) -> None:
    found = classify(429, BEHIND_DISCORD, f'{{"retry_after": {named}}}'.encode())
    assert (found.retry_after, found.scope) == (2.0, Scope.DESTINATION)


@pytest.mark.parametrize(
    ("remaining", "reset_after", "pace"),
    [
        ("0", "1.25", 1.25),
        ("1", "1.25", 0.0),
        (None, "1.25", 0.0),
        ("0", None, 0.0),
        ("0", "nan", 0.0),
        ("0", "inf", 0.0),
        ("0", "-3", 0.0),
        ("0", "soon", 0.0),
    ],
)
def test_delivery_the_pace_comes_from_the_headers(remaining: str | None, reset_after: str | None, pace: float) -> None:
    given = {"X-RateLimit-Remaining": remaining, "X-RateLimit-Reset-After": reset_after}
    headers = {name: value for name, value in given.items() if value is not None}
    for status in (200, 204, 400, 500):
        assert classify(status, headers, b"").pace == pace


@asynccontextmanager
async def channel(seconds: float = 20.0) -> AsyncIterator[DiscordChannel]:
    opened = DiscordChannel(version="1.2", boottime=asyncio.get_running_loop().time, timeout=seconds)
    try:
        yield opened
    finally:
        await opened.close()


async def send(url: str, *, plain: bool = False, seconds: float = 20.0) -> SendResult:
    async with channel(seconds) as opened:
        result = await opened.send(Secret(url), REPORT, plain=plain)
    assert "canary" not in repr(result)
    return result


def webhook(port: int, scheme: str = "http") -> str:
    return f"{scheme}://127.0.0.1:{port}/api/webhooks/123/canary-token?thread_id=5"


async def _hang(_writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3_600)


async def _reset(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


@pytest.mark.parametrize(
    ("behave", "error"),
    [
        (_reset, "no answer (ServerDisconnectedError)"),
        (says(b""), "no answer (ServerDisconnectedError)"),
        (says(b"HTTP/1.1 503 Ser"), "no answer (ServerDisconnectedError)"),
        (says(b"garbage\r\n\r\n"), "no answer (ClientResponseError)"),
    ],
    ids=["resets", "closes", "half a head", "garbage"],
)
async def test_delivery_without_an_answer_nobody_knows_whether_it_arrived(behave: _Behaviour, error: str) -> None:
    async with server(behave) as at:
        assert await send(webhook(at.port)) == SendResult(Delivery.UNKNOWN, error)
        assert len(at.heads) == 1


@pytest.mark.virtual_time
async def test_deadlines_an_attempt_takes_twenty_seconds_at_most() -> None:
    loop = asyncio.get_running_loop()
    async with server(_hang) as at, channel() as opened:
        result = await opened.send(Secret(webhook(at.port)), REPORT)
        assert result == SendResult(Delivery.UNKNOWN, "no answer (TimeoutError)")
        assert loop.time() == pytest.approx(20.0, abs=0.5)


@pytest.mark.virtual_time
async def test_delivery_what_never_left_certainly_did_not_arrive() -> None:
    async with server(says(b"no TLS")) as at:
        assert (await send(webhook(at.port, "https"))).delivery is Delivery.RETRY
        assert at.heads == []
    for url in (webhook(at.port), "https://nowhere.invalid/api/webhooks/123/canary-token"):
        assert (await send(url)).delivery is Delivery.RETRY


@pytest.mark.parametrize(
    ("head", "delivery"),
    [
        ("200 OK", Delivery.SENT),
        ("404 Not Found", Delivery.DEAD),
        ("429 Too Many", Delivery.RATE_LIMITED),
        ("503 Away", Delivery.RETRY),
        ("504 Timeout", Delivery.UNKNOWN),
    ],
)
@pytest.mark.parametrize("body", [b'{"id": "13', b"", b"x" * 200_000], ids=["half", "nothing", "more than is read"])
async def test_once_the_status_is_there_a_broken_body_changes_nothing(
    head: str, delivery: Delivery, body: bytes
) -> None:
    async with server(says(f"HTTP/1.1 {head}\r\n{VIA}\r\nContent-Length: 300000\r\n\r\n".encode(), body)) as at:
        assert (await send(webhook(at.port))).delivery is delivery


@pytest.mark.parametrize(
    ("whole", "expected"),
    [
        (
            http(b'{"message": "slow", "retry_after": 0.75, "global": true}', "429 Too Many", VIA, "Retry-After: 1"),
            SendResult(Delivery.RATE_LIMITED, "HTTP 429", retry_after=0.75, scope=Scope.SERVICE),
        ),
        (
            http(b'{"message": "slow", "retry_after": 0.75}', "429 Too Many", "Retry-After: 1"),
            SendResult(Delivery.RATE_LIMITED, "HTTP 429", retry_after=0.75, scope=Scope.DESTINATION),
        ),
        (http(coded(10003), "400 Bad", VIA), SendResult(Delivery.DEAD, "HTTP 400, code 10003")),
        (http(b'{"id": "1300", "type": 0}'), SendResult(Delivery.SENT, message_id="1300")),
    ],
)
async def test_an_answer_in_pieces_is_one_answer(whole: bytes, expected: SendResult) -> None:
    async with server(says(whole[:20], whole[20:-20], whole[-20:-9], whole[-9:])) as at:
        assert await send(webhook(at.port)) == expected


async def test_delivery_each_message_has_a_connection_that_nobody_closed_before() -> None:
    async with server(says(http(b"{}"))) as at, channel() as opened:
        results = [await opened.send(Secret(webhook(at.port)), REPORT) for _ in range(3)]
        assert [result.delivery for result in results] == [Delivery.SENT] * 3
        assert len(at.heads) == 3


async def test_secrets_a_redirect_is_not_followed() -> None:
    async with server(says(http(b"{}"))) as elsewhere:
        moved = http(b"", "307 Moved", f"Location: {webhook(elsewhere.port)}")
        async with server(says(moved)) as at:
            assert (await send(webhook(at.port))).delivery is not Delivery.SENT
        assert elsewhere.heads == []


@pytest.mark.parametrize("plain", [False, True])
async def test_a_request_says_who_sends_keeps_the_thread_and_pings_nobody(*, plain: bool) -> None:
    async with server(says(http(b"{}"))) as at:
        await send(webhook(at.port), plain=plain)
    head, body = at.heads[0], json.loads(at.bodies[0])
    assert head.startswith("POST /api/webhooks/123/canary-token?thread_id=5&wait=true HTTP/1.1\r\n")
    assert "User-Agent: DiscordBot (inara-daemon, 1.2)\r\n" in head
    assert body["allowed_mentions"] == {"parse": []}
    assert ("embeds" in body, "content" in body) == (not plain, plain)


@pytest.fixture
async def discord() -> AsyncIterator[SandboxDiscord]:
    running = SandboxDiscord()
    await running.start()
    yield running
    await running.stop()


async def test_a_report_is_taken_in_both_forms_and_answered_with_its_id(discord: SandboxDiscord) -> None:
    results = [await send(discord.webhook("alpha"), plain=plain) for plain in (False, True)]
    assert [(result.delivery, result.message_id) for result in results] == [
        (Delivery.SENT, message.id) for message in discord.messages
    ]
    assert len(discord.messages) == 2
    assert discord.violations == []


@pytest.mark.parametrize(
    ("fault", "delivery", "scope"),
    [
        (faults.discord_wait(faults.Scope.USER, 0.3), Delivery.RATE_LIMITED, Scope.DESTINATION),
        (faults.discord_wait(faults.Scope.SHARED, 0.3), Delivery.RATE_LIMITED, Scope.DESTINATION),
        (faults.discord_wait(faults.Scope.GLOBAL, 0.3), Delivery.RATE_LIMITED, Scope.SERVICE),
        (faults.discord_wait(faults.Scope.CLOUDFLARE, 300.0), Delivery.RATE_LIMITED, Scope.SERVICE),
        (faults.discord_http_error(502), Delivery.RETRY, Scope.DESTINATION),
        (faults.discord_http_error(504, stored=True), Delivery.UNKNOWN, Scope.DESTINATION),
        (faults.UNKNOWN_WEBHOOK, Delivery.DEAD, Scope.DESTINATION),
        (faults.INVALID_WEBHOOK_TOKEN, Delivery.DEAD, Scope.DESTINATION),
        (faults.MISSING_ACCESS, Delivery.DEAD, Scope.DESTINATION),
        (faults.INVALID_FORM, Delivery.REFUSED, Scope.DESTINATION),
        (faults.discord_hang(stored=True), Delivery.UNKNOWN, Scope.DESTINATION),
        (faults.discord_hang(), Delivery.UNKNOWN, Scope.DESTINATION),
        (faults.DISCORD_CLOSE_BEFORE, Delivery.UNKNOWN, Scope.DESTINATION),
        (faults.discord_close_after(stored=True), Delivery.UNKNOWN, Scope.DESTINATION),
    ],
    ids=lambda value: value.kind if isinstance(value, DiscordFault) else None,
)
async def test_delivery_a_message_that_was_stored_is_never_said_to_be_lost_for_certain(
    discord: SandboxDiscord, fault: DiscordFault, delivery: Delivery, scope: Scope
) -> None:
    discord.inject(fault)
    result = await send(discord.webhook("canary"), seconds=0.2)
    assert (result.delivery, result.scope) == (delivery, scope)
    assert not (discord.messages and delivery in {Delivery.RETRY, Delivery.RATE_LIMITED, Delivery.REFUSED})
    assert discord.violations == []
    assert discord.webhook("canary").rpartition("/")[2] not in repr(result)


async def test_a_hundred_webhooks_that_hang_delay_no_other_one() -> None:
    discord = SandboxDiscord()
    url = await discord.start()
    assert url
    async with channel() as opened:
        slow = [Secret(discord.webhook(f"slow {number}")) for number in range(100)]
        discord.inject(*[faults.DISCORD_FAULTS["hang"]] * len(slow))
        hanging = [asyncio.create_task(opened.send(each, REPORT)) for each in slow]
        await asyncio.sleep(1.0)
        try:
            async with asyncio.timeout(3.0):
                result = await opened.send(Secret(discord.webhook("quick")), REPORT)
        finally:
            for each in hanging:
                each.cancel()
            await asyncio.gather(*hanging, return_exceptions=True)
            await discord.stop()
    assert result.delivery is Delivery.SENT
