"""A process that writes as the backend does: one event, one commit, at a steady pace.

`python -m benchmarks.writer DATABASE COUNT` prints the milliseconds of every insert with its commit, as JSON.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from contextlib import closing

_PERIOD = 0.002
_INSERT = (
    "INSERT INTO event (event, timestamp, tickid, cmdr, starsystem, raw_json)"
    " VALUES ('MissionCompleted', '3312-11-06T12:00:00Z', 'tick', ?, 'Sol', '{}')"
)


def write(path: str, count: int) -> list[float]:
    """Milliseconds of each of `count` writes, one every two milliseconds."""
    took = []
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA busy_timeout=5000")
        due = time.perf_counter()
        for number in range(count):
            time.sleep(max(due - time.perf_counter(), 0.0))
            began = time.perf_counter()
            connection.execute("BEGIN")
            connection.execute(_INSERT, (f"Pilot {number % 150}",))
            connection.execute("COMMIT")
            took.append(1e3 * (time.perf_counter() - began))
            due = max(due + _PERIOD, time.perf_counter())
    return took


if __name__ == "__main__":
    print(json.dumps(write(sys.argv[1], int(sys.argv[2]))))
