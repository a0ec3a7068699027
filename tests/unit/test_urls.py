from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.engine import make_url

from inara_daemon.problems import Refused
from inara_daemon.urls import (
    HostPort,
    database_url,
    host_port,
    masked_url,
    secrets_in_url,
    webhook_token,
    webhook_url,
)

PATH = "/api/webhooks/123/canary-Token_1"
MORE = (HostPort("127.0.0.1", 9000), HostPort("hooks.example.org"), HostPort("::1", 9000))


@pytest.mark.parametrize(
    "url",
    [
        f"https://discord.com{PATH}",
        f"https://discordapp.com{PATH}",
        f"https://canary.discord.com{PATH}",
        f"https://DISCORD.com{PATH}",
        f"https://discord.com.{PATH}",
        f"https://discord.com:443{PATH}",
        f"https://discord.com{PATH}?thread_id=5",
        "https://discord.com/api/v10/webhooks/123/canary-Token_1",
        f"http://127.0.0.1:9000{PATH}",
        f"https://127.0.0.1:9000{PATH}",
        f"http://[::1]:9000{PATH}",
        f"http://hooks.example.org{PATH}",
        f"https://hooks.example.org{PATH}",
    ],
)
def test_a_webhook_of_discord_or_of_a_host_that_was_allowed_is_accepted(url: str) -> None:
    assert webhook_url(url, MORE) == url
    assert webhook_token(url) == "canary-Token_1"


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("REPLACE-ME", "must begin with https://"),
        (f"http://discord.com{PATH}", "must be https on the usual port"),
        (f"https://discord.com:8443{PATH}", "must be https on the usual port"),
        (f"ftp://discord.com{PATH}", "must begin with https://"),
        (f"https://discord.com@evil.example{PATH}", "must not contain a user name or password"),
        (f"https://discord.com\\@evil.example{PATH}", "must not contain a user name or password"),
        (f"https://evil.example{PATH}", "is no webhook of Discord"),
        (f"https://discord.com.evil.example{PATH}", "is no webhook of Discord"),
        (f"https://notdiscord.com{PATH}", "is no webhook of Discord"),
        (f"https://127.0.0.1{PATH}", "is no webhook of Discord"),
        (f"http://127.0.0.1:9001{PATH}", "is no webhook of Discord"),
        (f"https://hooks.example.org:9000{PATH}", "is no webhook of Discord"),
        (f"https://d\u0131scord.com{PATH}", "characters that a web address can't have"),
        (f"https://discord.com{PATH} ", "characters that a web address can't have"),
        (f"https://discord.com/\n{PATH}", "characters that a web address can't have"),
        (f"https://[::1{PATH}", "is not a valid web address"),
        (f"https://discord.com:99999{PATH}", "is not a valid web address"),
        ("https://discord.com/api/webhooks/123/...", "is no webhook's address"),
        ("https://discord.com/api/webhooks/123", "is no webhook's address"),
        ("https://discord.com/api/webhooks/abc/canary-Token_1", "is no webhook's address"),
        (f"https://discord.com{PATH}/slack", "is no webhook's address"),
        (f"https://discord.com{PATH}/", "is no webhook's address"),
        (f"https://discord.com/api/webhooks/../{PATH}", "is no webhook's address"),
        ("https://discord.com/channels/1/2", "is no webhook's address"),
        (f"https://discord.com{PATH}#x", "must not have a '#' part"),
    ],
)
def test_any_other_address_is_no_webhook_and_is_not_shown(url: str, what: str) -> None:
    with pytest.raises(Refused) as caught:
        webhook_url(url, MORE)
    assert what in caught.value.what
    assert "canary" not in f"{caught.value} {caught.value.hint}"


def test_what_is_no_webhook_has_no_token() -> None:
    assert webhook_token("https://discord.com/") is None


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("127.0.0.1:80", "127.0.0.1:80"),
        ("LocalHost:1", "localhost:1"),
        ("hooks.example.org.", "hooks.example.org"),
        ("[0:0:0:0:0:0:0:1]:80", "[::1]:80"),
        ("[::1]", "[::1]"),
    ],
)
def test_a_host_and_port_read_alike_in_every_spelling(written: str, shown: str) -> None:
    assert str(host_port(written)) == shown


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///db/bgs_data_x.db",
        "sqlite:////home/valk/valk/db/x.db",
        "sqlite+pysqlite:///db/x.db",
        "sqlite+aiosqlite:///db/x.db?timeout=5",
        "postgres://u:p@h/d",
        "postgresql://u:p@h:5432/d?sslmode=require",
        "postgresql://u:pa/ss?[#]@h:5432/d",
        "postgresql://u@/d?host=/run/postgresql",
        "postgresql://h/d",
        "postgresql://[::1]:5432/d",
        "postgresql+psycopg2://u:p@h/d",
        "postgresql+psycopg://u:p@h/d",
        "postgresql+asyncpg://u:p@h/d",
    ],
)
def test_a_database_url_is_accepted_in_every_spelling_in_use(url: str) -> None:
    assert database_url(url) == url
    assert make_url(url)


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("db/x.db", "is not the URL of an SQLite or PostgreSQL database"),
        ("sqlite:/db/x.db", "is not the URL of an SQLite or PostgreSQL database"),
        ("SQLite:///db/x.db", "is not the URL of an SQLite or PostgreSQL database"),
        ("mysql://u:canary@h/d", "is not the URL of an SQLite or PostgreSQL database"),
        ("postgresql+pg8000://u:canary@h/d", "is not the URL of an SQLite or PostgreSQL database"),
        ("sqlite://db/x.db", "has no path after three slashes"),
        ("sqlite://", "has no path after three slashes"),
        ("sqlite:///", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
        ("sqlite:///?mode=memory", "must name a file"),
        ("postgresql://u:canary@h:x/d", "has no valid host and port"),
        ("postgresql://u:canary@h:/d", "has no valid host and port"),
        ("postgresql://u:canary@h:65536/d", "has no valid host and port"),
        ("postgresql://u:can@ary@h/d", "has no valid host and port"),
        ("postgresql://h1:1,h2:2/d", "has no valid host and port"),
    ],
)
def test_a_database_url_that_can_not_work_is_refused_and_not_shown(url: str, what: str) -> None:
    with pytest.raises(Refused) as caught:
        database_url(url)
    assert what in caught.value.what
    assert caught.value.hint
    assert "can" not in f"{caught.value}".replace("can't", "")


@pytest.mark.parametrize(
    ("url", "masked", "secrets"),
    [
        ("sqlite:///db/a:b@c.db", "sqlite:///db/a:b@c.db", set()),
        ("postgresql://u@h/d", "postgresql://u@h/d", set()),
        ("postgresql://u:p%40s+s@h:1/d", "postgresql://u:***@h:1/d", {"p%40s+s", "p@s+s", "p@s s"}),
        ("postgresql://u:a/b?c@h/d", "postgresql://u:***@h/d", {"a/b?c"}),
        ("postgresql://u:a@b@h/d", "postgresql://u:***@h/d", {"a@b", "a"}),
        (
            "postgresql://u:p@h/d?x=1&PassWord=q%21&y=2",
            "postgresql://u:***@h/d?x=1&PassWord=***&y=2",
            {"p", "q%21", "q!"},
        ),
        ("postgresql://h/d?sslpassword=q", "postgresql://h/d?sslpassword=***", {"q"}),
        ("postgresql://h/d?pass%77ord=q", "postgresql://h/d?pass%77ord=***", {"q"}),
    ],
)
def test_every_password_in_a_database_url_is_hidden_and_known_for_redaction(
    url: str, masked: str, secrets: set[str]
) -> None:
    assert masked_url(url) == masked
    assert secrets_in_url(url) == secrets


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="@"), min_size=4))
def test_the_password_that_sqlalchemy_reads_is_known_and_hidden(password: str) -> None:
    url = f"postgresql://ann:{password}@host/d"
    read = make_url(url).password
    assert read in secrets_in_url(url)
    assert masked_url(url) == "postgresql://ann:***@host/d"


@given(st.text("u:p@h/d?[]1=&%", max_size=14).map("postgresql://".__add__))
def test_what_is_accepted_sqlalchemy_can_read(url: str) -> None:
    with suppress(Refused):
        assert make_url(database_url(url)).drivername == "postgresql"
