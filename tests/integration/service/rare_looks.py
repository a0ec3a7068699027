"""Days pass sooner under virtual time when whoever waits looks around seldom."""

from __future__ import annotations

import pytest

from inara_daemon.inara import desk
from inara_daemon.notify import outbox
from inara_daemon.service import request_desk, schedule, supervisor, tenant_task


def look_rarely(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let every wait last at least so long; nobody is taken for stuck because of it."""
    monkeypatch.setattr(request_desk, "POLL_SECONDS", seconds)
    monkeypatch.setattr(desk, "_LONGEST_NAP_SECONDS", seconds)
    monkeypatch.setattr(outbox, "_NAP_SECONDS", seconds)
    monkeypatch.setattr(supervisor, "_WATCH_SECONDS", seconds)
    monkeypatch.setattr(supervisor, "STUCK_SECONDS", max(supervisor.STUCK_SECONDS, 6 * seconds))
    monkeypatch.setattr(tenant_task, "_NAP_SECONDS", seconds)
    monkeypatch.setattr(schedule, "_EACH_MINUTE", f"*/{max(1, min(round(seconds / 60), 30))}")
