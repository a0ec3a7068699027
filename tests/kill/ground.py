"""Where it happens: a folder with tenants, their databases and the daemon's state, and the settings of every life."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inara_daemon.sandbox.backend import make_tenant_database
from tests.kill import evidence
from tests.kill.stand_in import StandIn

RATE = 300.0
INTERVAL = 60.0 / RATE
"""Seconds: no two requests may arrive closer."""
LATENCY = 0.06
COMMANDERS = 60
BATCH = 4
_KEYS = ("canary-key-0123456789", "canary-key-of-beta-1", "canary-key-of-beta-2")
_SQUADRONS = ("alpha", "beta", "gamma")


@dataclass(slots=True)
class Ground:
    """The folder; `beta` has a key of its own, `gamma` comes and goes."""

    folder: Path
    stand_in: StandIn
    names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    renamed: set[str] = field(default_factory=set)
    """Whom Inara finds only for those who knew them before: they may lack a row."""
    hurried: bool = False
    _beta_key: str = _KEYS[1]
    _report: str = "always"
    _has_gamma: bool = True

    def prepare(self) -> None:
        """Make the tenants' databases and tenant.json; neighbours share a few names."""
        everyone = [commander.name for commander in self.stand_in.world.commanders]
        third = len(everyone) // 3
        for number, tenant_id in enumerate(_SQUADRONS):
            self.names[tenant_id] = tuple(everyone[number * third : (number + 1) * third + (5 if number < 2 else 0)])
            make_tenant_database(self.database(tenant_id), self.names[tenant_id], events=len(self.names[tenant_id]))
        self.write_tenants()

    def database(self, tenant_id: str) -> Path:
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
            "INARA_DAEMON_WEBHOOK_HOSTS": self.stand_in.discord_url.removeprefix("http://"),
            "INARA_DAEMON_TENANT_FILE": str(self.folder / "tenant.json"),
            "INARA_DAEMON_DB_ROOT": str(self.folder),
            "INARA_DAEMON_STATE_URL": f"sqlite:///{self.state}",
            "INARA_DAEMON_HTTP": "off",
            "INARA_API_KEY": _KEYS[0],
        }

    def change_tenants(self, dice: random.Random) -> None:
        """Let tenant.json really change."""
        change = dice.choice(["key", "report", "gamma"])
        if change == "key":
            self._beta_key = _KEYS[2] if self._beta_key == _KEYS[1] else _KEYS[1]
        elif change == "report":
            self._report = "problems" if self._report == "always" else "always"
        else:
            self._has_gamma = not self._has_gamma
        self.write_tenants()

    def complete_tenants(self) -> None:
        """Everybody is there and reports."""
        self._has_gamma, self._report = True, "always"
        self.write_tenants()

    def write_tenants(self) -> None:
        """Replace tenant.json as an editor does: a new file under the old name."""
        entries: dict[str, dict[str, Any]] = {
            tenant_id: {
                "id": tenant_id,
                "name": tenant_id.capitalize(),
                "db_uri": f"sqlite:///db/{tenant_id}.db",
                "discord_webhooks": {"bullis": self.stand_in.webhooks[f"Squadron {number + 1}"]},
            }
            for number, tenant_id in enumerate(_SQUADRONS)
        }
        entries["alpha"]["inara_daemon"] = {"report": self._report}
        entries["beta"]["inara_api_key"] = self._beta_key
        if not self._has_gamma:
            del entries["gamma"]
        self._write(json.dumps(list(entries.values())))

    def break_tenants(self) -> None:
        """What an editor leaves when it is stopped in the middle."""
        self._write('[{"id": "alpha", ')

    def _write(self, text: str) -> None:
        new = self.folder / "tenant.json.new"
        new.write_text(text, encoding="utf-8")
        new.rename(self.folder / "tenant.json")

    def ask(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Look into the state database; see `evidence.ask`."""
        return evidence.ask(self.state, statement, *values)

    def told(self, events: Iterable[str]) -> list[str]:
        """The lines of all lives' log with one of these events."""
        return evidence.told(self.log, events)
