"""What every tenant's task needs, handed over in one piece."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from inara_daemon.clock import Clock
from inara_daemon.inara.desk import Desk
from inara_daemon.inara.pauses import Pauses
from inara_daemon.service.logbook import Redactor
from inara_daemon.service.progress import Progress
from inara_daemon.service.turns import Turns
from inara_daemon.settings import Settings
from inara_daemon.store.state.database import StateDatabase
from inara_daemon.store.tenant_engines import TenantEngines


@dataclass(frozen=True, slots=True)
class Services:
    """The shared parts of a running engine."""

    settings: Settings
    clock: Clock
    state: StateDatabase
    desk: Desk
    pauses: Pauses
    progress: Progress
    redactor: Redactor
    wake_outbox: Callable[[], None]
    store_log_lines: Callable[[], Awaitable[object]]
    """Brings what was logged so far into the state, where a report finds it."""
    engines: TenantEngines = field(default_factory=TenantEngines)
    preparing: Turns = field(default_factory=Turns)
    """Few runs prepare at the same time, so that the first are soon ready; a slow one gives its turn away."""
    database_turns: dict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    """One run at a time in each tenant database, even when two tenants share one."""
