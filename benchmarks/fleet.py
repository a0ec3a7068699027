"""Tenants: their databases and the tenant.json that names them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from inara_daemon.sandbox.backend import make_tenant_database


@dataclass(frozen=True, slots=True)
class Fleet:
    """The tenants `t0`, `t1`, ... of one tenant.json."""

    folder: Path
    count: int

    def save(self, **changed: Mapping[str, object]) -> None:
        """Write tenant.json; `changed` adds keys to the tenants of these ids."""
        tenants = []
        for number in range(self.count):
            tenant: dict[str, object] = {"id": f"t{number}", "name": f"Squadron {number}"}
            tenant["db_uri"] = f"sqlite:///db/{number}.db"
            tenants.append(tenant | dict(changed.get(f"t{number}", {})))
        (self.folder / "tenant.json").write_text(json.dumps(tenants))


def make_fleet(folder: Path, rosters: Sequence[Sequence[str]], *, events: int) -> Fleet:
    """A tenant for each roster, with so many events for each of its commanders."""
    for number, names in enumerate(rosters):
        make_tenant_database(folder / "db" / f"{number}.db", names, events=events * len(names))
    fleet = Fleet(folder, len(rosters))
    fleet.save()
    return fleet


def split(names: Sequence[str], size: int) -> list[Sequence[str]]:
    """Rosters of `size` names each, nobody in two of them."""
    return [names[start : start + size] for start in range(0, len(names), size)]
