"""What a night costs and how far it goes: counted by hand, and measured at the desk itself."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inara_daemon.inara.line import Line
from inara_daemon.night import Asking, KeyCost, NightCost, Pace, night_cost
from inara_daemon.roster_plan import PARTS, Part, Reason
from inara_daemon.settings import Secret
from tests.unit.inara.test_desk import Inara, counter
from tests.virtual_time import VirtualTimeLoop

PACE = Pace(batch_size=30, interval=31.0, night_minutes=360)


def asking(tenant: str = "a", key: str = "k", **names: Sequence[str]) -> Asking:
    """The names by reason; a reason that isn't named has none."""
    return Asking(tenant, key, {reason: tuple(names.get(reason.value, ())) for reason in Reason})


def wanting(tenant: str, count: int, key: str = "k") -> Asking:
    return asking(tenant, key, stalest=[f"{tenant} {number}" for number in range(count)])


def cost(*askings: Asking, pace: Pace = PACE) -> NightCost:
    return night_cost(askings, pace)


# --- What it costs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("minutes", "interval", "requests"),
    [(360, 31.0, 696), (1, 31.0, 1), (1, 61.0, 1), (1, 3_600.0, 1), (2, 31.0, 3), (31, 31.0, 60)],
)
def test_a_night_has_as_many_requests_as_intervals_fit_into_it_and_never_none(
    minutes: int, interval: float, requests: int
) -> None:
    assert Pace(30, interval, minutes).night_requests == requests


def test_nobody_costs_nothing() -> None:
    assert cost() == NightCost(PACE, ())
    nobody = cost(asking())
    assert (nobody.requests, nobody.seconds, nobody.fits, nobody.nights) == (0, 0, True, 0)
    assert nobody.left_over() == {}


@pytest.mark.parametrize(("names", "requests"), [(1, 1), (30, 1), (31, 2), (60, 2), (61, 3)])
def test_thirty_names_share_a_request(names: int, requests: int) -> None:
    night = cost(wanting("a", names))
    assert (night.requests, night.seconds) == (requests, requests * 31.0)


def test_tenants_that_share_a_key_share_its_lookups_and_others_do_not() -> None:
    same = asking("a", never_asked=["x"], news=["y"]), asking("b", stalest=["y", "z"])
    assert cost(*same).keys == (KeyCost({"a": 2, "b": 2}, names=3, alone=0, resting=0, set_aside=0, requests=1),)
    other = asking("c", "another", stalest=["y"])
    assert cost(*same, other).keys[1] == KeyCost({"c": 1}, names=1, alone=0, resting=0, set_aside=0, requests=1)
    assert cost(*same, other).requests == 2


def test_a_name_set_aside_costs_a_request_of_its_own_when_its_wait_is_over_and_none_before() -> None:
    night = cost(asking(news=["x"], tried_alone=["p", "q"], set_aside=["r"], backing_off=["s", "t"], answered=["u"]))
    assert night.keys == (KeyCost({"a": 3}, names=3, alone=2, resting=2, set_aside=1, requests=3),)


def test_who_rests_for_one_tenant_and_is_asked_for_another_is_asked() -> None:
    night = cost(asking("a", backing_off=["x"], set_aside=["y"], stalest=["z"]), asking("b", news=["x", "y"]))
    assert night.keys == (KeyCost({"a": 1, "b": 2}, names=3, alone=0, resting=0, set_aside=0, requests=1),)


def test_who_is_set_aside_for_one_tenant_and_not_for_another_is_not_counted_twice() -> None:
    assert cost(asking("a", tried_alone=["x"]), asking("b", news=["x"])).requests == 1


@pytest.mark.parametrize(
    ("names", "fits", "nights"), [(30 * 696, True, 1), (30 * 696 + 1, False, 2), (30 * 696 * 2 + 1, False, 3)]
)
def test_whether_a_night_is_enough_and_how_many_are(names: int, fits: bool, nights: int) -> None:
    night = cost(wanting("a", names))
    assert (night.fits, night.nights) == (fits, nights)
    assert night.left_over() == ({} if fits else {"a": names - 30 * 696})


names_by_reason = st.dictionaries(
    st.sampled_from([reason.value for reason in Reason]), st.sets(st.sampled_from("abcdefgh"), max_size=8), max_size=4
)


@given(
    st.lists(st.tuples(st.sampled_from(["k1", "k2"]), names_by_reason), max_size=5),
    st.builds(Pace, st.integers(1, 4), st.just(31.0), st.integers(1, 3)),
)
def test_every_name_of_a_key_is_counted_once_as_the_most_that_a_tenant_makes_of_it(
    tenants: list[tuple[str, dict[str, set[str]]]], pace: Pace
) -> None:
    askings = []
    for number, (key, by_reason) in enumerate(tenants):
        seen: set[str] = set()
        alike = {}
        for reason, names in by_reason.items():  # a name has one reason
            alike[reason] = sorted(names - seen)
            seen |= names
        askings.append(asking(str(number), key, **alike))
    night = night_cost(askings, pace)
    for key_cost in night.keys:
        mine = [each for each in askings if each.tenant_id in key_cost.tenants]
        parts: dict[str, set[Reason]] = {}
        for each in mine:
            for reason_found, its_names in each.names.items():
                for name in its_names:
                    parts.setdefault(name, set()).add(reason_found)
        asked = {name for name, reasons in parts.items() if any(PARTS[r] in {Part.WANTED, Part.ALONE} for r in reasons)}
        alone = {name for name, reasons in parts.items() if Reason.TRIED_ALONE in reasons}
        assert (key_cost.names, key_cost.alone) == (len(asked), len(alone))
        assert key_cost.resting == sum(Reason.BACKING_OFF in parts[name] for name in parts.keys() - asked)
        assert key_cost.set_aside == sum(Reason.SET_ASIDE in parts[name] for name in parts.keys() - asked)
        assert key_cost.requests == -(-len(asked - alone) // pace.batch_size) + len(alone)
    left = night.left_over()
    assert all(0 < left[tenant] <= dict(_tenants(night))[tenant] for tenant in left)
    assert bool(left) is not night.fits  # who is left is named, whenever anybody is


def _tenants(night: NightCost) -> list[tuple[str, int]]:
    return [item for key in night.keys for item in key.tenants.items()]


# --- How far a night goes ---------------------------------------------------------------------------------------------


def test_a_small_roster_is_done_whatever_its_neighbour_wants() -> None:
    pace = Pace(batch_size=30, interval=31.0, night_minutes=31)  # 60 requests
    for key in ("k", "another"):
        night = cost(wanting("large", 5_000), wanting("small", 20, key), pace=pace)
        assert night.left_over().keys() == {"large"}
    assert cost(wanting("large", 5_000), wanting("small", 20), pace=pace).left_over() == {"large": 5_020 - 60 * 30}


def test_equals_share_what_there_is() -> None:
    pace = Pace(batch_size=10, interval=60.0, night_minutes=10)
    assert cost(wanting("a", 100), wanting("b", 100), pace=pace).left_over() == {"a": 50, "b": 50}
    assert cost(wanting("a", 100), wanting("b", 100, "other"), pace=pace).left_over() == {"a": 50, "b": 50}
    assert cost(wanting("a", 100), wanting("b", 10), pace=pace).left_over() == {"a": 10}


def test_names_asked_alone_are_counted_as_the_last_a_request_each() -> None:
    night = cost(
        asking(news=[f"n{number}" for number in range(10)], tried_alone=["p", "q", "r", "s", "t"]),
        pace=Pace(batch_size=10, interval=60.0, night_minutes=2),
    )
    assert (night.requests, night.nights, night.left_over()) == (6, 3, {"a": 4})


def test_keys_take_turns() -> None:
    """Three keys share seven requests: the first has the odd one."""
    pace = Pace(batch_size=3, interval=60.0, night_minutes=7)
    night = cost(wanting("a", 21, "k1"), wanting("b", 21, "k2"), wanting("c", 8, "k3"), pace=pace)
    assert night.left_over() == {"a": 12, "b": 15, "c": 2}


async def _left_at_the_desk(tenants: Mapping[str, tuple[str, int]], pace: Pace) -> tuple[int, dict[str, int]]:
    """What is left in each line when a night is over at a desk that always gets its answers."""
    async with counter(Inara(), batch_size=pace.batch_size) as at:
        lines = {
            tenant: Line(tenant, Secret(key), key, 0, None, {f"{tenant} {n}": "x" for n in range(count)})
            for tenant, (key, count) in tenants.items()
        }
        for line in lines.values():
            line.last_request = pace.night_requests
        waiting = asyncio.gather(*(at.stand(line) for line in lines.values()))
        answered = await waiting
    left = {tenant: count - len(got) for (tenant, (_, count)), got in zip(tenants.items(), answered, strict=True)}
    return len(at.inara.requests), {tenant: count for tenant, count in left.items() if count}


@given(
    st.lists(st.tuples(st.sampled_from(["k1", "k2", "k3"]), st.integers(1, 400)), min_size=1, max_size=4),
    st.integers(1, 30),
    st.integers(1, 20),
)
@settings(max_examples=60, deadline=None)
def test_the_desk_spends_what_the_night_is_said_to_cost_and_leaves_whom_it_is_said_to_leave(
    tenants: list[tuple[str, int]], batch_size: int, minutes: int
) -> None:
    pace = Pace(batch_size, 31.0, minutes)
    named = {f"t{number}": tenant for number, tenant in enumerate(tenants)}
    night = cost(*(wanting(tenant, count, key) for tenant, (key, count) in named.items()), pace=pace)
    in_turn = {tenant: named[tenant] for key in night.keys for tenant in key.tenants}
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        requests, left = runner.run(_left_at_the_desk(in_turn, pace))
    assert requests == min(night.requests, pace.night_requests)
    if night.fits:
        assert left == {}
    assert night.left_over() == left


def test_a_key_has_as_many_turns_as_tenants() -> None:
    pace = Pace(batch_size=2, interval=31.0, night_minutes=16)  # 30 requests
    tenants = {f"t{number}": ("k", 30) for number in range(4)} | {"single": ("other", 60)}
    said = cost(*(wanting(tenant, count, key) for tenant, (key, count) in tenants.items()), pace=pace).left_over()
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        _, left = runner.run(_left_at_the_desk(tenants, pace))
    assert said == left == {"t0": 18, "t1": 18, "t2": 18, "t3": 18, "single": 48}
