"""The shipped unit, alive on a machine with a real systemd: its user, its hardening, its reload, its restarts."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from inara_daemon.sandbox.world import demo_world
from tests.acceptance.machine import UNIT, CantRunHereError, Machine, machine
from tests.stage import Stage, open_stage, rows, until

_SECONDS = 40.0
_SERVICE = "inara-daemon"


class Service:
    """The unit on its machine, with a backend's folder as in real installs."""

    def __init__(self, host: Machine, stage: Stage, home: Path) -> None:
        self.host = host
        self.stage = stage
        self.home = home
        self.log = host.root / "var/log/inara-daemon.log"

    async def install(self) -> None:
        """Put tenant.json, databases and settings where an operator would."""
        shutil.copytree(self.stage.folder / "db", self.home / "db")
        self.write_tenants()
        await self.host.check("chown", "-R", "valk:valk", "/home/valk")
        ours = {
            name: value
            for name, value in self.stage.environ.items()
            if not name.endswith(("_TENANT_FILE", "_DB_ROOT", "_STATE_URL"))
        }
        settings = self.host.root / "etc/inara-daemon.env"
        settings.write_text("".join(f'{name}="{value}"\n' for name, value in ours.items()))
        settings.chmod(0o600)
        self.drop_in("test", "StandardOutput=append:/var/log/inara-daemon.log\nStandardError=inherit\nRestartSec=2")
        await self.host.check("systemctl", "daemon-reload")

    def drop_in(self, name: str, lines: str) -> None:
        folder = self.host.root / "run/units/inara-daemon.service.d"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.conf").write_text(f"[Service]\n{lines}\n")

    def write_tenants(self) -> None:
        """Replace tenant.json as an editor does: a new file under the old name."""
        new = self.home / "tenant.json.new"
        new.write_text(json.dumps(self.stage.tenants))
        new.chmod(0o644)
        new.rename(self.home / "tenant.json")

    def events(self, name: str) -> list[dict[str, object]]:
        if not self.log.exists():
            return []
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == name]

    async def restarts(self) -> int:
        return int(await self.host.show("NRestarts"))


@asynccontextmanager
async def _service(folder: Path) -> AsyncIterator[Service]:
    async with open_stage(folder, demo_world()) as stage:
        stage.add_tenant("alpha", ["Nova Kestrel", "Zero Zane"])
        try:
            home = folder / "home"
            home.mkdir()
            async with machine(folder, home) as host:
                service = Service(host, stage, home)
                await service.install()
                yield service
        except CantRunHereError as reason:
            pytest.skip(f"the unit is not seen alive here: {reason}")


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with _service(tmp_path) as installed:
        yield installed


async def test_it_starts_syncs_reloads_and_stops_as_its_own_user_hardened(service: Service) -> None:
    stage, host = service.stage, service.host
    path = service.home / "db/alpha.db"
    await host.check("systemctl", "start", _SERVICE)
    assert await host.show("ActiveState") == "active"
    await until(lambda: stage.discord.messages, seconds=_SECONDS)
    assert rows(path)["Zero Zane"]["rank_combat"] == "0"
    assert (await host.show("StatusText")).startswith("1 tenant")

    pid = await host.show("MainPID")
    status = Path(host.root / f"proc/{pid}/status").read_text()
    assert "NoNewPrivs:\t1" in status
    assert "Seccomp:\t2" in status
    assert (host.root / f"proc/{pid}").stat().st_uid == (host.root / "home/valk").stat().st_uid
    state = host.root / "var/lib/inara-daemon"
    assert state.stat().st_mode & 0o777 == 0o700
    assert all(entry.stat().st_mode & 0o077 == 0 for entry in state.iterdir())

    # A good reload: a tenant more runs at once.
    added = stage.add_tenant("beta", ["Nova Kestrel"])
    shutil.copy(added, service.home / "db/beta.db")
    await host.check("chown", "-R", "valk:valk", "/home/valk")
    service.write_tenants()
    await host.check("systemctl", "reload", _SERVICE)
    await until(lambda: stage.titles("beta"), seconds=_SECONDS)
    assert set(rows(service.home / "db/beta.db")) == {"Nova Kestrel"}

    # A broken one fails, and the daemon never hears of it.
    good = list(stage.tenants)
    stage.tenants[:] = [{"id": "alpha", "name": "Alpha", "db_uri": "mysql://nowhere/x"}]
    service.write_tenants()
    code, output = await host.run("systemctl", "reload", _SERVICE)
    assert code != 0, output
    assert await host.show("ActiveState") == "active"
    assert service.events("reload_refused") == []
    stage.tenants[:] = good
    service.write_tenants()

    # A database that is away is no reason to keep the others' changes out.
    (service.home / "db/beta.db").rename(service.home / "db/gone.db")
    await host.check("systemctl", "reload", _SERVICE)
    (service.home / "db/gone.db").rename(service.home / "db/beta.db")

    begun = time.monotonic()
    await host.check("systemctl", "stop", _SERVICE)
    assert time.monotonic() - begun < 5
    assert await host.show("Result") == "success"
    assert service.events("engine_stopped")
    stage.assert_never_banned()


async def test_it_writes_beside_another_process_that_writes_the_same_database(service: Service) -> None:
    path = service.home / "db/alpha.db"
    done = asyncio.Event()

    def backend() -> int:
        """Write all the time over one connection, as the backend's pool does."""
        written = 0
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            while not done.is_set():
                with connection:
                    connection.execute("INSERT INTO event (event, cmdr) VALUES ('Docked', 'Backend Writer')")
                written += 1
        return written

    writing = asyncio.create_task(asyncio.to_thread(backend))
    await service.host.check("systemctl", "start", _SERVICE)
    await until(lambda: service.stage.discord.messages, seconds=_SECONDS)
    done.set()
    assert await writing > 0
    assert {"Nova Kestrel", "Zero Zane"} <= set(rows(path))
    assert (path.stat().st_mode & 0o777) == (service.stage.folder / "db/alpha.db").stat().st_mode & 0o777


async def test_it_is_restarted_after_a_kill_and_keeps_its_memory(service: Service) -> None:
    host = service.host
    await host.check("systemctl", "start", _SERVICE)
    await until(lambda: service.stage.discord.messages, seconds=_SECONDS)
    await host.check("systemctl", "kill", "--signal=SIGKILL", "--kill-who=main", _SERVICE)
    await until(lambda: len(service.events("engine_started")) == 2, seconds=_SECONDS)
    assert await service.restarts() == 1
    await asyncio.sleep(0.3)
    assert len(service.stage.discord.messages) == 1
    service.stage.assert_never_banned()


async def test_a_wrong_configuration_is_said_and_not_tried_again(service: Service) -> None:
    (service.home / "tenant.json").write_text('[{"id": "x", "db_uri": 7}]')
    code, _ = await service.host.run("systemctl", "start", _SERVICE)
    assert code != 0
    assert await service.host.show("ExecMainStatus") == "78"
    await asyncio.sleep(3)  # longer than RestartSec here
    assert await service.host.show("ActiveState") == "failed"
    assert await service.restarts() == 0
    assert "tenant.json: [0].db_uri" in service.log.read_text()


async def test_a_process_that_hangs_is_killed_by_the_watchdog(service: Service) -> None:
    host = service.host
    service.drop_in("watchdog", "WatchdogSec=3")
    await host.check("systemctl", "daemon-reload")
    await host.check("systemctl", "start", _SERVICE)
    await until(lambda: service.stage.discord.messages, seconds=_SECONDS)
    await asyncio.sleep(4)
    assert await service.restarts() == 0  # while it works, it is fed
    await host.check("kill", f"-{signal.SIGSTOP.value}", await host.show("MainPID"))
    await until(lambda: len(service.events("engine_started")) == 2, seconds=_SECONDS)
    assert await service.restarts() == 1


async def _analyze(*arguments: str) -> tuple[int, str]:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    process = await asyncio.create_subprocess_exec(
        "systemd-analyze", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def test_the_unit_has_nothing_to_complain_about_but_the_missing_program() -> None:
    _, output = await _analyze("verify", str(UNIT))
    missing = "/opt/inara-daemon/.venv/bin/python is not executable"
    assert [line for line in output.splitlines() if missing not in line] == []


async def test_the_unit_is_exposed_to_2_0_at_most() -> None:
    code, output = await _analyze("security", "--offline=true", "--threshold=20", str(UNIT))
    assert code == 0, output
