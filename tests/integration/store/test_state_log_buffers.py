"""Log lines that wait, on SQLite and PostgreSQL: none is lost or told twice, over restarts and reboots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from inara_daemon.clock import Clock
from inara_daemon.log_lines import (
    HOUR_SECONDS,
    LINES_A_MESSAGE,
    LINES_AN_HOUR,
    LINES_KEPT,
    MESSAGE_SECONDS,
    Allowance,
    Digest,
    LogLine,
    log_line,
    next_digest,
)
from inara_daemon.store.state import log_buffers
from inara_daemon.store.state.database import StateDatabase
from inara_daemon.store.state.log_buffers import LogBuffer
from inara_daemon.store.state.outbox import OPERATOR
from tests.integration.store.test_state import open_state

AT = datetime(2026, 11, 24, 1, 0, 0, 123_456, tzinfo=UTC)
FIRST = log_line("warning", "x_failed", 'tries=1 name="Void 🚀"\n\x00', AT)
SECOND = log_line("error", "y_failed", "", AT + timedelta(seconds=1))


@dataclass(slots=True)
class Host:
    """A host whose uptime a test decides."""

    uptime: float = 5_000.0
    boot_id: str = "boot-1"

    @property
    def clock(self) -> Clock:
        return Clock(now=lambda: AT, boottime=lambda: self.uptime, boot_id=self.boot_id)

    def reboot(self) -> None:
        self.uptime, self.boot_id = 20.0, "boot-2"


@pytest.fixture
def host() -> Host:
    return Host()


def lines(count: int, start: int = 0) -> tuple[LogLine, ...]:
    """Lines that differ in more than numbers."""
    texts = ("".join("abcdefghij"[int(digit)] for digit in str(number)) for number in range(start, start + count))
    return tuple(log_line("warning", "x_failed", text, AT) for text in texts)


async def add(state: StateDatabase, host: Host, *some: LogLine, destination: str = "alpha", held_back: int = 0) -> None:
    async with state.write() as connection:
        await log_buffers.add(connection, destination, some, host.clock, held_back=held_back)


async def load(state: StateDatabase, host: Host, destination: str = "alpha") -> LogBuffer:
    async with state.read() as connection:
        return await log_buffers.load(connection, destination, host.clock)


async def adopt(state: StateDatabase, host: Host) -> None:
    async with state.write() as connection:
        await log_buffers.adopt(connection, host.clock)


async def take(
    state: StateDatabase, host: Host, destination: str = "alpha", room: int = 100_000
) -> tuple[Iterable[LogLine], int]:
    async with state.write() as connection:
        return await log_buffers.take(connection, destination, host.clock, room=room)


async def waiting(state: StateDatabase, host: Host) -> Mapping[str, LogBuffer]:
    async with state.read() as connection:
        return await log_buffers.waiting(connection, host.clock)


async def tell(state: StateDatabase, host: Host, destination: str = "alpha") -> Digest | None:
    """Queue what may be told now."""
    async with state.write() as connection:
        buffer = await log_buffers.load(connection, destination, host.clock)
        digest = next_digest(buffer.lines, buffer.allowance, host.uptime)
        if digest is not None:
            await log_buffers.settle(connection, destination, digest, host.clock)
        return digest


# --- What waits ------------------------------------------------------------------------------------------------------


async def test_where_nothing_was_logged_nothing_waits(state: StateDatabase, host: Host) -> None:
    assert await load(state, host) == LogBuffer()
    assert await take(state, host) == ((), 0)
    assert await tell(state, host) is None
    assert await waiting(state, host) == {}


async def test_lines_come_back_over_a_restart_as_they_were_logged(url: str, host: Host) -> None:
    async with open_state(url) as state:
        await add(state, host, FIRST, SECOND, held_back=3)
    async with open_state(url) as state:
        await adopt(state, host)
        assert await load(state, host) == LogBuffer((FIRST, SECOND), Allowance(held_back=3))


async def test_lines_that_are_alike_are_one_whenever_they_come(state: StateDatabase, host: Host) -> None:
    await add(state, host, FIRST)
    later = log_line("warning", "x_failed", FIRST.text.replace("1", "2"), AT + timedelta(hours=1))
    await add(state, host, SECOND, later)
    assert (await load(state, host)).lines == (FIRST.joined(later), SECOND)


async def test_what_finds_no_room_is_counted_on(state: StateDatabase, host: Host) -> None:
    await add(state, host, *lines(LINES_KEPT + 2))
    await add(state, host, *lines(3, start=LINES_KEPT), held_back=10)
    buffer = await load(state, host)
    assert buffer == LogBuffer(lines(LINES_KEPT), Allowance(held_back=15))


async def test_isolation_each_destination_has_lines_of_its_own(state: StateDatabase, host: Host) -> None:
    await add(state, host, FIRST)
    await add(state, host, SECOND, destination=OPERATOR)
    assert (await load(state, host)).lines == (FIRST,)
    assert (await load(state, host, OPERATOR)).lines == (SECOND,)
    assert await waiting(state, host) == {"alpha": LogBuffer((FIRST,)), OPERATOR: LogBuffer((SECOND,))}
    await take(state, host)
    assert (await load(state, host, OPERATOR)).lines == (SECOND,)


async def test_something_waits_also_where_lines_were_only_counted(state: StateDatabase, host: Host) -> None:
    await add(state, host, held_back=2)
    assert await waiting(state, host) == {"alpha": LogBuffer((), Allowance(held_back=2))}


async def test_what_waits_comes_with_what_may_be_told_of_it(state: StateDatabase, host: Host) -> None:
    await add(state, host, *lines(50), held_back=3)
    await tell(state, host)
    await tell(state, host, "beta")
    (buffer,) = (await waiting(state, host)).values()
    assert buffer == await load(state, host)
    assert buffer.allowance.ready_at(host.uptime) == host.uptime + MESSAGE_SECONDS


async def test_where_all_was_told_nothing_waits(state: StateDatabase, host: Host) -> None:
    await add(state, host, FIRST, held_back=3)
    await tell(state, host)
    assert await waiting(state, host) == {}


async def test_what_waits_since_another_boot_may_be_told_five_minutes_after_this_one(
    state: StateDatabase, host: Host
) -> None:
    await add(state, host, FIRST)
    host.reboot()
    (buffer,) = (await waiting(state, host)).values()
    assert buffer == LogBuffer((FIRST,), Allowance(20.0 + MESSAGE_SECONDS))


async def test_what_nobody_can_be_told_is_forgotten(state: StateDatabase, host: Host) -> None:
    await add(state, host, FIRST, held_back=2)
    await add(state, host, SECOND, destination="beta")
    async with state.write() as connection:
        await log_buffers.forget(connection, "alpha")
    assert await load(state, host) == LogBuffer()
    assert set(await waiting(state, host)) == {"beta"}


# --- What is told ----------------------------------------------------------------------------------------------------


async def test_a_report_takes_everything_once_and_leaves_the_allowance_as_it_is(
    state: StateDatabase, host: Host
) -> None:
    await add(state, host, FIRST)
    await tell(state, host)
    await add(state, host, *lines(LINES_KEPT + 2))
    allowance = (await load(state, host)).allowance
    assert await take(state, host) == (lines(LINES_KEPT), 2)
    assert await take(state, host) == ((), 0)
    assert await waiting(state, host) == {}
    after = (await load(state, host)).allowance
    assert (after.next_at, after.told, after.held_back) == (allowance.next_at, allowance.told, 0)


async def test_a_report_takes_the_first_lines_that_it_has_room_for_and_leaves_the_rest(
    state: StateDatabase, host: Host
) -> None:
    await add(state, host, *lines(30), held_back=2)
    room = sum(len(str(line)) + 1 for line in lines(12))
    assert await take(state, host, room=room - 1) == (lines(11), 2)
    assert await waiting(state, host) == {"alpha": LogBuffer(lines(19, start=11))}
    assert await take(state, host, room=room) == (lines(11, start=11), 0)
    assert await take(state, host) == (lines(8, start=22), 0)


async def test_a_report_without_room_for_a_line_takes_what_was_held_back(state: StateDatabase, host: Host) -> None:
    await add(state, host, FIRST, held_back=2)
    assert await take(state, host, room=10) == ((), 2)
    assert await load(state, host) == LogBuffer((FIRST,))


async def test_a_report_takes_once_what_was_only_counted(state: StateDatabase, host: Host) -> None:
    await add(state, host, held_back=2)
    assert await take(state, host) == ((), 2)
    assert await take(state, host) == ((), 0)
    assert await waiting(state, host) == {}


async def test_a_line_keeps_the_identity_that_it_was_stored_with(state: StateDatabase, host: Host) -> None:
    stored = replace(FIRST, identity="of an older version")
    await add(state, host, stored)
    assert (await load(state, host)).lines == (stored,)
    await add(state, host, replace(SECOND, identity=stored.identity))
    assert [line.count for line in (await load(state, host)).lines] == [2]


async def test_what_was_told_is_settled_and_the_rest_waits(state: StateDatabase, host: Host) -> None:
    await add(state, host, *lines(50))
    digest = await tell(state, host)
    assert digest is not None
    assert digest.told == lines(LINES_A_MESSAGE)
    assert await load(state, host) == LogBuffer(lines(30, start=20), digest.after)


async def test_what_came_since_a_message_was_made_is_not_settled_with_it(state: StateDatabase, host: Host) -> None:
    await add(state, host, FIRST)
    buffer = await load(state, host)
    digest = next_digest(buffer.lines, buffer.allowance, host.uptime)
    assert digest is not None
    await add(state, host, SECOND)
    async with state.write() as connection:
        await log_buffers.settle(connection, "alpha", digest, host.clock)
    assert (await load(state, host)).lines == (SECOND,)


async def test_beyond_an_hours_lines_all_wait_and_are_told_in_the_next_hours(state: StateDatabase, host: Host) -> None:
    await add(state, host, *lines(LINES_KEPT))
    told: list[LogLine] = []
    began = host.uptime
    while len(told) < LINES_KEPT:
        digest = await tell(state, host)
        if digest is not None:
            assert digest.held_back == 0
            told += digest.told
        host.uptime += MESSAGE_SECONDS
    assert tuple(told) == lines(LINES_KEPT)
    assert HOUR_SECONDS < host.uptime - began < 2 * HOUR_SECONDS


async def test_a_restart_gives_no_new_allowance(url: str, host: Host) -> None:
    told: list[int] = []
    for _ in range(4):
        async with open_state(url) as state:
            await adopt(state, host)
            await add(state, host, *lines(LINES_KEPT, start=len(told) * LINES_KEPT))
            digest = await tell(state, host)
            assert await tell(state, host) is None
            told.append(len(digest.told) if digest is not None else 0)
        host.uptime += MESSAGE_SECONDS
    assert told == [LINES_A_MESSAGE, LINES_A_MESSAGE, LINES_A_MESSAGE, 0]
    assert sum(told) == LINES_AN_HOUR
    async with open_state(url) as state:
        host.uptime += HOUR_SECONDS
        assert await tell(state, host) is not None


async def test_after_a_reboot_the_waits_begin_anew_once_and_end(state: StateDatabase, host: Host) -> None:
    await add(state, host, *lines(LINES_AN_HOUR))
    for _ in range(3):
        assert await tell(state, host) is not None
        host.uptime += MESSAGE_SECONDS
    await add(state, host, FIRST)
    host.reboot()
    await adopt(state, host)
    for seconds in (0.0, MESSAGE_SECONDS, HOUR_SECONDS - MESSAGE_SECONDS - 1):
        host.uptime += seconds
        await adopt(state, host)
        assert await tell(state, host) is None
    host.uptime += 1
    digest = await tell(state, host)
    assert digest is not None
    assert digest.told == (FIRST,)


async def test_after_a_reboot_a_message_comes_after_five_minutes_where_the_hour_has_room(
    state: StateDatabase, host: Host
) -> None:
    await add(state, host, FIRST)
    await tell(state, host)
    await add(state, host, SECOND)
    host.reboot()
    await adopt(state, host)
    assert await tell(state, host) is None
    host.uptime += MESSAGE_SECONDS
    digest = await tell(state, host)
    assert digest is not None
    assert digest.told == (SECOND,)


async def test_nothing_is_adopted_but_the_waits_of_another_boot(state: StateDatabase, host: Host) -> None:
    await add(state, host, FIRST)
    await tell(state, host)
    await add(state, host, SECOND, held_back=4)
    before = await load(state, host)
    host.uptime += 100
    await adopt(state, host)
    assert await load(state, host) == before
    host.reboot()
    await adopt(state, host)
    after = await load(state, host)
    assert (after.lines, after.allowance.held_back) == ((SECOND,), 4)
    assert after.allowance.told == ((20.0, 1),)


@pytest.mark.parametrize("half", [0xD800, 0xDFFF])
async def test_a_line_of_any_text_can_be_kept(state: StateDatabase, host: Host, half: int) -> None:
    odd = log_line("warning", f"{chr(half)} failed", f"name={chr(half)}", AT)
    await add(state, host, odd)
    assert (await load(state, host)).lines == (odd,)
