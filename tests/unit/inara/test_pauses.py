"""Pauses: how long, for whom, and that nothing forgets them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from inara_daemon.inara.pauses import EVERY_KEY, PauseReason, Pauses
from inara_daemon.inara.suspicion import NO_SUSPICION
from tests.unit.inara.test_budget import StoreError, World, run

HOUR = 3_600.0


class Store:
    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}
        self.broken = False

    async def pauses(self) -> Sequence[Mapping[str, Any]]:
        return list(self.rows.values())

    async def save_pause(self, scope: str, values: Mapping[str, Any]) -> None:
        if self.broken:
            raise StoreError
        self.rows[scope] = {"scope": scope, **values}

    async def delete_pause(self, scope: str) -> None:
        if self.broken:
            raise StoreError
        self.rows.pop(scope, None)


def started(world: World, store: Store, application: str = "App") -> Pauses:
    pauses = Pauses(store, world.clock(), application=application)
    run(pauses.start())
    return pauses


@pytest.mark.parametrize(
    ("named", "hours"), [(None, 1), (60, 1), (7_200, 2), (10**9, 24)], ids=["none", "shorter", "longer", "absurd"]
)
def test_a_broken_limit_holds_every_key_for_an_hour_at_least(named: float | None, hours: float) -> None:
    world = World()
    pauses = started(world, Store())
    run(pauses.limited("too much", named))
    assert pauses.wait_seconds("any key") == pytest.approx(hours * HOUR)
    world.time += hours * HOUR - 1
    assert pauses.wait_seconds("any key") == pytest.approx(1)
    world.time += 1
    assert pauses.wait_seconds("any key") == 0
    assert pauses.all_in_force() == ()


def test_a_pause_survives_a_restart_and_a_boot_begins_it_anew() -> None:
    world, store = World(), Store()
    run(started(world, store).limited("too much", None))
    world.time += HOUR / 2
    assert started(world, store).wait_seconds("k") == pytest.approx(HOUR / 2)
    world.boots += 1
    world.booted_at = world.time
    assert started(world, store).wait_seconds("k") == pytest.approx(HOUR)


def test_a_pause_that_was_followed_by_a_good_answer_does_not_come_back_with_the_next_boot() -> None:
    world, store = World(), Store()
    pauses = started(world, store)
    run(pauses.limited("too much", None))
    run(pauses.unknown_refusal("k", "?", NO_SUSPICION, 30))
    world.time += 2 * HOUR
    run(pauses.worked("k", ["n"], 30))
    world.boots += 1
    world.booted_at = world.time
    assert started(world, store).wait_seconds("k") == 0
    assert started(world, store).batch_limit("k") is None


def test_a_batch_that_is_still_small_keeps_its_size_and_no_pause_over_a_boot() -> None:
    world, store = World(), Store()
    pauses = started(world, store)
    for batch in (30, 15, 7):
        run(pauses.unknown_refusal("k", "?", NO_SUSPICION, batch))
    world.time += 7 * HOUR
    run(pauses.worked("k", ["n"], 30))
    world.boots += 1
    world.booted_at = world.time
    assert started(world, store).wait_seconds("k") == 0
    assert started(world, store).batch_limit("k") == 6


def test_a_second_limit_counts_from_its_own_time() -> None:
    world = World()
    pauses = started(world, Store())
    run(pauses.limited("x", None))
    world.time += HOUR
    run(pauses.limited("x", None))
    assert pauses.wait_seconds("k") == pytest.approx(HOUR)


def test_not_white_listed_holds_everything_for_a_day_or_until_asked_again() -> None:
    world, store = World(), Store()
    pauses = started(world, store)
    run(pauses.not_whitelisted())
    assert pauses.wait_seconds("k") == pytest.approx(24 * HOUR)
    assert run(pauses.lift_not_whitelisted())
    assert pauses.wait_seconds("k") == 0
    assert store.rows == {}


def test_another_application_name_is_not_held_for_the_old_one() -> None:
    world, store = World(), Store()
    run(started(world, store, "Old").not_whitelisted())
    assert started(world, store, "Old").wait_seconds("k") > 0
    assert started(world, store, "New").wait_seconds("k") == 0
    assert store.rows == {}


def test_a_reload_never_lifts_the_limit() -> None:
    pauses = started(World(), Store())
    run(pauses.limited("x", None))
    assert not run(pauses.lift_not_whitelisted())
    assert pauses.wait_seconds("k") > 0


def test_a_bad_key_is_blocked_for_ever_and_no_other() -> None:
    world, store = World(), Store()
    run(started(world, store).bad_key("bad", "Invalid API key"))
    world.boots += 1
    pauses = started(world, store)
    assert pauses.wait_seconds("bad") == float("inf")
    assert pauses.wait_seconds("good") == 0
    pause = pauses.in_force("bad")
    assert pause is not None
    assert pause.reason == PauseReason.BAD_KEY


def test_unknown_refusals_hold_their_key_from_15_minutes_to_6_hours_and_halve_the_batch() -> None:
    world, store = World(), Store()
    pauses = started(world, store)
    held, batches, batch = [], [], 30
    for _ in range(8):
        run(pauses.unknown_refusal("k", "why", NO_SUSPICION, batch))
        held.append(pauses.wait_seconds("k") / 60)
        batch = pauses.batch_limit("k") or 0
        batches.append(batch)
        assert pauses.wait_seconds("other") == 0
        world.time += pauses.wait_seconds("k")
        pauses = started(world, store)
    assert held == pytest.approx([15, 30, 60, 120, 240, 360, 360, 360])
    assert batches == [15, 7, 3, 1, 1, 1, 1, 1]


def test_good_answers_widen_the_batch_again_and_then_forget() -> None:
    world, store = World(), Store()
    pauses = started(world, store)
    for batch in (30, 15, 7):
        run(pauses.unknown_refusal("k", "why", NO_SUSPICION, batch))
    world.time += 10 * HOUR
    limits = []
    for _ in range(4):
        run(pauses.worked("k", ["n"], 30))
        limits.append(pauses.batch_limit("k"))
    assert limits == [6, 12, 24, None]
    assert store.rows == {}


def test_a_pause_that_can_not_be_stored_holds_all_the_same_and_must_be_stored_later() -> None:
    world, store = World(), Store()
    pauses = started(world, store)
    store.broken = True
    with pytest.raises(StoreError):
        run(pauses.limited("x", None))
    assert pauses.wait_seconds("k") == pytest.approx(HOUR)
    with pytest.raises(StoreError):
        run(pauses.save())
    store.broken = False
    run(pauses.save())
    assert store.rows[EVERY_KEY]["reason"] == "limited"


def test_the_longest_pause_is_the_one_to_tell() -> None:
    pauses = started(World(), Store())
    run(pauses.limited("x", None))
    run(pauses.unknown_refusal("k", "why", NO_SUSPICION, 30))
    pause = pauses.in_force("k")
    assert pause is not None
    assert pause.reason == PauseReason.LIMITED
    assert {pause.reason for pause in pauses.all_in_force()} == {"limited", "unknown_refusal"}
