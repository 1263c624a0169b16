"""SQL of articles, their versions, passages and search entries; the search itself is in ``candidates.py``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np
import numpy.typing as npt
from sqlalchemy import delete, func, select, update
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
            ArticleVersion(site_id=site_id, article_id=head.id, version=version, markdown=article.markdown, **fields)
        )
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
            review_by=head.review_by, embedding=entry.vector,
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


async def citable(session: AsyncSession, site_id: str, today: date) -> int:
    """Number of articles with a passage that may be cited on ``today``."""
    query = select(func.count(func.distinct(PassageRow.article_id))).where(
        PassageRow.site_id == site_id, PassageRow.review_by >= today
    )
    return await session.scalar(query) or 0


async def page(session: AsyncSession, site_id: str, article_id: str) -> ArticlePage | None:
    """The current version of one article, or None if it is unknown or withdrawn."""
    found = await pages(session, site_id, article_id)
    return found[0] if found else None


async def pages(session: AsyncSession, site_id: str, article_id: str | None = None) -> list[ArticlePage]:
    """Current versions of the site's articles, by title."""
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
    if article_id is not None:
        statement = statement.where(Article.id == article_id)
    return [
        ArticlePage(
            v.article_id,
            v.version,
            v.title,
            v.topic,
            v.audience,
            v.owner,
            v.reviewed,
            v.review_by,
            v.sources,
            v.markdown,
        )
        for v in await session.scalars(statement)
    ]
