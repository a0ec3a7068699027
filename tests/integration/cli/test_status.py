"""`status`: what it prints of tenants and commanders, from a real state and real databases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest

from inara_daemon.answers import Update
from inara_daemon.cli.place import Place, read_tenants
from inara_daemon.cli.status import show_status
from inara_daemon.commander import Record, Standing
from inara_daemon.inara.pauses import Pauses
from inara_daemon.sandbox.world import demo_world
from inara_daemon.settings import Secret
from inara_daemon.store.state import roster as memory
from inara_daemon.store.state import runs
from inara_daemon.store.state.budget import BudgetTable
from inara_daemon.store.state.runs import RunReason
from tests.stage import Stage, execute, open_stage, until

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """Two tenants after their first run: one commander of both, and one whom Inara does not know."""
    async with open_stage(tmp_path, demo_world()) as opened:
        opened.add_tenant("alpha", ["Nova Kestrel", "Zero Zane", "Nobody [red]Here"])
        opened.add_tenant("beta", ["Nova Kestrel"])
        async with opened.engine():
            await until(lambda: len(opened.discord.messages) == 2)
        # Whatever the time of day, longer than until the next run.
        await remember(opened, "nobody [red]here", Record(Standing.NOT_FOUND, 0, NOW, misses=3, due_at=NOW + 9 * DAY))
        yield opened


async def remember(stage: Stage, key: str, record: Record) -> None:
    async with stage.house() as house, house.state.write() as connection:
        known = (await memory.records(connection, "alpha")).get(key, Record())
        kept = replace(record, answered_request=known.answered_request, last_event_id=known.last_event_id)
        await memory.write_ahead(connection, "alpha", 1, [Update(key, kept)], NOW)


class Screen:
    """Runs the verb; `said` is what it printed, line by line, with runs of blanks as one."""

    def __init__(self, stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
        self._stage = stage
        self._capsys = capsys
        self.said = ""

    async def status(self, *, tenants: Sequence[str] = (), names: Sequence[str] = ()) -> int:
        self._capsys.readouterr()
        code = await show_status(Place(self._stage.environ, None), tenant_ids=tenants, names=names)
        shown = self._capsys.readouterr().out
        self.said = "\n".join(" ".join(line.split()) for line in shown.splitlines())
        return code


@pytest.fixture
def screen(stage: Stage, capsys: pytest.CaptureFixture[str]) -> Screen:
    return Screen(stage, capsys)


async def test_without_a_name_it_tells_what_the_next_run_costs_and_opens_no_tenants_database(
    stage: Stage, screen: Screen
) -> None:
    for path in (stage.folder / "db").iterdir():
        path.unlink()
    assert await screen.status() == 0
    assert "alpha, beta │ 2 │ 1 │ 0 │ 1 │ 0 s" in screen.said
    assert "1 request, 0 s: fits into the night of 360 minutes" in screen.said
    assert "check reads the events and counts anew" in screen.said
    assert "Not counted" not in screen.said


async def test_a_tenant_that_never_ran_is_not_counted_and_said_to_be(stage: Stage, screen: Screen) -> None:
    stage.add_tenant("gamma", ["Zero Zane"])
    assert await screen.status() == 0
    assert "Not counted: 1 tenant that never ran" in screen.said
    assert await screen.status(tenants=["gamma"], names=["Zero Zane"]) == 0
    assert "next run at once" in screen.said
    assert await screen.status(tenants=["alpha"], names=["Zero Zane"]) == 0
    assert "01:00 UTC" in screen.said


async def test_it_shows_only_the_tenants_asked_for_and_the_costs_that_they_share(screen: Screen) -> None:
    assert await screen.status(tenants=["beta"]) == 0
    lines = screen.said.splitlines()
    assert not any(line.startswith("alpha │") for line in lines)
    assert sum(line.startswith("beta │") for line in lines) == 2  # a tenant, and its messages
    assert "alpha, beta │ 2" in screen.said


@pytest.mark.parametrize(("tenants", "names"), [(["nobody"], []), (["alpha", "nobody"], ["Zane"]), ([], [" "])])
async def test_a_tenant_that_is_not_there_and_a_name_of_nothing_are_wrong_usage(
    screen: Screen, tenants: list[str], names: list[str]
) -> None:
    with pytest.raises(click.BadParameter):
        await screen.status(tenants=tenants, names=names)


async def test_a_commander_is_shown_for_each_tenant_whose_events_carry_it(screen: Screen) -> None:
    assert await screen.status(names=["NOVA kestrel "]) == 0
    assert '"Nova Kestrel" at alpha' in screen.said
    assert '"Nova Kestrel" at beta' in screen.said
    assert screen.said.count("standing found on Inara") == 2
    assert "why due: a full run asks everyone, the stalest first" in screen.said
    assert "place 1st of 2, so in the 1st of about 1 request, not counting other tenants' turns" in screen.said
    assert "held up" not in screen.said
    assert await screen.status(tenants=["alpha"], names=["zero zane"]) == 0
    assert '"Zero Zane" at alpha' in screen.said
    assert "Nova" not in screen.said


async def test_new_events_are_seen_and_named(stage: Stage, screen: Screen) -> None:
    path = stage.folder / "db" / "alpha.db"
    execute(path, "INSERT INTO event (event, cmdr) VALUES ('x', 'ZERO ZANE')")
    execute(path, "INSERT INTO event (event, cmdr) VALUES ('x', ?)", "Brand \u202eNew")
    assert await screen.status(names=["zero zane", "brand \u202enew"]) == 0
    assert 'in the events "ZERO ZANE", "Zero Zane"' in screen.said
    assert "newest event 4; 2 at the last answer" in screen.said
    assert "why due: it has new events since its last answer" in screen.said
    assert '"Brand \N{REPLACEMENT CHARACTER}New" at alpha' in screen.said
    assert "last answer never" in screen.said
    assert "newest event 5; never answered" in screen.said
    assert "why due, with the first: it was never asked for" in screen.said


async def test_who_waits_is_told_until_when_and_markup_is_only_text(screen: Screen) -> None:
    assert await screen.status(names=["nobody [red]here"]) == 0
    assert '"Nobody [red]Here" at alpha' in screen.said
    assert "standing not on Inara" in screen.said
    assert "misses 3 in a row" in screen.said
    assert "as Inara does not know it; until then it only fills a free slot" in screen.said
    assert "place none of its own: 1st of 1 for free slots" in screen.said


@pytest.mark.parametrize(
    ("due_at", "words", "cost"),
    [
        (NOW + 9 * DAY, "as it is set aside; then it is tried in a request of its own\nplace none", "1 │ 1 │ 1 │ 1"),
        (NOW - DAY, "it was set aside, and its wait is over\nplace a request of its own", "2 │ 1 │ 0 │ 2"),
    ],
)
async def test_who_is_set_aside_is_told_what_it_costs_and_when(
    stage: Stage, screen: Screen, due_at: datetime, words: str, cost: str
) -> None:
    await remember(stage, "zero zane", Record(Standing.SET_ASIDE, 0, NOW, misses=3, due_at=due_at))
    assert await screen.status(names=["Zero Zane"]) == 0
    assert "standing set aside: Inara refuses every request that carries this name" in screen.said
    assert words in screen.said
    assert await screen.status() == 0
    assert f"alpha, beta │ {cost} │" in screen.said


async def test_who_waits_now_and_no_more_when_the_next_run_begins_is_due(stage: Stage, screen: Screen) -> None:
    stage.extra = {"INARA_DAEMON_SCHEDULE": f"0 1 1 {(NOW + 40 * DAY).month} *"}
    soon = NOW + timedelta(hours=6, minutes=30)
    await remember(stage, "zero zane", Record(Standing.NOT_FOUND, 0, NOW, misses=1, due_at=soon))
    assert await screen.status(tenants=["alpha"], names=["Zero Zane"]) == 0
    assert "why due: a full run asks everyone, the stalest first; its wait is over" in screen.said
    assert "place 3rd of 3" in screen.said  # behind whoever else is due by then


async def test_who_has_no_events_any_more_is_known_and_not_asked(stage: Stage, screen: Screen) -> None:
    execute(stage.folder / "db" / "alpha.db", "DELETE FROM event WHERE cmdr = 'Zero Zane'")
    assert await screen.status(names=["Zero Zane"]) == 0
    assert "in the events no event carries it" in screen.said
    assert "why not asked: no event carries it any more" in screen.said
    assert "newest event none; 2 at the last answer" in screen.said


async def test_a_name_that_is_too_long_is_said_to_be(stage: Stage, screen: Screen) -> None:
    execute(stage.folder / "db" / "alpha.db", "INSERT INTO event (event, cmdr) VALUES ('x', ?)", "Xx" * 33)
    assert await screen.status(names=["xx" * 33]) == 0
    assert "why never asked: the name is longer than 64 characters" in screen.said


async def test_a_name_that_nobody_knows_is_told_kindly_with_near_ones(screen: Screen) -> None:
    assert await screen.status(names=["Nova Kestral"]) == 1
    assert 'No tenant knows a commander "Nova Kestral"' in screen.said
    assert 'Did you mean "Nova Kestrel"?' in screen.said
    assert await screen.status(tenants=["beta"], names=["zero zane"]) == 1
    assert "Tenant beta does not know" in screen.said
    assert "Did you mean" not in screen.said


async def test_a_database_that_is_away_leaves_what_the_memory_knows(stage: Stage, screen: Screen) -> None:
    (stage.folder / "db" / "alpha.db").unlink()
    assert await screen.status(names=["Zero Zane", "Nova Kestral"]) == 1
    assert "in the events can't be read: see below" in screen.said
    assert "standing found on Inara" in screen.said
    assert "why" not in screen.said
    assert "problem: tenant alpha:" in screen.said
    assert "the memory does not have the name, and not all events can be read" in screen.said


async def test_in_a_run_under_way_whoever_was_answered_is_not_due(stage: Stage, screen: Screen) -> None:
    async with stage.house() as house, house.state.write() as connection:
        await runs.start(
            connection, tenant_id="alpha", reason=RunReason.CRON, started_at=NOW, deadline=None, first_request=0
        )
    assert await screen.status(tenants=["alpha"], names=["Zero Zane"]) == 0
    assert "next run under way: cron run" in screen.said
    assert "why not due: it was answered in the run under way" in screen.said


@pytest.mark.parametrize(
    ("reason", "only", "is_held_up"),
    [
        (RunReason.CRON, None, True),
        (RunReason.CATCH_UP, None, True),
        (RunReason.REQUEST, None, False),
        (RunReason.DISCOVERY, ("zero zane",), False),
    ],
)
async def test_a_night_that_is_over_holds_up_the_rest_of_its_run_unless_somebody_asked_for_it(
    stage: Stage, screen: Screen, reason: RunReason, only: tuple[str, ...] | None, *, is_held_up: bool
) -> None:
    stage.extra = {"INARA_DAEMON_NIGHT_MINUTES": "1", "INARA_DAEMON_REQUESTS_PER_MINUTE": "0.1"}
    async with stage.house() as house, house.state.write() as connection:
        records = await memory.records(connection, "alpha")
        answered = records["zero zane"].answered_request
        await runs.start(
            connection,
            tenant_id="alpha",
            reason=reason,
            started_at=NOW,
            deadline=None,
            first_request=answered,
            only=only,
        )
    # One more request than the night has, since the run began.
    async with stage.house() as house:
        table = BudgetTable(house.state)
        row = await table.load()
        assert row is not None
        assert await table.grant(seen=row["requests"], boot_id=row["boot_id"], base=row["base"])
    assert await screen.status(tenants=["alpha"], names=["Zero Zane"]) == 0
    spent = "held up the night is over before its turn: 0 requests are left, for all tenants together"
    assert (spent in screen.said) is is_held_up


async def test_a_night_that_is_too_short_holds_up_the_last(stage: Stage, screen: Screen) -> None:
    del stage.tenants[1]
    stage.write()
    stage.extra = {
        "INARA_DAEMON_NIGHT_MINUTES": "1",
        "INARA_DAEMON_REQUESTS_PER_MINUTE": "0.1",
        "INARA_DAEMON_BATCH_SIZE": "1",
    }
    for name, fits in (("Nova Kestrel", True), ("Zero Zane", False)):
        assert await screen.status(tenants=["alpha"], names=[name]) == 0
        assert ("the night is most likely over before its turn" in screen.said) is not fits, name


@pytest.mark.parametrize("refused", [False, True])
async def test_a_pause_holds_up_everyone_it_concerns(stage: Stage, screen: Screen, refused: bool) -> None:
    async with stage.house() as house:
        pauses = Pauses(BudgetTable(house.state), house.clock, application="Stage")
        fingerprint = house.state.fingerprint(place_key(stage))
        if refused:
            await pauses.bad_key(fingerprint, "Invalid [b]key")
        else:
            await pauses.limited("Too much", None)
    assert await screen.status(tenants=["alpha"], names=["Zero Zane"]) == 0
    said = "no request leaves until the key changes: bad_key: Invalid [b]key" if refused else "UTC: limited: Too much"
    assert said in screen.said


def place_key(stage: Stage) -> Secret:
    return read_tenants(Place(stage.environ, None).settings()).tenants[0].inara_api_key
