"""Which problems a tenant has heard of, on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from inara_daemon.problem_memory import Problem, ProblemNews, ToldProblem, problem_news, remember
from inara_daemon.store.state import outbox, problems
from inara_daemon.store.state.database import StateDatabase
from inara_daemon.store.state.outbox import KEPT, LOST, MessageStatus, OutboxTable
from tests.integration.store.test_state import open_state

NOW = datetime(2026, 11, 24, 1, 0, 0, 123_456, tzinfo=UTC)
DAY = timedelta(days=1)
BUG = ToldProblem("bug", "a" * 32, NOW - 9 * DAY, NOW)
OUTAGE = ToldProblem("outage", "b" * 32, NOW, NOW)


async def told(state: StateDatabase, tenant: str = "alpha") -> Mapping[str, ToldProblem]:
    async with state.read() as connection:
        return await problems.told(connection, tenant)


async def save(state: StateDatabase, *found: ToldProblem, tenant: str = "alpha") -> int:
    """Queue a message that tells them; its number."""
    async with state.write() as connection:
        number = await outbox.enqueue(connection, tenant_id=tenant, body="{}", now=NOW)
        await problems.save_told(connection, tenant, found, told_in=number)
    return number


async def end(state: StateDatabase, number: int, status: MessageStatus) -> None:
    table = OutboxTable(state)
    if status is not MessageStatus.WAITING:
        assert await table.begin(number, "attempt") is not None
    if status not in {MessageStatus.WAITING, MessageStatus.SENDING}:
        await table.settle(number, status=status.value, error=None, now=NOW)


async def test_who_was_told_nothing_has_heard_of_nothing(state: StateDatabase) -> None:
    assert await told(state) == {}


async def test_what_was_told_is_remembered_with_its_times_over_a_restart(url: str) -> None:
    async with open_state(url) as state:
        number = await save(state, BUG, replace(OUTAGE, over=True))
    async with open_state(url) as state:
        assert await told(state) == {
            "bug": replace(BUG, told_in=number),
            "outage": replace(OUTAGE, told_in=number, over=True),
        }


async def test_what_is_saved_replaces_all_that_was_there_before(state: StateDatabase) -> None:
    await save(state, BUG, OUTAGE)
    changed = ToldProblem("bug", "c" * 32, NOW - 9 * DAY, NOW + DAY)
    number = await save(state, changed)
    assert await told(state) == {"bug": replace(changed, told_in=number)}
    await save(state)
    assert await told(state) == {}


async def test_what_was_told_in_an_earlier_message_stays_in_that_one(state: StateDatabase) -> None:
    first = await save(state, BUG)
    second = await save(state, *(await told(state)).values(), OUTAGE)
    assert {kind: known.told_in for kind, known in (await told(state)).items()} == {"bug": first, "outage": second}


@pytest.mark.parametrize("status", MessageStatus)
async def test_what_was_told_in_a_message_that_did_not_arrive_is_lost(
    state: StateDatabase, status: MessageStatus
) -> None:
    number = await save(state, BUG)
    await end(state, number, status)
    other = await save(state, *(await told(state)).values(), OUTAGE)
    assert await told(state) == {
        "bug": replace(BUG, told_in=number, lost=status in LOST),
        "outage": replace(OUTAGE, told_in=other),
    }


@pytest.mark.parametrize("status", MessageStatus)
async def test_that_something_is_over_is_remembered_until_its_message_has_arrived(
    state: StateDatabase, status: MessageStatus
) -> None:
    number = await save(state, replace(BUG, over=True))
    await end(state, number, status)
    over = {"bug": replace(BUG, told_in=number, over=True, lost=status in LOST)}
    assert await told(state) == ({} if status is MessageStatus.SENT else over)


async def test_a_message_that_is_long_forgotten_has_arrived(state: StateDatabase) -> None:
    number = await save(state, BUG, replace(OUTAGE, over=True))
    await end(state, number, MessageStatus.SENT)
    async with state.write() as connection:
        await outbox.prune(connection, NOW + KEPT + DAY)
        assert await outbox.load(connection, number) is None
    assert await told(state) == {"bug": replace(BUG, told_in=number)}


async def test_isolation_each_tenant_has_a_memory_of_its_own(state: StateDatabase) -> None:
    alphas = await save(state, BUG)
    betas = await save(state, OUTAGE, tenant="beta")
    await save(state, tenant="gamma")
    await end(state, betas, MessageStatus.REFUSED)
    assert await told(state) == {"bug": replace(BUG, told_in=alphas)}
    assert await told(state, "beta") == {"outage": replace(OUTAGE, told_in=betas, lost=True)}


async def test_over_nights_a_problem_is_told_weekly_by_what_the_state_remembers(state: StateDatabase) -> None:
    met = [Problem("outage", "HTTP 503"), Problem("name_rejected", "", "Void 🚀")]
    nights = [await run(state, *met, night=night) for night in range(8)]
    since = {"outage": NOW, "name_rejected": NOW}
    assert nights[0].fresh == set(since)
    assert [night.unchanged for night in nights[1:7]] == [since] * 6
    assert nights[7].reminded == since


async def test_over_nights_that_a_problem_is_over_is_told_until_it_has_arrived(state: StateDatabase) -> None:
    await run(state, Problem("outage", "HTTP 503"), night=0)
    ends = (MessageStatus.EXPIRED, MessageStatus.UNKNOWN, MessageStatus.SENT, MessageStatus.SENT)
    nights = [await run(state, night=night, status=status) for night, status in enumerate(ends, 1)]
    assert [night.over for night in nights] == [{"outage": NOW}] * 3 + [{}]


async def run(
    state: StateDatabase, *met: Problem, night: int, status: MessageStatus = MessageStatus.SENT
) -> ProblemNews:
    now = NOW + night * DAY
    known = await told(state)
    news = problem_news(met, known, now, complete=True, names_read=True)
    await end(state, await save(state, *remember(met, known, news, now)), status)
    return news
