"""What a report says of problems is true and new, whatever else fails that night."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from inara_daemon.inara import desk
from inara_daemon.notify import outbox
from inara_daemon.sandbox import faults
from inara_daemon.sandbox.world import demo_world
from inara_daemon.service import request_desk, supervisor, tenant_task
from tests.integration.service.test_telling import HOUR, MINUTE, NAME, TOO_LONG, nights, told
from tests.stage import Stage, execute, open_stage

pytestmark = pytest.mark.virtual_time


@pytest.fixture(autouse=True)
def _rare_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_desk, "POLL_SECONDS", 10 * MINUTE)
    monkeypatch.setattr(desk, "_LONGEST_NAP_SECONDS", 10 * MINUTE)
    monkeypatch.setattr(outbox, "_NAP_SECONDS", 10 * MINUTE)
    monkeypatch.setattr(supervisor, "_WATCH_SECONDS", 10 * MINUTE)
    monkeypatch.setattr(supervisor, "STUCK_SECONDS", HOUR)
    monkeypatch.setattr(tenant_task, "_NAP_SECONDS", 10 * MINUTE)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path, demo_world(), rate=2) as opened:
        opened.extra["INARA_DAEMON_DISCOVER_MINUTES"] = "0"
        yield opened


def embeds(stage: Stage) -> list[dict[str, Any]]:
    return [embed for _, embed in told(stage)]


async def test_no_problem_of_a_name_is_over_when_the_names_could_not_be_read(stage: Stage) -> None:
    path = stage.add_tenant("alpha", [NAME, TOO_LONG], inara_daemon={"report": "problems"})
    await nights(stage, 1)
    path.unlink()
    await nights(stage, 1)
    assert len(embeds(stage)) == 2
    assert not any("No longer a problem" in embed for embed in embeds(stage))


async def test_that_a_problem_is_over_is_told_again_when_the_report_that_told_it_was_lost(stage: Stage) -> None:
    path = stage.add_tenant("alpha", [NAME, TOO_LONG], inara_daemon={"report": "problems"})
    await nights(stage, 1)
    execute(path, "DELETE FROM event WHERE cmdr = ?", TOO_LONG)
    stage.discord.inject(faults.discord_close_after())
    await nights(stage, 2)
    assert any("No longer a problem" in embed for embed in embeds(stage))


async def test_a_database_that_stays_away_is_told_once_and_not_every_night_by_its_log_line(stage: Stage) -> None:
    path = stage.add_tenant("alpha", [NAME], inara_daemon={"report": "problems"})
    await nights(stage, 1)
    path.unlink()
    await nights(stage, 4)
    assert [embed["title"] for embed in embeds(stage)] == ["Alpha: the roster could not be brought up to date"]


async def test_what_the_report_tells_of_a_database_is_not_in_its_log_once_more(stage: Stage) -> None:
    path = stage.add_tenant("alpha", [NAME], inara_daemon={"report": "problems"})
    await nights(stage, 1)
    path.unlink()
    await nights(stage, 1)
    assert "Log" not in embeds(stage)[0]


async def test_a_message_that_says_a_problem_is_over_has_a_title_that_says_so(stage: Stage) -> None:
    path = stage.add_tenant("alpha", [NAME, TOO_LONG], inara_daemon={"report": "problems"})
    await nights(stage, 1)
    execute(path, "DELETE FROM event WHERE cmdr = ?", TOO_LONG)
    await nights(stage, 1)
    assert embeds(stage)[-1]["title"] != "Alpha: nothing changed"


async def test_a_complete_run_that_had_nobody_to_ask_is_no_failure(stage: Stage) -> None:
    stage.add_tenant("alpha", [TOO_LONG])
    await nights(stage, 1)
    assert "could not be brought up to date" not in embeds(stage)[0]["title"]
