"""An outbox between a real state database and a service that answers by script."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from inara_daemon.secret import Secret
from inara_daemon.store.engines import resolve_url
from inara_daemon.store.state.database import StateDatabase
from tests.integration.notify.post import Post


@pytest.fixture
async def post(tmp_path: Path) -> AsyncIterator[Post]:
    state = StateDatabase(resolve_url(Secret(f"sqlite:///{tmp_path}/state.db"), tmp_path))
    await state.open()
    yield Post(state)
    await state.close()
