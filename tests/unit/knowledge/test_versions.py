"""Articles over time: what an import embeds, versions and the answers that cited them, export, reviews that are due."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sqlalchemy import update

from app.contracts.site import Site
from app.db.models import ArticleVersion, CitationRow, Conversation, Message
from app.db.session import Database
from app.encoder.text import TOKEN_WIDTH, Text
from app.errors import ConfigurationError, NotFound
from app.knowledge import repository
from app.knowledge.articles import parse_article
from app.knowledge.export import write_folder
from app.knowledge.service import KnowledgeService
from tests.factories import add_patient

pytestmark = pytest.mark.anyio

TODAY = date(2026, 6, 1)
PARTS = {"Cost?": "The garage costs $2 an hour.", "Where?": "In the garage.", "Valet?": "At the main entrance."}

ASKED = "[where is the garage, 'is it free: really']"


class CountingEncoder:
    """A vector of its own for each text; ``asked`` are the texts embedded since it was last emptied."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def read(self, texts: Sequence[str]) -> list[Text]:
        self.asked += texts
        return [
            Text(self._rows(text, 384)[0], self._rows(text, TOKEN_WIDTH, 3), np.ones(3, np.float32)) for text in texts
        ]

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return np.array([text.vector for text in self.read(texts)], dtype=np.float32)

    def _rows(self, text: str, width: int, rows: int = 1) -> npt.NDArray[np.float32]:
        draw = np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big"))
        made = draw.standard_normal((rows, width))
        return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), dtype=np.float32)

    def knows(self, word: str) -> bool:
        return True

    def take(self) -> list[str]:
        """What was embedded since the last call, sorted."""
        taken, self.asked = sorted(self.asked), []
        return taken


def write(
    folder: Path, name: str = "parking", *, title: str = "Parking", parts: dict[str, str] = PARTS,
    owner: str = "Guests", reviewed: str = "2026-01-01", review_by: str = "2027-01-01", asked: str = ASKED,
) -> None:  # fmt: skip
    folder.mkdir(exist_ok=True)
    body = "\n\n".join(f"## {heading}\n\n{text}" for heading, text in parts.items())
    (folder / f"{name}.md").write_text(
        f"---\n# the front desk keeps this file\nid: {name}\ntitle: {title}\ntopic: visiting\naudience: patients\n"
        f"owner: {owner}\nreviewed: {reviewed}\nreview_by: {review_by}\nsources: ['Policy: 1']\nasked: {asked}\n"
        f"---\n\n{body}\n",
        encoding="utf-8",
    )


@pytest.fixture
def encoder() -> CountingEncoder:
    return CountingEncoder()


@pytest.fixture
def own_site(site: Site, request: pytest.FixtureRequest) -> Site:
    return site.model_copy(update={"id": "site-" + hashlib.sha256(request.node.name.encode()).hexdigest()[:12]})


@pytest.fixture
def knowledge(database: Database, encoder: CountingEncoder, own_site: Site) -> KnowledgeService:
    return KnowledgeService(database, encoder, "encoder-1", own_site, today=lambda: TODAY)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "articles")
    return tmp_path / "articles"


async def indexed(database: Database, site: str) -> dict[tuple[str, int, str, str], tuple[list[float], bytes | None]]:
    """The search entries of a site."""
    async with database.session() as session:
        found = await repository.entries(session, site, ["parking", "visiting"])
    return {
        (name, entry.position, entry.kind, entry.text): (entry.vector.tolist(), entry.tokens)
        for name, entries in found.items()
        for entry in entries
    }


@pytest.mark.parametrize(
    ("change", "embedded"),
    [
        ({"reviewed": "2026-02-02", "owner": "Front desk"}, []),
        ({"parts": PARTS | {"Cost?": "It costs $3."}}, ["Parking. Cost?. It costs $3."]),
        ({"parts": dict(reversed(PARTS.items()))}, []),
        ({"asked": "[where is the garage, how much is it]"}, ["how much is it"]),
        ({"parts": {"Cost?": PARTS["Cost?"], "Where?": PARTS["Where?"]}}, []),
        (
            {"parts": {**PARTS, "Bikes?": "At any door."}},
            ["Parking. Bikes?.", "Parking. Bikes?. At any door."],
        ),
        (
            {"title": "Garage", "parts": {"Cost?": "It costs $3."}},
            ["Garage. Cost?.", "Garage. Cost?. It costs $3."],
        ),
    ],
    ids=["head", "one passage", "order", "one phrase", "shorter", "longer", "title"],
)
async def test_only_texts_that_changed_are_embedded(
    knowledge: KnowledgeService, folder: Path, encoder: CountingEncoder, database: Database, own_site: Site,
    change: dict[str, Any], embedded: list[str],
) -> None:  # fmt: skip
    await knowledge.import_folder(folder)
    assert len(encoder.take()) == 8
    write(folder, **change)
    assert (await knowledge.import_folder(folder)).stored == ["parking"]
    assert encoder.take() == embedded
    afresh = own_site.model_copy(update={"id": own_site.id[:-1] + "-afresh"})
    await KnowledgeService(database, encoder, "encoder-1", afresh).import_folder(folder)
    assert await indexed(database, own_site.id) == await indexed(database, afresh.id)


async def test_another_encoder_embeds_everything(
    knowledge: KnowledgeService, folder: Path, encoder: CountingEncoder, database: Database, own_site: Site
) -> None:
    await knowledge.import_folder(folder)
    encoder.take()
    await KnowledgeService(database, encoder, "encoder-2", own_site).import_folder(folder)
    assert len(encoder.take()) == 8


async def test_a_version_without_a_file_is_embedded_whole_and_gets_its_file_with_the_next_index(
    knowledge: KnowledgeService, folder: Path, encoder: CountingEncoder, database: Database, own_site: Site
) -> None:
    await knowledge.import_folder(folder)
    await forget_files(database, own_site)
    encoder.take()
    await KnowledgeService(database, encoder, "encoder-2", own_site).import_folder(folder)
    assert len(encoder.take()) == 8
    assert [version.version for version in await knowledge.history("parking")] == [1]
    async with database.session() as session:
        assert await repository.sources(session, own_site.id, ["parking"]) == {
            "parking": (folder / "parking.md").read_bytes()
        }


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


async def forget_files(database: Database, site: Site) -> None:
    """As after an upgrade from a version that did not keep files."""
    async with database.session() as session:
        await session.execute(update(ArticleVersion).where(ArticleVersion.site_id == site.id).values(source=None))


async def test_an_export_is_what_was_imported_and_changes_nothing(
    knowledge: KnowledgeService, folder: Path, tmp_path: Path
) -> None:
    write(folder, "visiting", title="Visiting", asked="[]")
    write(folder, "gone")
    await knowledge.import_folder(folder)
    (folder / "gone.md").unlink()
    await knowledge.import_folder(folder)
    assert write_folder(tmp_path / "new" / "out", await knowledge.export()) == []
    assert contents(tmp_path / "new" / "out") == contents(folder)
    report = await knowledge.import_folder(tmp_path / "new" / "out")
    assert (report.stored, report.unchanged, report.withdrawn) == ([], 2, [])


async def test_a_version_without_a_file_is_exported_with_the_same_meaning(
    knowledge: KnowledgeService, folder: Path, database: Database, own_site: Site
) -> None:
    write(folder, "visiting", title="'Visiting: \"hours\" # and more'", asked="[]")
    await knowledge.import_folder(folder)
    await forget_files(database, own_site)
    exported = await knowledge.export()
    assert set(exported) == {"parking.md", "visiting.md"}
    for name, data in exported.items():
        before, after = parse_article((folder / name).read_bytes(), name), parse_article(data, name)
        assert (after.head, after.markdown) == (before.head, before.markdown)


def test_a_folder_in_use_is_refused_or_written_into(tmp_path: Path) -> None:
    outside = tmp_path / "outside.md"
    outside.write_bytes(b"outside")
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "parking.md").symlink_to(outside)
    (folder / "other.md").write_bytes(b"other")
    (folder / "notes.txt").write_bytes(b"notes")
    with pytest.raises(ConfigurationError, match=r"out is not empty; name a new folder, or give --force"):
        write_folder(folder, {"parking.md": b"new"})
    assert write_folder(folder, {"parking.md": b"new"}, force=True) == ["other.md"]
    assert contents(folder) == {"parking.md": b"new", "other.md": b"other", "notes.txt": b"notes"}
    assert outside.read_bytes() == b"outside"
    with pytest.raises(ConfigurationError, match="cannot be read"):
        write_folder(outside, {})
    with pytest.raises(ConfigurationError, match="cannot be written"):
        write_folder(outside, {}, force=True)


async def test_links_that_break_keep_an_article_out(knowledge: KnowledgeService, folder: Path) -> None:
    write(folder, "visiting", parts={"When?": "See [parking](parking.md#cost)."})
    assert (await knowledge.import_folder(folder)).faults == []
    write(folder, parts={"Where?": "In the garage."})
    with pytest.raises(ConfigurationError, match=r"visiting\.md:16: parking has no heading 'cost'"):
        await knowledge.import_folder(folder)
    report = await knowledge.import_folder(folder, keep_going=True)
    assert (report.stored, report.withdrawn) == (["parking"], [])
    assert [fault.split(":")[0] for fault in report.faults] == ["visiting.md"]
    assert (await knowledge.article("visiting")).version == 1


async def test_history_tells_versions_apart_and_counts_the_answers_that_cited_each(
    knowledge: KnowledgeService, folder: Path, database: Database, own_site: Site
) -> None:
    first_file = (folder / "parking.md").read_bytes()
    await knowledge.import_folder(folder)
    await cite(database, own_site, ["parking#1", "parking#2"], ["parking#1"], ["visiting#1"])
    write(folder, reviewed="2026-05-05", owner="Front desk")
    await knowledge.import_folder(folder)
    await cite(database, own_site, ["parking#3"], [])
    await cite(database, own_site, ["parking#3"], status="superseded")
    other = own_site.model_copy(update={"id": "site-of-others"})
    await cite(database, other, ["parking#1"])
    second, first = await knowledge.history("parking")
    assert (second.version, second.current, second.answers, second.owner) == (2, True, 1, "Front desk")
    assert (first.version, first.current, first.answers, first.owner) == (1, False, 2, "Guests")
    assert (first.reviewed, second.reviewed) == (date(2026, 1, 1), date(2026, 5, 5))
    assert first.sha256 == hashlib.sha256(first_file).hexdigest()
    assert second.sha256 == hashlib.sha256((folder / "parking.md").read_bytes()).hexdigest()
    assert first.stored_at < second.stored_at < datetime.now(UTC) + timedelta(seconds=5)
    await forget_files(database, own_site)
    assert [version.sha256 for version in await knowledge.history("parking")] == [second.sha256, None]
    write(folder, "visiting")
    (folder / "parking.md").unlink()
    await knowledge.import_folder(folder)
    assert [version.current for version in await knowledge.history("parking")] == [False, False]
    with pytest.raises(NotFound):
        await knowledge.history("unknown")


async def cite(database: Database, site: Site, *replies: list[str], status: str = "complete") -> None:
    """A conversation with a reply for each list of cited passages."""
    owner, _ = await add_patient(database, site)
    async with database.session() as session:
        conversation = Conversation(site_id=site.id, session_id=owner)
        session.add(conversation)
        await session.flush()
        for position, passages in enumerate(replies, start=1):
            reply = Message(
                conversation_id=conversation.id, position=position, author="assistant", status=status,
                text_encrypted=b"", text_redacted="",
            )  # fmt: skip
            session.add(reply)
            await session.flush()
            session.add_all(
                CitationRow(
                    message_id=reply.id, article_id=passage.split("#")[0], passage_id=passage, title="", quote="",
                    reviewed=TODAY,
                )
                for passage in passages
            )  # fmt: skip


async def test_reviews_that_are_due_by_owner_and_day(knowledge: KnowledgeService, folder: Path) -> None:
    for name, owner, day in [
        ("parking", "nursing", "2026-07-31"),
        ("visiting", "Guests", "2026-05-31"),
        ("billing", "Guests", "2026-06-15"),
        ("records", "Guests", "2026-08-01"),
    ]:
        write(folder, name, owner=owner, review_by=day)
    await knowledge.import_folder(folder)
    assert [(page.owner, page.id) for page in await knowledge.due(60)] == [
        ("Guests", "visiting"),
        ("Guests", "billing"),
        ("nursing", "parking"),
    ]
    assert [page.id for page in await knowledge.due(0)] == ["visiting"]
