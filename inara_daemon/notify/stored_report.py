"""Reads reports as they were stored, perhaps by another version of the daemon: what can be told of them is. Pure."""

from __future__ import annotations

import json
from datetime import datetime

from inara_daemon import report
from inara_daemon.report import Report

_FOREIGN = "Its details were stored by another version of the daemon and can't be read."


def read(body: str, now: datetime) -> Report | None:
    """The report; of one in an unknown form its title and summary, told `now`; None if it lacks even these."""
    try:
        return report.from_json(body)
    except ValueError:
        return _remains(body, now)


def _remains(body: str, now: datetime) -> Report | None:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    tenant, title, summary = (found.get(name) for name in ("tenant", "title", "summary"))
    if not isinstance(title, str) or not isinstance(summary, str):
        return None
    return report.notice(str(tenant or ""), title, f"{summary}\n{_FOREIGN}", now)
