from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from inara_daemon.sandbox import faults
from inara_daemon.sandbox.faults import EventsOfRefusal, Fault
from inara_daemon.sandbox.inara import SandboxInara
from inara_daemon.sandbox.world import Commander, World, demo_world

HEADER = {"appName": "Tester", "appVersion": "1.0", "isBeingDeveloped": False, "APIkey": "key-1"}
HEADERS = {"User-Agent": "Tester/1.0", "Content-Type": "application/json"}
DEADLINE = aiohttp.ClientTimeout(total=10)


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Client:
    """A careful client whose every request comes 30 s after the last one."""

    def __init__(self, inara: SandboxInara, url: str, session: aiohttp.ClientSession, time: Time) -> None:
        self.inara, self.url, self.session, self.time = inara, url, session, time

    async def post(
        self, body: object, *, headers: dict[str, str] | None = None, method: str = "POST", wait: float = 30.0
    ) -> tuple[int, str]:
        self.time.now += wait
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self.session.request(method, self.url, data=sent, headers=headers or HEADERS) as response:
            return response.status, await response.text()

    async def search(self, *names: str, wait: float = 30.0) -> dict[str, Any]:
        status, text = await self.post(request(*names), wait=wait)
        assert status == 200
        return dict(json.loads(text))


def request(*names: str, **changes: object) -> dict[str, Any]:
    """A good request, or one with a few changes in its header."""
    return {"header": HEADER | changes, "events": [event(number, name) for number, name in enumerate(names)]}


def event(number: object, name: object = "Alpha", **changes: object) -> dict[str, object]:
    return {
        "eventName": "getCommanderProfile",
        "eventTimestamp": "2026-11-24T01:00:00Z",
        "eventCustomID": number,
        "eventData": {"searchName": name},
    } | changes


def ids(reply: dict[str, Any]) -> list[object]:
    return [event.get("eventCustomID") for event in reply["events"]]


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    time = Time()
    world = World([Commander(number, name.lower(), name) for number, name in enumerate(("Alpha", "Beta", "Gamma"))])
    inara = SandboxInara(world, clock=time)
    url = await inara.start()
    async with aiohttp.ClientSession(timeout=DEADLINE) as session:
        yield Client(inara, url, session, time)
    await inara.stop()


async def test_a_good_request_is_answered_in_its_order(client: Client) -> None:
    reply = await client.search("beta", "Nobody", "Alpha")
    assert reply["header"] == {"eventStatus": 200}
    assert ids(reply) == [0, 1, 2]
    assert [event["eventStatus"] for event in reply["events"]] == [200, 204, 200]
    assert reply["events"][0]["eventData"]["commanderName"] == "Beta"
    assert "eventData" not in reply["events"][1]
    assert client.inara.violations == []
    (arrival,) = client.inara.arrivals
    assert (arrival.at, arrival.key, arrival.app_name) == (1030.0, "key-1", "Tester")
    assert (arrival.names, arrival.accepted, arrival.answer) == (("beta", "Nobody", "Alpha"), True, "accepted")


async def test_a_name_of_its_own_error_spoils_no_other(client: Client) -> None:
    client.inara.world.errors["Beta"] = "Not this one."
    reply = await client.search("Alpha", "Beta")
    assert reply["events"][0]["eventStatus"] == 200
    assert reply["events"][1] == {"eventCustomID": 1, "eventStatus": 400, "eventStatusText": "Not this one."}


async def test_an_unanswered_name_is_left_out(client: Client) -> None:
    client.inara.world.unanswered.add("alpha")
    assert ids(await client.search("Alpha", "Beta")) == [1]


async def test_an_empty_search_shows_the_keys_owner(client: Client) -> None:
    client.inara.world.owners["key-1"] = "Gamma"
    _, text = await client.post({"header": HEADER, "events": [event(7, eventData={})]})
    assert json.loads(text)["events"][0]["eventData"]["commanderName"] == "Gamma"
    assert client.inara.arrivals[0].names == ("",)


async def test_a_poisoned_batch_is_refused_as_long_as_the_name_is_in_it(client: Client) -> None:
    client.inara.world.poison.add("BETA")
    for names, status in [(("Alpha", "Beta"), 400), (("Beta",), 400), (("Alpha",), 200)]:
        assert (await client.search(*names))["header"]["eventStatus"] == status
    assert [arrival.answer for arrival in client.inara.arrivals] == ["poisoned", "poisoned", "accepted"]
    assert client.inara.violations == []


async def test_an_unknown_key_is_refused(client: Client) -> None:
    client.inara.keys = {"another"}
    reply = await client.search("Alpha")
    assert reply == {"header": {"eventStatus": 400, "eventStatusText": "Invalid API key."}}
    assert client.inara.arrivals[0].answer == "bad_key"


async def test_an_unknown_application_is_refused_whatever_the_key(client: Client) -> None:
    client.inara.app_names, client.inara.keys = {"tester"}, set()
    assert "no access allowed" in (await client.search("Alpha"))["header"]["eventStatusText"]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "no JSON object"),
        (b"[]", "no JSON object"),
        (b"[" * 100_000, "no JSON object"),
        ({"events": [event(0)]}, "there is no header"),
        ({"header": HEADER}, "there are no events"),
        ({"header": HEADER, "events": []}, "there are no events"),
        ({"header": HEADER, "events": [3]}, "an event is no object"),
        ({"header": HEADER, "events": [event(0)], "more": 1}, "unknown property more"),
        (request("Alpha", appVersion=1.0), "appVersion is missing"),
        (request("Alpha", APIkey=" "), "APIkey is missing"),
        (request("Alpha", isBeingDeveloped="false"), "isBeingDeveloped is missing"),
        (request("Alpha", isDeveloped=False), "isBeingDeveloped is missing"),
        (request("Alpha", apikey="x"), "unknown property apikey in the header"),
        (request(*map(str, range(101))), "there are 101 events"),
        (request(""), "the searchName is empty"),
        (request("  "), "the searchName is empty"),
        (request(" Alpha"), "is not trimmed"),
        ({"header": HEADER, "events": [event(0, 5)]}, "the searchName is empty"),
        ({"header": HEADER, "events": [event("0")]}, "the eventCustomID is '0'"),
        ({"header": HEADER, "events": [event(0.0)]}, "the eventCustomID is 0.0"),
        ({"header": HEADER, "events": [event(True)]}, "the eventCustomID is True"),
        ({"header": HEADER, "events": [event(4), event(4, "Beta")]}, "an eventCustomID occurs twice"),
        ({"header": HEADER, "events": [event(0, eventTimestamp="2026-11-24T01:00:00")]}, "the eventTimestamp is"),
        ({"header": HEADER, "events": [event(0, eventTimestamp="2026-11-24T01:00:00.5Z")]}, "the eventTimestamp is"),
        ({"header": HEADER, "events": [event(0, eventTimestamp="2026-02-30T01:00:00Z")]}, "the eventTimestamp is"),
        ({"header": HEADER, "events": [event(0, eventTimestamp=1)]}, "the eventTimestamp is"),
        ({"header": HEADER, "events": [event(0, eventName="getCommander")]}, "unknown event 'getCommander'"),
        ({"header": HEADER, "events": [event(0, eventData={"searchID": 1})]}, "unknown property searchID"),
        ({"header": HEADER, "events": [event(0, eventData=[])]}, "the eventData is no object"),
        ({"header": HEADER, "events": [event(0, more=1)]}, "unknown property more in an event"),
    ],
)
async def test_a_request_that_is_not_as_it_should_be_is_refused_and_noted(
    client: Client, body: object, problem: str
) -> None:
    status, text = await client.post(body)
    header = json.loads(text)["header"]
    assert (status, header["eventStatus"]) == (200, 400)
    assert header["eventStatusText"].startswith("Some errors in the data")
    assert any(problem in violation for violation in client.inara.violations)
    assert client.inara.arrivals[0].answer == "malformed"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"User-Agent": "Python/3.11 aiohttp"}, "the User-Agent is Python/3.11 aiohttp"),
        ({"User-Agent": "Tester"}, "the User-Agent is Tester"),
        ({"Content-Type": "text/plain"}, "the Content-Type is text/plain"),
    ],
)
async def test_wrong_http_headers_are_refused_and_noted(client: Client, changes: dict[str, str], problem: str) -> None:
    _, text = await client.post(request("Alpha"), headers=HEADERS | changes)
    assert json.loads(text)["header"]["eventStatus"] == 400
    assert any(problem in violation for violation in client.inara.violations)


async def test_another_method_or_path_is_refused_and_noted(client: Client) -> None:
    await client.post(request("Alpha"), method="PUT")
    client.url = client.url.removesuffix("/")
    await client.post(request("Alpha"))
    assert [violation.split(": ", 1)[1] for violation in client.inara.violations] == [
        "the method is PUT",
        "the path is /inapi/v1",
    ]


async def test_a_content_type_may_name_its_charset(client: Client) -> None:
    await client.post(request("Alpha"), headers=HEADERS | {"Content-Type": "application/json; charset=utf-8"})
    assert client.inara.violations == []


async def test_requests_at_exactly_the_interval_are_welcome(client: Client) -> None:
    for _ in range(5):
        assert (await client.search("Alpha", wait=30.0))["header"]["eventStatus"] == 200
    assert client.inara.violations == []


async def test_a_request_too_soon_starts_a_ban_that_ends(client: Client) -> None:
    answers = []
    for wait in (30.0, 29.9, 30.0, 3539.0, 31.0):
        header = (await client.search("Alpha", wait=wait))["header"]
        answers.append(header.get("eventStatusText", "fine"))
    revoked = "Your access was temporarily revoked."
    assert answers == ["fine", "Too much requests.", revoked, revoked, "fine"]
    assert len(client.inara.violations) == 3
    assert "29.900 s after the last request" in client.inara.violations[0]
    assert "although the access is revoked" in client.inara.violations[1]


@pytest.mark.parametrize("first", [b"nonsense", request(" Alpha")])
async def test_a_request_that_was_refused_counts_for_the_limit_too(client: Client, first: object) -> None:
    await client.post(first)
    assert "Too much requests" in (await client.search("Alpha", wait=29.0))["header"]["eventStatusText"]


async def test_a_request_that_met_a_fault_counts_for_the_limit_too(client: Client) -> None:
    client.inara.inject(faults.CLOSE_BEFORE)
    with pytest.raises(aiohttp.ClientError):
        await client.search("Alpha")
    assert "Too much requests" in (await client.search("Alpha", wait=29.0))["header"]["eventStatusText"]


async def test_a_ban_for_somebody_elses_sake_is_no_violation_until_it_is_known(client: Client) -> None:
    client.inara.ban()
    assert "temporarily revoked" in (await client.search("Alpha"))["header"]["eventStatusText"]
    assert client.inara.violations == []
    await client.search("Alpha")
    assert len(client.inara.violations) == 1
    assert (await client.search("Alpha", wait=3600.0))["header"]["eventStatus"] == 200


async def test_a_rate_of_infinity_knows_no_limit(client: Client) -> None:
    client.inara.rate_per_minute = float("inf")
    for _ in range(3):
        assert (await client.search("Alpha", wait=0.0))["header"]["eventStatus"] == 200
    assert client.inara.violations == []


@pytest.mark.parametrize(
    ("fault", "status", "content_type", "body"),
    [
        (faults.HTML_PAGE, 200, "text/html", "<!DOCTYPE html>"),
        (faults.EMPTY_BODY, 200, "application/json", ""),
        (faults.JSON_NULL, 200, "application/json", "null"),
        (faults.NOT_JSON, 200, "application/json", "Warning"),
        (faults.http_error(500), 500, "text/html", "<html>"),
        (faults.http_error(502), 502, "text/html", "<html>"),
        (faults.http_error(503, retry_after=7), 503, "text/html", "<html>"),
        (faults.http_error(429, retry_after=90), 429, "text/html", "<html>"),
    ],
)
async def test_a_fault_may_replace_the_answer_once(
    client: Client, fault: Fault, status: int, content_type: str, body: str
) -> None:
    client.inara.inject(fault)
    client.time.now += 30
    async with client.session.post(client.url, json=request("Alpha"), headers=HEADERS) as response:
        assert (response.status, response.content_type) == (status, content_type)
        assert (await response.text()).startswith(body)
        wait = None if fault.retry_after is None else str(fault.retry_after)
        assert response.headers.get("Retry-After") == wait
    (arrival,) = client.inara.arrivals
    assert (arrival.accepted, arrival.answer, arrival.names) == (False, fault.name, ("Alpha",))
    assert (await client.search("Alpha"))["header"]["eventStatus"] == 200


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (faults.LIMIT_EXCEEDED, "too much requests"),
        (faults.ACCESS_REVOKED, "temporarily revoked"),
        (faults.INVALID_KEY, "invalid api key"),
        (faults.NO_ACCESS, "no access allowed"),
        (faults.UNKNOWN_REFUSAL, "went wrong"),
    ],
)
async def test_a_refusal_can_be_injected(client: Client, fault: Fault, text: str) -> None:
    client.inara.inject(fault)
    reply = await client.search("Alpha")
    assert reply["header"]["eventStatus"] == 400
    assert text in reply["header"]["eventStatusText"].casefold()
    assert "events" not in reply
    assert client.inara.violations == []


async def test_a_refusal_may_carry_events_and_another_status(client: Client) -> None:
    client.inara.inject(
        faults.refusal("a", status=503, events=EventsOfRefusal.EMPTY),
        faults.refusal("b", events=EventsOfRefusal.PRESENT),
    )
    assert await client.search("Alpha") == {"header": {"eventStatus": 503, "eventStatusText": "a"}, "events": []}
    assert (await client.search("Alpha", "Beta"))["events"] == [
        {"eventCustomID": 0, "eventStatus": 400},
        {"eventCustomID": 1, "eventStatus": 400},
    ]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (faults.DROP_EVENT, [1, 2]),
        (faults.SHUFFLE, [2, 1, 0]),
        (faults.WRONG_ID, [1_000_000, 1_000_001, 1_000_002]),
        (faults.NO_ID, [None, None, None]),
    ],
)
async def test_a_fault_may_bend_the_answer(client: Client, fault: Fault, expected: list[object]) -> None:
    client.inara.inject(fault)
    reply = await client.search("Alpha", "Beta", "Gamma")
    assert reply["header"] == {"eventStatus": 200}
    assert ids(reply) == expected
    assert (client.inara.arrivals[0].accepted, client.inara.arrivals[0].answer) == (True, fault.name)


async def test_shuffled_results_keep_their_ids(client: Client) -> None:
    client.inara.inject(faults.SHUFFLE)
    reply = await client.search("Alpha", "Beta")
    assert [event["eventData"]["commanderName"] for event in reply["events"]] == ["Beta", "Alpha"]


async def test_a_reply_may_lack_its_events(client: Client) -> None:
    client.inara.inject(faults.NO_EVENTS)
    assert await client.search("Alpha") == {"header": {"eventStatus": 200}}


async def test_a_fault_makes_no_refused_request_good(client: Client) -> None:
    client.inara.keys = set()
    client.inara.inject(faults.DROP_EVENT)
    assert (await client.search("Alpha"))["header"]["eventStatus"] == 400
    assert (client.inara.arrivals[0].accepted, client.inara.arrivals[0].answer) == (False, "bad_key")


async def test_a_request_refused_for_its_pace_leaves_the_fault_to_the_next(client: Client) -> None:
    client.inara.ban_seconds = 10.0
    await client.search("Alpha")
    client.inara.inject(faults.NO_EVENTS)
    assert "header" in await client.search("Alpha", wait=1.0)
    assert await client.search("Alpha") == {"header": {"eventStatus": 200}}


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (faults.CLOSE_BEFORE, aiohttp.ServerDisconnectedError),
        (faults.CLOSE_AFTER, aiohttp.ClientOSError),
        (faults.HALF, aiohttp.ClientPayloadError),
    ],
)
async def test_a_connection_may_break(client: Client, fault: Fault, error: type[Exception]) -> None:
    client.inara.inject(fault)
    with pytest.raises(error):
        await client.search("Alpha")
    assert client.inara.arrivals[0].answer == fault.name
    assert not client.inara.arrivals[0].accepted
    assert (await client.search("Alpha"))["header"]["eventStatus"] == 200


async def test_a_hanging_request_ends_when_the_server_stops(client: Client) -> None:
    arrived = asyncio.Event()
    client.inara.on_arrival = lambda _arrival: arrived.set()
    client.inara.inject(faults.HANG)
    async with asyncio.timeout(5):
        waiting = asyncio.create_task(client.search("Alpha"))
        await arrived.wait()
        assert not waiting.done()
        await client.inara.stop()
        with pytest.raises(aiohttp.ClientError):
            await waiting
        await client.inara.stop()


async def test_a_hanging_request_ends_when_the_client_goes(client: Client) -> None:
    arrived = asyncio.Event()
    client.inara.on_arrival = lambda _arrival: arrived.set()
    client.inara.inject(faults.HANG)
    idle = asyncio.all_tasks()
    async with asyncio.timeout(5):
        waiting = asyncio.create_task(client.search("Alpha"))
        await arrived.wait()
        assert not waiting.done()
        waiting.cancel()
        while asyncio.all_tasks() - idle:
            await asyncio.sleep(0)
        assert (await client.search("Alpha"))["header"]["eventStatus"] == 200


async def test_it_can_be_started_again_at_its_port_and_still_knows_the_ban(client: Client) -> None:
    client.inara.ban()
    await client.inara.stop()
    port = int(client.url.split(":")[2].split("/")[0])
    assert await client.inara.start(port=port) == client.url
    assert "temporarily revoked" in (await client.search("Alpha"))["header"]["eventStatusText"]
    with pytest.raises(RuntimeError, match="runs already"):
        await client.inara.start()


async def test_an_answer_may_take_its_time_but_not_longer_than_the_server_runs(client: Client) -> None:
    arrived = asyncio.Event()
    client.inara.on_arrival = lambda _arrival: arrived.set()
    delays = iter([3600.0, 0.0])
    client.inara.latency = lambda: next(delays)
    async with asyncio.timeout(5):
        slow = asyncio.create_task(client.search("Alpha"))
        await arrived.wait()
        assert (await client.search("Beta"))["header"]["eventStatus"] == 200
        assert not slow.done()
        await client.inara.stop()
        assert (await slow)["header"]["eventStatus"] == 200


async def test_the_whole_demo_is_answered(client: Client) -> None:
    client.inara.world = demo_world()
    names = [name.strip() for roster in client.inara.world.rosters.values() for name in roster]
    statuses = [event["eventStatus"] for event in (await client.search(*names))["events"]]
    assert len(statuses) == len(names)
    assert set(statuses) == {200, 202, 204}
    assert client.inara.violations == []


async def test_the_module_serves_both_until_it_is_terminated(client: Client, tmp_path: Path) -> None:
    arrivals, messages = tmp_path / "arrivals.jsonl", tmp_path / "messages.jsonl"
    arguments = ["--rate", "6", "--ban", "5", "--arrivals", str(arrivals), "--messages", str(messages)]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "inara_daemon.sandbox",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[3],
        env={"PATH": os.environ["PATH"]},
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            said = json.loads(await process.stdout.readline())
            client.url = said["inara"]
            await client.search("Nova Kestrel")
            assert "Too much requests" in (await client.search("Ærø"))["header"]["eventStatusText"]
            webhook = said["webhooks"]["Lantern Wardens"]
            assert webhook.startswith(said["discord"] + "/api/webhooks/")
            message = {"content": "hello", "allowed_mentions": {"parse": []}}
            async with client.session.post(webhook, json=message, headers={"User-Agent": "DiscordBot (x, 1)"}) as told:
                assert told.status == 204
            lines = [json.loads(line) for line in arrivals.read_text().splitlines()]
            assert [(line["names"], line["answer"]) for line in lines] == [
                (["Nova Kestrel"], "accepted"),
                (["Ærø"], "too_much"),
            ]
            assert lines[0]["at"] < lines[1]["at"]
            assert json.loads(messages.read_text())["webhook"] == "Lantern Wardens"
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
