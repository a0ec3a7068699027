from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import inara_daemon.settings as settings_module
from inara_daemon.settings import (
    ConfigurationError,
    HostPort,
    LogFormat,
    LogLevel,
    Problem,
    Secret,
    Settings,
    load_settings,
    state_location,
)

NAMED = {"INARA_DAEMON_APP_NAME": "Fleet Roster"}
CANARY = "canary-5d02"
WEBHOOK = "https://discord.com/api/webhooks/123/canary-token"


def no_file(path: Path) -> bytes:
    raise FileNotFoundError(2, "No such file or directory", str(path))


def load(environ: Mapping[str, str]) -> Settings:
    return load_settings({**NAMED, **environ}, read=no_file)


def problems(environ: Mapping[str, str]) -> list[Problem]:
    with pytest.raises(ConfigurationError) as caught:
        load(environ)
    return caught.value.problems


def test_every_setting_has_its_documented_default() -> None:
    settings = load({})
    assert settings.inara_url == "https://inara.cz/inapi/v1/"
    assert settings.inara_api_key is None
    assert settings.tenant_file == Path("tenant.json")
    assert settings.db_root == Path()
    assert settings.state_url is None
    assert settings.state_directory is None
    assert settings.app_version == version("inara-daemon")
    assert settings.requests_per_minute == 2
    assert settings.batch_size == 30
    assert settings.schedule == "0 1 * * *"
    assert settings.night_minutes == 360
    assert settings.discover_minutes == 15
    assert settings.http == HostPort("127.0.0.1", 8790)
    assert settings.http_token is None
    assert settings.webhook_hosts == ()
    assert settings.operator_webhook is None
    assert settings.log_level is LogLevel.INFO
    assert settings.log_format is LogFormat.AUTO
    assert settings.warnings == ()


@pytest.mark.parametrize(
    ("variable", "value", "field", "read"),
    [
        ("INARA_API_KEY", "abc", "inara_api_key", Secret("abc")),
        ("INARA_DAEMON_TENANT_FILE", "/etc/tenant.json", "tenant_file", Path("/etc/tenant.json")),
        ("VALK_TENANT_FILE", "/etc/tenant.json", "tenant_file", Path("/etc/tenant.json")),
        ("INARA_DAEMON_DB_ROOT", "/home/valk/valk", "db_root", Path("/home/valk/valk")),
        ("VALK_TENANT_DB_ROOT", "/home/valk/valk", "db_root", Path("/home/valk/valk")),
        ("INARA_DAEMON_STATE_URL", "postgresql://u:p@h/d", "state_url", Secret("postgresql://u:p@h/d")),
        ("STATE_DIRECTORY", "/var/lib/a:/var/lib/b", "state_directory", Path("/var/lib/a")),
        ("STATE_DIRECTORY", "", "state_directory", None),
        ("INARA_DAEMON_INARA_URL", "http://127.0.0.1:1/", "inara_url", "http://127.0.0.1:1/"),
        ("INARA_DAEMON_APP_NAME", "EICChatBot", "app_name", "EICChatBot"),
        ("INARA_DAEMON_APP_VERSION", "1.0", "app_version", "1.0"),
        ("INARA_DAEMON_REQUESTS_PER_MINUTE", "0.5", "requests_per_minute", 0.5),
        ("INARA_DAEMON_REQUESTS_PER_MINUTE", "25", "requests_per_minute", 25),
        ("INARA_DAEMON_BATCH_SIZE", "1", "batch_size", 1),
        ("INARA_DAEMON_BATCH_SIZE", "100", "batch_size", 100),
        ("INARA_DAEMON_SCHEDULE", "30  2 * * SUN", "schedule", "30 2 * * sun"),
        ("INARA_DAEMON_NIGHT_MINUTES", "1", "night_minutes", 1),
        ("INARA_DAEMON_DISCOVER_MINUTES", "0", "discover_minutes", 0),
        ("INARA_DAEMON_HTTP", "[::1]:80", "http", HostPort("::1", 80)),
        ("INARA_DAEMON_HTTP", "off", "http", None),
        ("INARA_DAEMON_HTTP", "OFF", "http", None),
        ("INARA_DAEMON_HTTP_TOKEN", "abc", "http_token", Secret("abc")),
        (
            "INARA_DAEMON_WEBHOOK_HOSTS",
            "127.0.0.1:9000, Hooks.Example.org [::1]:1",
            "webhook_hosts",
            (HostPort("127.0.0.1", 9000), HostPort("hooks.example.org"), HostPort("::1", 1)),
        ),
        ("INARA_DAEMON_OPERATOR_WEBHOOK", WEBHOOK, "operator_webhook", Secret(WEBHOOK)),
        ("INARA_DAEMON_LOG_LEVEL", "DEBUG", "log_level", LogLevel.DEBUG),
        ("INARA_DAEMON_LOG_FORMAT", "json", "log_format", LogFormat.JSON),
    ],
)
def test_a_setting_is_read_from_its_variable(variable: str, value: str, field: str, read: object) -> None:
    assert getattr(load({variable: value}), field) == read


@pytest.mark.parametrize(
    ("variable", "value", "what"),
    [
        ("INARA_API_KEY", "two words", "contains a blank"),
        ("INARA_API_KEY", "a\u200bb", "contains a blank or an invisible character"),
        ("INARA_DAEMON_HTTP_TOKEN", "two words", "contains a blank"),
        ("INARA_DAEMON_DB_ROOT", "/home\n/valk", "contains a control character"),
        ("INARA_DAEMON_STATE_URL", "mysql://u:p@h/d", "is not the URL of an SQLite or PostgreSQL database"),
        ("INARA_DAEMON_INARA_URL", "ftp://inara.cz/", "must begin with https://"),
        ("INARA_DAEMON_INARA_URL", "inara.cz/inapi/v1/", "must begin with https://"),
        ("INARA_DAEMON_INARA_URL", "https:///inapi/v1/", "must begin with https://"),
        ("INARA_DAEMON_INARA_URL", "https://u:p@inara.cz/", "must not contain a user name or password"),
        ("INARA_DAEMON_INARA_URL", "https://@inara.cz/", "must not contain a user name or password"),
        ("INARA_DAEMON_INARA_URL", "https://inara.cz/?a=1", "must not have a '?' or '#' part"),
        ("INARA_DAEMON_INARA_URL", "https://inara.cz:x/", "is not a valid web address"),
        ("INARA_DAEMON_INARA_URL", "https://inara.cz:0/", "must begin with https://"),
        ("INARA_DAEMON_INARA_URL", "https://in ara.cz/", "characters that a web address can't have"),
        ("INARA_DAEMON_INARA_URL", "http://inara.cz/inapi/v1/", "must be https for Inara's own host"),
        ("INARA_DAEMON_REQUESTS_PER_MINUTE", "0", "at least 0.001"),
        ("INARA_DAEMON_REQUESTS_PER_MINUTE", "-1", "at least 0.001"),
        ("INARA_DAEMON_REQUESTS_PER_MINUTE", "nan", "must be at least 0.001"),
        ("INARA_DAEMON_REQUESTS_PER_MINUTE", "inf", "must be a finite number"),
        ("INARA_DAEMON_REQUESTS_PER_MINUTE", "1e999", "must be a finite number"),
        ("INARA_DAEMON_REQUESTS_PER_MINUTE", "2,5", "must be a number"),
        ("INARA_DAEMON_REQUESTS_PER_MINUTE", "true", "must be a number"),
        ("INARA_DAEMON_REQUESTS_PER_MINUTE", "25.1", "must be at most 25 for Inara's own host"),
        ("INARA_DAEMON_BATCH_SIZE", "0", "at least 1"),
        ("INARA_DAEMON_BATCH_SIZE", "101", "at most 100"),
        ("INARA_DAEMON_BATCH_SIZE", "2.5", "must be a whole number"),
        ("INARA_DAEMON_BATCH_SIZE", "many", "must be a whole number"),
        ("INARA_DAEMON_BATCH_SIZE", "9" * 5000, "is too large a number"),
        ("INARA_DAEMON_SCHEDULE", "0 1 * * 0", "the weekday is a number"),
        ("INARA_DAEMON_NIGHT_MINUTES", "0", "more than 0"),
        ("INARA_DAEMON_NIGHT_MINUTES", "inf", "must be a whole number"),
        ("INARA_DAEMON_DISCOVER_MINUTES", "-1", "at least 0"),
        ("INARA_DAEMON_HTTP", "8790", "must be host:port or off"),
        ("INARA_DAEMON_HTTP", ":8790", "must be host:port"),
        ("INARA_DAEMON_HTTP", "127.0.0.1:65536", "has a port above 65535"),
        ("INARA_DAEMON_HTTP", "::1:8790", "must be host:port"),
        ("INARA_DAEMON_HTTP", "[::x]:8790", "has no valid IPv6 address"),
        ("INARA_DAEMON_WEBHOOK_HOSTS", "a.example, http://b.example", "entry 2 must be host:port"),
        ("INARA_DAEMON_OPERATOR_WEBHOOK", WEBHOOK.replace("discord.com", "a.example"), "its host is not discord.com"),
        ("INARA_DAEMON_OPERATOR_WEBHOOK", "https://discord.com/channels/1", "is no webhook's address"),
        ("INARA_DAEMON_OPERATOR_WEBHOOK", f"{WEBHOOK} x", "contains a blank"),
        ("INARA_DAEMON_LOG_LEVEL", "loud", "must be one of debug, info, warning, error, critical"),
        ("INARA_DAEMON_LOG_FORMAT", "xml", "must be one of auto, json, console"),
    ],
)
def test_a_value_that_can_not_be_used_is_told_with_its_variable(variable: str, value: str, what: str) -> None:
    (problem,) = problems({variable: value})
    assert problem.where == variable
    assert what in problem.what


@pytest.mark.parametrize(
    ("variable", "value", "hint"),
    [
        ("INARA_DAEMON_LOG_LEVEL", "warn", "did you mean 'warning'?"),
        ("INARA_DAEMON_LOG_FORMAT", "jsn", "did you mean 'json'?"),
        ("INARA_DAEMON_HTTP", "::1:8790", "IPv6 addresses need brackets: [::1]:8790"),
        ("INARA_DAEMON_HTTP", "localhost", "such as 127.0.0.1:8790"),
    ],
)
def test_a_problem_says_what_to_do(variable: str, value: str, hint: str) -> None:
    (problem,) = problems({variable: value})
    assert problem.hint is not None
    assert hint in problem.hint


@pytest.mark.parametrize("field", ["requests_per_minute", "batch_size", "night_minutes", "discover_minutes"])
def test_a_boolean_is_no_number(field: str) -> None:
    with pytest.raises(ValueError, match="must be a number"):
        Settings.model_validate({"app_name": "x", field: True})


def test_values_of_the_right_type_are_taken_as_they_are() -> None:
    url = Secret("sqlite:////srv/state.db")
    settings = Settings(
        app_name="x", inara_api_key=Secret("k"), state_url=url, http=None, webhook_hosts=(HostPort("h", 1),)
    )
    assert settings.state_url is url
    assert settings.webhook_hosts == (HostPort("h", 1),)
    assert Settings(app_name="x", log_level=LogLevel.ERROR).log_level is LogLevel.ERROR


def test_all_errors_are_told_at_once() -> None:
    environ = {
        "INARA_DAEMON_BATCH_SIZE": "0",
        "INARA_DAEMON_HTTP": "x",
        "INARA_DAEMON_SCHEDULE": "x",
        "INARA_DAEMON_APP_NAME": "",
        "INARA_DAEMON_HTTP_TOKEN_FILE": "/missing",
    }
    assert {problem.where for problem in problems(environ)} == set(environ)


def test_a_checkout_that_was_never_installed_has_a_version_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_version(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(settings_module, "version", no_version)
    assert load({}).app_version == "0"


# --- Inara's own host -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "https://inara.cz/inapi/v1/",
        "https://INARA.CZ/inapi/v1/",
        "https://inara.cz./inapi/v1/",
        "https://www.inara.cz/inapi/v1/",
        "https://inara.cz:443/inapi/v1/",
    ],
)
def test_inaras_own_host_is_known_in_every_spelling(url: str) -> None:
    assert load({"INARA_DAEMON_INARA_URL": url}).asks_inara_itself
    found = problems({"INARA_DAEMON_INARA_URL": url, "INARA_DAEMON_REQUESTS_PER_MINUTE": "26"})
    assert [problem.where for problem in found] == ["INARA_DAEMON_REQUESTS_PER_MINUTE"]


@pytest.mark.parametrize("url", ["http://127.0.0.1:9100/", "https://notinara.cz/", "https://inara.cz.example.org/"])
def test_a_stand_in_may_be_asked_faster_and_without_a_name(url: str) -> None:
    settings = load_settings({"INARA_DAEMON_INARA_URL": url, "INARA_DAEMON_REQUESTS_PER_MINUTE": "6000"})
    assert not settings.asks_inara_itself
    assert settings.app_name is None


def test_a_missing_application_name_is_an_error_that_says_how_to_get_one() -> None:
    (problem,) = problems({"INARA_DAEMON_APP_NAME": " "})
    assert problem.where == "INARA_DAEMON_APP_NAME"
    assert "white-list" in str(problem)
    assert "EICChatBot" in str(problem)


def test_an_unusable_inara_url_is_one_problem_and_not_three() -> None:
    found = problems(
        {
            "INARA_DAEMON_INARA_URL_FILE": "/missing",
            "INARA_DAEMON_APP_NAME": "",
            "INARA_DAEMON_REQUESTS_PER_MINUTE": "60",
        }
    )
    assert [problem.where for problem in found] == ["INARA_DAEMON_INARA_URL_FILE"]


# --- Unknown variables --------------------------------------------------------------------------------------------


def test_the_operators_webhook_may_be_on_a_host_that_the_tenants_may_use() -> None:
    url = "http://127.0.0.1:9000/api/webhooks/1/t"
    hosts = {"INARA_DAEMON_WEBHOOK_HOSTS": "127.0.0.1:9000"}
    assert load(hosts | {"INARA_DAEMON_OPERATOR_WEBHOOK": url}).operator_webhook == Secret(url)
    unusable = {"INARA_DAEMON_WEBHOOK_HOSTS": "http://x", "INARA_DAEMON_OPERATOR_WEBHOOK": url}
    assert [problem.where for problem in problems(unusable)] == ["INARA_DAEMON_WEBHOOK_HOSTS"]


def test_an_unknown_variable_is_a_warning_with_the_right_spelling() -> None:
    assert load({"INARA_DAEMON_BATCHSIZE": "7"}).warnings == (
        "INARA_DAEMON_BATCHSIZE: is no known setting and has no effect; did you mean 'INARA_DAEMON_BATCH_SIZE'?",
    )


def test_an_unknown_variables_value_is_not_shown() -> None:
    assert CANARY not in "".join(load({"INARA_DAEMON_HTTP_TOKN": CANARY}).warnings)


def test_other_programs_variables_are_no_concern_of_ours() -> None:
    assert load({"PATH": "/bin", "INARA_DAEMONS": "x", "VALK_PORT": "1"}).warnings == ()


# --- Where the state is kept --------------------------------------------------------------------------------------

SYSTEM = "/var/lib/inara-daemon"


@pytest.mark.parametrize(
    ("environ", "existing", "place"),
    [
        ({"INARA_DAEMON_STATE_URL": "sqlite:////s.db", "STATE_DIRECTORY": "/d"}, SYSTEM, Secret("sqlite:////s.db")),
        ({"STATE_DIRECTORY": "/d"}, SYSTEM, Path("/d/state.db")),
        ({"HOME": "/home/ann"}, SYSTEM, Path("/var/lib/inara-daemon/state.db")),
        ({"HOME": "/home/ann", "XDG_STATE_HOME": "/x"}, None, Path("/x/inara-daemon/state.db")),
        ({"HOME": "/home/ann", "XDG_STATE_HOME": "x"}, None, Path("/home/ann/.local/state/inara-daemon/state.db")),
        ({"HOME": "/home/ann"}, None, Path("/home/ann/.local/state/inara-daemon/state.db")),
    ],
)
def test_the_state_is_where_the_first_of_five_places_says(
    environ: Mapping[str, str], existing: str | None, place: Path | Secret
) -> None:
    assert state_location(load(environ), environ, lambda path: str(path) == existing) == place


def test_without_any_place_for_the_state_the_variable_to_set_is_named() -> None:
    with pytest.raises(ConfigurationError, match="set INARA_DAEMON_STATE_URL"):
        state_location(load({}), {}, lambda _: False)


# --- Secrets --------------------------------------------------------------------------------------------------------


def test_every_secret_of_the_settings_is_known_for_redaction() -> None:
    settings = load(
        {
            "INARA_API_KEY": "key",
            "INARA_DAEMON_HTTP_TOKEN": "token",
            "INARA_DAEMON_STATE_URL": "postgresql://u:p%40ss@h/d",
            "INARA_DAEMON_OPERATOR_WEBHOOK": WEBHOOK,
        }
    )
    assert settings.secret_texts() >= {"key", "token", "p%40ss", "p@ss", WEBHOOK, "canary-token"}
    assert load({}).secret_texts() == frozenset()


_VARIABLES = [
    "INARA_API_KEY",
    "VALK_TENANT_FILE",
    "VALK_TENANT_DB_ROOT",
    "STATE_DIRECTORY",
    "CREDENTIALS_DIRECTORY",
    *(f"INARA_DAEMON_{field.upper()}" for field in Settings.model_fields),
]
canaries = st.tuples(st.text(max_size=12), st.text(max_size=12)).map(CANARY.join)
urls = canaries.map(lambda text: f"postgresql://u:{text}@h:x/d")


@given(
    st.dictionaries(
        st.sampled_from([*_VARIABLES, *(f"{variable}_FILE" for variable in _VARIABLES)]),
        st.one_of(canaries, urls, canaries.map(lambda text: f"https://{text}@inara.cz/"), st.text(max_size=20)),
        max_size=6,
    )
)
def test_no_environment_raises_anything_else_or_shows_a_value(environ: dict[str, str]) -> None:
    problems: list[Problem] = []
    shown: list[object] = []
    try:
        settings = load_settings(environ, read=no_file)
        shown = [settings.warnings, settings.inara_api_key, settings.http_token, settings.state_url]
    except ConfigurationError as error:
        problems = error.problems
        shown = [error, *problems]
    assert all("\n" not in str(problem) for problem in problems)
    assert CANARY not in repr(shown) + "".join(map(str, shown))
