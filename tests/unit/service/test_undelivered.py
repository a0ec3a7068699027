"""Lost messages in the words of the report that names them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from inara_daemon.service.undelivered import in_words
from inara_daemon.store.state.outbox import LOST, Loss, MessageStatus

AT = datetime(2027, 1, 1, 1, tzinfo=UTC)


def loss(number: int, status: MessageStatus = MessageStatus.EXPIRED) -> Loss:
    return Loss(number, number, AT + timedelta(days=number), status.value, "HTTP 503", "3 of 3 looked up")


def test_without_a_loss_there_are_no_words() -> None:
    assert in_words([]) == ()


@pytest.mark.parametrize(
    ("lost", "words"),
    [
        (
            Loss(1, 7, AT, "unknown", "timeout", "3 of 3 looked up"),
            "The report of run 7 of 2027-01-01 may have arrived or not (timeout): 3 of 3 looked up",
        ),
        (
            Loss(1, 7, AT, "dead", None, ""),
            "The report of run 7 of 2027-01-01 was lost with its webhook (no reason given)",
        ),
        (Loss(1, None, AT, "expired", "HTTP 503", ""), "A message of 2027-01-01 was given up (HTTP 503)"),
        (Loss(1, None, AT, "refused", "", ""), "A message of 2027-01-01 was refused (no reason given)"),
    ],
)
def test_a_loss_is_named_with_its_end_its_reason_and_its_totals(lost: Loss, words: str) -> None:
    assert in_words([lost]) == (words,)


@pytest.mark.parametrize("status", LOST)
def test_every_end_of_a_lost_message_has_words(status: MessageStatus) -> None:
    assert len(in_words([loss(1, status)])) == 1


def test_the_five_newest_losses_are_named_and_those_before_them_counted() -> None:
    assert len(in_words([loss(number) for number in range(5)])) == 5
    *named, rest = in_words([loss(number) for number in range(1_300)])
    assert [line.split()[4] for line in named] == ["1295", "1296", "1297", "1298", "1299"]
    assert rest == "and 1,295 more since 2027-01-01"
