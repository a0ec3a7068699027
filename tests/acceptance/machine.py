"""A private machine with a real systemd as PID 1, so that the shipped unit is seen alive and the host is left alone.

It is a set of namespaces: own processes, own mounts, own users, a copy of /etc; the network is the host's, so that
stand-ins on the loopback can be reached. Needs root and an installed systemd.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import sysconfig
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[2]
UNIT = PROJECT / "deploy" / "systemd" / "inara-daemon.service"
_SYSTEMD = Path("/lib/systemd/systemd")
_PROGRAMS = ("unshare", "nsenter", "mount", "useradd", "systemctl")
_START_SECONDS = 20.0
_COMMAND_SECONDS = 60.0

_SETUP = r"""
set -e
python=$1 prefix=$2 packages=$3 project=$4 unit=$5 home=$6
mount --make-rprivate /
mount -t tmpfs -o mode=0755 tmpfs /mnt

# The program, where no home is needed: the interpreter, its packages and this checkout, under one launcher.
mkdir -p /mnt/opt/python /mnt/opt/inara-daemon/packages /mnt/opt/inara-daemon/source /mnt/opt/inara-daemon/.venv/bin
mount --rbind "$prefix" /mnt/opt/python
mount --bind "$packages" /mnt/opt/inara-daemon/packages
mount --bind "$project" /mnt/opt/inara-daemon/source
cat > /mnt/opt/inara-daemon/.venv/bin/python <<LAUNCHER
#!/bin/sh
export LD_LIBRARY_PATH=/opt/python/lib PYTHONPATH=/opt/inara-daemon/source:/opt/inara-daemon/packages
export PYTHONDONTWRITEBYTECODE=1
exec /opt/python/bin/$python "\$@"
LAUNCHER
chmod 755 /mnt/opt/inara-daemon/.venv/bin/python
mkdir -p /mnt/units && cp "$unit" /mnt/units/
mkdir /mnt/home && mount --bind "$home" /mnt/home
cp -a /etc /mnt/etc

mount --rbind /mnt/opt /opt
mount --bind /mnt/etc /etc
mount -t tmpfs -o mode=1777 tmpfs /tmp
for folder in /home /run /var/lib /var/log; do mount -t tmpfs -o mode=0755 tmpfs "$folder"; done
mkdir -p /run/units /run/systemd/system /run/lock
cp /mnt/units/* /run/units/
for target in machine sysinit basic shutdown umount final multi-user network network-online time-sync; do
    printf '[Unit]\nDescription=%s\nDefaultDependencies=no\n' "$target" > "/run/units/$target.target"
done
mount -t tmpfs tmpfs /sys/fs/cgroup
mkdir /sys/fs/cgroup/systemd
mount -t cgroup -o none,name=systemd systemd /sys/fs/cgroup/systemd
useradd --create-home valk
mkdir /home/valk/valk && mount --bind /mnt/home /home/valk/valk

exec env -i PATH="$PATH" container=lxc SYSTEMD_UNIT_PATH=/run/units \
    /lib/systemd/systemd --system --unit=machine.target --log-level=info --log-target=console --show-status=0
"""


class CantRunHereError(Exception):
    """Such a machine can't be had here; the text says why."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A running machine; `pid` is its systemd as the host sees it."""

    pid: int
    console: Path

    @property
    def root(self) -> Path:
        """The machine's file system, from outside."""
        return Path(f"/proc/{self.pid}/root")

    async def run(self, *command: str) -> tuple[int, str]:
        """Run a command inside; its exit code and all that it printed."""
        process = await asyncio.create_subprocess_exec(
            *("nsenter", "-t", str(self.pid), "-m", "-p", "-u", "-i", "--", *command),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(_COMMAND_SECONDS):
            output, _ = await process.communicate()
        return process.returncode or 0, output.decode()

    async def check(self, *command: str) -> str:
        """Run a command inside that must succeed; what it printed."""
        code, output = await self.run(*command)
        assert code == 0, f"{' '.join(command)}: exit {code}\n{output}\n{self.console.read_text()[-2000:]}"
        return output

    async def show(self, name: str) -> str:
        """A property of the service, as `systemctl show` has it."""
        shown = await self.check("systemctl", "show", "--value", "--property", name, "inara-daemon")
        return shown.strip()


@asynccontextmanager
async def machine(folder: Path, home: Path) -> AsyncIterator[Machine]:
    """A machine that lives as long as the block, with `home` at /home/valk/valk; raises CantRunHereError.

    `home` is the same folder inside and outside: SQLite would look through /proc/PID/root at the host's own files.
    """
    _refuse_unfit_host()
    console = folder / "console"
    python = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = sysconfig.get_paths()["purelib"]
    with console.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--uts", "--ipc", "--cgroup"),
            *("sh", "-c", _SETUP, "machine", python, sys.base_prefix, packages, str(PROJECT), str(UNIT), str(home)),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield Machine(await _systemd_of(process, console), console)
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _refuse_unfit_host() -> None:
    if os.geteuid() != 0:
        raise CantRunHereError("a private systemd needs root")
    if not _SYSTEMD.exists():
        raise CantRunHereError("systemd is not installed")
    missing = [program for program in _PROGRAMS if shutil.which(program) is None]
    if missing:
        raise CantRunHereError(f"not installed: {', '.join(missing)}")


async def _systemd_of(process: asyncio.subprocess.Process, console: Path) -> int:
    """The PID of the machine's systemd, once it takes commands."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    try:
        async with asyncio.timeout(_START_SECONDS):
            while process.returncode is None:
                for child in children.read_text().split():
                    if Path(f"/proc/{child}/root/run/systemd/private").exists():
                        return int(child)
                await asyncio.sleep(0.05)
    except (TimeoutError, FileNotFoundError):
        pass
    raise CantRunHereError(f"systemd did not start: {console.read_text()[-500:].strip()}")
