"""Alembic's entry point: migrate on the connection that the daemon hands over."""

from __future__ import annotations

from alembic import context

from inara_daemon.store.state.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=False)
context.run_migrations()
