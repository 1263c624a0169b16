"""Alembic's entry: runs the migrations on the URL that the caller sets (``sqlalchemy.url``), synchronously."""

from __future__ import annotations

from alembic import context
from sqlalchemy import create_engine, pool

from app.db.models import Base


def run() -> None:
    """Migrate in one transaction under an advisory lock, so that several processes may start at once."""
    engine = create_engine(context.config.get_main_option("sqlalchemy.url") or "", poolclass=pool.NullPool)
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=Base.metadata, compare_type=True)
        with context.begin_transaction():
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(724501)")
            context.run_migrations()
    engine.dispose()


run()
