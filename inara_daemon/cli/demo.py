"""`demo`: two nights of three squadrons on the sandbox, through the daemon's real code."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.live import Live
from rich.rule import Rule

from inara_daemon.cli.discord_view import draw
from inara_daemon.cli.exits import Exit
from inara_daemon.cli.place import Place, read_tenants
from inara_daemon.cli.screen import console, plain, table
from inara_daemon.cli.sync import progress_line
from inara_daemon.sandbox.backend import make_tenant_database, read_roster
from inara_daemon.sandbox.discord import SandboxDiscord
from inara_daemon.sandbox.inara import SandboxInara
from inara_daemon.sandbox.world import World, demo_world
from inara_daemon.service.errand import Errand
from inara_daemon.store.state.requests import RequestKind

_RATE = 60
"""Requests a minute: the sandbox is as strict as Inara, but thirty times as fast, so that nobody waits."""
_EVENTS = 240
_IDS = ("wardens", "aegean", "void")
_SHOWN_ROWS = 6


@dataclass(frozen=True, slots=True)
class _Stage:
    """The demo's folder and the stand-ins."""

    folder: Path
    inara: SandboxInara
    discord: SandboxDiscord
    environ: Mapping[str, str]


async def show_demo() -> int:
    """Run it all in a temporary folder."""
    world = demo_world()
    with tempfile.TemporaryDirectory(prefix="inara-demo-") as folder:
        inara = SandboxInara(world, rate_per_minute=_RATE, keys={"demo-key"}, app_names={"InaraDemo"})
        discord = SandboxDiscord()
        inara_url, discord_url = await inara.start(), await discord.start()
        try:
            environ = {
                "INARA_DAEMON_INARA_URL": inara_url,
                "INARA_DAEMON_APP_NAME": "InaraDemo",
                "INARA_DAEMON_REQUESTS_PER_MINUTE": str(_RATE),
                "INARA_DAEMON_WEBHOOK_HOSTS": discord_url.removeprefix("http://"),
                "INARA_DAEMON_TENANT_FILE": f"{folder}/tenant.json",
                "INARA_DAEMON_DB_ROOT": folder,
                "INARA_DAEMON_STATE_URL": f"sqlite:///{folder}/state/state.db",
                "INARA_DAEMON_LOG_LEVEL": "critical",
                "INARA_API_KEY": "demo-key",
            }
            stage = _Stage(Path(folder), inara, discord, environ)
            return await _play(stage, world)
        finally:
            await inara.stop()
            await discord.stop()


async def _play(stage: _Stage, world: World) -> int:
    await asyncio.to_thread(_furnish, stage, world)
    names = {name.strip().casefold() for roster in world.rosters.values() for name in roster}
    console.print("Three squadrons in SQLite files as the backend makes them, one of them with rows of its own;")
    console.print(f"{3 * _EVENTS} events with {len(names)} commanders, many of them with names that hurt. Inara and")
    console.print(f"Discord are stand-ins on this machine, as strict as the real ones, at {_RATE} requests a minute.\n")
    good = await _night(stage, "The first night", world)
    _show_rows(stage)
    changed = world.second_night()
    console.print(f"\nA day passes: {len(changed.promoted)} promotions, a new squadron, a new power, a new name.\n")
    good = await _night(stage, "The second night", world) and good
    for violation in (*stage.inara.violations, *stage.discord.violations):
        console.print("the sandbox complains:", plain(violation), style="red")
        good = False
    console.print("That was the daemon itself, on a sandbox. With your own squadrons:")
    console.print("  cp tenant.json.example tenant.json    and edit it")
    console.print("  .venv/bin/python -m inara_daemon check")
    return Exit.WELL if good else Exit.TROUBLE


def _furnish(stage: _Stage, world: World) -> None:
    """Make the databases and the tenant.json."""
    tenants = []
    for tenant_id, (name, roster) in zip(_IDS, world.rosters.items(), strict=True):
        path = stage.folder / "db" / f"{tenant_id}.db"
        make_tenant_database(path, roster, events=_EVENTS, known=roster[:3] if tenant_id == "wardens" else ())
        tenants.append(
            {
                "id": tenant_id,
                "name": name,
                "db_uri": f"sqlite:///db/{tenant_id}.db",
                "discord_webhooks": {"bullis": stage.discord.webhook(tenant_id)},
            }
        )
    (stage.folder / "tenant.json").write_text(json.dumps(tenants, ensure_ascii=False), encoding="utf-8")


async def _night(stage: _Stage, title: str, world: World) -> bool:
    """One run of every tenant, and what reached Discord."""
    console.print(Rule(title, align="left"))
    before, requests, began = len(stage.discord.messages), len(stage.inara.arrivals), time.monotonic()
    place = Place(stage.environ, None)
    settings = place.settings()
    tenants = read_tenants(settings)
    async with place.house(settings) as house, Errand(house, tenants) as errand:
        with Live(console=console, refresh_per_second=8, transient=True) as live:
            result = await errand.ask(
                RequestKind.SYNC,
                {"tenants": None, "names": None},
                lambda progress: live.update(progress_line(progress)),
            )
        await errand.reports_delivered(result["runs"], 10.0)
    spent = len(stage.inara.arrivals) - requests
    took = time.monotonic() - began
    console.print(
        f"{spent} requests to Inara in {took:.1f} s, for {len(world.rosters)} squadrons at once. On Discord:\n"
    )
    for message in stage.discord.messages[before:]:
        console.print(draw(message.webhook, message.payload))
    return len(stage.discord.messages) - before == len(world.rosters)


def _show_rows(stage: _Stage) -> None:
    """A few rows of a tenant's own table, as a dashboard would find them."""
    path = stage.folder / "db" / f"{_IDS[1]}.db"
    shown = table(
        f"{path.name}: the first rows of cmdr", "name", "combat", "trade", "power", "squadron", "squadron rank"
    )
    for row in read_roster(path)[:_SHOWN_ROWS]:
        shown.add_row(*(plain("NULL" if value is None else value) for value in row))
    console.print(shown)
