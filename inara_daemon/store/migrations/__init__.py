"""Migrations of the state database, run at start in one transaction."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection


class NewerSchemaError(Exception):
    """The database was written by a newer version of the daemon."""


def upgrade(connection: Connection) -> None:
    """Run every migration that the database lacks, inside the caller's transaction. Raises NewerSchemaError."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:  # it names a revision that nobody here knows
        raise NewerSchemaError from error
