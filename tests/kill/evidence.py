"""What the state database and the log of all lives tell, whoever is alive."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any


def ask(state: Path, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """Look into the state database, beside whoever works there; nothing before there is one."""
    try:
        with closing(sqlite3.connect(f"file:{state}?mode=ro", uri=True, timeout=5.0)) as connection:
            return connection.execute(statement, values).fetchall()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error) or "unable to open" in str(error):
            return []
        raise


def told(log: Path, events: Iterable[str]) -> list[str]:
    """The lines of all lives' log with one of these events."""
    wanted = set(events)
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return [line for line in lines if line.startswith("{") and json.loads(line).get("event") in wanted]
