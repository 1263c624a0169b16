"""A clarifying question over HTTP: real rules, the real encoder over a few of the demo's articles, no engine."""

from __future__ import annotations

import functools
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.chat.pipeline import Bounds, Pipeline
from app.contracts.site import Site, load_site
from app.db.cipher import TextCipher
from app.db.session import Database
from app.encoder.encoder import SearchEncoder
from app.encoder.reranker import Reranker
from app.guardrails.active import ActivePolicies, Policies, compiled
from app.guardrails.policy import default_bundle_folder, load_bundle
from app.knowledge.index import KnowledgeIndex
from app.knowledge.service import KnowledgeService
from app.redaction.redactor import Redactor, build_detector
from tests.api.conftest import House, build_house

pytestmark = pytest.mark.anyio

ARTICLES = Path(__file__).resolve().parents[2] / "demo" / "articles"
NAMES = ("prepare-abdominal-ultrasound", "prepare-pelvic-ultrasound", "parking-and-rates", "children-visiting")
ABDOMINAL, PELVIC = "Preparing for an abdominal ultrasound", "Preparing for a pelvic ultrasound"


@functools.cache
def policies() -> Policies:
    """The shipped rules; they are never changed and take seconds to make."""
    return compiled(load_bundle(default_bundle_folder()), load_site(ARTICLES.parent), datetime.now(UTC))


@pytest.fixture
async def clinic(
    database: Database,
    site: Site,
    cipher: TextCipher,
    search_encoder: SearchEncoder,
    reranker: Reranker,
    tmp_path: Path,
) -> AsyncIterator[House]:
    """A running service with the real pipeline."""
    for name in NAMES:
        shutil.copy(ARTICLES / f"{name}.md", tmp_path)
    pipeline = Pipeline(
        site=site, policies=ActivePolicies(policies()), redactor=Redactor(build_detector(site.own_details), "prompt"),
        retriever=KnowledgeIndex(database, search_encoder, reranker, site.id), engine=None, leaks=lambda *_given: [],
        bounds=Bounds(step_s=20.0, clarify_margin=0.1),
    )  # fmt: skip
    async with build_house(database, site, cipher, pipeline) as house:
        await KnowledgeService(database, search_encoder, "clarify", site).import_folder(tmp_path)
        yield house


class Talk:
    """One patient's conversation."""

    def __init__(self, house: House, headers: dict[str, str], conversation: str) -> None:
        self._house, self._headers, self._conversation = house, headers, conversation

    async def say(self, words: str) -> dict[str, Any]:
        """The reply to a message."""
        answer = await self._house.send(self._headers, self._conversation, words, Prefer="wait=20")
        assert answer.status_code == 200, answer.text
        reply: dict[str, Any] = answer.json()["reply"]
        return reply

    async def messages(self) -> list[dict[str, Any]]:
        """All messages, as a widget that was reloaded reads them."""
        path = f"/v1/conversations/{self._conversation}/messages"
        items: list[dict[str, Any]] = (await self._house.http.get(path, headers=self._headers)).json()["items"]
        return items


@pytest.fixture
async def talk(clinic: House) -> Talk:
    headers = await clinic.patient()
    return Talk(clinic, headers, await clinic.conversation(headers))


def cited(reply: dict[str, Any]) -> list[str]:
    return [citation["article_id"] for citation in reply["citations"]]


async def test_near_articles_are_offered_and_the_chosen_one_answers(talk: Talk) -> None:
    asked = await talk.say("ultrasound prep")
    assert asked["kind"] == "clarify"
    titles = [choice["title"] for choice in asked["choices"]]
    assert set(titles) == {ABDOMINAL, PELVIC}
    assert asked["text"].endswith(f"1. {titles[0]}\n2. {titles[1]}")
    assert asked["citations"] == []
    stored = (await talk.messages())[-1]
    assert (stored["choices"], stored["citations"]) == (asked["choices"], [])
    answer = await talk.say(PELVIC)
    assert (answer["kind"], answer["choices"], cited(answer)) == ("fallback", [], ["prepare-pelvic-ultrasound"])


@pytest.mark.parametrize("follow_up", ["can I drink water?", "and water?", "can I eat before it?"])
@pytest.mark.parametrize("choice", [ABDOMINAL, "the abdominal one"])
async def test_the_chosen_article_stays_the_one_spoken_of(talk: Talk, choice: str, follow_up: str) -> None:
    await talk.say("ultrasound prep")
    assert cited(await talk.say(choice)) == ["prepare-abdominal-ultrasound"]
    answer = await talk.say(follow_up)
    assert cited(answer) == ["prepare-abdominal-ultrasound"]
    other = await talk.say("and for a pelvic ultrasound?")
    assert cited(other) == ["prepare-pelvic-ultrasound"]


@pytest.mark.parametrize(
    ("reply", "article"),
    [("pelvic please", "prepare-pelvic-ultrasound"), ("abdominal", "prepare-abdominal-ultrasound")],
)
async def test_a_few_words_choose_too(talk: Talk, reply: str, article: str) -> None:
    assert (await talk.say("ultrasound prep"))["kind"] == "clarify"
    assert cited(await talk.say(reply)) == [article]


async def test_a_place_in_the_list_chooses(talk: Talk) -> None:
    asked = await talk.say("ultrasound prep")
    assert cited(await talk.say("the second one")) == [asked["choices"][1]["article_id"]]


@pytest.mark.parametrize("said", ["ultrasound prep", "can I drink water?", "I don't know which"])
async def test_a_question_back_that_is_not_answered_gets_both_preparations(talk: Talk, said: str) -> None:
    assert (await talk.say("ultrasound prep"))["kind"] == "clarify"
    for words in (said, "and coffee?"):
        reply = await talk.say(words)
        assert (reply["kind"], set(cited(reply))) == (
            "fallback",
            {"prepare-abdominal-ultrasound", "prepare-pelvic-ultrasound"},
        )
        assert f"{ABDOMINAL}:\n" in reply["text"]
        assert f"{PELVIC}:\n" in reply["text"]
    assert cited(await talk.say("it is the pelvic one, can I drink coffee?")) == ["prepare-pelvic-ultrasound"]


async def test_another_topic_after_the_question_is_its_own(talk: Talk) -> None:
    await talk.say("ultrasound prep")
    assert cited(await talk.say("How much does parking cost?")) == ["parking-and-rates"]


async def test_an_emergency_after_the_question_is_one(talk: Talk) -> None:
    await talk.say("ultrasound prep")
    assert (await talk.say("crushing chest pain and I can't breathe"))["kind"] == "emergency"


async def test_a_detail_needs_no_question(talk: Talk) -> None:
    reply = await talk.say("pelvic ultrasound prep")
    assert (reply["kind"], cited(reply)) == ("fallback", ["prepare-pelvic-ultrasound"])


async def test_two_questions_get_two_passages(talk: Talk) -> None:
    assert cited(await talk.say("Where do I park and can my kids visit?")) == ["parking-and-rates", "children-visiting"]


async def test_a_follow_up_is_answered_from_the_article_before(talk: Talk) -> None:
    await talk.say("How much does parking cost?")
    assert cited(await talk.say("and on weekends?")) == ["parking-and-rates"]


async def test_the_interface_describes_choices(clinic: House) -> None:
    schema = clinic.app.openapi()["components"]["schemas"]
    assert set(schema["ChoiceView"]["properties"]) == {"article_id", "title"}
    assert "clarify" in schema["MessageView"]["properties"]["kind"]["description"]
    assert "choices" in schema["MessageView"]["properties"]
