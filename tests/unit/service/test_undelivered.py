"""How a report names those before it that were lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from inara_daemon.service.undelivered import NAMED, in_words, totals_line
from inara_daemon.store.state.outbox import Loss

NOW = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)


def loss(number: int, run_id: int | None = None, error: str | None = "HTTP 503", summary: str = "") -> Loss:
    return Loss(number, run_id, NOW + timedelta(days=number), "expired", error, summary)


def test_delivery_a_loss_is_named_by_run_date_status_reason_and_totals() -> None:
    assert in_words([loss(1, 7, summary="3 of 4 commanders answered, 2 changed"), loss(2, None, None)]) == (
        "run 7 of 2026-11-25: expired (HTTP 503); 3 of 4 commanders answered, 2 changed",
        "message of 2026-11-26: expired (no reason given)",
    )
    assert in_words([]) == ()


def test_delivery_many_losses_are_summed_up_and_none_is_left_out() -> None:
    assert len(in_words([loss(number, number) for number in range(NAMED)])) == NAMED
    told = in_words([loss(number, number) for number in range(17)])
    assert [line.partition(" of ")[0] for line in told[:-1]] == [f"run {number}" for number in range(12, 17)]
    assert told[-1] == "and 12 more since 2026-11-24"


def test_the_totals_of_a_run_are_one_short_line() -> None:
    counts = {"names": 2_345, "answered": 1_234, "failed": 0, "found": 9}
    assert totals_line(counts, 56) == "1,234 of 2,345 commanders answered, 56 changed"
    assert totals_line(counts | {"failed": 3}, 0) == "1,234 of 2,345 commanders answered, 0 changed, 3 failed"
