"""The schema goes up and down, and is what the models say."""

from __future__ import annotations

import pytest
from alembic import command
from alembic.util.exc import CommandError
from sqlalchemy import create_engine, inspect

from app.db.migrate import configuration, downgrade, upgrade
from app.db.models import Base
from tests.conftest import new_database


@pytest.fixture
def url(template_url: str) -> str:
    return new_database(template_url)


def tables(url: str) -> set[str]:
    engine = create_engine(url)
    try:
        return set(inspect(engine).get_table_names()) - {"alembic_version"}
    finally:
        engine.dispose()


def test_down_and_up_again(url: str) -> None:
    assert tables(url) == set(Base.metadata.tables)
    downgrade(url)
    assert tables(url) == set()
    upgrade(url)
    upgrade(url)
    assert tables(url) == set(Base.metadata.tables)


def test_the_migrations_make_what_the_models_say(url: str) -> None:
    try:
        command.check(configuration(url))
    except CommandError as error:
        pytest.fail(f"the models have changed without a migration: {error}")
