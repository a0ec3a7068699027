"""What the daemon takes: resident memory of the process after a run of three tenants."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from pathlib import Path

from benchmarks.overhead import stand_in
from inara_daemon.sandbox.backend import make_tenant_database

_GOAL_MB = 100


async def measure(count: int, folder: Path) -> None:
    """Run the daemon as a process of its own until every tenant has run, and print its peak."""
    async with stand_in(count) as (url, names):
        tenants = []
        for number in range(3):
            make_tenant_database(folder / f"{number}.db", names[number::3], events=50_000)
            tenants.append({"id": f"t{number}", "name": f"t{number}", "db_uri": f"sqlite:///{number}.db"})
        (folder / "tenant.json").write_text(json.dumps(tenants))
        log = folder / "log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "inara_daemon", cwd=folder, env=_environ(url, folder), stderr=output
            )
        try:
            while log.read_text().count('"run_ended"') < len(tenants):
                await asyncio.sleep(0.1)
            status = Path(f"/proc/{process.pid}/status").read_text()
        finally:
            process.terminate()
            await process.wait()
    peak = int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) / 1024
    print(f"memory: {peak:.0f} MB at most, with 3 tenants and {count:,} commanders    (goal: under {_GOAL_MB})")


def _environ(url: str, folder: Path) -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", ""),
        "INARA_DAEMON_INARA_URL": url,
        "INARA_DAEMON_APP_NAME": "bench",
        "INARA_DAEMON_REQUESTS_PER_MINUTE": "6000",
        "INARA_DAEMON_STATE_URL": f"sqlite:///{folder}/state.db",
        "INARA_DAEMON_HTTP": "off",
        "INARA_API_KEY": "bench",
    }
