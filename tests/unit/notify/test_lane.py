"""What an answer leads to, row by row, and who waits in a lane for how long."""

from __future__ import annotations

import pytest

from inara_daemon.notify import lane as lane_module
from inara_daemon.notify.channel import Delivery, Scope, SendResult
from inara_daemon.notify.lane import (
    ATTEMPTS,
    HOURLY,
    LIMITED_DELAYS,
    LONGEST_WAIT,
    RETRY_DELAYS,
    Lane,
    Step,
    Streak,
    Waiting,
    follow,
    retry_delay,
)
from tests.integration.notify.post import ScriptedChannel

DAY = 86_400.0


def result(delivery: Delivery, retry_after: float | None = None, scope: Scope = Scope.DESTINATION) -> SendResult:
    return SendResult(delivery, retry_after=retry_after, scope=scope)


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [(1, 2.0), (2, 10.0), (3, 30.0), (4, 60.0), (5, 300.0), (6, 900.0), (7, 3_600.0), (53, 3_600.0), (500, 3_600.0)],
)
def test_delivery_the_wait_after_each_failure_in_a_row(failures: int, seconds: float) -> None:
    assert retry_delay(failures) == seconds
    assert follow(Streak(failures - 1), result(Delivery.RETRY), plain=False) == (
        Streak(failures),
        Step(counts=True, wait=seconds),
    )


@pytest.mark.parametrize(
    ("limits", "seconds"), [(1, 0.0), (2, 1.0), (3, 5.0), (4, 30.0), (5, 60.0), (6, 300.0), (7, 900.0)]
)
def test_delivery_the_least_wait_after_each_limit_in_a_row_of_which_none_counts(limits: int, seconds: float) -> None:
    before = Streak(failures=3, limits=limits - 1)
    for asked in (0.0, seconds):
        after, step = follow(before, result(Delivery.RATE_LIMITED, asked), plain=False)
        assert (after, step) == (Streak(3, limits), Step(wait=seconds))
    assert follow(before, result(Delivery.RATE_LIMITED, 901.5), plain=False)[1].wait == 901.5


@pytest.mark.parametrize("limits", [len(LIMITED_DELAYS), 100])
def test_delivery_a_limit_that_never_ends_counts_as_a_failure(limits: int) -> None:
    before = Streak(failures=2, limits=limits - 1)
    after, step = follow(before, result(Delivery.RATE_LIMITED, 1.0, Scope.SERVICE), plain=True)
    assert after == Streak(3, limits)
    assert step == Step(plain=True, counts=True, wait=HOURLY, scope=Scope.SERVICE)


@pytest.mark.parametrize(
    ("delivery", "plain", "after", "step"),
    [
        (Delivery.SENT, False, Streak(), Step("sent")),
        (Delivery.SENT, True, Streak(), Step("sent")),
        (Delivery.DEAD, False, Streak(4), Step("dead")),
        (Delivery.UNKNOWN, False, Streak(4), Step("unknown")),
        (Delivery.REFUSED, False, Streak(4), Step(plain=True)),
        (Delivery.REFUSED, True, Streak(4), Step("refused")),
        (Delivery.RETRY, True, Streak(5), Step(plain=True, counts=True, wait=300.0)),
        (Delivery.RATE_LIMITED, True, Streak(4, 3), Step(plain=True, wait=5.0)),
    ],
)
def test_delivery_what_each_answer_leads_to(delivery: Delivery, *, plain: bool, after: Streak, step: Step) -> None:
    assert follow(Streak(failures=4, limits=2), result(delivery), plain=plain) == (after, step)


@pytest.mark.parametrize("delivery", [Delivery.RETRY, Delivery.RATE_LIMITED])
@pytest.mark.parametrize(("asked", "wait"), [(45.0, 45.0), (1_000.0, 1_000.0), (9 * DAY, LONGEST_WAIT)])
def test_delivery_a_longer_wait_is_granted_up_to_a_day(delivery: Delivery, asked: float, wait: float) -> None:
    assert follow(Streak(), result(delivery, asked), plain=False)[1].wait == wait


def test_delivery_the_attempts_of_a_message_last_for_two_days() -> None:
    waits = [retry_delay(failures) for failures in range(1, ATTEMPTS)]
    assert sum(RETRY_DELAYS) < HOURLY
    assert 47 * HOURLY < sum(waits) <= 48 * HOURLY


def lane(*messages: Waiting) -> Lane:
    opened = Lane("fingerprint", ScriptedChannel())
    for message in messages:
        opened.add(message)
    return opened


def test_a_lane_knows_each_message_once_and_keeps_the_order() -> None:
    opened = lane(Waiting(1, "a"), Waiting(2, "b"), Waiting(3, "a"))
    opened.put_back(Waiting(1, "a"), plain=True)
    opened.add(Waiting(1, "a"))  # what was read before it was put back
    opened.add(Waiting(2, "b", attempts=9))
    assert list(opened.messages.values()) == [Waiting(1, "a", plain=True), Waiting(2, "b"), Waiting(3, "a")]
    assert opened.head == Waiting(1, "a", plain=True)
    assert lane().head is None


def test_delivery_a_failure_counts_for_all_and_each_leaves_when_its_own_time_is_over() -> None:
    opened = lane(Waiting(1, "a", ATTEMPTS - 1), Waiting(2, "b", 3, plain=True), Waiting(3, "a", ATTEMPTS - 1))
    assert opened.fail() == [Waiting(1, "a", ATTEMPTS), Waiting(3, "a", ATTEMPTS)]
    assert list(opened.messages.values()) == [Waiting(2, "b", 4, plain=True)]


def test_delivery_whoever_comes_late_has_two_days_and_not_the_quick_attempts_besides() -> None:
    opened = lane(Waiting(1, "a"))
    opened.streak = Streak(20)
    left = [len(opened.fail()) for _ in range(48)]
    assert left == [*[0] * 47, 1]
    opened.streak = Streak(2)
    opened.add(Waiting(2, "a"))
    opened.fail()
    assert opened.head == Waiting(2, "a", 2)


def test_the_patience_of_a_lane_can_be_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane_module, "ATTEMPTS", 2)
    monkeypatch.setattr(lane_module, "RETRY_DELAYS", (0.1,))
    monkeypatch.setattr(lane_module, "HOURLY", 0.2)
    opened = lane(Waiting(1, "a"))
    assert [len(opened.fail()) for _ in range(2)] == [0, 1]
    assert [retry_delay(failures) for failures in (1, 2, 3)] == [0.1, 0.2, 0.2]
