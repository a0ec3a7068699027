"""Why a tenant's PostgreSQL can't be used, told apart in words that hold no password."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import asyncpg
import pytest

from inara_daemon.store.errors import DatabaseFailure
from tests.integration.store.test_tenant_db import TABLES
from tests.integration.store.test_tenant_db_failures import USES, failure
from tests.postgres import Postgres


@pytest.fixture
async def name(postgres_url: str) -> str:
    """The name of a PostgreSQL database with a tenant's tables; `<name>_user` may log in and nothing else."""
    name = postgres_url.rpartition("/")[2]
    connection = await asyncpg.connect(postgres_url)
    await connection.execute(f"{TABLES}; CREATE ROLE {name}_user LOGIN")
    await connection.close()
    return name


async def execute(cluster: Postgres, name: str, *statements: str) -> None:
    """What the database's owner does."""
    connection = await asyncpg.connect(cluster.url(name))
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


async def test_secrets_a_wrong_password_is_told_without_it(cluster: Postgres, name: str) -> None:
    connection = await asyncpg.connect(cluster.url(name))
    rules = Path(await connection.fetchval("SHOW hba_file"))
    rules.write_text(f"host all {name}_user 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")
    await connection.execute(f"ALTER ROLE {name}_user PASSWORD 'right'; SELECT pg_reload_conf()")
    await connection.close()
    while await _logs_in(f"postgresql://{name}_user:wrong@127.0.0.1:{cluster.port}/{name}"):
        await asyncio.sleep(0.01)  # the server reads its rules when it comes to it
    kind, told = await failure(f"postgresql://{name}_user:canary@127.0.0.1:{cluster.port}/{name}")
    assert kind is DatabaseFailure.LOGIN_REFUSED
    assert f"//{name}_user:***@127.0.0.1:{cluster.port}/{name} refused the login" in told


async def _logs_in(url: str) -> bool:
    try:
        await (await asyncpg.connect(url)).close()
    except asyncpg.InvalidPasswordError:
        return False
    return True


@pytest.mark.parametrize(
    ("tables", "use"),
    [("", "spellings"), ("event", "check"), ("event, cmdr", "check"), ("event, cmdr", "apply")],
    ids=["none", "events only", "reading only", "reading only, and writing"],
)
async def test_a_missing_permission_is_told(cluster: Postgres, name: str, tables: str, use: str) -> None:
    if tables:
        await execute(cluster, name, f"GRANT SELECT ON {tables} TO {name}_user")
    kind, told = await failure(f"postgresql://{name}_user:canary@127.0.0.1:{cluster.port}/{name}", USES[use])
    assert kind is DatabaseFailure.NO_PERMISSION
    assert "lacks a permission on the tables" in told


async def test_an_address_that_leads_nowhere_is_told_apart_from_a_refusal(cluster: Postgres, name: str) -> None:
    host = f"127.0.0.1:{cluster.port}"
    for address, kind in {
        f"inara_test:canary@{host}/{name}_elsewhere": DatabaseFailure.FILE_MISSING,
        f"nobody:canary@{host}/{name}": DatabaseFailure.LOGIN_REFUSED,
        f"inara_test:canary@127.0.0.1:1/{name}": DatabaseFailure.UNREACHABLE,
        f"inara_test:canary@nowhere.invalid/{name}": DatabaseFailure.UNREACHABLE,
        f"inara_test:canary@{host}/{name}?options=-cdefault_transaction_read_only%3Don": DatabaseFailure.READ_ONLY,
    }.items():
        assert (await failure(f"postgresql://{address}"))[0] is kind


@pytest.mark.parametrize(
    ("done", "kind"),
    [
        ("DROP TABLE cmdr", DatabaseFailure.TABLES_MISSING),
        ("DROP TABLE event", DatabaseFailure.TABLES_MISSING),
        ("ALTER TABLE cmdr DROP COLUMN squadron_rank", DatabaseFailure.REFUSED),
        ("ALTER DATABASE {name} CONNECTION LIMIT 0", DatabaseFailure.UNREACHABLE),
    ],
)
async def test_what_postgresql_refuses_is_told_apart(
    cluster: Postgres, name: str, done: str, kind: DatabaseFailure
) -> None:
    rights = f"GRANT ALL ON event, cmdr TO {name}_user"
    await execute(cluster, name, rights, done.format(name=name))
    assert (await failure(f"postgresql://{name}_user:canary@127.0.0.1:{cluster.port}/{name}"))[0] is kind


async def test_a_table_that_another_session_holds_is_locked(cluster: Postgres, name: str) -> None:
    holder = await asyncpg.connect(cluster.url(name))
    async with holder.transaction():
        await holder.execute("LOCK TABLE cmdr IN SHARE MODE")
        url = f"{cluster.url(name)}?options=-c%20lock_timeout%3D50ms"
        assert (await failure(url, USES["apply"]))[0] is DatabaseFailure.LOCKED
    await holder.close()


@pytest.mark.virtual_time
async def test_deadlines_a_server_that_says_nothing_is_unreachable_after_ten_seconds() -> None:
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://inara_test:canary@127.0.0.1:{silent.getsockname()[1]}/x"
        assert (await failure(url))[0] is DatabaseFailure.UNREACHABLE
    assert loop.time() == pytest.approx(10.0, abs=1.0)
