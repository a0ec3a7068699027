"""One table from failure to action, row by row."""

from __future__ import annotations

import pytest

from inara_daemon.inara.decision import OUTAGE_DELAYS, Decision, Failure, Names, decide
from inara_daemon.inara.wire import Answers, Outage, Refusal, RefusalKind, Reply


@pytest.mark.parametrize(
    ("reply", "convicted", "decision"),
    [
        (Answers({}), False, Decision(Names.ANSWERED)),
        (Outage("x"), False, Decision(Names.AGAIN, Failure.OUTAGE)),
        (Refusal(RefusalKind.LIMITED, "x"), False, Decision(Names.AGAIN, Failure.LIMITED)),
        (Refusal(RefusalKind.LIMITED, "x"), True, Decision(Names.AGAIN, Failure.LIMITED)),
        (Refusal(RefusalKind.NOT_WHITELISTED, "x"), True, Decision(Names.AGAIN, Failure.NOT_WHITELISTED)),
        (Refusal(RefusalKind.BAD_KEY, "x"), False, Decision(Names.BLOCKED, Failure.BAD_KEY)),
        (Refusal(RefusalKind.UNKNOWN, "x"), False, Decision(Names.AGAIN, Failure.UNKNOWN_REFUSAL)),
        (Refusal(RefusalKind.UNKNOWN, "x"), True, Decision(Names.CULPRIT, Failure.UNKNOWN_REFUSAL)),
    ],
)
def test_failures_each_have_one_action(reply: Reply, convicted: bool, decision: Decision) -> None:
    assert decide(reply, convicted=convicted, outages_before=0) == decision


@pytest.mark.parametrize(("before", "minutes"), [(0, 0), (1, 1), (2, 2), (3, 5), (4, 15), (5, 15), (1_000, 15)])
def test_an_outage_is_tried_again_at_once_then_after_1_2_5_and_15_minutes(before: int, minutes: int) -> None:
    assert decide(Outage("x"), convicted=False, outages_before=before).delay == minutes * 60


@pytest.mark.parametrize(
    ("asked", "delay"), [(None, 0.0), (5, 5.0), (1e9, 86_400.0), (-7, 0.0)], ids=["none", "some", "absurd", "negative"]
)
def test_an_outage_honours_the_wait_that_the_server_names_within_reason(asked: float | None, delay: float) -> None:
    assert decide(Outage("x", asked), convicted=False, outages_before=0).delay == delay
    assert decide(Outage("x", 5), convicted=False, outages_before=1).delay == OUTAGE_DELAYS[1]
