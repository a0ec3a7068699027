"""Log lines on their way to Discord: joined, few, in the right channel, and there after a restart."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import structlog

from inara_daemon.log_lines import LINES_A_MESSAGE, LINES_AN_HOUR
from inara_daemon.sandbox import faults
from inara_daemon.sandbox.discord import Message
from inara_daemon.sandbox.world import demo_world
from inara_daemon.store.state import log_buffers
from tests.integration.service.rare_looks import look_rarely
from tests.stage import Stage, open_stage

pytestmark = pytest.mark.virtual_time
MINUTE, HOUR = 60.0, 3_600.0
NAME = "Nova Kestrel"
WORDS = ("amber", "basalt", "cobalt", "damson", "ember", "fawn", "garnet", "henna", "indigo", "jade")

_log = structlog.get_logger("tests")


@pytest.fixture(autouse=True)
def _rare_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    look_rarely(monkeypatch, MINUTE)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path, demo_world(), rate=2) as opened:
        opened.extra["INARA_DAEMON_OPERATOR_WEBHOOK"] = opened.discord.webhook("operator")
        opened.extra["INARA_DAEMON_DISCOVER_MINUTES"] = "0"
        opened.add_tenant("alpha", [NAME], inara_daemon={"schedule": "0 23 * * *"})
        yield opened
        assert opened.discord.violations == []


def shown(stage: Stage, channel: str) -> list[Message]:
    return [message for message in stage.discord.messages if message.webhook == channel]


def digests(stage: Stage, channel: str = "alpha") -> list[tuple[float, dict[str, Any]]]:
    """The messages that hold nothing but log lines, with the time at which they came."""
    embeds = [(message.at, message.payload["embeds"][0]) for message in shown(stage, channel)]
    return [(at, embed) for at, embed in embeds if embed["footer"]["text"].startswith("From the log")]


def lines(embed: dict[str, Any]) -> list[str]:
    return [line for line in str(embed.get("description", "")).splitlines() if re.match(r"[0-9-]{5} [0-9:]{8} ", line)]


def different(number: int) -> str:
    """A text that differs from every other one in more than numbers."""
    return " ".join(WORDS[int(digit)] for digit in str(number))


async def test_a_line_between_runs_comes_at_once_and_the_next_ones_after_five_minutes_as_one(stage: Stage) -> None:
    async with stage.engine():
        await asyncio.sleep(10 * MINUTE)
        began = asyncio.get_running_loop().time()
        for number in range(8):
            _log.warning("thing_failed", tenant="alpha", attempt=number, error="no answer")
            await asyncio.sleep(30)
        await asyncio.sleep(20 * MINUTE)
    (first_at, first), (second_at, second) = digests(stage)
    assert first_at - began < 5
    assert (first["title"], len(lines(first))) == ("Alpha: thing failed", 1)
    assert 5 * MINUTE <= second_at - first_at < 7 * MINUTE
    (line,) = lines(second)
    assert second["title"] == "Alpha: thing failed, and 6 more"
    words = r"11-24 00:\d\d:\d\d warning thing_failed attempt=7 error=no answer \(7 times until 00:\d\d:\d\d\)"
    assert re.fullmatch(words, line)


async def test_a_failing_loop_never_floods_a_channel_and_every_line_is_accounted_for(stage: Stage) -> None:
    logged = 3 * 120 * 6
    async with stage.engine():
        await asyncio.sleep(10 * MINUTE)
        for number in range(logged):
            _log.error("loop_failed", tenant="alpha", error=different(number))
            if number % 6 == 0:
                await asyncio.sleep(30)
        await asyncio.sleep(3 * HOUR)
        async with stage.house() as house, house.state.read() as connection:
            left = await log_buffers.load(connection, "alpha", house.clock)
    told = digests(stage)
    times = [at for at, _ in told]
    assert all(later - earlier >= 5 * MINUTE for earlier, later in pairwise(times))
    counts = [len(lines(embed)) for _, embed in told]
    assert all(count <= LINES_A_MESSAGE for count in counts)
    for at in times:
        within = sum(count for time, count in zip(times, counts, strict=True) if at <= time < at + HOUR - 1)
        assert within <= LINES_AN_HOUR
    held_back = [re.search(r"([0-9,]+) more were held back", embed.get("description", "")) for _, embed in told]
    counted = sum(int(found[1].replace(",", "")) for found in held_back if found is not None)
    assert counted > 0
    assert (left.lines, left.allowance.held_back) == ((), 0)
    assert sum(counts) + counted == logged


async def test_what_was_logged_before_a_restart_or_a_reboot_is_told_after_it_once(stage: Stage) -> None:
    async with stage.engine():
        await asyncio.sleep(10 * MINUTE)
        _log.warning("thing_failed", tenant="alpha", error="first")
        await asyncio.sleep(MINUTE)
        _log.warning("thing_failed", tenant="alpha", error="second")
    stage.boot_id = "boot-2"
    async with stage.engine():
        await asyncio.sleep(20 * MINUTE)
    assert [re.findall(r"error=(\w+)", str(lines(embed))) for _, embed in digests(stage)] == [["first"], ["second"]]


async def test_what_is_logged_in_a_run_is_in_its_report(stage: Stage) -> None:
    stage.inara.inject(faults.http_error(503))
    async with stage.engine():
        await asyncio.sleep(20)
        _log.warning("thing_failed", tenant="alpha", error="amid")
        await asyncio.sleep(30 * MINUTE)
    (report,) = shown(stage, "alpha")
    assert "error=amid" in str(report.payload)
    assert digests(stage) == []


async def test_what_concerns_no_single_tenant_goes_to_the_operator_and_to_no_tenant(stage: Stage) -> None:
    stage.add_tenant("beta", ["Zero Zane"])
    async with stage.engine():
        await asyncio.sleep(10 * MINUTE)
        _log.error("reload_refused", problems=["tenants[0].db_uri: is missing"], action="the old one stays in force")
        _log.warning("thing_failed", tenant="beta", error="betas own")
        await asyncio.sleep(10 * MINUTE)
    assert "reload_refused" in stage.texts("operator")
    assert "is missing" in stage.texts("operator")
    assert "Inara daemon: reload refused" in stage.texts("operator")
    assert "betas own" in stage.texts("beta")
    assert "betas own" not in stage.texts("operator") + stage.texts("alpha")
    assert "reload_refused" not in stage.texts("alpha") + stage.texts("beta")


async def test_everything_paused_and_an_application_not_white_listed_are_told_to_the_operator(stage: Stage) -> None:
    stage.inara.inject(faults.NO_ACCESS)
    async with stage.engine():
        await asyncio.sleep(10 * MINUTE)
    assert "not_whitelisted" in stage.texts("operator")
    assert "white-listed by Inara" in stage.texts("operator")


async def test_a_webhook_that_died_is_told_to_the_operator_once(stage: Stage) -> None:
    stage.discord.webhook("alpha")
    stage.discord.delete_webhook("alpha")
    for _ in range(3):
        async with stage.engine():
            await asyncio.sleep(30 * MINUTE)
            _log.warning("thing_failed", tenant="alpha", error="nobody hears")
            await asyncio.sleep(30 * MINUTE)
    assert stage.texts("operator").count("webhook_dead") == 1
    assert shown(stage, "alpha") == []
    async with stage.house() as house, house.state.read() as connection:
        assert len((await log_buffers.load(connection, "alpha", house.clock)).lines) == 1


async def test_while_a_message_cannot_be_delivered_no_second_one_with_log_lines_is_queued(stage: Stage) -> None:
    async with stage.engine():
        await asyncio.sleep(10 * MINUTE)
        stage.discord.inject(*[faults.discord_http_error(503)] * 8, webhook="alpha")
        for _ in range(100):
            _log.warning("thing_failed", tenant="alpha", error="again")
            await asyncio.sleep(MINUTE)
        await asyncio.sleep(4 * HOUR)
    told = digests(stage)
    assert [embed["title"] for _, embed in told] == ["Alpha: thing failed", "Alpha: thing failed, and 98 more"]


async def test_without_a_webhook_nothing_is_kept_and_nothing_sent(stage: Stage) -> None:
    del stage.extra["INARA_DAEMON_OPERATOR_WEBHOOK"]
    async with stage.engine():
        _log.error("reload_refused", problems=[])
        await asyncio.sleep(10 * MINUTE)
        async with stage.house() as house, house.state.read() as connection:
            assert await log_buffers.waiting(connection, house.clock) == {}
    assert shown(stage, "operator") == []


async def test_half_a_surrogate_pair_in_a_librarys_line_costs_no_line(stage: Stage) -> None:
    async with stage.engine():
        await asyncio.sleep(10 * MINUTE)
        _log.warning("disk_slow", tenant="alpha")
        logging.getLogger("library").warning("odd \ud800 name")
        await asyncio.sleep(10 * MINUTE)
    assert any("disk_slow" in embed["description"] for _, embed in digests(stage))
    assert any("odd ? name" in embed["description"] for _, embed in digests(stage, "operator"))
