"""SQL of the search: how alike a question is to each article, and to each passage of the best ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.contracts.passages import Passage
from app.encoder.text import Text, unpack

_COMMON = """
    WITH term AS (
      SELECT u.n, plainto_tsquery('english', u.term) AS q, u.weight
      FROM unnest(CAST(:terms AS text[]), CAST(:weights AS float8[])) WITH ORDINALITY AS u(term, weight, n)
    ), hit AS (
      SELECT p.article_id, p.position, term.n, term.weight,
             CASE WHEN ts_filter(p.words, '{a}') @@ term.q THEN :in_title
                  WHEN ts_filter(p.words, '{a,b}') @@ term.q THEN :in_heading ELSE :in_text END AS part
      FROM term JOIN passages p ON p.words @@ term.q
      WHERE p.site_id = :site AND p.review_by >= :today AND numnode(term.q) > 0
"""
_RARITY = text(
    """
    WITH term AS (
      SELECT u.n, plainto_tsquery('english', u.term) AS q
      FROM unnest(CAST(:terms AS text[])) WITH ORDINALITY AS u(term, n)
    ), hit AS (
      SELECT term.n, p.article_id FROM term JOIN passages p ON p.words @@ term.q
      WHERE p.site_id = :site AND p.review_by >= :today AND numnode(term.q) > 0
      UNION
      SELECT term.n, e.article_id FROM term JOIN search_entries e ON e.words @@ term.q
      WHERE e.site_id = :site AND e.kind = 'asked' AND e.review_by >= :today AND numnode(term.q) > 0
    )
    SELECT term.n, count(hit.article_id) AS articles FROM term LEFT JOIN hit ON hit.n = term.n
    WHERE numnode(term.q) > 0 GROUP BY term.n
    """
)
_ARTICLES = text(
    _COMMON
    + """
      UNION ALL
      SELECT e.article_id, 0, term.n, term.weight, :in_asked FROM term JOIN search_entries e ON e.words @@ term.q
      WHERE e.site_id = :site AND e.kind = 'asked' AND e.review_by >= :today AND numnode(term.q) > 0
    ), best AS (
      SELECT article_id, n, max(weight * part) AS part FROM hit GROUP BY article_id, n
    ), lexical AS (
      SELECT article_id, sum(part) AS words FROM best GROUP BY article_id
    ), near AS (
      SELECT article_id, kind, 1 - (embedding <=> CAST(:vector AS vector(384))) AS alike FROM search_entries
      WHERE site_id = :site AND review_by >= :today
    ), dense AS (
      SELECT article_id, max(alike) FILTER (WHERE kind = 'passage') AS passage,
             max(alike) FILTER (WHERE kind = 'heading') AS heading,
             (SELECT avg(phrase.alike) FROM unnest(
               (array_agg(alike ORDER BY alike DESC) FILTER (WHERE kind = 'asked'))[1:CAST(:phrases AS int)]
             ) AS phrase(alike)) AS asked
      FROM near GROUP BY article_id
    )
    SELECT dense.article_id, passage, heading, asked, coalesce(lexical.words, 0) AS words
    FROM dense LEFT JOIN lexical ON lexical.article_id = dense.article_id
    """
)
_PASSAGES = text(
    _COMMON
    + """
        AND p.article_id = ANY(CAST(:articles AS text[]))
    ), lexical AS (
      SELECT article_id, position, sum(weight * part) AS words FROM hit GROUP BY article_id, position
    ), dense AS (
      SELECT article_id, position,
             max(1 - (embedding <=> CAST(:vector AS vector(384)))) FILTER (WHERE kind = 'passage') AS passage,
             max(1 - (embedding <=> CAST(:vector AS vector(384)))) FILTER (WHERE kind = 'heading') AS heading
      FROM search_entries
      WHERE site_id = :site AND article_id = ANY(CAST(:articles AS text[])) AND position > 0
      GROUP BY article_id, position
    )
    SELECT p.article_id, p.article_version, p.position, p.title, p.heading AS under, p.text, p.reviewed, p.review_by,
           dense.passage, dense.heading, coalesce(lexical.words, 0) AS words, entry.tokens
    FROM passages p JOIN search_entries entry ON entry.site_id = p.site_id AND entry.article_id = p.article_id
      AND entry.position = p.position AND entry.kind = 'passage'
    JOIN dense ON dense.article_id = p.article_id AND dense.position = p.position
    LEFT JOIN lexical ON lexical.article_id = p.article_id AND lexical.position = p.position
    WHERE p.site_id = :site AND p.review_by >= :today
    """
)
_PHRASES = text(
    """
    SELECT article_id, tokens FROM search_entries
    WHERE site_id = :site AND review_by >= :today AND kind = 'asked' AND article_id = ANY(CAST(:articles AS text[]))
    """
)
_VOCABULARY = text(
    """
    SELECT word, ndoc FROM ts_stat(format(
      'SELECT to_tsvector(''simple'', title || '' '' || heading || '' '' || text) FROM passages WHERE site_id = %1$L
       UNION ALL SELECT to_tsvector(''simple'', text) FROM search_entries WHERE site_id = %1$L AND kind = ''asked''',
      CAST(:site AS text)))
    """
)
_COUNT = text("SELECT count(DISTINCT article_id) FROM passages WHERE site_id = :site AND review_by >= :today")
_REVISION = text("SELECT coalesce(max(id), 0), count(*) FROM search_entries WHERE site_id = :site")


PHRASES = 2
"""One phrase may be near a question by chance; two seldom are."""
_PARTS = {"in_title": 1.0, "in_heading": 0.8, "in_text": 0.5}
_IN_ASKED = 1.0
"""How much a word counts by where it stands."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """Cosines of the question with the best passage, title-and-heading and phrases (the mean of the best ``PHRASES``);
    ``words`` is the word score, ``tokens`` the likeness of single words (:meth:`Text.likeness`), of passages only;
    ``phrases`` that of the nearest phrase of the passage's article. Without phrases (``has_phrases``, of articles only)
    ``asked`` is the mean of the other two."""

    passage: float
    heading: float
    asked: float
    words: float
    tokens: float = 0.0
    phrases: float = -1.0
    has_phrases: bool = False

    @property
    def nearest(self) -> float:
        """The likeness of single words that counts for the article."""
        return max(self.tokens, self.phrases)


@dataclass(frozen=True, slots=True)
class Terms:
    """Search terms with weights, and what the encoder makes of the question."""

    terms: Sequence[str]
    weights: Sequence[float]
    question: Text


class Candidates:
    """The search statements of one site on one day, in one session."""

    def __init__(self, session: AsyncSession, site_id: str, today: date) -> None:
        self._session = session
        self._where = {"site": site_id, "today": today}

    async def revision(self) -> tuple[int, int]:
        """Changes whenever the site's search entries change."""
        row = (await self._session.execute(_REVISION, {"site": self._where["site"]})).one()
        return int(row[0]), int(row[1])

    async def vocabulary(self) -> dict[str, int]:
        """The words of the site's articles and phrases, lower case, each with the number of texts that hold it."""
        rows = await self._session.execute(_VOCABULARY, {"site": self._where["site"]})
        return {row.word: row.ndoc for row in rows}

    async def count(self) -> int:
        """Number of articles that may be cited."""
        return int(await self._session.scalar(_COUNT, self._where) or 0)

    async def articles_with(self, terms: Sequence[str]) -> dict[int, int]:
        """Number of articles with each term, by the term's place; terms of stop words only are left out."""
        rows = await self._session.execute(_RARITY, {**self._where, "terms": list(terms)})
        return {row.n - 1: row.articles for row in rows}

    async def articles(self, asked: Terms) -> dict[str, Likeness]:
        """Every article that may be cited, with its likeness; without phrases its texts stand for them."""
        rows = await self._session.execute(
            _ARTICLES, {**self._where, **_PARTS, **_bound(asked), "in_asked": _IN_ASKED, "phrases": PHRASES}
        )
        return {
            row.article_id: Likeness(
                row.passage,
                row.heading,
                (row.passage + row.heading) / 2 if row.asked is None else row.asked,
                float(row.words),
                has_phrases=row.asked is not None,
            )
            for row in rows
        }

    async def passages(self, asked: Terms, articles: Sequence[str]) -> list[tuple[Passage, Likeness]]:
        """All passages of ``articles`` with their likeness, in no order."""
        phrases: dict[str, float] = {}
        for row in await self._session.execute(_PHRASES, {**self._where, "articles": list(articles)}):
            alike = asked.question.likeness(unpack(row.tokens or b""))
            phrases[row.article_id] = max(phrases.get(row.article_id, -1.0), alike)
        rows = await self._session.execute(
            _PASSAGES, {**self._where, **_PARTS, **_bound(asked), "articles": list(articles)}
        )
        return [
            (
                Passage(
                    passage_id=f"{row.article_id}#{row.position}",
                    article_id=row.article_id, article_version=row.article_version,
                    title=row.title, heading=row.under, text=row.text, reviewed=row.reviewed, review_by=row.review_by,
                ),
                Likeness(
                    row.passage, row.heading, row.heading, float(row.words),
                    asked.question.likeness(unpack(row.tokens or b"")), phrases.get(row.article_id, -1.0),
                ),
            )
            for row in rows
        ]  # fmt: skip


def _bound(asked: Terms) -> dict[str, object]:
    return {
        "terms": list(asked.terms),
        "weights": list(asked.weights),
        "vector": "[" + ",".join(f"{x:.6f}" for x in asked.question.vector.tolist()) + "]",
    }
