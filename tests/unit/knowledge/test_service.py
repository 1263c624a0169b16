"""Import and search on a real PostgreSQL with the real encoder."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from app.chat.pipeline import Bounds
from app.contracts.site import Site
from app.db.session import Database
from app.encoder.encoder import SearchEncoder
from app.encoder.text import Text
from app.errors import ConfigurationError, NotFound, RetrievalFailed
from app.knowledge.index import KnowledgeIndex
from app.knowledge.ranking import Judgement
from app.knowledge.service import KnowledgeService

pytestmark = pytest.mark.anyio


def write(folder: Path, name: str, title: str, text: str, *, review_by: str = "2030-01-01", asked: str = "[]") -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.md").write_text(
        f"---\nid: {name}\ntitle: {title}\ntopic: visiting\naudience: patients\nowner: Guest services\n"
        f'reviewed: 2025-01-01\nreview_by: {review_by}\nsources: ["Policy"]\nasked: {asked}\n---\n{text}\n',
        encoding="utf-8",
    )


@pytest.fixture
async def own_site(site: Site, request: pytest.FixtureRequest) -> Site:
    return site.model_copy(update={"id": "site-" + hashlib.sha256(request.node.name.encode()).hexdigest()[:12]})


@pytest.fixture
async def knowledge(database: Database, search_encoder: SearchEncoder, own_site: Site) -> KnowledgeService:
    return KnowledgeService(database, search_encoder, "encoder-1", own_site)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "articles", "parking", "Parking", "The garage costs $2 an hour.")
    write(tmp_path / "articles", "visiting", "Visiting hours", "Visitors may come from 8 a.m. to 8 p.m.")
    write(tmp_path / "articles", "old", "Valet service", "Valet parking costs $5.", review_by="2026-01-01")
    return tmp_path / "articles"


async def test_only_changes_are_indexed_and_missing_articles_withdrawn(
    knowledge: KnowledgeService, folder: Path
) -> None:
    first = await knowledge.import_folder(folder)
    assert sorted(first.stored) == ["old", "parking", "visiting"]
    assert (await knowledge.import_folder(folder)).stored == []
    write(folder, "parking", "Parking", "The garage costs $3 an hour.")
    (folder / "visiting.md").unlink()
    report = await knowledge.import_folder(folder)
    assert (report.stored, report.withdrawn, report.unchanged) == (["parking"], ["visiting"], 1)
    page = await knowledge.article("parking")
    assert page.version == 2
    assert "$3" in page.markdown
    with pytest.raises(NotFound):
        await knowledge.article("visiting")


async def test_faults_stop_the_import_or_are_left_out(knowledge: KnowledgeService, folder: Path) -> None:
    (folder / "broken.md").write_text("no front matter")
    with pytest.raises(ConfigurationError, match=r"broken\.md:1"):
        await knowledge.import_folder(folder)
    report = await knowledge.import_folder(folder, keep_going=True)
    assert len(report.faults) == 1
    assert len(report.stored) == 3


async def test_a_fault_keeps_the_last_good_version(knowledge: KnowledgeService, folder: Path) -> None:
    await knowledge.import_folder(folder)
    (folder / "parking.md").write_text("broken now")
    report = await knowledge.import_folder(folder, keep_going=True)
    assert report.withdrawn == []
    assert "$2" in (await knowledge.article("parking")).markdown


async def test_search_finds_by_words_and_by_meaning_and_never_what_has_expired(
    knowledge: KnowledgeService, folder: Path, database: Database, search_encoder: SearchEncoder, own_site: Site
) -> None:
    await knowledge.import_folder(folder)
    index = KnowledgeIndex(database, search_encoder, None, own_site.id, today=lambda: date(2026, 6, 1))
    assert (await index.search("garage"))[0].article_id == "parking"
    assert (await index.search("when can my family come and see me?"))[0].article_id == "visiting"
    found = await index.search("valet parking costs")
    assert "old" not in [passage.article_id for passage in found]
    earlier = KnowledgeIndex(database, search_encoder, None, own_site.id, today=lambda: date(2025, 6, 1))
    assert (await earlier.search("valet parking costs"))[0].article_id == "old"


async def test_sites_do_not_see_each_others_articles(
    knowledge: KnowledgeService, folder: Path, database: Database, search_encoder: SearchEncoder
) -> None:
    await knowledge.import_folder(folder)
    assert await KnowledgeIndex(database, search_encoder, None, "another-site").search("garage") == []


async def test_another_encoder_indexes_everything_anew(
    knowledge: KnowledgeService, folder: Path, database: Database, search_encoder: SearchEncoder, own_site: Site
) -> None:
    await knowledge.import_folder(folder)
    report = await KnowledgeService(database, search_encoder, "encoder-2", own_site).import_folder(folder)
    assert len(report.stored) == 3
    assert (await knowledge.article("parking")).version == 1


@pytest.mark.parametrize("question", ["", "'", "& | !", "\x00", "🙂" * 500, "a" * 20_000])
async def test_odd_questions_are_searched_without_error(
    knowledge: KnowledgeService,
    folder: Path,
    database: Database,
    search_encoder: SearchEncoder,
    own_site: Site,
    question: str,
) -> None:
    await knowledge.import_folder(folder)
    assert isinstance(
        await KnowledgeIndex(database, search_encoder, None, own_site.id).search(question.replace("\x00", "")), list
    )


async def test_a_phrase_of_patients_finds_its_article_and_goes_with_it(
    knowledge: KnowledgeService, folder: Path, database: Database, search_encoder: SearchEncoder, own_site: Site
) -> None:
    write(folder, "rates", "Rates", "Zone C.", asked='["where do i set down my unicycle", "room for my one wheel"]')
    await knowledge.import_folder(folder)
    index = KnowledgeIndex(database, search_encoder, None, own_site.id, today=lambda: date(2026, 6, 1))
    found = await index.search("i want to set down my unicycle somewhere")
    assert found[0].article_id == "rates"
    assert found[0].text == "Zone C."
    write(folder, "rates", "Rates", "Zone C.")
    await knowledge.import_folder(folder)
    assert (await index.search("i want to set down my unicycle somewhere"))[0].article_id == "parking"
    (folder / "rates.md").unlink()
    await knowledge.import_folder(folder)
    assert "rates" not in [p.article_id for p in await index.search("i want to set down my unicycle somewhere")]


async def test_the_passage_shown_is_the_one_that_answers(
    knowledge: KnowledgeService, folder: Path, database: Database, search_encoder: SearchEncoder, own_site: Site
) -> None:
    text = (
        "## Is there valet parking?\n\nValet parking costs $5 at the main entrance.\n\n"
        "## What does parking cost?\n\nThe garage costs $2 an hour.\n\n"
        "## Where do I park?\n\nPark in the garage across from the main entrance."
    )
    write(folder, "parking", "Parking and rates", text)
    await knowledge.import_folder(folder)
    index = KnowledgeIndex(database, search_encoder, None, own_site.id, today=lambda: date(2026, 6, 1))
    assert (await index.search("How much does parking cost?"))[0].text == "The garage costs $2 an hour."
    assert (await index.search("do you have valets"))[0].text.startswith("Valet")
    assert (await index.search("where should i park"))[0].text.startswith("Park in")


async def test_misspelled_words_are_found_as_soon_as_an_article_has_them(
    knowledge: KnowledgeService, folder: Path, database: Database, search_encoder: SearchEncoder, own_site: Site
) -> None:
    await knowledge.import_folder(folder)
    index = KnowledgeIndex(database, search_encoder, None, own_site.id, today=lambda: date(2026, 6, 1))
    before = (await index.search("collonoscopie prep"))[0].similarity
    write(folder, "scope", "Colonoscopy", "Take the bowel prep the evening before your colonoscopy.")
    await knowledge.import_folder(folder)
    found = await index.search("collonoscopie prep")
    assert found[0].article_id == "scope"
    assert found[0].similarity > before + 0.3


async def test_an_explanation_is_of_the_very_search(
    knowledge: KnowledgeService, folder: Path, database: Database, search_encoder: SearchEncoder, own_site: Site
) -> None:
    write(folder, "garage", "Parking", "## Where?\n\nIn the garage.\n\n## Cost?\n\nThe garage costs $2 an hour.")
    await knowledge.import_folder(folder)
    index = KnowledgeIndex(database, search_encoder, None, own_site.id, today=lambda: date(2026, 6, 1))
    for question in ["what does the garrage cost", "when may my family visit", "zzz"]:
        found = await index.explain(question)
        shown = await index.search(question, limit=50)
        assert [passage for passage, _ in found.passages] == shown
        scores = {name: score for name, _, score in found.articles}
        assert {passage.article_id: passage.similarity for passage in shown} == pytest.approx(scores)
        assert list(scores.values()) == sorted(scores.values(), reverse=True)
    found = await index.explain("what does the garrage cost")
    assert found.corrected == {"garrage": "garage"}
    assert "garage" in found.query.words
    assert found.articles[0][1].words > 0
    assert "old" not in [name for name, _, _ in found.articles]
    assert (await index.explain("")).corrected == {}


class BrokenEncoder:
    """An Embedder that cannot read."""

    def read(self, texts: list[str]) -> list[Text]:
        raise RuntimeError("no session")

    def knows(self, word: str) -> bool:
        return True


@pytest.mark.parametrize("method", [KnowledgeIndex.search, KnowledgeIndex.explain])
async def test_a_fault_is_one_of_the_search(
    database: Database, search_encoder: SearchEncoder, method: Callable[[KnowledgeIndex, str], Awaitable[object]]
) -> None:
    with pytest.raises(RetrievalFailed, match="encoded"):
        await method(KnowledgeIndex(database, BrokenEncoder(), None, "any-site"), "garage")
    gone = Database("postgresql+psycopg://nobody@127.0.0.1:9/none")
    with pytest.raises(RetrievalFailed, match="does not answer"):
        await method(KnowledgeIndex(gone, search_encoder, None, "any-site"), "garage")
    await gone.dispose()


class Judge:
    """A reranker that finds the answer in the passages that hold a word, and keeps what it was given."""

    def __init__(self, word: str) -> None:
        self.word = word
        self.seen: list[str] = []
        self.questions: set[str] = set()

    def judge(self, question: str, passages: Sequence[str]) -> NDArray[np.float32]:
        self.questions.add(question)
        self.seen += passages
        return np.array([6.0 if self.word in text else -6.0 for text in passages], dtype=np.float32)


async def test_the_reranker_reads_whole_passages_and_moves_the_order(
    knowledge: KnowledgeService, folder: Path, database: Database, search_encoder: SearchEncoder, own_site: Site
) -> None:
    await knowledge.import_folder(folder)
    judgement = Judgement(rank=0.2)
    judge = Judge("8 p.m.")
    index = KnowledgeIndex(
        database, search_encoder, judge, own_site.id, today=lambda: date(2026, 6, 1), judgement=judgement
    )
    found = await index.search("how much is the garage")
    assert [passage.article_id for passage in found] == ["visiting", "parking"]
    assert found[0].similarity > Bounds().similarity > found[1].similarity
    assert sorted(judge.seen) == [
        "Parking. The garage costs $2 an hour.", "Visiting hours. Visitors may come from 8 a.m. to 8 p.m.",
    ]  # fmt: skip
    assert len(judge.questions) == 1
    shown = await index.explain("how much is the garage")
    assert {name: score for name, _, score in shown.articles} == {one.article_id: one.similarity for one in found}
    assert set(shown.logits.values()) == {6.0, -6.0}


async def test_articles_with_phrases_are_not_read_again(
    knowledge: KnowledgeService, folder: Path, database: Database, search_encoder: SearchEncoder, own_site: Site
) -> None:
    write(folder, "parking", "Parking", "The garage costs $2 an hour.", asked="[what does it cost to leave the car]")
    await knowledge.import_folder(folder)
    judge, today = Judge("8 p.m."), lambda: date(2026, 6, 1)
    found = await KnowledgeIndex(database, search_encoder, judge, own_site.id, today=today).search("garage")
    plain = await KnowledgeIndex(database, search_encoder, None, own_site.id, today=today).search("garage")
    assert judge.seen == ["Visiting hours. Visitors may come from 8 a.m. to 8 p.m."]
    parking = [one for one in found if one.article_id == "parking"]
    assert parking == [one for one in plain if one.article_id == "parking"]


async def test_a_reranker_that_fails_is_a_fault_of_the_search(
    knowledge: KnowledgeService, folder: Path, database: Database, search_encoder: SearchEncoder, own_site: Site
) -> None:
    class Broken:
        def judge(self, question: str, passages: Sequence[str]) -> NDArray[np.float32]:
            raise RuntimeError("no session")

    await knowledge.import_folder(folder)
    index = KnowledgeIndex(database, search_encoder, Broken(), own_site.id, today=lambda: date(2026, 6, 1))
    with pytest.raises(RetrievalFailed, match="encoded"):
        await index.search("garage")
    assert await KnowledgeIndex(database, search_encoder, Broken(), "another-site").search("garage") == []
