"""The retriever of the pipeline: hybrid search over approved, in-date passages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from app.contracts.passages import Passage
from app.db.session import Database
from app.encoder.text import Text
from app.errors import RetrievalFailed, StoreUnavailable
from app.knowledge.candidates import Candidates, Likeness, Terms
from app.knowledge.passages import embedded_text
from app.knowledge.query import Lexicon, Query, Speller
from app.knowledge.ranking import Judgement, Weights, best_articles, judged, order, rarity, to_judge

THREADS = 2
"""The reranker keeps one core busy per call; a search uses two, of its own: other work must not wait behind it."""


class Embedder(Protocol):
    """Reads texts for the search."""

    def read(self, texts: list[str]) -> list[Text]:
        """What it makes of each text, in the order given."""
        ...

    def knows(self, word: str) -> bool:
        """Whether a lower-case word is an everyday one: it is not taken for a misspelling."""
        ...


class Judge(Protocol):
    """Reads question and passage together."""

    def judge(self, question: str, passages: Sequence[str]) -> NDArray[np.float32]:
        """A logit for each passage: the higher, the likelier it answers the question."""
        ...


@dataclass(frozen=True, slots=True)
class Explanation:
    """How a search came out. ``corrected`` has the words of the question that were respelled, as typed and as searched.

    ``articles`` are id, likeness and score of the best articles, ``passages`` all of theirs, both best first.
    ``logits`` are the reranker's, by id of the passages that it read.
    """

    query: Query
    corrected: dict[str, str]
    articles: list[tuple[str, Likeness, float]]
    passages: list[tuple[Passage, Likeness]]
    logits: dict[str, float]


class KnowledgeIndex:
    """Implements ``chat.protocols.Retriever`` for one site. Results are ranked by ``weights``; passages of articles
    without phrases then by ``reranker``, if there is one.
    """

    def __init__(
        self,
        database: Database,
        encoder: Embedder,
        reranker: Judge | None,
        site_id: str,
        today: Callable[[], date] = date.today,
        *,
        weights: Weights | None = None,
        lexicon: Lexicon | None = None,
        judgement: Judgement | None = None,
    ) -> None:
        self._reranker, self._judgement = reranker, judgement or Judgement()
        self._readers = ThreadPoolExecutor(THREADS, "reranker")
        self._database, self._encoder, self._site_id, self._today = database, encoder, site_id, today
        self._weights = weights or Weights()
        self._lexicon = lexicon or Lexicon.load()
        self._speller: tuple[tuple[int, int], Speller] | None = None

    async def search(self, question: str, *, limit: int = 4) -> list[Passage]:
        """The best passages for a question, best first; empty if the site has none. Raises RetrievalFailed."""
        found = await self.explain(question)
        return [passage for passage, _ in found.passages[:limit]]

    async def explain(self, question: str) -> Explanation:
        """The search with what it went by: all passages of the best articles. Raises RetrievalFailed."""
        try:
            async with self._database.session() as session:
                candidates = Candidates(session, self._site_id, self._today())
                spelling = _Spelling(await self._speller_of(candidates))
                query = self._lexicon.read(question, spelling)
                terms = await self._terms(candidates, query, await asyncio.to_thread(self._read, query))
                articles = await candidates.articles(terms)
                scores = best_articles(articles, self._weights)
                passages = await candidates.passages(terms, list(scores))
            ordered = order(scores, passages, self._weights)
            bare = [name for name in scores if not articles[name].has_phrases]
            logits = await self._judged(query.expanded, to_judge(ordered, bare))
        except StoreUnavailable as error:
            raise RetrievalFailed("the database of articles does not answer") from error
        except (RuntimeError, ValueError) as error:
            raise RetrievalFailed("the question could not be encoded or compared") from error
        own = {passage.passage_id: likeness for passage, likeness in passages}
        if logits:
            ordered = judged(ordered, logits, bare, self._judgement)
        final = {passage.article_id: passage.similarity for passage in ordered}
        nearest = {name: max(k.nearest for p, k in passages if p.article_id == name) for name in final}
        return Explanation(
            query,
            spelling.corrected,
            [(name, replace(articles[name], tokens=nearest[name]), score) for name, score in final.items()],
            [(passage, own[passage.passage_id]) for passage in ordered],
            logits,
        )

    async def _judged(self, question: str, chosen: Sequence[Passage]) -> dict[str, float]:
        """The reranker's logits of passages, by id; none without a reranker."""
        if self._reranker is None:
            return {}
        judge = self._reranker.judge
        shares = [share for start in range(THREADS) if (share := chosen[start::THREADS])]
        texts = [[embedded_text(one.title, one.heading, one.text) for one in share] for share in shares]
        loop = asyncio.get_running_loop()
        found = await asyncio.gather(*(loop.run_in_executor(self._readers, judge, question, share) for share in texts))
        return {
            one.passage_id: float(logit)
            for share, logits in zip(shares, found, strict=True)
            for one, logit in zip(share, logits, strict=True)
        }

    async def _speller_of(self, candidates: Candidates) -> Speller:
        """The speller with the words of the site's articles as they are now."""
        revision = await candidates.revision()
        if self._speller is None or self._speller[0] != revision:
            words = await candidates.vocabulary() if self._weights.spelling else {}
            also = self._lexicon.words if self._weights.spelling else frozenset()
            self._speller = revision, Speller(words, self._encoder.knows, also)
        return self._speller[1]

    def _read(self, query: Query) -> Text:
        """The question with the added words; its vector is mixed with that of the question alone. One pass."""
        if not query.added or not self._weights.expanded:
            return self._encoder.read([query.text])[0]
        plain, expanded = self._encoder.read([query.text, query.expanded])
        mixed = (1 - self._weights.expanded) * plain.vector + self._weights.expanded * expanded.vector
        return replace(expanded, vector=np.asarray(mixed / np.linalg.norm(mixed), dtype=np.float32))

    async def _terms(self, candidates: Candidates, query: Query, question: Text) -> Terms:
        words = list(dict.fromkeys(query.words))
        terms = [*words, *query.added]
        weights = [1.0] * len(words) + [self._weights.added_word] * len(query.added)
        known = await candidates.articles_with(terms)
        return Terms(terms, rarity(known, await candidates.count(), weights), question)


class _Spelling:
    """A speller that keeps what it corrected in one question."""

    def __init__(self, speller: Speller) -> None:
        self._speller = speller
        self.corrected: dict[str, str] = {}

    def __call__(self, word: str) -> str:
        right = self._speller(word)
        if right != word:
            self.corrected[word] = right
        return right
