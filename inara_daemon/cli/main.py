"""The verbs, their options and their exit codes."""

from __future__ import annotations

import asyncio
import errno
import io
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from inara_daemon.cli.exits import Exit
from inara_daemon.cli.place import Place
from inara_daemon.settings import ConfigurationError
from inara_daemon.store.errors import DatabaseError, DatabaseFailure

_NOT_OURS_TO_MEND = frozenset({DatabaseFailure.LOCKED, DatabaseFailure.UNREACHABLE, DatabaseFailure.FULL})
"""What may pass by itself, so that a service manager should try again."""

_UNWRITABLE = frozenset({errno.ENOSPC, errno.EPIPE, errno.EBADF, errno.EIO})
"""What a full disk or a closed pipe behind the output makes of a print."""

_tenants_option = click.option(
    "--tenants",
    "tenants_file",
    type=click.Path(path_type=Path, readable=False),
    metavar="FILE",
    help="The tenant.json to read.",
)
_tenant_option = click.option("--tenant", "tenant_ids", multiple=True, metavar="ID", help="Only this tenant.")


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@_tenants_option
@click.version_option(package_name="inara-daemon")
@click.pass_context
def cli(context: click.Context, tenants_file: Path | None) -> None:
    """Keep every tenant's commander roster in step with Inara.

    Without a verb: run in the foreground.
    """
    context.obj = tenants_file
    if context.invoked_subcommand not in {None, "run"}:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})  # nobody listens: a closed terminal ends a verb
    if context.invoked_subcommand is None:
        context.invoke(run)


@cli.command()
@_tenants_option
@click.pass_context
def run(context: click.Context, tenants_file: Path | None = None) -> None:
    """Run in the foreground until stopped."""
    from inara_daemon.cli.run import run_daemon  # noqa: PLC0415 - a verb's imports are paid by that verb only

    _conclude(run_daemon, _place(context, tenants_file))


@cli.command()
@_tenants_option
@click.option("--online", is_flag=True, help="Also try each Inara key, with one lookup each.")
@click.option("--quiet", is_flag=True, help="Say only what is wrong.")
@click.pass_context
def check(context: click.Context, tenants_file: Path | None, *, online: bool, quiet: bool) -> None:
    """Check settings, tenant.json and databases, and say what a night costs."""
    from inara_daemon.cli.check import check_everything  # noqa: PLC0415

    _conclude(lambda place: check_everything(place, online=online, quiet=quiet), _place(context, tenants_file))


@cli.command()
@_tenants_option
@_tenant_option
@click.option("--name", "names", multiple=True, metavar="NAME", help="Only this commander.")
@click.option("--dry-run", is_flag=True, help="Show what would change and store nothing but the budget.")
@click.pass_context
def sync(
    context: click.Context,
    tenants_file: Path | None,
    tenant_ids: tuple[str, ...],
    names: tuple[str, ...],
    *,
    dry_run: bool,
) -> None:
    """Run once, now."""
    from inara_daemon.cli.sync import sync_now  # noqa: PLC0415

    _conclude(
        lambda place: sync_now(place, tenant_ids=tenant_ids, names=names, dry_run=dry_run),
        _place(context, tenants_file),
    )


@cli.command()
@_tenants_option
@_tenant_option
@click.option("--name", "names", multiple=True, metavar="NAME", help="Why this commander is, or is not, due.")
@click.pass_context
def status(
    context: click.Context, tenants_file: Path | None, tenant_ids: tuple[str, ...], names: tuple[str, ...]
) -> None:
    """Show tenants, last and next runs, budget and outbox; with --name what is known of a commander."""
    from inara_daemon.cli.status import show_status  # noqa: PLC0415

    _conclude(lambda place: show_status(place, tenant_ids=tenant_ids, names=names), _place(context, tenants_file))


@cli.command()
@_tenants_option
@click.option("--tenant", "tenant_id", metavar="ID", help="Only this tenant.")
@click.option("--name", metavar="NAME", help="Only this commander.")
@click.option("--since", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M"]), metavar="DATE", help="Not before (UTC).")
@click.pass_context
def history(
    context: click.Context, tenants_file: Path | None, tenant_id: str | None, name: str | None, since: datetime | None
) -> None:
    """Show what changed."""
    from inara_daemon.cli.history import show_history  # noqa: PLC0415

    moment = None if since is None else since.replace(tzinfo=UTC)
    _conclude(
        lambda place: show_history(place, tenant_id=tenant_id, name=name, since=moment), _place(context, tenants_file)
    )


@cli.command("test-webhook")
@_tenants_option
@_tenant_option
@click.pass_context
def test_webhook(context: click.Context, tenants_file: Path | None, tenant_ids: tuple[str, ...]) -> None:
    """Send a test message to the tenants' Discord channels."""
    from inara_daemon.cli.test_webhook import send_test_messages  # noqa: PLC0415

    _conclude(lambda place: send_test_messages(place, tenant_ids=tenant_ids), _place(context, tenants_file))


@cli.command()
def demo() -> None:
    """Show everything on a sandbox: no key, no network, nothing left behind."""
    from inara_daemon.cli.demo import show_demo  # noqa: PLC0415

    sys.exit(asyncio.run(show_demo()))


def _place(context: click.Context, tenants_file: Path | None) -> Place:
    return Place(os.environ, tenants_file or context.obj)


def _conclude(work: Callable[[Place], Coroutine[Any, Any, int]], place: Place) -> None:
    """Run a verb and turn its failures into words and exit codes."""
    try:
        sys.exit(asyncio.run(work(place)))
    except ConfigurationError as error:
        count = len(error.problems)
        click.echo(f"{count} problem{'s' if count > 1 else ''} in the configuration:", err=True)
        for problem in error.problems:
            click.echo(f"  {problem}", err=True)
        sys.exit(Exit.CONFIGURATION)
    except DatabaseError as error:
        click.echo(f"The state database can't be used: {error}", err=True)
        sys.exit(Exit.TROUBLE if error.failure in _NOT_OURS_TO_MEND else Exit.CONFIGURATION)
    except KeyboardInterrupt:
        sys.exit(Exit.INTERRUPTED)


def main() -> None:
    """The entry point."""
    _make_streams_usable()
    try:
        cli(prog_name="python -m inara_daemon")
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        click.echo(f"The output can't be written: {os.strerror(error.errno or errno.EIO)}", err=True)
        sys.exit(Exit.TROUBLE)


def _make_streams_usable() -> None:
    """Whatever the shell gave us: closed streams swallow, and a name that a locale can't write loses its letters."""
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - for good
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
