"""The durable queue on a real state database under virtual time: in order, never twice, no loss without a name."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import select, text
from structlog.testing import capture_logs

from inara_daemon import report
from inara_daemon.notify.discord import Delivery, Scope, SendResult
from inara_daemon.notify.outbox import Outbox
from inara_daemon.report import Report
from inara_daemon.secret import Secret
from inara_daemon.store.engines import resolve_url
from inara_daemon.store.state import outbox
from inara_daemon.store.state.database import StateDatabase
from inara_daemon.store.state.outbox import OutboxTable
from inara_daemon.store.state.tables import message
from tests.virtual_time import virtual_clock

pytestmark = pytest.mark.virtual_time
MINUTE, HOUR = 60.0, 3_600.0
NOW = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
SENT = SendResult(Delivery.SENT)
AWAY = SendResult(Delivery.RETRY, "HTTP 503")
DOUBT = SendResult(Delivery.UNKNOWN, "no answer (TimeoutError)")
GONE = SendResult(Delivery.DEAD, "HTTP 404, code 10015")
REFUSED = SendResult(Delivery.REFUSED, "HTTP 400, code 50035")


def limited(seconds: float, scope: Scope = Scope.WEBHOOK) -> SendResult:
    return SendResult(Delivery.RATE_LIMITED, "HTTP 429", retry_after=seconds, scope=scope)


@dataclass(frozen=True, slots=True)
class Takes:
    """An answer that comes after so many seconds."""

    seconds: float
    result: SendResult = SENT


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt, by the virtual clock."""

    at: float
    url: str
    title: str
    plain: bool = False


@dataclass
class ScriptedSender:
    """Answers each webhook by its own script, then with success."""

    script: defaultdict[str, deque[SendResult | Takes | Exception]] = field(default_factory=lambda: defaultdict(deque))
    calls: list[Call] = field(default_factory=list)

    async def send(self, url: Secret, report: Report, *, plain: bool = False) -> SendResult:
        at = asyncio.get_running_loop().time()
        self.calls.append(Call(round(at, 3), url.reveal(), report.title, plain))
        answers = self.script[url.reveal()]
        answer = answers.popleft() if answers else SENT
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Takes):
            await asyncio.sleep(answer.seconds)
            return answer.result
        return answer


@dataclass
class Post:
    """A state database, webhooks that tests change, and an outbox between them and the sender."""

    state: StateDatabase
    sender: ScriptedSender = field(default_factory=ScriptedSender)
    webhooks: dict[str, str] = field(default_factory=lambda: {name: f"hook-{name}" for name in ("a", "b", "c")})
    boot_id: str = "boot-1"
    alive: list[float] = field(default_factory=list)

    def answers(self, webhook: str, *answers: SendResult | Takes | Exception) -> None:
        self.sender.script[webhook].extend(answers)

    async def put(self, *titles: str) -> None:
        """Queue reports; the first letter of a title is its tenant."""
        async with self.state.write() as connection:
            for title in titles:
                body = report.to_json(report.notice(title[0], title, "text", NOW))
                await outbox.enqueue(connection, tenant_id=title[0], body=body, now=NOW)

    def open(self) -> Outbox:
        loop = asyncio.get_running_loop()
        return Outbox(
            OutboxTable(self.state),
            self.sender,
            webhook=lambda tenant: Secret(self.webhooks[tenant]) if tenant in self.webhooks else None,
            fingerprint=self.state.fingerprint,
            clock=virtual_clock(self.boot_id),
            alive=lambda: self.alive.append(loop.time()),
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Outbox]:
        """An engine's outbox, stopped in the end as the engine stops it."""
        opened = self.open()
        task = asyncio.create_task(opened.run())
        try:
            yield opened
        finally:
            await opened.stop()
            await task

    @asynccontextmanager
    async def killed(self) -> AsyncIterator[None]:
        """An engine that ends without a word."""
        before = asyncio.all_tasks()
        task = asyncio.create_task(self.open().run())
        yield
        left = asyncio.all_tasks() - before | {task}
        for each in left:
            each.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def do(self, statement: str) -> None:
        async with self.state.write() as connection:
            await connection.execute(text(statement))

    async def ends(self) -> dict[str, str]:
        """The status of each message by its title."""
        async with self.state.read() as connection:
            rows = await connection.execute(select(message).order_by(message.c.id))
            return {report.from_json(row.body).title: row.status for row in rows}

    async def errors(self) -> dict[str, str | None]:
        async with self.state.read() as connection:
            rows = await connection.execute(select(message))
            return {report.from_json(row.body).title: row.error for row in rows}

    def calls(self, webhook: str | None = None) -> list[tuple[float, str]]:
        """When which message was tried, counted from the first attempt of all."""
        first = self.sender.calls[0].at if self.sender.calls else 0.0
        chosen = [call for call in self.sender.calls if webhook in (None, call.url)]
        return [(round(call.at - first, 3), call.title) for call in chosen]


@pytest.fixture
async def post(tmp_path: Path) -> AsyncIterator[Post]:
    state = StateDatabase(resolve_url(Secret(f"sqlite:///{tmp_path}/state.db"), tmp_path))
    await state.open()
    yield Post(state)
    await state.close()


async def test_delivery_a_lane_keeps_its_order_whatever_happens_to_a_message(post: Post) -> None:
    post.answers("hook-a", AWAY, limited(5.0), AWAY, DOUBT, SENT, REFUSED, REFUSED)
    await post.put("a1", "a2", "a3")
    async with post.running() as running:
        await asyncio.sleep(1.0)
        await post.put("a4")
        running.wake()
        await asyncio.sleep(MINUTE)
    assert post.calls() == [
        *((0.0, "a1"), (2.0, "a1"), (7.0, "a1"), (17.0, "a1")),
        *((17.0, "a2"), (17.0, "a3"), (17.0, "a3"), (17.0, "a4")),
    ]
    assert await post.ends() == {"a1": "unknown", "a2": "sent", "a3": "refused", "a4": "sent"}


async def test_delivery_a_lane_never_delays_another(post: Post) -> None:
    post.webhooks |= {"d": "hook-d", "e": "hook-e"}
    post.answers("hook-a", Takes(HOUR, DOUBT))
    post.answers("hook-b", *[AWAY] * 100)
    post.answers("hook-c", limited(HOUR))
    post.answers("hook-d", GONE)
    await post.put("a1", "b1", "c1", "d1", "d2", "e1")
    async with post.running() as running:
        await asyncio.sleep(10 * MINUTE)
        await post.put("e2")
        running.wake()
        await asyncio.sleep(0.1)
        assert [title for _, title in post.calls("hook-e")] == ["e1", "e2"]
        assert post.calls("hook-e")[0][0] < 0.1
        await asyncio.sleep(HOUR)


async def test_delivery_what_did_not_arrive_is_tried_again_for_two_days_and_then_expires(post: Post) -> None:
    post.answers("hook-a", *[AWAY] * 100)
    await post.put("a1")
    async with post.running():
        await asyncio.sleep(47 * HOUR)
        assert await post.ends() == {"a1": "waiting"}
        await asyncio.sleep(2 * HOUR)
        assert await post.ends() == {"a1": "expired"}
        assert await post.errors() == {"a1": "HTTP 503"}
    times = [at for at, _ in post.calls()]
    waits = [round(after - before, 3) for before, after in pairwise(times)]
    assert waits[:6] == [2.0, 10.0, 30.0, MINUTE, 5 * MINUTE, 15 * MINUTE]
    assert set(waits[6:]) == {HOUR}
    assert 47 * HOUR < times[-1] <= 48 * HOUR


async def test_logs_a_failure_is_logged_when_it_starts_and_when_it_ends_and_every_loss(post: Post) -> None:
    post.answers("hook-a", AWAY, AWAY, AWAY, SENT, DOUBT)
    await post.put("a1", "a2", "b1")
    with capture_logs() as lines:
        async with post.running():
            await asyncio.sleep(MINUTE)
    assert [(line["event"], line["tenant"], line["message"]) for line in lines] == [
        ("delivery_failing", "a", 1),
        ("delivery_recovered", "a", 1),
        ("message_lost", "a", 2),
    ]


async def test_delivery_attempts_are_counted_over_restarts(post: Post) -> None:
    post.answers("hook-a", *[AWAY] * 4)
    await post.put("a1")
    for _ in range(2):
        async with post.running():
            await asyncio.sleep(1.0)
    async with post.running():
        await asyncio.sleep(2 * MINUTE)
    assert post.calls() == [(0.0, "a1"), (1.0, "a1"), (2.0, "a1"), (32.0, "a1"), (92.0, "a1")]


async def test_delivery_a_server_that_asks_for_more_time_gets_it(post: Post) -> None:
    post.answers("hook-a", replace(AWAY, retry_after=45.0), replace(AWAY, retry_after=1.0))
    await post.put("a1")
    async with post.running():
        await asyncio.sleep(2 * MINUTE)
    assert post.calls() == [(0.0, "a1"), (45.0, "a1"), (55.0, "a1")]


async def test_delivery_a_rate_limit_is_waited_out_exactly_and_counts_as_no_attempt(post: Post) -> None:
    post.answers("hook-a", limited(0.75), AWAY, limited(61.5), AWAY)
    await post.put("a1", "b1")
    async with post.running():
        await asyncio.sleep(2 * MINUTE)
    assert post.calls("hook-a") == [(0.0, "a1"), (0.75, "a1"), (2.75, "a1"), (64.25, "a1"), (74.25, "a1")]
    assert post.calls("hook-b") == [(0.0, "b1")]


async def test_delivery_who_is_never_content_is_not_asked_in_a_hot_loop(post: Post) -> None:
    post.answers("hook-a", *[limited(0.0)] * 200)
    await post.put("a1")
    async with post.running():
        await asyncio.sleep(10 * MINUTE)
    assert len(post.calls()) < 20


async def test_delivery_the_pace_of_a_lane_is_discords(post: Post) -> None:
    post.answers("hook-a", replace(SENT, pace=1.5), SENT, replace(DOUBT, pace=2.0))
    await post.put("a1", "a2", "a3", "a4")
    async with post.running():
        await asyncio.sleep(10.0)
    assert post.calls() == [(0.0, "a1"), (1.5, "a2"), (1.5, "a3"), (3.5, "a4")]


@pytest.mark.parametrize("scope", [Scope.GLOBAL, Scope.ADDRESS])
async def test_delivery_a_limit_for_everybody_holds_every_lane(post: Post, scope: Scope) -> None:
    post.answers("hook-a", limited(90.0, scope))
    post.answers("hook-b", replace(AWAY, retry_after=30.0))
    await post.put("a1", "b1")
    async with post.running() as running:
        await asyncio.sleep(1.0)
        await post.put("c1")
        running.wake()
        await asyncio.sleep(2 * MINUTE)
    assert sorted(post.calls()) == [(0.0, "a1"), (0.0, "b1"), (90.0, "a1"), (90.0, "b1"), (90.0, "c1")]


async def test_delivery_a_short_limit_for_everybody_shortens_no_longer_one(post: Post) -> None:
    post.answers("hook-a", limited(600.0, Scope.ADDRESS))
    post.answers("hook-b", Takes(1.0, limited(2.0, Scope.GLOBAL)))
    await post.put("a1", "b1")
    async with post.running():
        await asyncio.sleep(11 * MINUTE)
    assert sorted(post.calls()) == [(0.0, "a1"), (0.0, "b1"), (600.0, "a1"), (600.0, "b1")]


@pytest.mark.parametrize("pace", [0.0, 2.0])
async def test_delivery_the_plain_form_keeps_the_pace_too(post: Post, pace: float) -> None:
    post.answers("hook-a", replace(REFUSED, pace=pace))
    await post.put("a1")
    async with post.running():
        await asyncio.sleep(10.0)
    assert [(call.at, call.plain) for call in post.sender.calls] == [(0.0, False), (pace, True)]


async def test_delivery_endless_limits_expire_in_the_end(post: Post) -> None:
    post.answers("hook-a", *[limited(HOUR)] * 200)
    await post.put("a1")
    async with post.running():
        await asyncio.sleep(72 * HOUR)
    assert await post.ends() == {"a1": "expired"}


@pytest.mark.parametrize(("scope", "others"), [(Scope.WEBHOOK, 10.0), (Scope.ADDRESS, 60.0)])
@pytest.mark.parametrize(("boot_id", "wait"), [("boot-1", 60.0), ("boot-2", 70.0)])
async def test_delivery_a_limit_outlives_the_engine_and_counts_anew_after_a_reboot(
    post: Post, scope: Scope, others: float, boot_id: str, wait: float
) -> None:
    post.answers("hook-a", limited(60.0, scope))
    await post.put("a1")
    async with post.running():
        await asyncio.sleep(10.0)
    post.boot_id = boot_id
    await post.put("b1")
    async with post.running():
        await asyncio.sleep(2 * MINUTE)
    assert post.calls("hook-a") == [(0.0, "a1"), (wait, "a1")]
    assert post.calls("hook-b") == [(others if scope is Scope.WEBHOOK else wait, "b1")]


async def test_delivery_what_is_refused_for_its_form_goes_once_more_as_plain_text(post: Post) -> None:
    post.answers("hook-a", REFUSED, SENT, REFUSED, REFUSED)
    await post.put("a1", "a2", "a3")
    async with post.running():
        await asyncio.sleep(HOUR)
    assert [(call.title, call.plain) for call in post.sender.calls] == [
        *(("a1", False), ("a1", True), ("a2", False), ("a2", True)),
        ("a3", False),
    ]
    assert await post.ends() == {"a1": "sent", "a2": "refused", "a3": "sent"}
    assert (await post.errors())["a2"] == "HTTP 400, code 50035"


async def test_delivery_doubt_is_never_sent_again(post: Post) -> None:
    post.answers("hook-a", DOUBT)
    await post.put("a1")
    for _ in range(2):
        async with post.running():
            await asyncio.sleep(HOUR)
    assert post.calls() == [(0.0, "a1")]
    assert await post.ends() == {"a1": "unknown"}
    assert await post.errors() == {"a1": "no answer (TimeoutError)"}


async def test_failures_a_bug_costs_one_message_and_delays_no_other(post: Post) -> None:
    post.answers("hook-a", ValueError("canary"))
    await post.put("a1", "a2")
    async with post.running():
        await asyncio.sleep(MINUTE)
    assert await post.ends() == {"a1": "unknown", "a2": "sent"}
    assert (await post.errors())["a1"] == "a bug in the daemon"


async def test_delivery_an_engine_killed_while_sending_leaves_doubt_and_what_waited_is_sent(post: Post) -> None:
    post.answers("hook-a", Takes(HOUR))
    await post.put("a1", "a2")
    async with post.killed():
        await asyncio.sleep(5.0)
    assert await post.ends() == {"a1": "sending", "a2": "waiting"}
    async with post.running():
        await asyncio.sleep(MINUTE)
    assert post.calls() == [(0.0, "a1"), (5.0, "a2")]
    assert await post.ends() == {"a1": "unknown", "a2": "sent"}
