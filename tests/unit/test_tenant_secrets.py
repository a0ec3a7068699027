from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inara_daemon.settings import ConfigurationError, Secret, Settings
from inara_daemon.tenants import ReportKind, Tenant, Tenants, masked, parse_tenants, secret_texts

CANARY = "canary-91aa"
SETTINGS = Settings(app_name="Fleet Roster")
BARE = Tenant("bare", "Bare", Secret("sqlite:///bare.db"), Secret("key"), "0 1 * * *")
GUARDED = Tenant(
    id="g",
    name="G",
    db_uri=Secret("postgresql://u:canary%40db@h/d"),
    inara_api_key=Secret("canary-inara"),
    schedule="0 1 * * *",
    api_key=Secret("canary-backend"),
    webhook=Secret("https://discord.com/api/webhooks/123/canary-token?thread_id=4"),
    report=ReportKind.PROBLEMS,
)


def test_every_secret_of_the_tenants_is_known_for_redaction() -> None:
    assert secret_texts(Tenants((BARE, GUARDED))) == {
        "key",
        "canary-inara",
        "canary-backend",
        "canary%40db",
        "canary@db",
        "canary-token",
        "https://discord.com/api/webhooks/123/canary-token?thread_id=4",
    }


def test_a_masked_tenant_shows_everything_but_its_secrets() -> None:
    assert masked(GUARDED) == {
        "id": "g",
        "name": "G",
        "db_uri": "postgresql://u:***@h/d",
        "inara_api_key": "***",
        "api_key": "***",
        "webhook": "https://discord.com/api/webhooks/123/***?thread_id=4",
        "schedule": "0 1 * * *",
        "report": "problems",
    }


def test_a_masked_tenant_shows_what_is_missing() -> None:
    assert masked(BARE)["webhook"] is None
    assert masked(BARE)["api_key"] is None


secret_values = st.one_of(
    st.tuples(st.text(max_size=5), st.text(max_size=5)).map(CANARY.join),
    st.sampled_from(
        [
            CANARY,
            f"mysql://u:{CANARY}@h/d",
            f"postgresql://u:{CANARY}@h/d?password={CANARY}",
            f"postgresql://u:{CANARY}@h:x/d",
            f"https://discord.com/api/webhooks/x/{CANARY}",
            f"https://example.org/api/webhooks/1/{CANARY}",
            f"https://discord.com/api/webhooks/1/{CANARY}",
            [CANARY],
            {CANARY[:3]: CANARY},
        ]
    ),
)
values = st.recursive(
    st.one_of(secret_values, st.none(), st.booleans(), st.integers(), st.floats(), st.just("sqlite:///db/x.db")),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.text(max_size=5), inner, max_size=2)),
    max_leaves=4,
)
# Names and ids are shown, so no canary in them.
shown_values = st.one_of(st.text(max_size=5), st.integers(), st.none(), st.lists(st.integers(), max_size=1))
entries = st.fixed_dictionaries(
    {},
    optional={
        "id": shown_values,
        "name": shown_values,
        "db_uri": values,
        "inara_api_key": values,
        "api_key": values,
        "discord_webhooks": st.one_of(values, st.fixed_dictionaries({"bullis": values})),
        "inara_daemon": st.one_of(
            values, st.fixed_dictionaries({}, optional={"schedule": values, "report": values, "x": values})
        ),
        "inara_apikey": values,
    },
)
documents = st.one_of(
    entries,
    st.lists(st.one_of(entries, values), max_size=3),
    st.fixed_dictionaries({"tenants": st.one_of(values, st.lists(entries, max_size=3))}),
    st.dictionaries(st.text(max_size=5), st.one_of(entries, values), max_size=3),
    values,
).map(lambda document: json.dumps(document).encode())


def messages(text: bytes) -> list[str]:
    """Everything that parsing this text tells people."""
    try:
        parsed = parse_tenants(text, SETTINGS)
    except ConfigurationError as error:
        return [str(error), repr(error), *map(str, error.problems), *map(repr, error.problems)]
    return [repr(parsed), *parsed.warnings, *map(str, parsed.skipped), *(str(masked(t)) for t in parsed.tenants)]


REFUSED = [
    CANARY,
    f"a {CANARY}",
    f"a\n{CANARY}",
    f"a\u200b{CANARY}",
    f"mysql://u:{CANARY}@h/d",
    f"sqlite://{CANARY}",
    f"postgresql://u:{CANARY}@h:x/d",
    f"postgresql://u:{CANARY}\x00@h/d",
    f"https://{CANARY}@discord.com/api/webhooks/1/t",
    f"https://discord.com/api/webhooks/x/{CANARY}",
    f"https://discord.com/api/webhooks/1/{CANARY}#x",
    f"https://example.org/api/webhooks/1/{CANARY}",
    f"http://discord.com/api/webhooks/1/{CANARY}",
    f"https://[{CANARY}/api/webhooks/1/t",
    f"0 1 * * {CANARY}",
    f"{CANARY} 1 * * *",
    [CANARY],
    {"x": CANARY},
]


@pytest.mark.parametrize("value", REFUSED)
@pytest.mark.parametrize(
    "path",
    [
        ("db_uri",),
        ("inara_api_key",),
        ("api_key",),
        ("discord_webhooks",),
        ("discord_webhooks", "bullis"),
        ("inara_daemon",),
        ("inara_daemon", "schedule"),
        ("inara_daemon", "report"),
        ("inara_daemon", "shedule"),
        ("inara_apikey",),
    ],
)
def test_no_value_is_shown_wherever_it_stands(value: object, path: tuple[str, ...]) -> None:
    misplaced: object = value
    for key in reversed(path[1:]):
        misplaced = {key: misplaced}
    entry = {"name": "Valk", "db_uri": "sqlite:///db/valk.db", "inara_api_key": "key", path[0]: misplaced}
    assert CANARY not in "".join(messages(json.dumps([entry]).encode()))


@given(documents)
def test_no_document_raises_anything_else_or_shows_a_secret(text: bytes) -> None:
    assert CANARY not in "".join(messages(text))


@given(st.one_of(st.binary(), st.text().map(str.encode), documents.map(lambda text: text[: len(text) // 2])))
def test_no_bytes_raise_anything_else(text: bytes) -> None:
    assert messages(text)


@given(documents)
def test_every_message_is_one_line(text: bytes) -> None:
    try:
        lines = list(parse_tenants(text, SETTINGS).warnings)
    except ConfigurationError as error:
        lines = [str(problem) for problem in error.problems]
    assert all(line.isprintable() for line in lines)
