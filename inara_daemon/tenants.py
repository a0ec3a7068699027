"""The tenants: tenant.json in, tenants out, with every error in one go; and what a new version of it changes. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields

from pydantic import ValidationError

from inara_daemon.json_document import json_path, read_document
from inara_daemon.problems import ConfigurationError, Problem, Refused, problems_of
from inara_daemon.secret import Secret
from inara_daemon.settings import Settings
from inara_daemon.tenant_entry import (
    MAX_ID_LENGTH,
    Entry,
    OurOptions,
    ReportKind,
    TenantEntry,
    entries_of,
    misspelt_keys,
    tenant_id,
)
from inara_daemon.urls import masked_url, masked_webhook, secrets_in_url, webhook_token

__all__ = [
    "ChangedTenant",
    "ReloadPlan",
    "ReportKind",
    "Skipped",
    "Tenant",
    "Tenants",
    "masked",
    "parse_tenants",
    "plan_reload",
    "secret_texts",
]


@dataclass(frozen=True, slots=True)
class Tenant:
    """A squadron whose roster is kept; `schedule` is its own or the daemon's, a cron expression in UTC."""

    id: str
    name: str
    db_uri: Secret
    inara_api_key: Secret
    schedule: str
    api_key: Secret | None = None
    """The backend's own key."""
    webhook: Secret | None = None
    """The Discord channel that hears of commanders (`discord_webhooks.bullis`)."""
    report: ReportKind = ReportKind.ALWAYS


@dataclass(frozen=True, slots=True)
class Skipped:
    """An entry that lacks what a tenant needs; the others run."""

    label: str
    reason: str


@dataclass(frozen=True, slots=True)
class Tenants:
    """What a tenant.json says; `warnings` are one line each."""

    tenants: tuple[Tenant, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChangedTenant:
    """One tenant before and after a reload, and the names of the fields that differ."""

    old: Tenant
    new: Tenant
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReloadPlan:
    """What a reload has to touch; `warnings` are one line each."""

    added: tuple[Tenant, ...] = ()
    removed: tuple[Tenant, ...] = ()
    changed: tuple[ChangedTenant, ...] = ()
    unchanged: tuple[Tenant, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether no tenant is touched."""
        return not (self.added or self.removed or self.changed)


@dataclass(frozen=True, slots=True)
class _Reading:
    """What an entry came to; `id` is known of some entries that have problems, too."""

    result: Tenant | Skipped | None
    id: str | None = None
    problems: list[Problem] = field(default_factory=list)


def parse_tenants(text: bytes, settings: Settings) -> Tenants:
    """The tenants of a tenant.json; `settings` give the default key, the default schedule and the webhooks' hosts.

    Raises ConfigurationError with every error at once, none of which holds a secret.
    """
    document, problems = read_document(text)
    entries = entries_of(document)
    readings = [_read_entry(entry, settings) for entry in entries]
    for reading in readings:
        problems.extend(reading.problems)
    problems.extend(_shared_ids(zip(entries, readings, strict=True)))
    warnings = tuple(warning for entry in entries for warning in misspelt_keys(entry))
    if problems:
        raise ConfigurationError(problems)
    results = [reading.result for reading in readings]
    return Tenants(
        tenants=tuple(result for result in results if isinstance(result, Tenant)),
        skipped=tuple(result for result in results if isinstance(result, Skipped)),
        warnings=warnings,
    )


def _read_entry(entry: Entry, settings: Settings) -> _Reading:
    written, refused, problems = _validate(entry, settings)
    key = written.inara_api_key or settings.inara_api_key
    if written.db_uri is None and "db_uri" not in refused:
        return _Reading(Skipped(_label(entry, written), "has no db_uri"), problems=problems)
    if key is None and "inara_api_key" not in refused:
        reason = "has no Inara key: set inara_api_key, or INARA_API_KEY for all"
        return _Reading(Skipped(_label(entry, written), reason), problems=problems)
    identity = None
    if not {"", "id", "name"} & refused:  # else what is wrong with the id is not known yet
        try:
            identity = _id(entry, written)
        except Refused as refusal:
            problems.append(Problem(json_path((*entry.path, "id")), refusal.what, refusal.hint))
    if problems or identity is None or written.db_uri is None or key is None:
        return _Reading(None, identity, problems)
    ours = written.inara_daemon or OurOptions()
    tenant = Tenant(
        id=identity,
        name=written.name or identity,
        db_uri=written.db_uri,
        inara_api_key=key,
        schedule=ours.schedule or settings.schedule,
        api_key=written.api_key,
        webhook=written.discord_webhooks.bullis if written.discord_webhooks is not None else None,
        report=ours.report or ReportKind.ALWAYS,
    )
    return _Reading(tenant, identity)


def _validate(entry: Entry, settings: Settings) -> tuple[TenantEntry, set[str], list[Problem]]:
    """What the entry says, which of its keys were refused and are left out, and why."""
    hosts = settings.webhook_hosts
    try:
        return TenantEntry.model_validate(entry.value, context=hosts), set(), []
    except ValidationError as error:

        def place(location: tuple[int | str, ...]) -> str:
            return json_path((*entry.path, *location))

        problems = problems_of(error, place, OurOptions.model_fields)
        refused = {str((*detail["loc"], "")[0]) for detail in error.errors()}
    # The rest is checked all the same, so that every error is told at once.
    written = entry.value if isinstance(entry.value, Mapping) else {}
    rest = {key: value for key, value in written.items() if key not in refused}
    return TenantEntry.model_validate(rest, context=hosts), refused, problems


def _label(entry: Entry, written: TenantEntry) -> str:
    label = written.name or written.id
    if label is None:
        place = json_path(entry.path)
        label = place if written.api_key is None else f"{place} (api_key {written.api_key})"
    return label


def _id(entry: Entry, written: TenantEntry) -> str:
    given = written.id or tenant_id(entry.key or "")
    slug = re.sub(r"[^a-z0-9]+", "-", (written.name or "").lower()).strip("-")
    if given or 0 < len(slug) <= MAX_ID_LENGTH:
        return given or slug
    if written.name is None:
        what = "is missing, and there is no name to make it from"
    elif slug:
        what = f"is missing, and made from the name it is longer than {MAX_ID_LENGTH} characters"
    else:
        what = "is missing, and the name has no letter from a to z and no digit to make it from"
    raise Refused(what, 'set one that never changes, such as "id": "my-squadron"')


def _shared_ids(readings: Iterable[tuple[Entry, _Reading]]) -> Iterator[Problem]:
    first_paths: dict[str, tuple[int | str, ...]] = {}
    for entry, reading in readings:
        if reading.id is None:
            continue
        first = first_paths.setdefault(reading.id, entry.path)
        if first != entry.path:
            what = f"'{reading.id}' is the id of {json_path(first)} too"
            yield Problem(json_path((*entry.path, "id")), what, "set another one in one of them")


def plan_reload(old: Tenants, new: Tenants) -> ReloadPlan:
    """What differs between two versions of tenant.json; tenants are the same if their ids are."""
    before = {tenant.id: tenant for tenant in old.tenants}
    after = {tenant.id: tenant for tenant in new.tenants}
    added = tuple(tenant for tenant in new.tenants if tenant.id not in before)
    removed = tuple(tenant for tenant in old.tenants if tenant.id not in after)
    changed, unchanged = [], []
    for tenant in new.tenants:
        previous = before.get(tenant.id, tenant)
        if previous != tenant:
            changed.append(ChangedTenant(previous, tenant, _differing_fields(previous, tenant)))
        elif tenant.id in before:
            unchanged.append(tenant)
    return ReloadPlan(added, removed, tuple(changed), tuple(unchanged), tuple(_renamed(removed, added)))


def _differing_fields(old: Tenant, new: Tenant) -> tuple[str, ...]:
    return tuple(field.name for field in fields(Tenant) if getattr(old, field.name) != getattr(new, field.name))


def _renamed(removed: Iterable[Tenant], added: Iterable[Tenant]) -> Iterator[str]:
    old_ids = {tenant.db_uri: tenant.id for tenant in removed}
    for tenant in added:
        old_id = old_ids.get(tenant.db_uri)
        if old_id is not None:
            what = f"is a new tenant with the database of '{old_id}', which is gone: its history is not carried over"
            yield str(Problem(tenant.id, what, f'set "id": "{old_id}" if only the name changed'))


def secret_texts(tenants: Tenants) -> frozenset[str]:
    """Every secret of the tenants, as written and decoded, for redaction."""
    texts: set[str] = set()
    for tenant in tenants.tenants:
        texts.add(tenant.inara_api_key.reveal())
        texts |= secrets_in_url(tenant.db_uri.reveal())
        if tenant.api_key is not None:
            texts.add(tenant.api_key.reveal())
        if tenant.webhook is not None:
            url = tenant.webhook.reveal()
            texts |= {url, webhook_token(url) or url}
    return frozenset(texts)


def masked(tenant: Tenant) -> dict[str, str | None]:
    """The tenant for people's eyes, its secrets as `***`."""
    return {
        "id": tenant.id,
        "name": tenant.name,
        "db_uri": masked_url(tenant.db_uri.reveal()),
        "inara_api_key": str(tenant.inara_api_key),
        "api_key": None if tenant.api_key is None else str(tenant.api_key),
        "webhook": None if tenant.webhook is None else masked_webhook(tenant.webhook.reveal()),
        "schedule": tenant.schedule,
        "report": tenant.report.value,
    }
