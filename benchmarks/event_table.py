"""Large `event` tables as the backend leaves them: 150 commanders, small events, WAL, no index unless one is wanted."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from inara_daemon.sandbox.backend import make_tenant_database

COMMANDERS = 150
_ROWS = """
WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < ?)
INSERT INTO event (event, timestamp, tickid, cmdr, starsystem, raw_json)
SELECT 'MissionCompleted', '3312-11-05T12:00:00Z', 'tick', 'Pilot ' || (n * 7919 % ?), 'Sol', '{}' FROM number
"""
INDEX = "CREATE INDEX event_cmdr_tickid ON event (cmdr, tickid)"


def event_table(folder: Path, rows: int, *, indexed: bool = False) -> Path:
    """The database with so many events; one that this folder holds already is taken as it is."""
    path = folder / f"events-{rows}{'-indexed' if indexed else ''}.db"
    if not path.exists():
        make_tenant_database(path, [], events=0)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA synchronous=OFF")  # only while it is made
            with connection:
                connection.execute(_ROWS, (rows, COMMANDERS))
                if indexed:
                    connection.execute(INDEX)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path
