"""What people and machines do wrong, and the words and exit codes they get: never a traceback."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from inara_daemon.sandbox.world import demo_world
from tests.acceptance.test_daemon import _environ, _run, started
from tests.stage import Stage, open_stage, rows, until

_SECONDS = 30.0


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path, demo_world()) as opened:
        opened.add_tenant("alpha", ["Nova Kestrel"])
        yield opened


_ENTRY = {"id": "x", "name": "X", "db_uri": "sqlite:///db/alpha.db"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "tenant.json"),
        ("[", "tenant.json"),
        ("[]", "holds no tenant"),
        ("7", "list of tenants"),
        ('[{"id": "x", "id": "y", "db_uri": "sqlite:///db/alpha.db"}]', "id"),
        (json.dumps([_ENTRY, _ENTRY]), "is the id of"),
        (json.dumps([_ENTRY | {"name": 7}, _ENTRY | {"db_uri": "mysql://x"}]), "[1].db_uri"),
        (json.dumps([_ENTRY | {"inara_daemon": {"shedule": "0 1 * * *"}}]), "schedule"),
        (json.dumps([{"name": "Ελλάς", "db_uri": "sqlite:///db/alpha.db"}]), '"id"'),
        (json.dumps([_ENTRY | {"discord_webhooks": {"bullis": "https://example.org/x"}}]), "discord.com"),
    ],
)
async def test_a_tenant_json_that_is_wrong_says_where_and_what_to_do(stage: Stage, text: str, words: str) -> None:
    (stage.folder / "tenant.json").write_text(text)
    code, output = await _run(stage, "check")
    assert code == 78, output
    assert words in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("state", "code", "words"),
    [
        ("sqlite:////proc/nowhere/state.db", 78, "/proc/nowhere"),
        ("sqlite:////dev/null/state.db", 78, "/dev/null"),
        ("sqlite:///{folder}", 78, "can't be opened"),
        ("sqlite:///{folder}/tenant.json", 78, "not an SQLite database"),
        ("postgresql://nobody:canary-pw@127.0.0.1:1/x", 1, "can't be reached"),
        ("postgresql://nobody:canary-pw@127.0.0.1/x?port=abc", 78, "port"),
        ("postgresql://nobody:canary-pw@127.0.0.1/x?sslmode=maybe", 78, "sslmode"),
    ],
)
async def test_a_state_that_can_t_be_used_is_said(stage: Stage, state: str, code: int, words: str) -> None:
    stage.extra["INARA_DAEMON_STATE_URL"] = state.format(folder=stage.folder)
    for verb in ("run", "sync", "status"):
        found, output = await _run(stage, verb)
        if (verb, words) == ("status", "/proc/nowhere"):
            assert "has not run yet" in output  # it only looks
            continue
        assert found == code, f"{verb}: {output}"
        assert words in output
        assert "Traceback" not in output
        assert "canary" not in output


@pytest.mark.parametrize(
    ("verb", "code", "words"),
    [
        (("sync", "--tenant", "nobody"), 2, "known: alpha"),
        (("test-webhook", "--tenant", "nobody"), 2, "known: alpha"),
        (("status", "--tenant", "nobody"), 2, "known: alpha"),
        (("status", "--name", " "), 2, "blank"),
        (("sync", "--name", "Stranger"), 1, "No tenant has events of"),
        (("--tenants", "/nowhere.json", "check"), 78, "does not exist"),
        (("check", "--tenants", "/"), 78, "must be a file"),
        (("history", "--since", "yesterday"), 2, "yesterday"),
        (("nonsense",), 2, "nonsense"),
    ],
)
async def test_wrong_usage_is_told(stage: Stage, verb: Sequence[str], code: int, words: str) -> None:
    found, output = await _run(stage, *verb)
    assert found == code, output
    assert words in output
    assert "Traceback" not in output


async def test_nobody_to_sync_is_not_well(stage: Stage) -> None:
    del stage.tenants[0]["db_uri"]
    stage.write()
    for verb in ("sync", "test-webhook"):
        code, output = await _run(stage, verb)
        assert code == 1
        assert "Alpha is skipped: it has no db_uri" in output


async def test_sync_with_a_webhook_that_is_gone_is_not_well(stage: Stage) -> None:
    stage.discord.delete_webhook("alpha")
    code, output = await _run(stage, "sync")
    assert code == 1
    assert "report not delivered: dead" in output


async def test_a_state_that_this_user_may_not_enter_is_said_with_the_way_out(stage: Stage) -> None:
    await _run(stage, "sync")
    state = stage.folder / "state"
    assert state.stat().st_mode & 0o077 == 0
    state.chmod(0o000)
    # Root may enter everything, unless it gives that up.
    humble = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    for verb in ("status", "history", "sync", "run"):
        done = await asyncio.to_thread(
            subprocess.run,
            [*humble, sys.executable, "-m", "inara_daemon", verb],
            env=_environ(stage.environ),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 78, done.stderr
        assert "sudo -u " in done.stderr
        assert "Traceback" not in done.stderr
    state.chmod(0o700)


async def test_root_locks_nobody_out_of_a_folder_that_is_theirs(stage: Stage) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make files for others")
    state = stage.folder / "state"
    state.mkdir(mode=0o700)
    os.chown(state, 65534, 65534)
    await _run(stage, "sync")
    assert {entry.stat().st_uid for entry in state.iterdir()} == {65534}


@pytest.mark.parametrize("redirection", [">&-", ">/dev/full", "2>&- >&-", "| true"])
async def test_an_output_that_can_t_be_written_is_no_traceback(stage: Stage, redirection: str) -> None:
    await _run(stage, "sync")
    environ = _environ(stage.environ)
    command = f"{sys.executable} -m inara_daemon history {redirection}"
    done = await asyncio.to_thread(
        subprocess.run, ["/bin/sh", "-c", command], env=environ, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr


async def test_a_locale_without_umlauts_loses_letters_and_nothing_else(stage: Stage) -> None:
    stage.add_tenant("beta", ["Jürgen Weiß"])
    await _run(stage, "sync")
    environ = _environ(stage.environ) | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "inara_daemon", "history"]
    done = await asyncio.to_thread(subprocess.run, command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


async def test_a_reload_that_comes_while_it_starts_does_not_end_it(stage: Stage) -> None:
    async with started(stage) as daemon:
        while not daemon.said("engine_started"):
            if (stage.folder / "state").exists() or _is_ours(daemon.process.pid):
                daemon.process.send_signal(signal.SIGHUP)
            await asyncio.sleep(0.05)
            assert daemon.process.returncode is None
        await until(lambda: stage.discord.messages, seconds=_SECONDS)


def _is_ours(pid: int) -> bool:
    """Whether the process is past Python's own start, where nothing of ours runs yet: it blocks the signal then."""
    status = Path(f"/proc/{pid}/status").read_text()
    blocked = next(line for line in status.splitlines() if line.startswith("SigBlk"))
    return bool(int(blocked.split()[1], 16) & 1 << (signal.SIGHUP - 1))


async def test_a_standby_takes_over_with_what_it_knows_when_tenant_json_is_broken(stage: Stage) -> None:
    async with started(stage) as first:
        await until(lambda: first.said("engine_started"), seconds=_SECONDS)
        async with started(stage) as second:
            await until(lambda: second.said("standing_by"), seconds=_SECONDS)
            (stage.folder / "tenant.json").write_text("[")
            await first.kill()
            await until(lambda: second.said("engine_started"), seconds=_SECONDS)
            assert second.said("reload_refused")


async def test_a_state_that_is_locked_at_the_start_is_named(stage: Stage) -> None:
    await _run(stage, "sync")
    with closing(sqlite3.connect(stage.folder / "state/state.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        code, output = await _run_long(stage)
    assert code == 1
    assert "locked by another process" in output
    assert "Traceback" not in output


async def _run_long(stage: Stage) -> tuple[int, str]:
    async with started(stage) as process:
        async with asyncio.timeout(60):
            code = await process.process.wait()
        return code, process.log.read_text()


async def test_a_lock_file_that_is_deleted_ends_the_leader(stage: Stage) -> None:
    async with started(stage) as daemon:
        await until(lambda: stage.discord.messages, seconds=_SECONDS)
        (stage.folder / "state/state.db.lock").unlink()
        assert await daemon.ended() == 1
        assert daemon.said("lead_lost")
    assert set(rows(stage.folder / "db/alpha.db")) == {"Nova Kestrel"}
