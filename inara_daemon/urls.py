"""Addresses of hosts, web services, webhooks and databases: what is accepted, and what in them is secret. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address
from urllib.parse import SplitResult, unquote, unquote_plus, urlsplit

from inara_daemon.problems import Refused

_DISCORD_HOSTS = ("discord.com", "discordapp.com")
_INARA_HOST = "inara.cz"
_DATABASE_SCHEMES = frozenset(
    {
        "sqlite",
        "sqlite+pysqlite",
        "sqlite+aiosqlite",
        "postgres",
        "postgresql",
        "postgresql+psycopg2",
        "postgresql+psycopg",
        "postgresql+asyncpg",
    }
)
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_HOST_PORT = re.compile(r"(?:\[(?P<ipv6>[^\]]*)\]|(?P<host>[^:\[\]]*))(?::(?P<port>[0-9]{1,5}))?")
_WEBHOOK_PATH = re.compile(r"/api/(?:v[0-9]+/)?webhooks/[0-9]+/(?P<token>[A-Za-z0-9_-]+)")
_LOGIN = re.compile(r"[^:/]*(?::[^@]*)?@")
_HOST_AND_PORT = re.compile(r"(?:\[[^\]/?@]+\]|[^\[\]/:?@]+)?(?::(?P<port>[0-9]{1,5}))?(?=[/?]|$)")
_HIGHEST_PORT = 65535
_SECRET_ARGUMENTS = frozenset({"password", "sslpassword"})
_DEFAULT_PORTS = {"http": 80, "https": 443}
_DATABASE_EXAMPLE = "use sqlite:///db/file.db (three slashes, four before an absolute path) or postgresql://..."
_WEBHOOK_EXAMPLE = "copy it again in Discord: channel settings, Integrations, Webhooks"


@dataclass(frozen=True, slots=True)
class HostPort:
    """A host in lower case and a port; without a port, the scheme's own."""

    host: str
    port: int | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"


def host_port(text: str) -> HostPort:
    """`host`, `host:port` or `[IPv6]:port`; Refused if it is none of them."""
    match = _HOST_PORT.fullmatch(text.strip().lower())
    if match is None:
        raise Refused("must be host:port", "IPv6 addresses need brackets: [::1]:8790")
    port = None if match["port"] is None else int(match["port"])
    if port is not None and port > _HIGHEST_PORT:
        raise Refused(f"has a port above {_HIGHEST_PORT}")
    if match["ipv6"] is not None:
        return HostPort(_ipv6(match["ipv6"]), port)
    host = match["host"].removesuffix(".")
    if not _HOST_NAME.fullmatch(host):
        raise Refused("must be host:port", "such as 127.0.0.1:8790")
    return HostPort(host, port)


def _ipv6(text: str) -> str:
    try:
        return str(IPv6Address(text))
    except ValueError:
        raise Refused("has no valid IPv6 address between its brackets") from None


def api_url(text: str) -> str:
    """The web address of Inara's API or of a stand-in; Refused if unusable or if it would send keys in clear."""
    parts = _web_address(text, "such as https://inara.cz/inapi/v1/")
    if parts.fragment or parts.query:
        raise Refused("must not have a '?' or '#' part")
    if parts.scheme == "http" and is_inara(text):
        raise Refused("must be https for Inara's own host", "http would send the API keys unprotected")
    return text


def is_inara(url: str) -> bool:
    """Whether the URL leads to Inara itself, whose limits then hold."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    return host == _INARA_HOST or host.endswith(f".{_INARA_HOST}")


def _web_address(text: str, example: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        port_is_usable = parts.port != 0
    except ValueError:
        raise Refused("is not a valid web address", example) from None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or not port_is_usable:
        raise Refused("must begin with https:// (or http://) and a host", example)
    if parts.username is not None or parts.password is not None:
        raise Refused("must not contain a user name or password", example)
    if not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
        raise Refused("contains characters that a web address can't have", example)
    return parts


def webhook_url(text: str, more_hosts: Sequence[HostPort]) -> str:
    """A Discord webhook's URL, https on Discord's hosts, http too on `more_hosts`; Refused if it is none."""
    parts = _web_address(text, _WEBHOOK_EXAMPLE)
    host, port = (parts.hostname or "").rstrip("."), parts.port or _DEFAULT_PORTS[parts.scheme]
    allowed = any(host == more.host and port == (more.port or _DEFAULT_PORTS[parts.scheme]) for more in more_hosts)
    is_discord = any(host == known or host.endswith(f".{known}") for known in _DISCORD_HOSTS)
    if not allowed and not is_discord:
        raise Refused(
            "is no webhook of Discord: its host is not discord.com",
            "INARA_DAEMON_WEBHOOK_HOSTS may name more hosts",
        )
    if not allowed and (parts.scheme, port) != ("https", 443):
        raise Refused("must be https on the usual port", _WEBHOOK_EXAMPLE)
    if _WEBHOOK_PATH.fullmatch(parts.path) is None:
        raise Refused("is no webhook's address: /api/webhooks/<number>/<token> must follow the host", _WEBHOOK_EXAMPLE)
    if parts.fragment:
        raise Refused("must not have a '#' part", _WEBHOOK_EXAMPLE)
    return text


def webhook_token(url: str) -> str | None:
    """The secret part of a webhook's URL."""
    match = _WEBHOOK_PATH.fullmatch(urlsplit(url).path)
    return None if match is None else match["token"]


def database_url(text: str) -> str:
    """An SQLAlchemy URL of SQLite or PostgreSQL, in any spelling seen in the wild; Refused if it is none."""
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in _DATABASE_SCHEMES:
        raise Refused("is not the URL of an SQLite or PostgreSQL database", _DATABASE_EXAMPLE)
    if scheme.startswith("sqlite"):
        path = rest.partition("?")[0]
        if not path.startswith("/"):
            raise Refused("has no path after three slashes", _DATABASE_EXAMPLE)
        if path.strip("/") in {"", ":memory:"}:
            raise Refused("must name a file: a database in memory is empty", _DATABASE_EXAMPLE)
        return text
    # As SQLAlchemy reads it: a password may hold '/' and '?', but not '@'.
    login = _LOGIN.match(rest)
    host = _HOST_AND_PORT.match(rest if login is None else rest[login.end() :])
    if host is None or (host["port"] and int(host["port"]) > _HIGHEST_PORT):
        raise Refused("has no valid host and port", "write '@' in a password as %40, ':' in a user name as %3A")
    return text


def masked_url(url: str) -> str:
    """The database URL with each secret in it as `***`."""
    for secret in sorted(_raw_secrets(url), key=len, reverse=True):
        url = url.replace(f":{secret}@", ":***@").replace(f"={secret}", "=***")
    return url


def masked_webhook(url: str) -> str:
    """The webhook's URL with its token as `***`, or no more than that if there is none."""
    return url.replace(webhook_token(url) or url, "***")


def secrets_in_url(url: str) -> frozenset[str]:
    """The passwords in a database URL, as written there and decoded."""
    raw = _raw_secrets(url)
    return raw | {unquote(secret) for secret in raw} | {unquote_plus(secret) for secret in raw}


def _raw_secrets(url: str) -> frozenset[str]:
    scheme, _, rest = url.partition("://")
    if scheme.startswith("sqlite"):
        return frozenset()
    before_query, _, query = rest.partition("?")
    # A password with an unescaped '@' or '?' ends at another place for each reader: hide every reading.
    logins = (rest.partition("@")[0], before_query.rpartition("@")[0], rest.rpartition("@")[0])
    secrets = {login.partition(":")[2] for login in logins}
    for argument in query.split("&"):
        name, _, value = argument.partition("=")
        if unquote_plus(name).strip().lower() in _SECRET_ARGUMENTS:
            secrets.add(value)
    return frozenset(secrets - {""})
