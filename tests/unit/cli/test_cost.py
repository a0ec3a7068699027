"""What `check` and `status` print of the cost of a night."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from inara_daemon.cli.cost import cost_of, next_asking, pace_of, print_cost, remembered_roster
from inara_daemon.clock import system_clock
from inara_daemon.commander import Record, Standing
from inara_daemon.inara.budget import Budget
from inara_daemon.night import Asking
from inara_daemon.roster_plan import Reason, Spelling, gather
from inara_daemon.settings import Secret, Settings, load_settings
from inara_daemon.tenants import Tenant
from tests.unit.inara.test_budget import Store

NOON = datetime(2027, 1, 1, 12, tzinfo=UTC)


def settings(**more: str) -> Settings:
    environ = {"INARA_DAEMON_APP_NAME": "X", **{f"INARA_DAEMON_{name.upper()}": text for name, text in more.items()}}
    return load_settings(environ)


def tenant(tenant_id: str = "alpha", key: str = "k" * 20, schedule: str = "0 1 * * *") -> Tenant:
    return Tenant(tenant_id, tenant_id.capitalize(), Secret("sqlite:///x.db"), Secret(key), schedule)


def wanting(owner: Tenant, count: int) -> Asking:
    names = {f"{owner.id} {number}": Record() for number in range(count)}
    return next_asking(owner, remembered_roster(names), names, NOON)


def printed(capsys: pytest.CaptureFixture[str], owners: dict[Tenant, int], **more: str) -> str:
    cost = cost_of([wanting(owner, count) for owner, count in owners.items()], settings(**more))
    print_cost("Cost", cost, list(owners))
    return capsys.readouterr().out


def test_the_pace_is_the_budgets() -> None:
    for rate in ("2", "0.5", "25"):
        given = settings(requests_per_minute=rate)
        budget = Budget(Store(), system_clock(), rate=given.requests_per_minute, deadline=60)
        assert pace_of(given).interval == budget.interval


def test_who_waits_now_and_not_when_the_run_begins_is_asked() -> None:
    """At noon, for the run at one: a wait that ends at midnight is over by then."""
    due = {hours: NOON + timedelta(hours=hours) for hours in (1, 18, 20)}  # six of them are slack
    records = {f"in {hours}": Record(Standing.NOT_FOUND, 3, NOON, 1, at) for hours, at in due.items()}
    asking = next_asking(tenant(), remembered_roster(records), records, NOON)
    assert asking.names[Reason.STALEST] == ("in 1", "in 18")
    assert asking.names[Reason.BACKING_OFF] == ("in 20",)


def test_a_schedule_that_never_comes_is_looked_at_now() -> None:
    records = {"x": Record(Standing.NOT_FOUND, 3, NOON, 1, NOON + timedelta(days=400))}
    asking = next_asking(tenant(schedule="0 1 30 2 *"), remembered_roster(records), records, NOON)
    assert asking.names[Reason.BACKING_OFF] == ("x",)


def test_no_answer_is_too_new_for_a_run_that_has_yet_to_begin() -> None:
    records = {"nova": Record(Standing.FOUND, 2**62, NOON, last_event_id=9)}
    roster = gather([Spelling("Nova", 9)])
    assert next_asking(tenant(), roster, records, NOON).plan.wanted == ("nova",)


def test_tenants_that_share_a_key_are_one_row(capsys: pytest.CaptureFixture[str]) -> None:
    output = printed(capsys, {tenant(): 40, tenant("beta"): 5, tenant("gamma", "q" * 20): 1})
    rows = [line.replace("│", " ").split() for line in output.splitlines()[3:5]]
    assert rows == [
        ["alpha,", "beta", "45", "0", "0", "2", "1", "min"],
        ["gamma", "1", "0", "0", "1", "31", "s"],
    ]
    assert "3 requests, 2 min: fits into the night of 360 minutes (696 requests)" in output
    assert "different times" not in output
    assert "kkkk" not in output


def test_a_night_that_is_too_short_says_whom_it_leaves_and_for_how_long(capsys: pytest.CaptureFixture[str]) -> None:
    output = printed(capsys, {tenant(): 5_000, tenant("beta"): 20}, night_minutes="32")
    assert "168 requests, 1 h 27 min: more than the night of 32 minutes (61 requests)" in output
    assert "to ask everyone takes about 3 nights" in output
    assert "Left for later nights, about: alpha 3,190 of 5,000 names.\n" in output


def test_many_tenants_are_counted_not_listed(capsys: pytest.CaptureFixture[str]) -> None:
    output = printed(capsys, {tenant(f"t{number}"): 40 for number in range(1_000)}, night_minutes="31")
    assert "t0, t1, t2 and 997 more" in output
    assert output.count("of 40 names") == 5
    assert "and 995 more." in output


def test_runs_that_begin_at_different_times_are_said_to_share_less(capsys: pytest.CaptureFixture[str]) -> None:
    output = printed(capsys, {tenant(): 1, tenant("beta", schedule="0 3 * * *"): 1})
    assert "begin at 2 different times" in output
