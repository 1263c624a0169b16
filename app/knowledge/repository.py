"""SQL of articles, their versions, passages and search entries; the search itself is in ``candidates.py``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, cast

import numpy as np
import numpy.typing as npt
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.models import Article, ArticleVersion, PassageRow, SearchEntry, SiteRow
from app.knowledge.articles import ArticleSource
from app.knowledge.passages import Piece

EntryKind = Literal["passage", "heading", "asked"]


@dataclass(frozen=True, slots=True)
class Entry:
    """What a question is compared with (see SearchEntry); ``position`` 0 is the whole article."""

    position: int
    kind: EntryKind
    text: str
    vector: npt.NDArray[np.float32]
    tokens: bytes | None = None


@dataclass(frozen=True, slots=True)
class ArticlePage:
    """The current version of an article, for its page and for lists."""

    id: str
    version: int
    title: str
    topic: str
    audience: str
    owner: str
    reviewed: date
    review_by: date
    sources: list[str]
    markdown: str


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an article. ``answers`` counts the stored replies that cited the article while it was current.

    ``sha256`` (hex) is of its file, None where the version is older than the keeping of files and not the current one.
    """

    version: int
    title: str
    owner: str
    reviewed: date
    review_by: date
    stored_at: datetime
    sha256: str | None
    current: bool
    answers: int


@dataclass(frozen=True, slots=True)
class Stored:
    """The current version of an article as it was imported.

    ``source`` is its file, None for a version from before files were kept; ``asked`` are its phrases in order.
    """

    page: ArticlePage
    source: bytes | None
    asked: list[str]


_VERSIONS = text(
    """
    WITH version AS (
      SELECT v.*, lead(v.created_at) OVER (ORDER BY v.version) AS until FROM article_versions v
      WHERE v.site_id = :site AND v.article_id = :article
    ), answer AS (
      SELECT DISTINCT m.id, m.created_at FROM citations k
      JOIN messages m ON m.id = k.message_id JOIN conversations c ON c.id = m.conversation_id
      WHERE k.article_id = :article AND c.site_id = :site AND m.status = 'complete' AND m.kind <> 'clarify'
    )
    SELECT v.version, v.title, v.owner, v.reviewed, v.review_by, v.created_at AS stored_at,
           coalesce(encode(sha256(v.source), 'hex'),
             CASE WHEN v.version = a.version THEN a.content_sha256 END) AS sha256,
           v.version = a.version AND NOT a.withdrawn AS current,
           (SELECT count(*) FROM answer WHERE answer.created_at >= v.created_at
              AND (v.until IS NULL OR answer.created_at < v.until)) AS answers
    FROM version v JOIN articles a ON a.site_id = v.site_id AND a.id = v.article_id
    ORDER BY v.version DESC
    """
)


async def ensure_site(session: AsyncSession, site_id: str, name: str) -> None:
    """Make the site's row, or bring its name up to date."""
    statement = insert(SiteRow).values(id=site_id, name=name)
    await session.execute(statement.on_conflict_do_update(index_elements=["id"], set_={"name": name}))


async def current_hashes(session: AsyncSession, site_id: str) -> dict[str, str]:
    """Content hash by id of the site's articles that are not withdrawn."""
    rows = await session.execute(
        select(Article.id, Article.content_sha256).where(Article.site_id == site_id, Article.withdrawn.is_(False))
    )
    return {row.id: row.content_sha256 for row in rows}


async def passages_encoded_otherwise(session: AsyncSession, site_id: str, encoder_id: str) -> set[str]:
    """Ids of articles with a passage that another encoder embedded: their vectors do not compare."""
    rows = await session.scalars(
        select(PassageRow.article_id)
        .where(PassageRow.site_id == site_id, PassageRow.encoder_id != encoder_id)
        .distinct()
    )
    return set(rows)


async def store_article(
    session: AsyncSession,
    site_id: str,
    article: ArticleSource,
    pieces: Sequence[Piece],
    entries: Sequence[Entry],
    encoder_id: str,
) -> None:
    """Write a new version of an article and replace its passages and search entries."""
    head = article.head
    known = await session.get(Article, (site_id, head.id), with_for_update=True)
    changed = known is None or known.content_sha256 != article.sha256
    last = await session.scalar(
        select(func.max(ArticleVersion.version)).where(
            ArticleVersion.site_id == site_id, ArticleVersion.article_id == head.id
        )
    )
    version = (last or 0) + 1 if changed else (known.version if known else 1)
    if known is None:
        session.add(Article(site_id=site_id, id=head.id, version=version, content_sha256=article.sha256))
    else:
        known.version, known.content_sha256, known.withdrawn = version, article.sha256, False
    if changed:
        fields = head.model_dump(exclude={"id", "asked"})
        session.add(
            ArticleVersion(
                site_id=site_id, article_id=head.id, version=version, markdown=article.markdown, source=article.data,
                **fields,
            )
        )  # fmt: skip
    else:
        await session.execute(
            update(ArticleVersion)
            .where(
                ArticleVersion.site_id == site_id, ArticleVersion.article_id == head.id,
                ArticleVersion.version == version, ArticleVersion.source.is_(None),
            )
            .values(source=article.data)
        )  # fmt: skip
    await _unindex(session, site_id, [head.id])
    session.add_all(
        PassageRow(
            site_id=site_id, article_id=head.id, article_version=version, position=position, title=head.title,
            heading=piece.heading, text=piece.text, reviewed=head.reviewed, review_by=head.review_by,
            encoder_id=encoder_id,
        )
        for position, piece in enumerate(pieces, start=1)
    )  # fmt: skip
    session.add_all(
        SearchEntry(
            site_id=site_id, article_id=head.id, position=entry.position, kind=entry.kind, text=entry.text,
            review_by=head.review_by, embedding=entry.vector, tokens=entry.tokens,
        )
        for entry in entries
    )  # fmt: skip


async def withdraw(session: AsyncSession, site_id: str, article_ids: Sequence[str]) -> None:
    """Take articles out of search; their versions stay."""
    await session.execute(
        update(Article).where(Article.site_id == site_id, Article.id.in_(article_ids)).values(withdrawn=True)
    )
    await _unindex(session, site_id, article_ids)


async def _unindex(session: AsyncSession, site_id: str, article_ids: Sequence[str]) -> None:
    for table in (PassageRow, SearchEntry):
        await session.execute(delete(table).where(table.site_id == site_id, table.article_id.in_(article_ids)))


async def sources(session: AsyncSession, site_id: str, article_ids: Sequence[str]) -> dict[str, bytes]:
    """Files of the current versions of articles by id; those without one are left out."""
    versions = await _current(session, site_id, *article_ids) if article_ids else []
    return {version.article_id: version.source for version in versions if version.source is not None}


async def entries(session: AsyncSession, site_id: str, article_ids: Sequence[str]) -> dict[str, list[Entry]]:
    """The search entries of articles, by id."""
    statement = select(SearchEntry).where(SearchEntry.site_id == site_id, SearchEntry.article_id.in_(article_ids))
    found: dict[str, list[Entry]] = {}
    for row in await session.scalars(statement.order_by(SearchEntry.id)):
        vector = np.asarray(row.embedding, dtype=np.float32)
        entry = Entry(row.position, cast(EntryKind, row.kind), row.text, vector, row.tokens)
        found.setdefault(row.article_id, []).append(entry)
    return found


async def page(session: AsyncSession, site_id: str, article_id: str) -> ArticlePage | None:
    """The current version of one article, or None if it is unknown or withdrawn."""
    found = await _current(session, site_id, article_id)
    return _page(found[0]) if found else None


async def pages(session: AsyncSession, site_id: str) -> list[ArticlePage]:
    """Current versions of the site's articles, by title."""
    return [_page(version) for version in await _current(session, site_id)]


async def stored(session: AsyncSession, site_id: str) -> list[Stored]:
    """Current versions with their files, by title."""
    phrases = select(SearchEntry.article_id, SearchEntry.text).where(
        SearchEntry.site_id == site_id, SearchEntry.kind == "asked"
    )
    asked: dict[str, list[str]] = {}
    for row in await session.execute(phrases.order_by(SearchEntry.id)):
        asked.setdefault(row.article_id, []).append(row.text)
    found = await _current(session, site_id)
    return [Stored(_page(version), version.source, asked.get(version.article_id, [])) for version in found]


async def versions(session: AsyncSession, site_id: str, article_id: str) -> list[Version]:
    """All versions of an article, newest first; withdrawn ones too. Empty if it is unknown."""
    rows = await session.execute(_VERSIONS, {"site": site_id, "article": article_id})
    return [Version(**row) for row in rows.mappings()]


async def _current(session: AsyncSession, site_id: str, *article_ids: str) -> Sequence[ArticleVersion]:
    """Current versions by title: of the articles named, of all if none is."""
    statement = (
        select(ArticleVersion)
        .join(
            Article,
            (Article.site_id == ArticleVersion.site_id)
            & (Article.id == ArticleVersion.article_id)
            & (Article.version == ArticleVersion.version),
        )
        .where(Article.site_id == site_id, Article.withdrawn.is_(False))
        .order_by(ArticleVersion.title)
    )
    if article_ids:
        statement = statement.where(Article.id.in_(article_ids))
    return (await session.scalars(statement)).all()


def _page(v: ArticleVersion) -> ArticlePage:
    return ArticlePage(
        v.article_id, v.version, v.title, v.topic, v.audience, v.owner, v.reviewed, v.review_by, v.sources, v.markdown
    )
