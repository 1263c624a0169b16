"""Import and reading of articles."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt

from app.contracts.site import Site
from app.db.session import Database
from app.encoder.text import pack
from app.errors import ConfigurationError, NotFound
from app.knowledge import repository
from app.knowledge.articles import ArticleHead, ArticleSource, Finding, parse_article, render_article
from app.knowledge.candidates import Candidates
from app.knowledge.checks import sound_articles, warnings
from app.knowledge.index import Embedder
from app.knowledge.passages import Piece, about, embedded_text, split
from app.knowledge.repository import ArticlePage, Entry, EntryKind, Version

INDEX_VERSION = 3
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


@dataclass(frozen=True, slots=True)
class Checked:
    """What a folder of articles is like. ``faults`` keep their articles out; ``warnings`` are of those that go in."""

    articles: list[ArticleSource]
    faults: list[Finding]
    warnings: list[Finding]


def check_folder(folder: Path, hosts: Collection[str], today: date, reach: Callable[[str], int]) -> Checked:
    """Read a folder as an import does. ``hosts`` and ``reach``: see :func:`app.knowledge.checks.warnings`.

    Raises ConfigurationError if the folder cannot be read.
    """
    articles, faults = sound_articles(folder)
    return Checked(articles, faults, warnings(articles, hosts, today, _embedded, reach))


def _embedded(article: ArticleSource) -> list[tuple[str, str]]:
    return [
        (piece.heading, embedded_text(article.head.title, piece.heading, piece.text))
        for piece in split(article.markdown)
    ]


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
        articles, faults = sound_articles(folder)
        if faults and not keep_going:
            raise ConfigurationError("; ".join(map(str, faults)))
        if not articles:
            raise ConfigurationError(f"{folder} holds no valid article")
        async with self._database.session() as session:
            await repository.ensure_site(session, self._site.id, self._site.name)
            known = await repository.current_hashes(session, self._site.id)
            stale = await repository.passages_encoded_otherwise(session, self._site.id, self._encoder_id)
        changed = [a for a in articles if known.get(a.head.id) != a.sha256 or a.head.id in stale]
        comparable = set(known) - stale
        passages = 0
        for start in range(0, len(changed), TOGETHER):
            passages += await self._store(changed[start : start + TOGETHER], comparable)
            if progress is not None:
                progress(min(start + TOGETHER, len(changed)), len(changed))
        kept = {a.head.id for a in articles} | {Path(fault.file).stem for fault in faults}
        gone = sorted(set(known) - kept)
        if gone:
            async with self._database.session() as session:
                await repository.withdraw(session, self._site.id, gone)
        said = [str(fault) for fault in faults]
        return ImportReport([a.head.id for a in changed], len(articles) - len(changed), gone, passages, said)

    async def _store(self, articles: list[ArticleSource], comparable: Collection[str]) -> int:
        """Index articles together: the encoder batches texts of like length.

        ``comparable`` are ids whose stored vectors are this encoder's: texts that they share are not embedded again.
        """
        pieces = [split(article.markdown) for article in articles]
        texts = [_entry_texts(article, own) for article, own in zip(articles, pieces, strict=True)]
        known = await self._stored_entries([a.head.id for a in articles if a.head.id in comparable])
        new = {embedded: kind for own in texts for _, kind, _, embedded in own if embedded not in known}
        flat = list(new)
        shares = [share for start in range(THREADS) if (share := flat[start::THREADS])]
        read_shares = await asyncio.gather(*(asyncio.to_thread(self._encoder.read, share) for share in shares))
        for share, found in zip(shares, read_shares, strict=True):
            for embedded, read in zip(share, found, strict=True):
                known[embedded] = read.vector, None if new[embedded] == "heading" else pack(read.tokens)
        async with self._database.session() as session:
            for article, own, entries in zip(articles, pieces, texts, strict=True):
                rows = [Entry(place, kind, kept, *known[embedded]) for place, kind, kept, embedded in entries]
                await repository.store_article(session, self._site.id, article, own, rows, self._encoder_id)
        return sum(map(len, pieces))

    async def _stored_entries(
        self, article_ids: Sequence[str]
    ) -> dict[str, tuple[npt.NDArray[np.float32], bytes | None]]:
        """Vector and tokens by embedded text, of the current versions of articles. One without a file gives none."""
        async with self._database.session() as session:
            sources = await repository.sources(session, self._site.id, article_ids)
            entries = await repository.entries(session, self._site.id, list(sources))
        known: dict[str, tuple[npt.NDArray[np.float32], bytes | None]] = {}
        for name, source in sources.items():
            try:
                before = parse_article(source, name)
            except ConfigurationError:  # it was right by the rules of its day
                continue
            embedded = {(place, kind, kept): e for place, kind, kept, e in _entry_texts(before, split(before.markdown))}
            found = {(e.position, e.kind, e.text): (e.vector, e.tokens) for e in entries.get(name, [])}
            if embedded.keys() == found.keys():
                known.update((embedded[key], stored) for key, stored in found.items())
        return known

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
            return await Candidates(session, self._site.id, self._today()).count()

    async def articles(self) -> list[ArticlePage]:
        """Current versions of all articles, by title."""
        async with self._database.session() as session:
            return await repository.pages(session, self._site.id)

    async def export(self) -> dict[str, bytes]:
        """Files of all current articles by name, as they were imported.

        A version from before files were kept is written anew from what is stored: the same head and the same text.
        """
        async with self._database.session() as session:
            found = await repository.stored(session, self._site.id)
        return {f"{stored.page.id}.md": stored.source or _rendered(stored.page, stored.asked) for stored in found}

    async def history(self, article_id: str) -> list[Version]:
        """All versions of an article, newest first, also of a withdrawn one. Raises NotFound."""
        async with self._database.session() as session:
            found = await repository.versions(session, self._site.id, article_id)
        if not found:
            raise NotFound("there is no such article")
        return found

    async def due(self, days: int) -> list[ArticlePage]:
        """Articles whose last day is at most ``days`` days away, past ones too; by owner, then by day."""
        last = self._today() + timedelta(days=days)
        found = [article for article in await self.articles() if article.review_by <= last]
        return sorted(found, key=lambda article: (article.owner.casefold(), article.review_by, article.id))


def _rendered(page: ArticlePage, asked: list[str]) -> bytes:
    fields = asdict(page)
    markdown = fields.pop("markdown")
    del fields["version"]
    return render_article(ArticleHead.model_construct(**fields, asked=asked), markdown)


def _entry_texts(article: ArticleSource, pieces: list[Piece]) -> list[tuple[int, EntryKind, str, str]]:
    """Position, kind, text to keep and text to embed of all search entries of an article."""
    entries: list[tuple[int, EntryKind, str, str]] = []
    for position, piece in enumerate(pieces, start=1):
        entries.append((position, "passage", "", embedded_text(article.head.title, piece.heading, piece.text)))
        entries.append((position, "heading", "", about(article.head.title, piece.heading)))
    entries.extend((0, "asked", phrase, phrase) for phrase in article.head.asked)
    return entries
