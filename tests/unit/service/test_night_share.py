"""The night's share of the budget: which runs have one, and how far it reaches."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inara_daemon.night import Pace
from inara_daemon.roster_plan import Plan
from inara_daemon.service.tenant_run import TenantRun
from inara_daemon.settings import Secret
from inara_daemon.store.state.runs import Run, RunReason
from inara_daemon.tenants import Tenant

NOW = datetime(2027, 1, 1, 1, tzinfo=UTC)
RUN = Run(7, "alpha", RunReason.CRON, None, None, NOW, None, 50, None, None, {}, ())
TENANT = Tenant("alpha", "Alpha", Secret("sqlite:///x.db"), Secret("k" * 20), "0 1 * * *")


def last_request(run: Run, *, night_minutes: int = 360, interval: float = 31.0) -> int | None:
    """Up to which request the desk may spend on this run."""
    services = SimpleNamespace(
        state=None,
        settings=SimpleNamespace(night_minutes=night_minutes, batch_size=30),
        desk=SimpleNamespace(interval=interval),
    )
    made = TenantRun(cast("Any", services), TENANT, cast("Any", None), run, lambda: None, "k")
    return made._new_line(Plan((), ())).last_request


@pytest.mark.parametrize(
    ("reason", "is_limited"),
    [
        (RunReason.FIRST, True),
        (RunReason.CRON, True),
        (RunReason.CATCH_UP, True),
        (RunReason.RELOAD, True),
        (RunReason.REQUEST, False),
        (RunReason.DISCOVERY, False),
    ],
)
def test_the_night_limits_every_run_that_nobody_asked_for_but_no_discovery(
    reason: RunReason, *, is_limited: bool
) -> None:
    assert last_request(replace(RUN, reason=reason)) == (50 + 696 if is_limited else None)


def test_every_reason_to_run_is_decided() -> None:
    assert {last_request(replace(RUN, reason=reason)) for reason in RunReason} == {None, 746}


@given(st.integers(1, 100_000), st.floats(0.05, 10_000), st.integers(0, 2**62))
def test_a_run_may_spend_what_check_and_status_say_of_a_night(
    night_minutes: int, interval: float, first_request: int
) -> None:
    run = replace(RUN, first_request=first_request)
    share = Pace(30, interval, night_minutes).night_requests
    assert last_request(run, night_minutes=night_minutes, interval=interval) == first_request + share
    assert share == 1 or share * interval <= night_minutes * 60 * 1.000001 < (share + 1) * interval * 1.00001
