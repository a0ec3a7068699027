from __future__ import annotations

import dataclasses

import pytest

from inara_daemon.settings import Secret
from inara_daemon.tenants import ReportKind, Skipped, Tenant, Tenants, plan_reload


def tenant(letter: str) -> Tenant:
    return Tenant(letter, letter.upper(), Secret(f"sqlite:///{letter}"), Secret("key"), "0 1 * * *")


A, B, C = map(tenant, "abc")


def test_the_same_content_is_an_empty_plan() -> None:
    plan = plan_reload(Tenants((A, B)), Tenants((B, dataclasses.replace(A))))
    assert plan.is_empty
    assert plan.unchanged == (B, A)
    assert plan.warnings == ()


def test_what_came_went_and_changed_is_told_apart() -> None:
    changed = dataclasses.replace(B, webhook=Secret("https://discord.com/api/webhooks/1/t"), schedule="5 1 * * *")
    plan = plan_reload(Tenants((A, B)), Tenants((changed, C)))
    assert plan.added == (C,)
    assert plan.removed == (A,)
    assert [(change.old, change.new, change.fields) for change in plan.changed] == [
        (B, changed, ("schedule", "webhook"))
    ]
    assert plan.unchanged == ()
    assert not plan.is_empty


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "Other"),
        ("db_uri", Secret("sqlite:///other")),
        ("inara_api_key", Secret("other")),
        ("schedule", "5 5 * * *"),
        ("api_key", Secret("other")),
        ("webhook", Secret("https://discord.com/api/webhooks/1/t")),
        ("report", ReportKind.PROBLEMS),
    ],
)
def test_every_field_of_a_tenant_counts_as_a_change(field: str, value: object) -> None:
    plan = plan_reload(Tenants((A,)), Tenants((dataclasses.replace(A, **{field: value}),)))  # type: ignore[arg-type]
    assert [change.fields for change in plan.changed] == [(field,)]


def test_skipped_tenants_and_warnings_touch_nobody() -> None:
    assert plan_reload(Tenants((A,)), Tenants((A,), (Skipped("x", "y"),), ("z",))).is_empty


def test_a_renamed_tenant_without_an_id_is_a_new_one_with_a_warning() -> None:
    before, after = dataclasses.replace(A, id="valk"), dataclasses.replace(A, id="valkyries")
    plan = plan_reload(Tenants((before, B)), Tenants((after, B)))
    assert plan.added == (after,)
    assert plan.removed == (before,)
    (warning,) = plan.warnings
    assert warning.startswith("valkyries: is a new tenant with the database of 'valk', which is gone")
    assert warning.endswith('set "id": "valk" if only the name changed')


def test_a_new_tenant_with_a_database_of_its_own_is_no_renamed_one() -> None:
    assert plan_reload(Tenants((A,)), Tenants((B,))).warnings == ()
