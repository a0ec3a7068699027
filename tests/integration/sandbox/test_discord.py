from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from inara_daemon.sandbox import faults
from inara_daemon.sandbox.discord import Attempt, SandboxDiscord
from inara_daemon.sandbox.discord_rules import Patience
from inara_daemon.sandbox.faults import DiscordFault, Scope

HEADERS = {"User-Agent": "DiscordBot (https://example.invalid, 1.0)", "Content-Type": "application/json"}
NOBODY: dict[str, Any] = {"allowed_mentions": {"parse": []}}
DEADLINE = aiohttp.ClientTimeout(total=10)


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.text))


class Client:
    """Posts to the webhook `roster`, unless told otherwise."""

    def __init__(self, discord: SandboxDiscord, session: aiohttp.ClientSession, time: Time) -> None:
        self.discord, self.session, self.time = discord, session, time
        self.url = discord.webhook("roster")

    async def post(
        self,
        body: object = NOBODY | {"content": "hello"},
        *,
        url: str | None = None,
        query: str = "?wait=true",
        headers: dict[str, str] | None = None,
        method: str = "POST",
    ) -> Reply:
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self.session.request(
            method, (url or self.url) + query, data=sent, headers=headers or HEADERS
        ) as response:
            return Reply(response.status, response.headers.copy(), await response.text())


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    time = Time()
    discord = SandboxDiscord(clock=time)
    await discord.start()
    async with aiohttp.ClientSession(timeout=DEADLINE) as session:
        yield Client(discord, session, time)
    await discord.stop()


async def test_a_webhooks_url_looks_like_discords(client: Client) -> None:
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/api/webhooks/\d{18,}/[\w-]{68}", client.url)
    assert client.discord.webhook("roster") == client.url
    assert client.discord.webhook("other") != client.url


async def test_a_message_is_stored_and_answered_with_its_id(client: Client) -> None:
    reply = await client.post()
    (message,) = client.discord.messages
    assert reply.status == 200
    assert reply.json["id"] == message.id
    assert reply.json["content"] == "hello"
    assert (message.webhook, message.payload, message.at) == ("roster", NOBODY | {"content": "hello"}, 1000.0)
    assert client.discord.violations == []
    assert [attempt.answer for attempt in client.discord.attempts] == ["200"]


async def test_without_wait_there_is_no_body(client: Client) -> None:
    reply = await client.post(query="")
    assert (reply.status, reply.text) == (204, "")
    assert len(client.discord.messages) == 1


def embed(**parts: object) -> dict[str, Any]:
    return NOBODY | {"embeds": [parts]}


@pytest.mark.parametrize(
    "body",
    [
        NOBODY | {"content": "é" * 2000},
        NOBODY | {"content": " " * 9 + "é" * 2000 + "\n"},
        NOBODY | {"content": "x", "username": "u" * 80, "flags": 4096},
        embed(title="t" * 256, description="d" * 4096, footer={"text": "f" * 1000}, author={"name": "a" * 256}),
        embed(fields=[{"name": "n" * 256, "value": "v" * 1024, "inline": True}] * 4),
        embed(fields=[{"name": "n", "value": "v"}] * 25, color=0xFFFFFF, timestamp="2026-11-24T01:00:00+00:00"),
        NOBODY | {"embeds": [{"description": "d" * 600}] * 10},
    ],
)
async def test_a_message_at_its_limits_is_taken(client: Client, body: object) -> None:
    assert (await client.post(body)).status == 200
    assert client.discord.violations == []


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (NOBODY | {"content": "x" * 2001}, "content"),
        (NOBODY | {"content": 5}, "content"),
        (NOBODY | {"content": "x", "username": "Inara@Discord"}, "username"),
        (NOBODY | {"content": "x", "username": "CLYDE"}, "username"),
        (NOBODY | {"content": "x", "username": "u" * 81}, "username"),
        (NOBODY | {"content": "x", "username": " "}, "username"),
        (NOBODY | {"content": "x", "flags": "4096"}, "flags"),
        (NOBODY | {"content": "x", "contents": "x"}, "contents"),
        ({"content": "x"}, "allowed_mentions"),
        ({"content": "x", "allowed_mentions": {"parse": ["everyone"]}}, "allowed_mentions"),
        ({"content": "x", "allowed_mentions": {}}, "allowed_mentions"),
        (NOBODY | {"embeds": [{"title": "t"}] * 11}, "embeds"),
        (NOBODY | {"embeds": {"title": "t"}}, "embeds"),
        (NOBODY | {"embeds": ["t"]}, "embeds"),
        (NOBODY | {"embeds": [{"description": "d" * 3000}, {"title": "t", "description": "d" * 3000}]}, "embeds"),
        (embed(title="t" * 257), "embeds.0.title"),
        (embed(description="d" * 4097), "embeds.0.description"),
        (embed(title="t", footer={"text": "f" * 2049}), "embeds.0.footer.text"),
        (embed(title="t", footer={}), "embeds.0.footer.text"),
        (embed(title="t", author={"name": "a" * 257}), "embeds.0.author.name"),
        (embed(title="t", color=0x1000000), "embeds.0.color"),
        (embed(title="t", timestamp="yesterday"), "embeds.0.timestamp"),
        (embed(title="t", colour=1), "embeds.0.colour"),
        (embed(fields={}), "embeds.0.fields"),
        (embed(fields=[{"name": "n", "value": "v"}] * 26), "embeds.0.fields"),
        (embed(fields=[{"name": "n" * 257, "value": "v"}]), "embeds.0.fields.0.name"),
        (embed(fields=[{"name": "", "value": "v"}]), "embeds.0.fields.0.name"),
        (embed(fields=[{"name": "n", "value": "v" * 1025}]), "embeds.0.fields.0.value"),
        (embed(fields=[{"name": "n", "value": " \n"}]), "embeds.0.fields.0.value"),
        (embed(fields=[{"name": "n"}]), "embeds.0.fields.0.value"),
        (embed(fields=["n"]), "embeds.0.fields.0.name"),
        (embed(fields=[{"name": "n", "value": "v", "inline": "no"}]), "embeds.0.fields.0.inline"),
    ],
)
async def test_a_message_beyond_a_limit_is_refused_and_noted(client: Client, body: object, place: str) -> None:
    reply = await client.post(body)
    assert (reply.status, reply.json["code"]) == (400, 50035)
    found = reply.json["errors"]
    for step in place.split("."):
        found = found[step]
    assert found["_errors"]
    assert any(f" {place} " in violation for violation in client.discord.violations)
    assert client.discord.messages == []


@pytest.mark.parametrize("body", [NOBODY, NOBODY | {"content": " \n", "embeds": []}, embed(color=1), embed(title=" ")])
async def test_a_message_that_shows_nothing_is_refused_and_noted(client: Client, body: object) -> None:
    reply = await client.post(body)
    assert (reply.status, reply.json["code"]) == (400, 50006)
    assert len(client.discord.violations) == 1


@pytest.mark.parametrize("body", [b"", b"nonsense", b"[]", b"null", b"[" * 100_000])
async def test_a_body_that_is_no_object_is_refused_and_noted(client: Client, body: bytes) -> None:
    assert (await client.post(body)).status == 400
    assert len(client.discord.violations) == 1


async def test_a_careless_client_is_refused_and_noted(client: Client) -> None:
    assert (await client.post(headers=HEADERS | {"User-Agent": "Python aiohttp"})).status == 400
    assert (await client.post(headers=HEADERS | {"Content-Type": "text/plain"})).status == 400
    assert (await client.post(query="?wait=yes")).status == 400
    assert (await client.post(query="?token=1")).status == 400
    assert (await client.post(method="PUT")).status == 400
    assert len(client.discord.violations) == 5
    assert client.discord.messages == []


async def test_a_url_never_given_out_leads_nowhere(client: Client) -> None:
    base, _, token = client.url.rpartition("/")
    wrong_token = await client.post(url=f"{base}/{token[:-1]}")
    assert (wrong_token.status, wrong_token.json["code"]) == (401, 50027)
    wrong_id = await client.post(url=client.url.replace("/webhooks/1", "/webhooks/2"))
    assert (wrong_id.status, wrong_id.json["code"]) == (404, 10015)
    assert [(attempt.webhook, attempt.answer) for attempt in client.discord.attempts] == [(None, "401"), (None, "404")]


async def test_the_headers_count_down_and_a_sixth_message_in_two_seconds_has_to_wait(client: Client) -> None:
    told = []
    for _ in range(5):
        headers = (await client.post()).headers
        told.append(tuple(headers[f"X-RateLimit-{name}"] for name in ("Limit", "Remaining", "Reset-After")))
        client.time.now += 0.25
    assert told == [
        ("5", "4", "2.000"),
        ("5", "3", "1.750"),
        ("5", "2", "1.500"),
        ("5", "1", "1.250"),
        ("5", "0", "1.000"),
    ]
    refused = await client.post()
    assert refused.status == 429
    assert refused.json == {"message": "You are being rate limited.", "retry_after": 0.75, "global": False}
    assert refused.headers["Retry-After"] == "1"
    assert refused.headers["X-RateLimit-Scope"] == "user"
    assert "Via" in refused.headers
    client.time.now += 0.75
    assert (await client.post()).status == 200
    assert len(client.discord.messages) == 6
    assert client.discord.violations == []


async def test_webhooks_do_not_share_their_five(client: Client) -> None:
    other = client.discord.webhook("other")
    statuses = [(await client.post(url=url)).status for url in [client.url, other] * 5]
    assert statuses == [200] * 10


async def test_who_does_not_wait_is_noted(client: Client) -> None:
    client.discord.inject(faults.discord_wait(retry_after=4.0), webhook="roster")
    await client.post()
    client.time.now += 3.9
    assert (await client.post()).json["retry_after"] == 0.1
    assert len(client.discord.violations) == 1
    client.time.now += 0.1
    assert (await client.post()).status == 200


async def test_a_channel_takes_thirty_a_minute_over_all_its_webhooks(client: Client) -> None:
    urls = [client.discord.webhook(name, channel="general") for name in ("one", "two", "three")]
    for number in range(30):
        assert (await client.post(url=urls[number % 3])).status == 200
        client.time.now += 1.0
    refused = await client.post(url=urls[0])
    assert (refused.status, refused.headers["X-RateLimit-Scope"]) == (429, "shared")
    assert refused.json["retry_after"] == 30.0
    assert (await client.post()).status == 200
    client.time.now += 30.0
    assert (await client.post(url=urls[0])).status == 200
    assert client.discord.violations == []


async def test_a_wait_told_to_one_webhook_leaves_the_others_alone(client: Client) -> None:
    client.discord.inject(faults.discord_wait(Scope.SHARED, 9.0), webhook="roster")
    assert (await client.post(url=client.discord.webhook("other"))).status == 200
    refused = await client.post()
    assert (refused.status, refused.headers["X-RateLimit-Scope"], refused.json["retry_after"]) == (429, "shared", 9.0)
    assert (await client.post(url=client.discord.webhook("other"))).status == 200


async def test_a_global_wait_is_for_everyone(client: Client) -> None:
    client.discord.inject(faults.discord_wait(Scope.GLOBAL, 3.0))
    refused = await client.post()
    assert (refused.json["global"], refused.headers["X-RateLimit-Global"]) == (True, "true")
    client.time.now += 0.5
    assert (await client.post(url=client.discord.webhook("other"))).status == 429
    assert client.discord.violations == []
    client.time.now += 1.0
    assert (await client.post(url=client.discord.webhook("other"))).status == 429
    assert len(client.discord.violations) == 1
    client.time.now += 1.5
    assert (await client.post(url=client.discord.webhook("other"))).status == 200


async def test_who_waits_for_everyone_has_the_whole_webhook_left(client: Client) -> None:
    await client.post()
    client.discord.webhook("other")
    client.discord.inject(faults.discord_wait(Scope.GLOBAL, 9.0), webhook="other")
    await client.post(url=client.discord.webhook("other"))
    client.time.now += 2.0
    headers = (await client.post()).headers
    assert (headers["X-RateLimit-Remaining"], headers["X-RateLimit-Reset-After"]) == ("5", "0.000")


async def test_cloudflare_blocks_everyone_with_a_page_and_without_via(client: Client) -> None:
    client.discord.inject(faults.discord_wait(Scope.CLOUDFLARE, 600.0))
    refused = await client.post()
    assert (refused.status, refused.headers["Retry-After"]) == (429, "600")
    assert "Via" not in refused.headers
    assert refused.text.startswith("<!DOCTYPE html>")
    client.time.now += 600.0
    assert (await client.post()).status == 200
    assert [attempt.answer for attempt in client.discord.attempts] == ["429 cloudflare", "200"]


@pytest.mark.parametrize("status", [500, 502, 503, 504, 520, 524])
@pytest.mark.parametrize("stored", [False, True])
async def test_a_gateway_may_fail_before_or_after_the_message_is_stored(
    client: Client, status: int, *, stored: bool
) -> None:
    client.discord.inject(faults.discord_http_error(status, stored=stored))
    assert (await client.post()).status == status
    assert len(client.discord.messages) == stored
    assert (await client.post()).status == 200


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (faults.INVALID_WEBHOOK_TOKEN, 401, 50027),
        (faults.MISSING_ACCESS, 403, 50001),
        (faults.INVALID_FORM, 400, 50035),
        (faults.discord_api_error(400, 220001, "Webhooks posted to forum channels need a thread"), 400, 220001),
    ],
)
async def test_an_error_of_discords_own_can_be_injected(
    client: Client, fault: DiscordFault, status: int, code: int
) -> None:
    client.discord.inject(fault)
    reply = await client.post()
    assert (reply.status, reply.json["code"]) == (status, code)
    assert client.discord.messages == []
    assert client.discord.violations == []
    assert (await client.post()).status == 200


async def test_a_webhook_once_not_found_stays_so_and_its_further_use_is_noted(client: Client) -> None:
    client.discord.inject(faults.UNKNOWN_WEBHOOK)
    assert (await client.post()).json["code"] == 10015
    assert client.discord.violations == []
    assert (await client.post()).status == 404
    assert len(client.discord.violations) == 1


async def test_a_deleted_webhook_may_be_found_out_once(client: Client) -> None:
    client.discord.delete_webhook("roster")
    assert (await client.post()).json["code"] == 10015
    assert client.discord.violations == []
    await client.post()
    assert len(client.discord.violations) == 1


@pytest.mark.parametrize(
    ("fault", "error", "messages"),
    [
        (faults.DISCORD_CLOSE_BEFORE, aiohttp.ServerDisconnectedError, 0),
        (faults.discord_close_after(), aiohttp.ClientOSError, 0),
        (faults.discord_close_after(stored=True), aiohttp.ClientOSError, 1),
    ],
)
async def test_a_connection_may_break(
    client: Client, fault: DiscordFault, error: type[Exception], messages: int
) -> None:
    client.discord.inject(fault)
    with pytest.raises(error):
        await client.post()
    assert len(client.discord.messages) == messages
    assert [attempt.answer for attempt in client.discord.attempts] == [fault.kind]


async def test_a_faulty_message_is_noted_but_not_stored_whatever_the_fault(client: Client) -> None:
    client.discord.inject(faults.discord_http_error(504, stored=True))
    assert (await client.post(NOBODY | {"content": "x" * 2001})).status == 504
    assert client.discord.messages == []
    assert len(client.discord.violations) == 1


async def test_a_fault_of_one_webhook_comes_before_a_fault_of_any(client: Client) -> None:
    client.discord.inject(faults.discord_http_error(500))
    client.discord.inject(faults.discord_http_error(502), webhook="roster")
    assert [(await client.post()).status for _ in range(3)] == [502, 500, 200]


@pytest.mark.parametrize("stored", [False, True])
async def test_a_hanging_request_ends_when_the_server_stops(client: Client, *, stored: bool) -> None:
    client.discord.inject(faults.discord_hang(stored=stored))
    async with asyncio.timeout(5):
        waiting = asyncio.create_task(client.post())
        while not client.discord.attempts:
            await asyncio.sleep(0)
        assert not waiting.done()
        await client.discord.stop()
        with pytest.raises(aiohttp.ClientError):
            await waiting
    assert len(client.discord.messages) == stored


async def test_it_can_be_started_again_at_its_port_and_keeps_webhooks_and_messages(client: Client) -> None:
    await client.post()
    await client.discord.stop()
    with pytest.raises(RuntimeError, match="before the server runs"):
        client.discord.webhook("roster")
    await client.discord.start(port=int(client.url.split(":")[2].split("/")[0]))
    assert client.discord.webhook("roster") == client.url
    client.time.now += 2.0
    await client.post()
    assert [message.id for message in client.discord.messages] == ["1300000000000000000", "1300000000000000001"]


async def test_an_answer_may_break_off_when_the_message_is_stored(client: Client) -> None:
    client.discord.inject(faults.DISCORD_HALF)
    async with client.session.post(
        f"{client.url}?wait=true", json=NOBODY | {"content": "x"}, headers=HEADERS
    ) as answer:
        assert answer.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()
    assert len(client.discord.messages) == 1
    assert client.discord.attempts == [Attempt(1000.0, "roster", "half", stored=True)]


async def test_a_faulty_message_is_not_stored_though_its_answer_may_break_off(client: Client) -> None:
    client.discord.inject(faults.DISCORD_HALF)
    await client.post(NOBODY | {"content": "x" * 2001})
    assert client.discord.messages == []


@pytest.fixture
async def strict() -> AsyncIterator[Client]:
    """Forgives three invalid requests in ten minutes, and bans for an hour."""
    time = Time()
    discord = SandboxDiscord(clock=time, patience=Patience(3))
    await discord.start()
    async with aiohttp.ClientSession(timeout=DEADLINE) as session:
        yield Client(discord, session, time)
    await discord.stop()


async def test_too_many_invalid_requests_ban_the_address(strict: Client) -> None:
    for fault in (faults.INVALID_WEBHOOK_TOKEN, faults.MISSING_ACCESS, faults.discord_http_error(401)):
        strict.discord.inject(fault)
        await strict.post()
    assert (await strict.post()).status == 200
    assert strict.discord.violations == []
    strict.discord.inject(faults.discord_wait(Scope.USER, 0.5))
    assert "Via" in (await strict.post()).headers
    assert [text.partition(": ")[2] for text in strict.discord.violations] == [
        "banned: more than 3 invalid requests in 10 min"
    ]
    for url in (strict.url, strict.discord.webhook("other"), strict.url.replace("/webhooks/1", "/webhooks/2")):
        banned = await strict.post(url=url)
        assert (banned.status, banned.headers["Retry-After"]) == (429, "3600")
        assert "Via" not in banned.headers
    strict.time.now += 3600.0
    assert (await strict.post()).status == 200


async def test_invalid_requests_are_forgiven_after_ten_minutes_and_a_shared_wait_is_none(strict: Client) -> None:
    for _ in range(3):
        strict.discord.inject(faults.discord_http_error(403), faults.discord_wait(Scope.SHARED, 1.0))
        await strict.post()
        await strict.post()
        strict.time.now += 1.0
    strict.time.now += 600.0
    strict.discord.inject(faults.discord_http_error(403))
    assert [(await strict.post()).status for _ in range(2)] == [403, 200]
    assert strict.discord.violations == []


async def test_each_attempt_is_told_with_discords_code_and_whether_it_was_stored(client: Client) -> None:
    told: list[Attempt] = []
    client.discord.on_attempt = told.append
    client.discord.inject(faults.discord_http_error(504, stored=True), faults.INVALID_FORM)
    for _ in range(3):
        await client.post()
    assert [(attempt.answer, attempt.code, attempt.stored) for attempt in told] == [
        ("504", None, True),
        ("400", 50035, False),
        ("200", None, True),
    ]
    assert client.discord.attempts == told


async def test_who_leaves_while_discord_takes_its_time_has_stored_nothing(client: Client) -> None:
    client.discord.latency = lambda: 60.0
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await client.post()
    client.discord.latency = lambda: 0.01
    assert (await client.post()).status == 200
    assert len(client.discord.messages) == 1


async def test_it_refuses_connections_until_it_listens_again(client: Client) -> None:
    await client.discord.stop()
    with pytest.raises(aiohttp.ClientConnectorError):
        await client.post()
    for _ in range(2):
        await client.discord.resume()
    assert (await client.post()).status == 200
