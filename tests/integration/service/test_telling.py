"""What a tenant is told over many nights: each thing once, problems again after a week, and what was lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from inara_daemon.sandbox import faults
from inara_daemon.sandbox.world import demo_world
from tests.integration.service.rare_looks import look_rarely
from tests.stage import Stage, execute, open_stage

pytestmark = pytest.mark.virtual_time
MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0
NAME = "Nova Kestrel"
TOO_LONG = "N" * 65


@pytest.fixture(autouse=True)
def _rare_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    look_rarely(monkeypatch, 10 * MINUTE)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path, demo_world(), rate=2) as opened:
        opened.extra["INARA_DAEMON_DISCOVER_MINUTES"] = "0"
        yield opened
        assert opened.discord.violations == []


def told(stage: Stage, channel: str = "alpha") -> list[tuple[int, dict[str, Any]]]:
    """Each message with the day on which it came: the first run, at once, and the first night's are both on day 0."""
    shown = [message for message in stage.discord.messages if message.webhook == channel]
    return [(int(message.at // DAY), _embed(message.payload)) for message in shown]


def _embed(payload: dict[str, Any]) -> dict[str, Any]:
    (embed,) = payload["embeds"]
    return {"title": embed["title"], **{field["name"]: field["value"] for field in embed["fields"]}}


async def nights(stage: Stage, count: int) -> None:
    async with stage.engine():
        await asyncio.sleep(count * DAY)


async def test_a_problem_that_does_not_change_is_told_once_then_weekly_and_once_when_it_is_over(stage: Stage) -> None:
    path = stage.add_tenant("alpha", [NAME, TOO_LONG], inara_daemon={"report": "problems"})
    await nights(stage, 9)
    assert [day for day, _ in told(stage)] == [0, 7]
    first, again = (embed for _, embed in told(stage))
    assert "Names too long for the table (1)" in first
    assert "Names too long for the table (1), still there since 24 Nov 2026" in again
    execute(path, "DELETE FROM event WHERE cmdr = ?", TOO_LONG)
    await nights(stage, 1)
    assert len(told(stage)) == 3
    _, over = told(stage)[-1]
    assert over["No longer a problem"] == "Names too long for the table (since 24 Nov 2026)"


async def test_who_wants_every_report_finds_what_did_not_change_in_one_line(stage: Stage) -> None:
    stage.add_tenant("alpha", [NAME, TOO_LONG])
    await nights(stage, 2)
    first, *later = (embed for _, embed in told(stage))
    assert "Names too long for the table (1)" in first
    for embed in later:
        assert embed["As before (told again once a week)"] == "Names too long for the table: 1, since 24 Nov 2026"
        assert embed["title"] == "Alpha: nothing changed"


async def test_a_problem_that_changes_is_told_at_once(stage: Stage) -> None:
    path = stage.add_tenant("alpha", [NAME, TOO_LONG], inara_daemon={"report": "problems"})
    await nights(stage, 2)
    execute(path, "INSERT INTO event (cmdr) VALUES (?)", f"another {TOO_LONG}")
    await nights(stage, 2)
    assert ["Names too long for the table (2)" in embed for _, embed in told(stage)] == [False, True]


async def test_a_refused_key_is_told_once_again_after_a_week_and_not_in_between(stage: Stage) -> None:
    stage.add_tenant("alpha", [NAME])
    stage.inara.inject(*[faults.INVALID_KEY] * 3)
    await nights(stage, 9)
    assert [day for day, _ in told(stage)] == [0, 7]
    assert "Inara key refused (1)" in told(stage)[0][1]
    assert "Inara key refused (1), still there since 24 Nov 2026" in told(stage)[1][1]
    assert len(stage.inara.arrivals) == 1


async def test_what_was_not_delivered_is_named_with_its_totals_by_the_first_report_that_arrives(stage: Stage) -> None:
    stage.add_tenant("alpha", [NAME])
    stage.discord.delete_webhook("alpha")
    await nights(stage, 3)
    assert told(stage) == []
    stage.tenants[0]["discord_webhooks"] = {"bullis": stage.discord.webhook("alpha again")}
    stage.write()
    await nights(stage, 2)
    first, second = (embed for _, embed in told(stage, "alpha again"))
    lost = first["Earlier messages that did not arrive"].splitlines()
    assert len(lost) == 4
    assert "The report of run 1 of 2026\\-11\\-24 was lost" in lost[0]
    assert all("lost with its webhook" in line and "1 of 1 commander looked up" in line for line in lost)
    assert "Earlier messages that did not arrive" not in second


async def test_a_problem_whose_report_was_lost_is_told_again(stage: Stage) -> None:
    stage.add_tenant("alpha", [NAME, TOO_LONG], inara_daemon={"report": "problems"})
    stage.discord.inject(faults.discord_close_after())
    await nights(stage, 2)
    ((_, embed),) = told(stage)
    assert "may have arrived or not" in embed["Earlier messages that did not arrive"]
    assert any(title.startswith("Names too long for the table (1)") for title in embed)


async def test_each_change_is_in_one_report_and_withheld_ones_are_in_none(stage: Stage) -> None:
    stage.add_tenant("alpha", [NAME])
    stage.add_tenant("beta", [NAME], inara_daemon={"report": "changes"})
    await nights(stage, 1)
    stage.inara.world.second_night()
    await nights(stage, 2)
    alpha = [embed["title"] for _, embed in told(stage)]
    assert [day for day, _ in told(stage, "beta")] == [0, 2] or alpha[2:3] == ["Alpha: nothing changed"]
    assert sum(title != "Alpha: nothing changed" for title in alpha) == len(told(stage, "beta"))


async def test_no_problem_of_a_name_is_over_when_the_names_could_not_be_read(stage: Stage) -> None:
    path = stage.add_tenant("alpha", [NAME, TOO_LONG], inara_daemon={"report": "problems"})
    await nights(stage, 1)
    path.unlink()
    await nights(stage, 1)
    assert len(told(stage)) == 2
    assert not any("No longer a problem" in embed for _, embed in told(stage))


async def test_that_a_problem_is_over_is_told_again_when_the_report_that_told_it_was_lost(stage: Stage) -> None:
    path = stage.add_tenant("alpha", [NAME, TOO_LONG], inara_daemon={"report": "problems"})
    await nights(stage, 1)
    execute(path, "DELETE FROM event WHERE cmdr = ?", TOO_LONG)
    stage.discord.inject(faults.discord_close_after())
    await nights(stage, 2)
    assert any("No longer a problem" in embed for _, embed in told(stage))


async def test_a_database_that_stays_away_is_told_once_and_not_every_night_by_its_log_line(stage: Stage) -> None:
    path = stage.add_tenant("alpha", [NAME], inara_daemon={"report": "problems"})
    await nights(stage, 1)
    path.unlink()
    await nights(stage, 4)
    assert [embed["title"] for _, embed in told(stage)] == ["Alpha: the roster could not be brought up to date"]


async def test_what_the_report_tells_of_a_database_is_not_in_its_log_once_more(stage: Stage) -> None:
    path = stage.add_tenant("alpha", [NAME], inara_daemon={"report": "problems"})
    await nights(stage, 1)
    path.unlink()
    await nights(stage, 1)
    assert "Log" not in told(stage)[0][1]


async def test_a_message_that_says_a_problem_is_over_has_a_title_that_says_so(stage: Stage) -> None:
    path = stage.add_tenant("alpha", [NAME, TOO_LONG], inara_daemon={"report": "problems"})
    await nights(stage, 1)
    execute(path, "DELETE FROM event WHERE cmdr = ?", TOO_LONG)
    await nights(stage, 1)
    assert told(stage)[-1][1]["title"] != "Alpha: nothing changed"


async def test_a_complete_run_that_had_nobody_to_ask_is_no_failure(stage: Stage) -> None:
    stage.add_tenant("alpha", [TOO_LONG])
    await nights(stage, 1)
    assert "could not be brought up to date" not in told(stage)[0][1]["title"]
