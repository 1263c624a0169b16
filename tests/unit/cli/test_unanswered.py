"""`bedside articles unanswered`, as scripts and people meet it."""

from __future__ import annotations

import asyncio
import json
from datetime import date
from pathlib import Path

import pytest

from app.cli.unanswered import in_words
from app.contracts.site import Site
from app.db.session import Database
from app.knowledge.unanswered import Group, Nearest, Rare, Unanswered
from tests.api.test_unanswered import fill
from tests.conftest import new_database
from tests.unit.cli.test_contracts import bedside

QUESTIONS = ["Is there a chapel in the hospital?", "where is the chapel", "do you have a chapel or a place to pray"]
RARE = "who painted the blue mural"


@pytest.fixture(scope="module")
def environment(template_url: str, site: Site, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An installation without articles where four questions found no answer."""
    url = new_database(template_url)

    async def work() -> None:
        database = Database(url)
        await fill(database, site, [*QUESTIONS, RARE])
        await database.dispose()

    asyncio.run(work())
    state: Path = tmp_path_factory.mktemp("state")
    return {"BEDSIDE_DATABASE_URL": url, "BEDSIDE_STATE": str(state), "BEDSIDE_ENGINE": "off"}


def test_json_has_the_groups_and_no_rare_words(environment: dict[str, str]) -> None:
    code, out, said = bedside("articles", "unanswered", "--days", "7", "--json", **environment)
    assert code == 0, said
    (report,) = out
    (group,) = report["groups"]
    assert (group["questions"], group["patients"], group["language"], group["status"]) == (3, 3, "en", "open")
    assert set(group["examples"]) == set(QUESTIONS)
    assert (report["days"], report["rare_questions"], report["rare"][0]["conversations"]) == (7, 1, [])
    assert "mural" not in json.dumps(report)


def test_days_that_are_not_offered_end_in_one_sentence(environment: dict[str, str]) -> None:
    code, _, said = bedside("articles", "unanswered", "--days", "8", **environment)
    assert code == 1
    assert "--days must be one of 7, 30, 90" in said
    assert "Traceback" not in said


def test_people_read_groups_with_their_nearest_article_and_only_counts_of_the_rest() -> None:
    day = date(2026, 5, 4)
    chapel = Group("a" * 32, "en", 4, 3, 3, 1, 0, day, day, ["where is the chapel"], Nearest("prayer", "Prayer", 0.416))
    found = Unanswered(7, 5, True, [chapel], 2, [Rare(1, None, ["c" * 32])], 1, 0)
    assert list(in_words(found)) == [
        "5 questions without an answer in 7 days",
        "",
        "4 questions  3 patients  2026-05-04 to 2026-05-04  en  open",
        "  where is the chapel",
        "  nearest article: prayer (0.42)",
        "\n2 groups more, asked less often",
        "\nasked by fewer than 3 patients: 1 questions",
        "  1  nearest article: none",
    ]
