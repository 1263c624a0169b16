"""Brings a database to the newest schema (or back), with Alembic."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy.exc import OperationalError

from app.errors import StoreUnavailable

_ROOT = Path(__file__).resolve().parents[2]


def configuration(url: str) -> Config:
    """Alembic's configuration for a database."""
    config = Config(_ROOT / "alembic.ini")
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config


def upgrade(url: str, revision: str = "head") -> None:
    """Apply all migrations up to ``revision``. Blocking. Raises StoreUnavailable."""
    try:
        command.upgrade(configuration(url), revision)
    except OperationalError as error:
        raise StoreUnavailable(
            "the database cannot be migrated: it does not answer, or the user may not create tables "
            "and the vector extension"
        ) from error


def downgrade(url: str, revision: str = "base") -> None:
    """Take migrations back down to ``revision``; with ``base`` all of Bedside's data is gone."""
    command.downgrade(configuration(url), revision)
