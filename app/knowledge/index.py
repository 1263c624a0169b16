"""The retriever of the pipeline: hybrid search over approved, in-date passages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import date
from typing import Protocol

import numpy as np
import numpy.typing as npt

from app.contracts.passages import Passage
from app.db.session import Database
from app.errors import RetrievalFailed, StoreUnavailable
from app.knowledge.candidates import Candidates, Terms
from app.knowledge.query import Lexicon, Query, Speller
from app.knowledge.ranking import Weights, best_articles, order, rarity


class Embedder(Protocol):
    """Turns texts into unit vectors, shape (n, 384), float32."""

    def embed(self, texts: list[str]) -> npt.NDArray[np.float32]: ...

    def knows(self, word: str) -> bool:
        """Whether a lower-case word is an everyday one: it is not taken for a misspelling."""
        ...


class KnowledgeIndex:
    """Implements ``chat.protocols.Retriever`` for one site. Results are ranked by ``weights``."""

    def __init__(
        self,
        database: Database,
        encoder: Embedder,
        site_id: str,
        today: Callable[[], date] = date.today,
        *,
        weights: Weights | None = None,
        lexicon: Lexicon | None = None,
    ) -> None:
        self._database, self._encoder, self._site_id, self._today = database, encoder, site_id, today
        self._weights = weights or Weights()
        self._lexicon = lexicon or Lexicon.load()
        self._speller: tuple[tuple[int, int], Speller] | None = None

    async def search(self, question: str, *, limit: int = 4) -> list[Passage]:
        """The best passages for a question, best first; empty if the site has none. Raises RetrievalFailed."""
        try:
            async with self._database.session() as session:
                candidates = Candidates(session, self._site_id, self._today())
                query = self._lexicon.read(question, await self._spelling(candidates))
                vector = await asyncio.to_thread(self._embed, query)
                terms = await self._terms(candidates, query, vector)
                scores = best_articles(await candidates.articles(terms), self._weights)
                found = await candidates.passages(terms, list(scores))
                return order(scores, found, self._weights, limit)
        except StoreUnavailable as error:
            raise RetrievalFailed("the database of articles does not answer") from error
        except (RuntimeError, ValueError) as error:
            raise RetrievalFailed("the question could not be encoded") from error

    async def _spelling(self, candidates: Candidates) -> Speller:
        """The speller with the words of the site's articles as they are now."""
        revision = await candidates.revision()
        if self._speller is None or self._speller[0] != revision:
            words = await candidates.vocabulary() if self._weights.spelling else {}
            also = self._lexicon.words if self._weights.spelling else frozenset()
            self._speller = revision, Speller(words, self._encoder.knows, also)
        return self._speller[1]

    def _embed(self, query: Query) -> npt.NDArray[np.float32]:
        """Unit vector of the question, mixed with that of the question and the added words; one pass."""
        if not query.added or not self._weights.expanded:
            alone: npt.NDArray[np.float32] = self._encoder.embed([query.text])[0]
            return alone
        plain, expanded = self._encoder.embed([query.text, query.expanded])
        mixed = (1 - self._weights.expanded) * plain + self._weights.expanded * expanded
        unit: npt.NDArray[np.float32] = np.asarray(mixed / np.linalg.norm(mixed), dtype=np.float32)
        return unit

    async def _terms(self, candidates: Candidates, query: Query, vector: npt.NDArray[np.float32]) -> Terms:
        words = list(dict.fromkeys(query.words))
        terms = [*words, *query.added]
        weights = [1.0] * len(words) + [self._weights.added_word] * len(query.added)
        known = await candidates.articles_with(terms)
        return Terms(terms, rarity(known, await candidates.count(), weights), vector)
