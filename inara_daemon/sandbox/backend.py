"""A tenant database as the backend beside the daemon makes it, for the demo and for benchmarks."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

_TABLES = """
CREATE TABLE cmdr (
    id INTEGER PRIMARY KEY, name VARCHAR(64) NOT NULL UNIQUE,
    rank_combat VARCHAR(64), rank_trade VARCHAR(64), rank_explore VARCHAR(64), rank_cqc VARCHAR(64),
    rank_empire VARCHAR(64), rank_federation VARCHAR(64), rank_power VARCHAR(64), credits BIGINT, assets BIGINT,
    inara_url VARCHAR(256), squadron_name VARCHAR(128), squadron_rank VARCHAR(64)
);
CREATE TABLE event (
    id INTEGER PRIMARY KEY, event VARCHAR(64), timestamp VARCHAR(64), tickid VARCHAR(24), ticktime VARCHAR(64),
    cmdr VARCHAR(64), starsystem VARCHAR(128), systemaddress BIGINT, raw_json TEXT
);
"""


def make_tenant_database(path: Path, names: Sequence[str], *, events: int, known: Iterable[str] = ()) -> None:
    """Make an SQLite file with so many events spread over the names; those `known` have a bare row already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript(_TABLES)
        connection.executemany(
            "INSERT INTO event (event, timestamp, cmdr, starsystem) VALUES ('MissionCompleted', ?, ?, 'Sol')",
            (
                (f"3312-11-{1 + number % 28:02}T12:00:00Z", names[number % len(names)] if names else None)
                for number in range(events)
            ),
        )
        connection.executemany(
            "INSERT INTO cmdr (name, rank_combat, credits) VALUES (?, '0', 1000000)", ((name,) for name in known)
        )


def read_roster(path: Path) -> list[tuple[str | int | None, ...]]:
    """Every row of `cmdr`: name, combat and trade rank, power, squadron and squadron rank, in order of names."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(
            "SELECT name, rank_combat, rank_trade, rank_power, squadron_name, squadron_rank FROM cmdr ORDER BY name"
        ).fetchall()
