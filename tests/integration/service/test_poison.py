"""A name that makes Inara refuse every request that carries it: found, left out, tried by itself, and taken back."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from inara_daemon.commander import Record, Standing, lookup_key
from inara_daemon.sandbox.inara import POISONED
from inara_daemon.sandbox.world import make_world
from inara_daemon.store.state import roster as memory
from tests.integration.service.rare_looks import look_rarely
from tests.stage import Stage, open_stage, rows

pytestmark = pytest.mark.virtual_time
MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0
_ALPHA, _BETA = "canary-key-alpha-0123456789", "canary-key-beta-0123456789"
_NAP_SECONDS = 150.0
"""Who shows no life for three minutes is taken for stuck."""
_SIX = 5.5 * HOUR
"""The stage opens at 00:30, and the nights begin at six."""


@pytest.fixture(autouse=True)
def _rare_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    look_rarely(monkeypatch, _NAP_SECONDS)


@dataclass
class Night:
    """A roster of ninety with a culprit in it, and a neighbour of twenty with another key."""

    stage: Stage
    culprit: str
    roster: Path
    neighbour: Path
    requests: int
    """What the search costs, with the answers of everybody else."""
    refusals: int

    @property
    def days_of_the_culprit(self) -> list[int]:
        """On which days it was asked for after the first one, always in a request of its own."""
        tries = [each for each in self.stage.inara.arrivals if self.culprit in each.names and each.at > _SIX]
        assert all(each.names == (self.culprit,) for each in tries)
        return [int((each.at - _SIX) // DAY) for each in tries]

    async def record(self) -> Record:
        async with self.stage.house() as house, house.state.read() as connection:
            return (await memory.records(connection, "alpha"))[lookup_key(self.culprit)]


def _unescaped(text: str) -> str:
    return text.replace("\\", "")


_ASKED_FIRST = (89, 14, 6)
"""The place of the culprit, of whom the newest is asked first; the requests that the search and the others cost; and
how many of them are refused."""


@pytest.fixture
async def night(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Night]:
    world = make_world(110, 5)
    names = [commander.name for commander in world.commanders]
    place, requests, refusals = getattr(request, "param", _ASKED_FIRST)
    culprit = names[place]
    world.poison.add(culprit)
    async with open_stage(tmp_path, world, rate=2) as stage:
        stage.extra = {"INARA_DAEMON_SCHEDULE": "0 6 * * *", "INARA_DAEMON_DISCOVER_MINUTES": "0"}
        roster = stage.add_tenant("alpha", names[:90], inara_api_key=_ALPHA)
        neighbour = stage.add_tenant("beta", names[90:], inara_api_key=_BETA)
        yield Night(stage, culprit, roster, neighbour, requests, refusals)
        stage.assert_never_banned()


@pytest.mark.parametrize(
    "night", [_ASKED_FIRST, (45, 10, 3), (0, 8, 2)], ids=["first", "in the middle", "last"], indirect=True
)
async def test_failures_a_poisonous_name_is_found_over_restarts_and_costs_nobody_else_an_answer(night: Night) -> None:
    """Thirty names are refused, the other sixty cost three requests, and each halving one, or two if it clears."""
    stage = night.stage
    for _ in range(20):
        async with stage.engine():
            await asyncio.sleep(10 * MINUTE)
    arrivals = [each for each in stage.inara.arrivals if each.key == _ALPHA]
    refused = [each for each in arrivals if each.answer == "poisoned"]
    assert refused[-1].names == (night.culprit,)
    assert len(refused) == night.refusals
    assert night.requests - 1 <= len(arrivals) <= night.requests  # a request of those set apart may spare one
    assert night.requests <= 1 + 3 + 2 * math.ceil(math.log2(30)) + 1
    assert len(rows(night.roster)) == 89
    assert night.culprit not in rows(night.roster)
    record = await night.record()
    assert (record.standing, record.misses) == (Standing.SET_ASIDE, 1)


async def test_failures_while_a_culprit_is_sought_everybody_else_is_served_first(night: Night) -> None:
    async with night.stage.engine():
        await asyncio.sleep(20 * MINUTE)
    assert len(rows(night.roster)) >= 60


async def test_isolation_a_culprit_holds_up_nobody_with_another_key(night: Night) -> None:
    async with night.stage.engine():
        await asyncio.sleep(2 * MINUTE)
        assert rows(night.roster) == {}
        assert len(rows(night.neighbour)) == 20
        assert len(night.stage.titles("beta")) == 1
        await asyncio.sleep(4 * HOUR)
    (asked,) = [each.at for each in night.stage.inara.arrivals if each.key == _BETA]
    assert asked < 63  # the second request at the latest
    assert night.culprit not in _unescaped(night.stage.texts("beta"))
    assert POISONED not in night.stage.texts("beta")


async def test_failures_the_report_names_the_culprit_and_says_what_becomes_of_it(night: Night) -> None:
    async with night.stage.engine():
        await asyncio.sleep(4 * HOUR)
    told = _unescaped(night.stage.texts("alpha"))
    words = "tried again in the first run after 2026-11-24"
    assert f"**{night.culprit}** {words}" in told
    assert len(night.stage.titles("alpha")) == 1


async def test_failures_a_culprit_is_tried_by_itself_after_longer_and_longer_waits_until_it_is_harmless(
    night: Night,
) -> None:
    stage = night.stage
    async with stage.engine():
        await asyncio.sleep(_SIX + 2 * DAY)
        assert night.days_of_the_culprit == [1]
        assert (await night.record()).misses == 2
        assert night.culprit not in rows(night.roster)
        stage.inara.world.poison.clear()
        await asyncio.sleep(DAY + 10 * MINUTE)
    assert night.days_of_the_culprit == [1, 3]
    assert rows(night.roster)[night.culprit]["inara_url"]
    record = await night.record()
    assert (record.standing, record.misses) == (Standing.FOUND, 0)
    # Three requests a night for the others; who is tried by itself costs one more, harmless or not.
    for day in range(4):
        begun = _SIX + day * DAY
        asked = [each for each in stage.inara.arrivals if each.key == _ALPHA and begun <= each.at < begun + DAY]
        assert len(asked) == 3 + (day in {1, 3})


async def test_failures_a_culprit_that_became_harmless_is_one_of_many_again(night: Night) -> None:
    stage = night.stage
    async with stage.engine():
        await asyncio.sleep(4 * HOUR)
        stage.inara.world.poison.clear()
        await asyncio.sleep(_SIX - 4 * HOUR + 2 * DAY + 10 * MINUTE)
    last = [each.names for each in stage.inara.arrivals if each.key == _ALPHA][-3:]
    assert [len(names) for names in last] == [30, 30, 30]
    assert any(night.culprit in names for names in last)
