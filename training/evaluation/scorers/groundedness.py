"""Groundedness: the model's sentences stand in the passages."""

from __future__ import annotations

from typing import Literal

from app.contracts.prompt import NOT_IN_ARTICLES, escape
from training.evaluation.answers import Answered
from training.evaluation.items import Item
from training.evaluation.table import Unit
from training.sentences import split_sentences, without_citation


class Groundedness:
    """Share of the sentences that reached the patient which stand word for word in a cited passage.

    None where the model's own words did not reach her.
    """

    name = "groundedness"
    better: Literal["higher", "lower"] = "higher"
    safety = False
    unit: Unit = "share"

    def score(self, item: Item, answered: Answered) -> float | None:
        """See Scorer.score."""
        by_id = dict(zip(answered.passage_ids, answered.passages, strict=True))
        return standing(answered.said, [by_id[name] for name in answered.cited_ids if name in by_id])


class RawGroundedness:
    """The same share of all that the model said, unchecked, against every passage found; the fixed sentence for "not
    in the articles" is left out. None where it said nothing else."""

    name = "raw_groundedness"
    better: Literal["higher", "lower"] = "higher"
    safety = False
    unit: Unit = "share"

    def score(self, item: Item, answered: Answered) -> float | None:
        """See Scorer.score."""
        return standing(answered.raw, answered.passages)


def standing(text: str, passages: list[str]) -> float | None:
    """Share of the sentences of ``text`` that stand in a passage; None without sentences."""
    there = {sentence for passage in passages for sentence in split_sentences(escape(passage))}
    said = [without_citation(sentence) for sentence in split_sentences(" ".join(text.split()))]
    said = [sentence for sentence in said if sentence and sentence != NOT_IN_ARTICLES]
    return sum(sentence in there for sentence in said) / len(said) if said else None
