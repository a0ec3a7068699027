from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from inara_daemon.settings import ConfigurationError, HostPort, Problem, Secret, Settings
from inara_daemon.tenants import ReportKind, Skipped, Tenant, Tenants, parse_tenants

CANARY = "canary-91aa"
SETTINGS = Settings(app_name="Fleet Roster", schedule="0 1 * * *")
WITH_KEY = Settings(app_name="Fleet Roster", inara_api_key=Secret("common"))
WEBHOOK = "https://discord.com/api/webhooks/123/token"
VALK: dict[str, Any] = {"name": "Valk", "db_uri": "sqlite:///db/valk.db", "inara_api_key": "key"}
EIC: dict[str, Any] = {"name": "EIC", "db_uri": "sqlite:///db/eic.db", "inara_api_key": "key"}


def parse(document: object, settings: Settings = SETTINGS) -> Tenants:
    return parse_tenants(json.dumps(document).encode(), settings)


def only(entry: dict[str, Any], settings: Settings = SETTINGS) -> Tenant:
    (tenant,) = parse([VALK | entry], settings).tenants
    return tenant


def problems(document: object, settings: Settings = SETTINGS) -> list[Problem]:
    with pytest.raises(ConfigurationError) as caught:
        parse(document, settings)
    return caught.value.problems


def told(document: object) -> list[tuple[str, str]]:
    return [(problem.where, problem.what) for problem in problems(document)]


# --- The four shapes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "ids"),
    [
        pytest.param([VALK, EIC], ["valk", "eic"], id="list"),
        pytest.param({"tenants": [VALK, EIC]}, ["valk", "eic"], id="list in an object"),
        pytest.param({"tenants": [VALK], "version": 2}, ["valk"], id="list in an object with more in it"),
        pytest.param({"one": VALK, "two": EIC}, ["one", "two"], id="map"),
        pytest.param({"one": VALK | {"id": "uno"}, " ": EIC}, ["uno", "eic"], id="map whose object has an id"),
        pytest.param(VALK, ["valk"], id="one bare object"),
        pytest.param(VALK | {"api_key": "x"}, ["valk"], id="one bare object with the backend's key"),
    ],
)
def test_a_tenant_file_may_have_any_of_four_shapes(document: object, ids: list[str]) -> None:
    assert [tenant.id for tenant in parse(document).tenants] == ids


def test_a_bare_object_without_a_database_is_a_skipped_tenant() -> None:
    assert parse({"api_key": "x", "name": "Valk"}).skipped == (Skipped("Valk", "has no db_uri"),)


@pytest.mark.parametrize(
    ("document", "where", "what"),
    [
        ([], "top level", "holds no tenant"),
        ({}, "top level", "holds no tenant"),
        ({"tenants": []}, "tenants", "holds no tenant"),
        ({"tenants": {"a": VALK}}, "tenants", "must be a list"),
        ({"tenants": None}, "tenants", "must be a list"),
        (None, "top level", "must be a list of tenants"),
        ("valk", "top level", "must be a list of tenants"),
        (7, "top level", "must be a list of tenants"),
        ({"name": "Valk"}, "top level", "is neither a list of tenants"),
        ({"a": VALK, "version": 2}, "top level", "is neither a list of tenants"),
    ],
)
def test_another_shape_is_an_error(document: object, where: str, what: str) -> None:
    (problem,) = problems(document)
    assert problem.where == where
    assert what in problem.what
    assert problem.hint == "tenant.json.example shows what belongs here"


@pytest.mark.parametrize(
    ("key", "meant"), [("db_url", "db_uri"), ("tenant", "tenants"), ("Tenants", "tenants"), ("DB_URI", "db_uri")]
)
def test_a_misspelt_key_at_the_top_is_told_with_the_right_spelling(key: str, meant: str) -> None:
    (problem,) = problems({key: "x", "name": "Valk"})
    assert problem.hint == f"{key}: did you mean '{meant}'?"


def test_an_entry_that_is_no_object_is_an_error() -> None:
    assert told([VALK, 7, ["x"], None]) == [
        ("[1]", "must be an object ({...})"),
        ("[2]", "must be an object ({...})"),
        ("[3]", "must be an object ({...})"),
    ]


# --- What a tenant is -----------------------------------------------------------------------------------------------


def test_a_tenant_with_only_what_is_needed_takes_the_rest_from_the_settings() -> None:
    assert only({}) == Tenant(
        id="valk",
        name="Valk",
        db_uri=Secret("sqlite:///db/valk.db"),
        inara_api_key=Secret("key"),
        schedule="0 1 * * *",
        api_key=None,
        webhook=None,
        report=ReportKind.ALWAYS,
    )


def test_a_tenant_with_everything_is_read_in_full() -> None:
    entry = {
        "id": "wing",
        "api_key": "backend key",
        "discord_webhooks": {"bullis": WEBHOOK, "conflict": None, "debug": 7},
        "inara_daemon": {"schedule": "30 2 * * MON", "report": "Changes"},
    }
    tenant = only(entry)
    assert tenant.id == "wing"
    assert tenant.api_key == Secret("backend key")
    assert tenant.webhook == Secret(WEBHOOK)
    assert tenant.schedule == "30 2 * * mon"
    assert tenant.report is ReportKind.CHANGES


@pytest.mark.parametrize(
    "entry",
    [
        {"discord_webhooks": None},
        {"discord_webhooks": {}},
        {"discord_webhooks": {"bullis": ""}},
        {"discord_webhooks": {"bullis": None}},
        {"inara_daemon": None, "api_key": None, "id": None},
        {"inara_daemon": {}, "api_key": "", "id": " "},
        {"inara_daemon": {"schedule": None, "report": ""}},
        {"api_version": 2, "faction_name": ["x"], "faction_logo": {"a": 1}, "manual_activity_webhook": "x"},
        {"name": " Valk\n"},
        {"db_uri": " sqlite:///db/valk.db\n", "inara_api_key": "\tkey "},
    ],
)
def test_what_is_null_or_blank_or_the_backends_changes_nothing(entry: dict[str, Any]) -> None:
    parsed = parse([VALK | entry])
    assert parsed.tenants == (only({}),)
    assert parsed.warnings == ()


def test_a_tenants_own_key_wins_over_the_common_one() -> None:
    assert only({}, WITH_KEY).inara_api_key == Secret("key")


@pytest.mark.parametrize("key", [None, "", "  "])
def test_without_a_key_of_its_own_a_tenant_uses_the_common_one(key: str | None) -> None:
    assert only({"inara_api_key": key}, WITH_KEY).inara_api_key == Secret("common")


def test_a_host_that_the_settings_allow_may_take_webhooks() -> None:
    url = "http://127.0.0.1:9000/api/webhooks/1/t"
    settings = Settings(app_name="x", webhook_hosts=(HostPort("127.0.0.1", 9000),))
    assert only({"discord_webhooks": {"bullis": url}}, settings).webhook == Secret(url)
    assert told([VALK | {"discord_webhooks": {"bullis": url}}])[0][0] == "[0].discord_webhooks.bullis"


# --- Who is skipped -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "label", "reason"),
    [
        ({"name": "Valk", "inara_api_key": "key"}, "Valk", "has no db_uri"),
        ({"id": "valk", "db_uri": "", "inara_api_key": "key"}, "valk", "has no db_uri"),
        ({"db_uri": None}, "[1]", "has no db_uri"),
        ({"api_key": CANARY}, "[1] (api_key ***)", "has no db_uri"),
        ({"name": "Ελλάς"}, "Ελλάς", "has no db_uri"),
        ({"name": "EIC"}, "EIC", "has no db_uri"),
        (
            {"name": "Valk", "db_uri": "sqlite:///x"},
            "Valk",
            "has no Inara key: set inara_api_key, or INARA_API_KEY for all",
        ),
    ],
)
def test_a_tenant_without_a_database_or_a_key_is_skipped_with_the_reason(
    entry: dict[str, Any], label: str, reason: str
) -> None:
    parsed = parse([EIC, entry])
    assert [tenant.name for tenant in parsed.tenants] == ["EIC"]
    assert parsed.skipped == (Skipped(label, reason),)


def test_a_skipped_tenant_of_a_map_is_known_by_its_key() -> None:
    assert parse({"a": {}, "b\n\ud800": {}}).skipped == (
        Skipped("a", "has no db_uri"),
        Skipped('["b  "]', "has no db_uri"),
    )


def test_what_is_wrong_in_a_skipped_tenant_is_an_error_all_the_same() -> None:
    assert [where for where, _ in told([{"name": "Valk", "inara_daemon": {"report": "x"}}, EIC])] == [
        "[0].inara_daemon.report"
    ]


# --- Tenant identity ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Valk", "valk"),
        ("East India Company", "east-india-company"),
        ("  --EIC & Friends (PC)!! ", "eic-friends-pc"),
        ("7th Fleet", "7th-fleet"),
        ("Café Noir", "caf-noir"),
        ("Ελλάς 2", "2"),
    ],
)
def test_a_tenant_without_an_id_has_the_slug_of_its_name(name: str, slug: str) -> None:
    tenant = only({"name": name})
    assert tenant.id == slug
    assert tenant.name == name.strip()


def test_a_tenant_without_a_name_is_shown_by_its_id() -> None:
    assert only({"name": None, "id": "Wing 1"}).name == "Wing 1"


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        ({"name": "Ελλάς"}, "is missing, and the name has no letter from a to z and no digit to make it from"),
        ({"name": ""}, "is missing, and there is no name to make it from"),
        ({"name": "x" * 65}, "is missing, and made from the name it is longer than 64 characters"),
        ({"id": "x" * 65}, "is an id longer than 64 characters"),
        ({"id": "a\tb"}, "contains a control character"),
    ],
)
def test_an_id_that_can_not_be_made_or_used_is_an_error_that_names_the_id_to_set(
    entry: dict[str, Any], what: str
) -> None:
    (problem,) = problems([EIC, VALK | entry])
    assert problem.where == "[1].id"
    assert problem.what == what


def test_the_hint_for_a_missing_id_is_what_to_write() -> None:
    (problem,) = problems([VALK | {"name": "Ελλάς"}])
    assert problem.hint == 'set one that never changes, such as "id": "my-squadron"'


def test_a_key_of_a_map_that_can_not_be_an_id_is_an_error() -> None:
    (problem,) = problems({"x" * 65: VALK})
    assert problem.what == "is an id longer than 64 characters"


def test_two_tenants_with_one_id_are_an_error_that_names_both_places() -> None:
    document = {
        "tenants": [VALK, EIC | {"id": "valk"}, {"name": "VALK!", "db_uri": "sqlite:///z", "inara_api_key": "k"}]
    }
    assert told(document) == [
        ("tenants[1].id", "'valk' is the id of tenants[0] too"),
        ("tenants[2].id", "'valk' is the id of tenants[0] too"),
    ]


def test_a_skipped_tenant_may_share_an_id() -> None:
    assert len(parse([VALK, {"name": "Valk"}]).tenants) == 1


# --- Errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "where", "what"),
    [
        ({"name": 7}, "[0].name", "must be text in quotes"),
        ({"name": "a\x07b"}, "[0].name", "contains a control character"),
        ({"name": "a\u2028b"}, "[0].name", "contains a control character"),
        ({"name": "a\ud800b"}, "[0].name", "contains a control character"),
        ({"id": 7}, "[0].id", "must be text in quotes"),
        ({"db_uri": {"path": "x"}}, "[0].db_uri", "must be text in quotes"),
        ({"db_uri": "mysql://u:p@h/d"}, "[0].db_uri", "is not the URL of an SQLite or PostgreSQL database"),
        ({"db_uri": "sqlite:///a\x00b"}, "[0].db_uri", "contains a control character"),
        ({"inara_api_key": True}, "[0].inara_api_key", "must be text in quotes"),
        ({"inara_api_key": "a b"}, "[0].inara_api_key", "contains a blank or an invisible character"),
        ({"inara_api_key": "a\u200bb"}, "[0].inara_api_key", "contains a blank or an invisible character"),
        ({"api_key": 7}, "[0].api_key", "must be text in quotes"),
        ({"discord_webhooks": [WEBHOOK]}, "[0].discord_webhooks", "must be an object ({...})"),
        ({"discord_webhooks": WEBHOOK}, "[0].discord_webhooks", "must be an object ({...})"),
        ({"discord_webhooks": {"bullis": 7}}, "[0].discord_webhooks.bullis", "must be text in quotes"),
        (
            {"discord_webhooks": {"bullis": "https://example.org/"}},
            "[0].discord_webhooks.bullis",
            "is no webhook of Discord: its host is not discord.com",
        ),
        ({"inara_daemon": []}, "[0].inara_daemon", "must be an object ({...})"),
        ({"inara_daemon": {"schedule": 7}}, "[0].inara_daemon.schedule", "must be text in quotes"),
        (
            {"inara_daemon": {"schedule": "0 1 * *"}},
            "[0].inara_daemon.schedule",
            "a schedule has 5 fields, this one has 4",
        ),
        ({"inara_daemon": {"report": "never"}}, "[0].inara_daemon.report", "must be one of always, changes, problems"),
        ({"inara_daemon": {"shedule": "x"}}, "[0].inara_daemon.shedule", "is not a known key"),
    ],
)
def test_a_value_that_can_not_be_used_is_told_with_its_place(entry: dict[str, Any], where: str, what: str) -> None:
    assert told([VALK | entry]) == [(where, what)]


@pytest.mark.parametrize(
    ("ours", "hint"),
    [
        ({"shedule": "x"}, "did you mean 'schedule'?"),
        ({"Report": "always"}, "did you mean 'report'?"),
        ({"colour": "x"}, "known keys are schedule, report"),
        ({"report": "change"}, "did you mean 'changes'?"),
    ],
)
def test_a_mistake_in_our_own_object_comes_with_a_suggestion(ours: dict[str, Any], hint: str) -> None:
    (problem,) = problems([VALK | {"inara_daemon": ours}])
    assert problem.hint == hint


def test_every_error_of_the_file_is_told_at_once() -> None:
    text = json.dumps(
        [
            VALK | {"db_uri": "x", "name": "Ελλάς", "inara_daemon": {"report": "x", "schedule": "x", "a": 1}},
            EIC | {"inara_api_key": "a b"},
            EIC | {"discord_webhooks": []},
            7,
        ]
    ).replace('"a": 1', '"a": 1, "a": 2')
    with pytest.raises(ConfigurationError) as caught:
        parse_tenants(text.encode(), SETTINGS)
    assert [problem.where for problem in caught.value.problems] == [
        "[0].inara_daemon.a",
        "[0].db_uri",
        "[0].inara_daemon.schedule",
        "[0].inara_daemon.report",
        "[0].inara_daemon.a",
        "[0].id",
        "[1].inara_api_key",
        "[2].discord_webhooks",
        "[3]",
        "[2].id",
    ]


@pytest.mark.parametrize(
    ("document", "where"),
    [
        ([VALK | {"db_uri": 7}], "[0].db_uri"),
        ({"tenants": [VALK | {"db_uri": 7}]}, "tenants[0].db_uri"),
        ({"wing": VALK | {"db_uri": 7}}, "wing.db_uri"),
        ({"Wing 1": VALK | {"db_uri": 7}}, '["Wing 1"].db_uri'),
        (VALK | {"db_uri": 7}, "db_uri"),
    ],
)
def test_places_are_written_as_in_the_documents_own_shape(document: object, where: str) -> None:
    assert told(document) == [(where, "must be text in quotes")]


def test_a_text_that_is_no_json_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="line 1, column 3: is not valid JSON; use double quotes"):
        parse_tenants(b"[{'a': 1}]", SETTINGS)


# --- Warnings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("inara_apikey", "inara_api_key"),
        ("inara_key", "inara_api_key"),
        ("Inara_Api_Key", "inara_api_key"),
        ("inara-api-key", "inara_api_key"),
        ("inara_api_key ", "inara_api_key"),
        ("apikey", "api_key"),
        ("db_url", "db_uri"),
        ("dburi", "db_uri"),
        ("discord_webhook", "discord_webhooks"),
        ("inara_deamon", "inara_daemon"),
        ("Name", "name"),
    ],
)
def test_a_near_miss_of_a_known_key_is_a_warning_with_the_right_spelling(key: str, meant: str) -> None:
    (warning,) = parse([VALK | {key: CANARY}]).warnings
    assert warning.endswith(f"is no known key and has no effect; did you mean '{meant}'?")
    assert warning.startswith("[0]")
    assert CANARY not in warning


def test_a_near_miss_of_the_channel_is_a_warning_too() -> None:
    assert parse([VALK | {"discord_webhooks": {"bulis": WEBHOOK, "shoutout": "x"}}]).warnings == (
        "[0].discord_webhooks.bulis: is no known key and has no effect; did you mean 'bullis'?",
    )


@pytest.mark.parametrize("key", ["api_version", "faction_name", "faction_logo", "manual_activity_webhook", "colour"])
def test_the_backends_own_keys_are_no_near_misses(key: str) -> None:
    assert parse([VALK | {key: "x"}]).warnings == ()


# --- The example ----------------------------------------------------------------------------------------------------


def test_the_example_parses_and_shows_our_options() -> None:
    text = (Path(__file__).parents[2] / "tenant.json.example").read_bytes()
    parsed = parse_tenants(text, WITH_KEY)
    assert [tenant.id for tenant in parsed.tenants] == ["example-wing", "second-squadron"]
    assert parsed.tenants[0].report is ReportKind.CHANGES
    assert parsed.tenants[0].schedule == "30 2 * * mon-fri"
    assert parsed.tenants[1].inara_api_key == Secret("common")
    assert parsed.skipped == ()
    assert parsed.warnings == ()
