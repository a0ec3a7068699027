"""Where reports are delivered: many small tenants, each with a channel, whose webhooks die and are replaced."""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inara_daemon.sandbox.backend import make_tenant_database
from tests.kill import evidence
from tests.kill.stand_in import StandIn

HOUR = 3_600.0
RATE = 1_200.0
LATENCY = 0.01
DISCORD_LATENCY = 0.03
CREW = 3
"""Commanders of each tenant: so few that no report is ever cut."""
BATCH = 50
SPARES = 40
_LETTERS = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu")
_NAMES = (*_LETTERS, "twin-castor", "twin-pollux")
SQUADRONS = len(_NAMES)
TWINS = ("twin-castor", "twin-pollux")
"""Two tenants who share a webhook: they report less often, as a channel takes only thirty messages a minute."""
GUEST = "mu"
"""Comes and goes."""
LAST_DEAD = "alpha"
"""Whose webhook is the last to die."""
LOST = "lost"
"""Its database is never there, and its URL holds a password; as everybody waits a second for it to read its names, it
comes only when nobody is killed any more."""
_KEY = "canary-key-0123456789"
_PASSWORDS = ("canary-password-of-lost", "canary-token-of-http", "canary-key-of-the-backend")


@dataclass(slots=True)
class Channels:
    """The folder with all tenants; `tenants` are their ids, `names` whom each has on its roster."""

    folder: Path
    stand_in: StandIn
    hurried: bool = True
    names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    has_guest: bool = True
    has_lost: bool = False
    owns: dict[str, str] = field(default_factory=dict)
    """By tenant, the squadron whose channel it reports to."""
    present: dict[str, str] = field(default_factory=dict)
    """By squadron, the name of its channel's present webhook."""

    def prepare(self) -> None:
        """Make the tenants' databases and tenant.json."""
        everyone = [commander.name for commander in self.stand_in.world.commanders]
        squadrons = list(self.stand_in.webhooks)
        self.present = {squadron: squadron for squadron in squadrons}
        for number, tenant_id in enumerate(_NAMES):
            self.names[tenant_id] = tuple(everyone[number * CREW : (number + 1) * CREW])
            self.owns[tenant_id] = squadrons[number]
            make_tenant_database(self._database(tenant_id), self.names[tenant_id], events=CREW)
        self.owns[TWINS[1]] = self.owns[TWINS[0]]
        self.owns[LOST] = squadrons[SQUADRONS - 1]
        self.names[LOST] = ()
        self.write_tenants()

    def _database(self, tenant_id: str) -> Path:
        return self.folder / "db" / f"{tenant_id}.db"

    @property
    def state(self) -> Path:
        return self.folder / "state" / "state.db"

    @property
    def log(self) -> Path:
        return self.folder / "lives.log"

    @property
    def environ(self) -> Mapping[str, str]:
        return {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.folder),
            "INARA_DAEMON_INARA_URL": self.stand_in.inara_url,
            "INARA_DAEMON_APP_NAME": "Kill",
            "INARA_DAEMON_REQUESTS_PER_MINUTE": str(RATE),
            "INARA_DAEMON_BATCH_SIZE": str(BATCH),
            "INARA_DAEMON_SCHEDULE": "0 * * * *",
            "INARA_DAEMON_DISCOVER_MINUTES": "0",
            "INARA_DAEMON_WEBHOOK_HOSTS": self.stand_in.discord_url.removeprefix("http://"),
            "INARA_DAEMON_TENANT_FILE": str(self.folder / "tenant.json"),
            "INARA_DAEMON_DB_ROOT": str(self.folder),
            "INARA_DAEMON_STATE_URL": f"sqlite:///{self.state}",
            "INARA_DAEMON_HTTP": "off",
            "INARA_DAEMON_HTTP_TOKEN": _PASSWORDS[1],
            "INARA_API_KEY": _KEY,
        }

    @property
    def secrets(self) -> frozenset[str]:
        """What no message and no log may hold."""
        return frozenset({_KEY, *_PASSWORDS, *(url.rpartition("/")[2] for url in self._urls.values())})

    @property
    def _urls(self) -> dict[str, str]:
        """By name, those of all webhooks."""
        spares = self.stand_in.spares.values()
        return {**self.stand_in.webhooks, **{name: url for more in spares for name, url in more.items()}}

    def webhooks(self, squadron: str) -> list[str]:
        """The names of a channel's webhooks, in the order in which they are used."""
        return [squadron, *self.stand_in.spares[squadron]]

    def fingerprints(self) -> dict[str, str]:
        """By the name of each webhook, what the state knows it by."""
        ((key,),) = self.ask("SELECT value FROM meta WHERE key = 'fingerprint_key'")
        secret = bytes.fromhex(key)
        return {name: hmac.new(secret, url.encode(), "sha256").hexdigest()[:16] for name, url in self._urls.items()}

    def replace_webhook(self, squadron: str) -> None:
        """Somebody has made a new webhook in the channel: it stands in tenant.json from now on."""
        known = self.webhooks(squadron)
        self.present[squadron] = known[known.index(self.present[squadron]) + 1]
        self.write_tenants()

    def write_tenants(self) -> None:
        """Replace tenant.json as an editor does: a new file under the old name."""
        away = {GUEST: not self.has_guest, LOST: not self.has_lost}
        entries = [self._entry(tenant_id) for tenant_id in self.owns if not away.get(tenant_id)]
        new = self.folder / "tenant.json.new"
        new.write_text(json.dumps(entries), encoding="utf-8")
        new.rename(self.folder / "tenant.json")

    def _entry(self, tenant_id: str) -> dict[str, Any]:
        squadron = self.owns[tenant_id]
        entry: dict[str, Any] = {
            "id": tenant_id,
            "name": wing(tenant_id),
            "db_uri": f"sqlite:///db/{tenant_id}.db",
            "api_key": _PASSWORDS[2],
            "discord_webhooks": {"bullis": self._urls[self.present[squadron]]},
        }
        if tenant_id in TWINS:
            entry["inara_daemon"] = {"schedule": "0 */2 * * *"}
        if tenant_id == LOST:
            entry["db_uri"] = f"postgresql://lost:{_PASSWORDS[0]}@127.0.0.1:1/lost"
        return entry

    def ask(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Look into the state database; see `evidence.ask`."""
        return evidence.ask(self.state, statement, *values)

    def told(self, events: Iterable[str]) -> list[str]:
        """The lines of all lives' log with one of these events."""
        return evidence.told(self.log, events)


def wing(tenant_id: str) -> str:
    """A tenant's name, which occurs in its own reports only."""
    return f"Wing {tenant_id.title()} of Lave"
