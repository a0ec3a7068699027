"""A state database, webhooks that tests change, and services that answer as they are told."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import select, text

from inara_daemon import report
from inara_daemon.notify.channel import Channel, Delivery, Scope, SendResult
from inara_daemon.notify.outbox import Outbox
from inara_daemon.report import Report
from inara_daemon.secret import Secret
from inara_daemon.store.state import outbox
from inara_daemon.store.state.database import StateDatabase
from inara_daemon.store.state.outbox import OutboxTable
from inara_daemon.store.state.tables import message
from tests.virtual_time import virtual_clock

MINUTE, HOUR = 60.0, 3_600.0
NOW = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
SENT = SendResult(Delivery.SENT)
AWAY = SendResult(Delivery.RETRY, "HTTP 503")
DOUBT = SendResult(Delivery.UNKNOWN, "no answer (TimeoutError)")
GONE = SendResult(Delivery.DEAD, "HTTP 404, code 10015")
REFUSED = SendResult(Delivery.REFUSED, "HTTP 400, code 50035")


def limited(seconds: float, scope: Scope = Scope.DESTINATION) -> SendResult:
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
class ScriptedChannel:
    """Answers each webhook by its own script, then with success."""

    name: str = "scripted"
    spacing: float = 0.0
    prefix: str = ""
    script: defaultdict[str, deque[SendResult | Takes | Exception]] = field(default_factory=lambda: defaultdict(deque))
    calls: list[Call] = field(default_factory=list)

    def answers(self, webhook: str, *answers: SendResult | Takes | Exception) -> None:
        self.script[webhook].extend(answers)

    def takes(self, url: Secret) -> bool:
        return url.reveal().startswith(self.prefix)

    async def close(self) -> None:
        pass

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
    sender: ScriptedChannel = field(default_factory=ScriptedChannel)
    others: tuple[Channel, ...] = ()
    """Channels that are asked before the scripted one."""
    titles: dict[int, str] = field(default_factory=dict)
    """By message, as the state forgets what was settled."""
    webhooks: dict[str, str] = field(default_factory=lambda: {name: f"hook-{name}" for name in ("a", "b", "c")})
    boot_id: str = "boot-1"
    alive: list[float] = field(default_factory=list)

    def answers(self, webhook: str, *answers: SendResult | Takes | Exception) -> None:
        self.sender.answers(webhook, *answers)

    async def put(self, *titles: str, tenant: str | None = None, body: str | None = None) -> None:
        """Queue reports; the first letter of a title is its tenant, if none is named."""
        async with self.state.write() as connection:
            for title in titles:
                owner = title[0] if tenant is None else tenant
                text = body or report.to_json(report.notice(owner, title, "text", NOW))
                self.titles[await outbox.enqueue(connection, tenant_id=owner, body=text, now=NOW)] = title

    def open(self) -> Outbox:
        loop = asyncio.get_running_loop()
        return Outbox(
            OutboxTable(self.state),
            (*self.others, self.sender),
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
            return {self.titles[row.id]: row.status for row in rows}

    async def errors(self) -> dict[str, str | None]:
        async with self.state.read() as connection:
            rows = await connection.execute(select(message))
            return {self.titles[row.id]: row.error for row in rows}

    def calls(self, webhook: str | None = None) -> list[tuple[float, str]]:
        """When which message was tried, counted from the first attempt of all."""
        first = self.sender.calls[0].at if self.sender.calls else 0.0
        chosen = [call for call in self.sender.calls if webhook in (None, call.url)]
        return [(round(call.at - first, 3), call.title) for call in chosen]
