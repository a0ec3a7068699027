"""The state database on SQLite and on PostgreSQL, for whoever tests its tables."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from inara_daemon.store.state.database import StateDatabase
from tests.integration.store.test_state import open_state


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path}/state.db"


@pytest.fixture
async def state(url: str) -> AsyncIterator[StateDatabase]:
    async with open_state(url) as opened:
        yield opened
