"""Which problems a tenant has heard of, on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from inara_daemon.problem_memory import Problem, ToldProblem, problem_news, remember
from inara_daemon.store.state import problems
from inara_daemon.store.state.database import StateDatabase
from tests.integration.store.test_state import open_state

NOW = datetime(2026, 11, 24, 1, 0, 0, 123_456, tzinfo=UTC)
DAY = timedelta(days=1)
BUG = ToldProblem("bug", "a" * 32, NOW - 9 * DAY, NOW)
OUTAGE = ToldProblem("outage", "b" * 32, NOW, NOW)


async def told(state: StateDatabase, tenant: str = "alpha") -> Mapping[str, ToldProblem]:
    async with state.read() as connection:
        return await problems.told(connection, tenant)


async def save(state: StateDatabase, *found: ToldProblem, tenant: str = "alpha") -> None:
    async with state.write() as connection:
        await problems.save_told(connection, tenant, found)


async def test_who_was_told_nothing_has_heard_of_nothing(state: StateDatabase) -> None:
    assert await told(state) == {}


async def test_what_was_told_is_remembered_with_its_times_over_a_restart(url: str) -> None:
    async with open_state(url) as state:
        await save(state, BUG, OUTAGE)
    async with open_state(url) as state:
        assert await told(state) == {"bug": BUG, "outage": OUTAGE}


async def test_what_is_saved_replaces_all_that_was_there_before(state: StateDatabase) -> None:
    await save(state, BUG, OUTAGE)
    changed = ToldProblem("bug", "c" * 32, NOW - 9 * DAY, NOW + DAY)
    await save(state, changed)
    assert await told(state) == {"bug": changed}
    await save(state)
    assert await told(state) == {}


async def test_isolation_each_tenant_has_a_memory_of_its_own(state: StateDatabase) -> None:
    await save(state, BUG)
    await save(state, OUTAGE, tenant="beta")
    await save(state, tenant="gamma")
    assert await told(state) == {"bug": BUG}
    assert await told(state, "beta") == {"outage": OUTAGE}


async def test_over_nights_a_problem_is_told_weekly_by_what_the_state_remembers(state: StateDatabase) -> None:
    met = [Problem("outage", "HTTP 503"), Problem("name_rejected", "", "Void 🚀")]
    nights = []
    for night in range(8):
        now = NOW + night * DAY
        known = await told(state)
        news = problem_news(met, known, now, complete=True)
        await save(state, *remember(met, known, news, now))
        nights.append(news)
    since = {"outage": NOW, "name_rejected": NOW}
    assert nights[0].fresh == set(since)
    assert [night.unchanged for night in nights[1:7]] == [since] * 6
    assert nights[7].reminded == since
