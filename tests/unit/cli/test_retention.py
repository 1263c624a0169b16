"""`bedside retention` over a real database, where one conversation is past its time and one is held."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.cli.retention import in_words
from app.contracts.site import Site
from app.conversations.retention import Kept
from app.db.models import Conversation
from app.db.session import Database
from tests.conftest import new_database
from tests.factories import add_patient
from tests.unit.cli.test_contracts import bedside

OLD, NEW = "1" * 32, "2" * 32


@pytest.fixture
def environment(template_url: str, site: Site, tmp_path: Path) -> dict[str, str]:
    """An installation with a conversation that is long past its time, and one of today."""
    url = new_database(template_url)

    async def work() -> None:
        database = Database(url)
        owner, _token = await add_patient(database, site)
        now = datetime.now(UTC)
        async with database.session() as session:
            for identity, age in ((OLD, 400), (NEW, 0)):
                at = now - timedelta(days=age)
                session.add(Conversation(id=identity, site_id=site.id, session_id=owner, created_at=at, updated_at=at))
        await database.dispose()

    asyncio.run(work())
    return {"BEDSIDE_DATABASE_URL": url, "BEDSIDE_STATE": str(tmp_path), "BEDSIDE_ENGINE": "off"}


def test_a_held_conversation_stays_until_it_is_released(environment: dict[str, str]) -> None:
    code, _, said = bedside("retention", "hold", OLD, "--reason", "case 7", **environment)
    assert code == 0, said
    _, (told,), _ = bedside("retention", "status", "--json", **environment)
    assert (told["stored"], told["due"], told["held"], told["waiting"]) == (2, 0, 1, 0)
    assert bedside("retention", "release", OLD, **environment)[0] == 0
    _, (told,), _ = bedside("retention", "status", "--json", **environment)
    assert (told["due"], told["held"], told["days"]) == (1, 0, 90)
    assert bedside("retention", "run", **environment)[0] == 0
    _, (told,), _ = bedside("retention", "status", "--json", **environment)
    assert (told["stored"], told["due"]) == (1, 0)


def test_an_unknown_conversation_ends_in_one_sentence(environment: dict[str, str]) -> None:
    code, _, said = bedside("retention", "hold", "3" * 32, "--reason", "case 7", **environment)
    assert code == 1
    assert re.fullmatch(r"(?s).*bedside: there is no such conversation\s*", said)
    assert "Traceback" not in said


def test_people_read_what_is_stored_and_why_it_stays() -> None:
    found = Kept(12, 3, 1, 2, datetime(2026, 8, 1, tzinfo=UTC))
    assert in_words(found, 90) == [
        "conversations go 90 days after the last thing that happened in them",
        "12 stored; the oldest that goes changed last on 2026-08-01",
        "3 due: they go at the next look (each hour)",
        "1 under a legal hold",
        "2 past their time that stay until the call for a person is closed",
    ]
