"""The entries of a tenant.json: the shapes they come in, their keys and values. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationInfo, field_validator

from inara_daemon.cron import cron_expression
from inara_daemon.json_document import json_path
from inara_daemon.problems import (
    ConfigurationError,
    Problem,
    Refused,
    refuse_blanks,
    refuse_control_characters,
    suggestion,
)
from inara_daemon.secret import Secret
from inara_daemon.urls import database_url, webhook_url

MAX_ID_LENGTH = 64
"""Characters of a tenant's id."""

_EXAMPLE = "tenant.json.example shows what belongs here"
_NEAR = 0.8
_BACKEND_KEYS = frozenset({"api_version", "faction_name", "faction_logo", "manual_activity_webhook"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the file: its path there, the id that a map gave it, and what it says."""

    path: tuple[int | str, ...]
    key: str | None
    value: object


def entries_of(document: object) -> list[Entry]:
    """The entries of any of the four shapes: a list, `{"tenants": [...]}`, a map from id to tenant, a bare tenant."""
    if isinstance(document, Mapping):
        listed = document.get("tenants")
        if isinstance(listed, list):
            return _listed(listed, ("tenants",))
        if "tenants" in document:
            raise ConfigurationError([Problem("tenants", "must be a list: [...]", _EXAMPLE)])
        if "db_uri" in document or "api_key" in document:
            return [Entry((), None, document)]
        if document and all(isinstance(value, Mapping) for value in document.values()):
            return [Entry((key,), key, value) for key, value in document.items()]
        if document:
            raise ConfigurationError([_shapeless(document)])
        return _listed([], ())
    if isinstance(document, list):
        return _listed(document, ())
    raise ConfigurationError([Problem(json_path(()), "must be a list of tenants", _EXAMPLE)])


def _listed(values: Sequence[object], path: tuple[int | str, ...]) -> list[Entry]:
    if not values:
        raise ConfigurationError([Problem(json_path(path), "holds no tenant, so there is nothing to do", _EXAMPLE)])
    return [Entry((*path, index), None, value) for index, value in enumerate(values)]


def _shapeless(document: Mapping[str, object]) -> Problem:
    hints = [f"{json_path((key,))}: {hint}" for key in document if (hint := suggestion(key, ("db_uri", "tenants")))]
    return Problem(
        json_path(()),
        "is neither a list of tenants, nor a map from id to tenant, nor one tenant with db_uri or api_key",
        hints[0] if hints else _EXAMPLE,
    )


class ReportKind(StrEnum):
    """Which runs a tenant's channel hears of."""

    ALWAYS = "always"
    CHANGES = "changes"
    """Only runs that changed something, or met a problem."""
    PROBLEMS = "problems"


def _text(check: Callable[[str], object]) -> BeforeValidator:
    """What `check` makes of the text without blanks around it; a blank text is a missing one."""

    def validate(value: object) -> object:
        if value is None:
            return None
        if not isinstance(value, str):
            raise Refused("must be text in quotes")
        text = value.strip()
        return check(text) if text else None

    return BeforeValidator(validate)


def _inara_key(text: str) -> Secret:
    return Secret(refuse_blanks(text))


def _backend_key(text: str) -> Secret:
    return Secret(refuse_control_characters(text))


def tenant_id(text: str) -> str:
    """The id without blanks around it; Refused if it is too long or can't be shown on one line."""
    text = text.strip()
    if len(text) > MAX_ID_LENGTH:
        raise Refused(f"is an id longer than {MAX_ID_LENGTH} characters")
    return refuse_control_characters(text)


def _database(text: str) -> Secret:
    return Secret(database_url(refuse_control_characters(text)))


def _report(text: str) -> ReportKind:
    try:
        return ReportKind(text.lower())
    except ValueError:
        raise Refused(f"must be one of {', '.join(ReportKind)}", suggestion(text, ReportKind)) from None


_CONFIG = ConfigDict(frozen=True, strict=True, hide_input_in_errors=True, arbitrary_types_allowed=True)


class Channels(BaseModel):
    """`discord_webhooks`: of the backend's channels the one that hears of commanders."""

    model_config = _CONFIG

    bullis: Annotated[Secret | None, _text(Secret)] = None

    @field_validator("bullis")
    @classmethod
    def _points_to_a_webhook(cls, value: Secret | None, info: ValidationInfo) -> Secret | None:
        if value is not None:
            webhook_url(value.reveal(), info.context or ())
        return value


class OurOptions(BaseModel):
    """`inara_daemon`: what is the daemon's own in an entry."""

    model_config = ConfigDict(**_CONFIG, extra="forbid")

    schedule: Annotated[str | None, _text(cron_expression)] = None
    report: Annotated[ReportKind | None, _text(_report)] = None


class TenantEntry(BaseModel):
    """An entry as written; the validation context is the sequence of further hosts for webhooks."""

    model_config = _CONFIG

    id: Annotated[str | None, _text(tenant_id)] = None
    name: Annotated[str | None, _text(refuse_control_characters)] = None
    db_uri: Annotated[Secret | None, _text(_database)] = None
    inara_api_key: Annotated[Secret | None, _text(_inara_key)] = None
    api_key: Annotated[Secret | None, _text(_backend_key)] = None
    discord_webhooks: Channels | None = None
    inara_daemon: OurOptions | None = None


def misspelt_keys(entry: Entry) -> Iterator[str]:
    """Warnings, one line each, for keys that are nearly known, and so without effect."""
    if not isinstance(entry.value, Mapping):
        return
    yield from _misspelt(entry.value, TenantEntry.model_fields, entry.path)
    channels = entry.value.get("discord_webhooks")
    if isinstance(channels, Mapping):
        yield from _misspelt(channels, Channels.model_fields, (*entry.path, "discord_webhooks"))


def _misspelt(entry: Mapping[str, object], known: Iterable[str], path: Sequence[int | str]) -> Iterator[str]:
    for key in entry:
        if key in known or key in _BACKEND_KEYS:
            continue
        spelt = key.strip().casefold().replace("-", "_")
        near = difflib.get_close_matches(spelt, known, n=1, cutoff=_NEAR)
        if near:
            hint = f"did you mean '{near[0]}'?"
            yield str(Problem(json_path((*path, key)), "is no known key and has no effect", hint))
