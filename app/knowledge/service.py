"""Import and reading of articles."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from app.contracts.site import Site
from app.db.session import Database
from app.errors import ConfigurationError, NotFound
from app.knowledge import repository
from app.knowledge.articles import ArticleSource, read_folder
from app.knowledge.index import Embedder
from app.knowledge.passages import Piece, split
from app.knowledge.repository import ArticlePage, Entry, EntryKind

INDEX_VERSION = 2
"""Raise it when what is embedded or how it is stored changes: all articles are then indexed anew."""
TOGETHER = 20
"""Articles that are embedded and stored in one go."""
THREADS = 2
"""The encoder keeps one core busy per call; an import uses two."""


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did. ``faults`` name file and line of articles that were refused."""

    stored: list[str]
    unchanged: int
    withdrawn: list[str]
    passages: int
    faults: list[str]


class KnowledgeService:
    """Articles of one site. ``encoder_id`` names the weights: passages embedded by others are indexed anew."""

    def __init__(
        self, database: Database, encoder: Embedder, encoder_id: str, site: Site, today: Callable[[], date] = date.today
    ) -> None:
        self._database, self._encoder, self._encoder_id, self._site = (
            database,
            encoder,
            f"{encoder_id[:56]}/{INDEX_VERSION}",
            site,
        )
        self._today = today

    async def import_folder(
        self, folder: Path, *, keep_going: bool = False, progress: Callable[[int, int], None] | None = None
    ) -> ImportReport:
        """Bring the site's articles to what the folder holds: changed ones are indexed anew, missing ones withdrawn.

        A faulty article refuses the whole import, unless ``keep_going``; then the rest is imported and a faulty
        article keeps its last good version. ``progress`` is told (done, of all). Raises ConfigurationError.
        """
        articles, faults = read_folder(folder)
        if faults and not keep_going:
            raise ConfigurationError("; ".join(faults))
        if not articles:
            raise ConfigurationError(f"{folder} holds no valid article")
        async with self._database.session() as session:
            await repository.ensure_site(session, self._site.id, self._site.name)
            known = await repository.current_hashes(session, self._site.id)
            stale = await repository.passages_encoded_otherwise(session, self._site.id, self._encoder_id)
        changed = [a for a in articles if known.get(a.head.id) != a.sha256 or a.head.id in stale]
        passages = 0
        for start in range(0, len(changed), TOGETHER):
            passages += await self._store(changed[start : start + TOGETHER])
            if progress is not None:
                progress(min(start + TOGETHER, len(changed)), len(changed))
        kept = {a.head.id for a in articles} | {fault.split(".md")[0] for fault in faults}
        gone = sorted(set(known) - kept)
        if gone:
            async with self._database.session() as session:
                await repository.withdraw(session, self._site.id, gone)
        return ImportReport([a.head.id for a in changed], len(articles) - len(changed), gone, passages, faults)

    async def _store(self, articles: list[ArticleSource]) -> int:
        """Index articles together: the encoder batches texts of like length."""
        pieces = [split(article.markdown) for article in articles]
        texts = [_entry_texts(article, own) for article, own in zip(articles, pieces, strict=True)]
        flat = list(dict.fromkeys(embedded for own in texts for _, _, _, embedded in own))
        shares = [flat[start::THREADS] for start in range(THREADS)]
        embedded_shares = await asyncio.gather(*(asyncio.to_thread(self._encoder.embed, share) for share in shares))
        vectors = {
            text: vector
            for share, found in zip(shares, embedded_shares, strict=True)
            for text, vector in zip(share, found, strict=True)
        }
        async with self._database.session() as session:
            for article, own, entries in zip(articles, pieces, texts, strict=True):
                rows = [Entry(place, kind, kept, vectors[embedded]) for place, kind, kept, embedded in entries]
                await repository.store_article(session, self._site.id, article, own, rows, self._encoder_id)
        return sum(map(len, pieces))

    async def article(self, article_id: str) -> ArticlePage:
        """The current version of an article. Raises NotFound."""
        async with self._database.session() as session:
            found = await repository.page(session, self._site.id, article_id)
        if found is None:
            raise NotFound("there is no such article")
        return found

    async def citable(self) -> int:
        """How many articles can be cited today: not withdrawn and in date."""
        async with self._database.session() as session:
            return await repository.citable(session, self._site.id, self._today())

    async def articles(self) -> list[ArticlePage]:
        """Current versions of all articles, by title."""
        async with self._database.session() as session:
            return await repository.pages(session, self._site.id)


def embedding_text(article: ArticleSource, piece: Piece) -> str:
    """What is embedded for a passage: title and heading give a short passage its subject."""
    return f"{_about(article, piece)} {piece.text}"


def _about(article: ArticleSource, piece: Piece) -> str:
    return f"{article.head.title}. {piece.heading}." if piece.heading else f"{article.head.title}."


def _entry_texts(article: ArticleSource, pieces: list[Piece]) -> list[tuple[int, EntryKind, str, str]]:
    """Position, kind, text to keep and text to embed of all search entries of an article."""
    entries: list[tuple[int, EntryKind, str, str]] = []
    for position, piece in enumerate(pieces, start=1):
        entries.append((position, "passage", "", embedding_text(article, piece)))
        entries.append((position, "heading", "", _about(article, piece)))
    entries.extend((0, "asked", phrase, phrase) for phrase in article.head.asked)
    return entries
