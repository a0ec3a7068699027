"""A stage for whole runs: the sandbox, tenants in SQLite files, and the daemon's own engine in this process."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from inara_daemon.cli.place import Place, read_tenants
from inara_daemon.sandbox.backend import make_tenant_database
from inara_daemon.sandbox.discord import SandboxDiscord
from inara_daemon.sandbox.inara import SandboxInara
from inara_daemon.sandbox.world import World
from inara_daemon.service.duty import Duty
from inara_daemon.service.engine import Engine, House
from inara_daemon.store.state.lock import engine_lock
from tests.virtual_time import VirtualTimeLoop, following_wall_clock, virtual_clock

RATE = 1_200
"""Requests a minute on the stage: an interval of 52 ms."""
KEY = "canary-key-0123456789"


@dataclass(slots=True)
class Stage:
    """The stand-ins, and the folder that the daemon works in."""

    folder: Path
    inara: SandboxInara
    discord: SandboxDiscord
    inara_url: str
    discord_url: str
    rate: float = RATE
    boot_id: str | None = None
    """Of the virtual clock; None: the house has the system's."""
    tenants: list[dict[str, Any]] = field(default_factory=list)
    extra: dict[str, str] = field(default_factory=dict)

    def add_tenant(self, tenant_id: str, names: Sequence[str], *, known: Sequence[str] = (), **more: object) -> Path:
        """A tenant with one event for each name; returns its database."""
        path = self.folder / "db" / f"{tenant_id}.db"
        make_tenant_database(path, names, events=len(names), known=known)
        entry = {
            "id": tenant_id,
            "name": tenant_id.capitalize(),
            "db_uri": f"sqlite:///db/{tenant_id}.db",
            "discord_webhooks": {"bullis": self.discord.webhook(tenant_id)},
        }
        self.tenants.append(entry | more)
        self.write()
        return path

    def write(self) -> None:
        """Write tenant.json."""
        (self.folder / "tenant.json").write_text(json.dumps(self.tenants), encoding="utf-8")

    @property
    def environ(self) -> Mapping[str, str]:
        """What the daemon's process would find in its environment."""
        return {
            "INARA_DAEMON_INARA_URL": self.inara_url,
            "INARA_DAEMON_APP_NAME": "Stage",
            "INARA_DAEMON_REQUESTS_PER_MINUTE": str(self.rate),
            "INARA_DAEMON_WEBHOOK_HOSTS": self.discord_url.removeprefix("http://"),
            "INARA_DAEMON_TENANT_FILE": str(self.folder / "tenant.json"),
            "INARA_DAEMON_DB_ROOT": str(self.folder),
            "INARA_DAEMON_STATE_URL": f"sqlite:///{self.folder}/state/state.db",
            "INARA_DAEMON_HTTP": "off",
            "INARA_API_KEY": KEY,
        } | self.extra

    @asynccontextmanager
    async def house(self) -> AsyncIterator[House]:
        """The state database of this stage, with logs as the daemon sets them up."""
        place = Place(self.environ, None)
        async with place.house(place.settings(), quiet=False) as house:
            yield house if self.boot_id is None else replace(house, clock=virtual_clock(self.boot_id))

    @asynccontextmanager
    async def engine(self, duty: Duty = Duty.SCHEDULE) -> AsyncIterator[Engine]:
        """The daemon's engine at work on this stage."""
        async with self.house() as house:
            lock = engine_lock(house.state)
            assert await lock.acquire()
            engine = Engine(house, read_tenants(house.settings), duty)
            try:
                await engine.start()
                yield engine
            finally:
                await engine.stop()
                await lock.release()

    def titles(self, webhook: str) -> list[str]:
        """The titles of the messages in a channel."""
        shown = [message.payload for message in self.discord.messages if message.webhook == webhook]
        return [payload["embeds"][0]["title"] for payload in shown]

    def texts(self, webhook: str) -> str:
        """Everything that a channel shows, as one text."""
        shown = [message.payload for message in self.discord.messages if message.webhook == webhook]
        return json.dumps(shown, ensure_ascii=False)

    def assert_never_banned(self) -> None:
        """The sandbox saw no breach of a limit or a form."""
        assert self.inara.violations == []
        assert self.discord.violations == []


@asynccontextmanager
async def open_stage(folder: Path, world: World, *, rate: float = RATE) -> AsyncIterator[Stage]:
    """A stage with its stand-ins running; on a virtual loop the house, the stand-ins and the wall clock follow it."""
    loop = asyncio.get_running_loop()
    inara = SandboxInara(world, rate_per_minute=rate, clock=loop.time)
    discord = SandboxDiscord(clock=loop.time)
    with ExitStack() as stack:
        virtual = isinstance(loop, VirtualTimeLoop)
        if virtual:
            stack.enter_context(following_wall_clock())
        inara_url, discord_url = await inara.start(), await discord.start()
        try:
            yield Stage(folder, inara, discord, inara_url, discord_url, rate, "boot-1" if virtual else None)
        finally:
            await inara.stop()
            await discord.stop()


def rows(path: Path) -> dict[str, dict[str, Any]]:
    """The table `cmdr` by name."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return {row["name"]: dict(row) for row in connection.execute("SELECT * FROM cmdr")}


def execute(path: Path, statement: str, *values: object) -> None:
    """Do to a tenant's database what the backend would."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement, values)


async def until(condition: Callable[[], object], *, seconds: float = 10.0) -> None:
    """Wait for something that happens in another task or on a loopback server."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)
