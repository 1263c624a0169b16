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
from app.knowledge import repository

DENSE_WEIGHT, LEXICAL_WEIGHT = 1.0, 0.5
"""Word rank weighs less: it finds exact terms, and misleads where patients use other words than the article."""


class Embedder(Protocol):
    """Turns texts into unit vectors, shape (n, 384), float32."""

    def embed(self, texts: list[str]) -> npt.NDArray[np.float32]: ...


class KnowledgeIndex:
    """Implements ``chat.protocols.Retriever`` for one site."""

    def __init__(
        self, database: Database, encoder: Embedder, site_id: str, today: Callable[[], date] = date.today
    ) -> None:
        self._database, self._encoder, self._site_id, self._today = database, encoder, site_id, today

    async def search(self, question: str, *, limit: int = 4) -> list[Passage]:
        """The best passages for a question, best first; empty if the site has none. Raises RetrievalFailed."""
        try:
            vectors = await asyncio.to_thread(self._encoder.embed, [question])
            async with self._database.session() as session:
                return await repository.search(
                    session, self._site_id, question, vectors[0], today=self._today(), limit=limit,
                    dense_weight=DENSE_WEIGHT, lexical_weight=LEXICAL_WEIGHT,
                )  # fmt: skip
        except StoreUnavailable as error:
            raise RetrievalFailed("the database of articles does not answer") from error
        except (RuntimeError, ValueError) as error:
            raise RetrievalFailed("the question could not be encoded") from error
