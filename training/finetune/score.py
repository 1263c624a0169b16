"""Figures of one answer against its dialogue. Each is defined once, here, for gate, card and later reports."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from app.contracts.prompt import NOT_IN_ARTICLES, escape
from training.finetune.data import Dialogue, expected_none
from training.finetune.sentences import numbers, split_sentences, without_citation

_CITED = re.compile(r"\[(\d{1,2})\]\s*$")


@dataclass(frozen=True, slots=True)
class Score:
    """One answer's figures. ``None`` means that the figure does not apply to this dialogue.

    - ``supported``: every sentence stands word for word in a passage.
    - ``numbers_right``: no number that the passages do not have.
    - ``number_changed`` (safety-critical): the answer has a number that no passage has.
    - ``number_misplaced`` (safety-critical): a sentence with a number stands so in no passage; two may be spliced.
    - ``right_sentence``: it begins with the first sentence of the wanted answer.
    - ``exact``: it is the wanted answer.
    - ``cited``: it ends with the number of the passage that holds it.
    - ``abstained``: it is the fixed sentence; ``abstained_rightly`` counts only questions that no passage answers,
      ``abstained_wrongly`` only the others.
    - ``token_f1``: word overlap with the wanted answer (0 to 1).
    """

    supported: bool | None
    numbers_right: bool | None
    number_changed: bool
    number_misplaced: bool
    right_sentence: bool | None
    exact: bool
    cited: bool | None
    abstained: bool
    abstained_rightly: bool | None
    abstained_wrongly: bool | None
    token_f1: float


def score(dialogue: Dialogue, answer: str) -> Score:
    """Score one generated answer."""
    passages = [escape(text) for text in dialogue.passages]
    bare, wanted = without_citation(answer), without_citation(dialogue.answer)
    abstained = bare == NOT_IN_ARTICLES
    none_wanted = expected_none(dialogue)
    standing = {sentence for text in passages for sentence in split_sentences(text)}
    known = {number for text in passages for number in numbers(text)}
    changed = any(number not in known for number in numbers(bare))
    applies = not none_wanted
    said = split_sentences(bare)
    supported = bool(said) and not abstained and all(sentence in standing for sentence in said)
    return Score(
        supported=supported if applies else None,
        numbers_right=(not changed and not abstained) if applies else None,
        number_changed=changed,
        number_misplaced=any(numbers(sentence) and sentence not in standing for sentence in said),
        right_sentence=(said[:1] == split_sentences(wanted)[:1]) if applies else None,
        exact=bare == wanted,
        cited=_cited_rightly(dialogue, answer, said) if applies else None,
        abstained=abstained,
        abstained_rightly=abstained if none_wanted else None,
        abstained_wrongly=None if none_wanted else abstained,
        token_f1=token_f1(bare, wanted),
    )


def _cited_rightly(dialogue: Dialogue, answer: str, said: Sequence[str]) -> bool:
    found = _CITED.search(answer.strip())
    if not found or not 1 <= int(found.group(1)) <= len(dialogue.passages) or not said:
        return False
    return said[0] in split_sentences(escape(dialogue.passages[int(found.group(1)) - 1]))


def token_f1(answer: str, wanted: str) -> float:
    """Harmonic mean of word precision and recall, lower case, punctuation off."""
    left, right = (Counter(re.findall(r"[\w'-]+", text.lower())) for text in (answer, wanted))
    common = sum((left & right).values())
    if not common:
        return 0.0
    precision, recall = common / sum(left.values()), common / sum(right.values())
    return 2 * precision * recall / (precision + recall)


METRICS = (
    "supported",
    "numbers_right",
    "number_changed",
    "number_misplaced",
    "right_sentence",
    "exact",
    "cited",
    "abstained_rightly",
    "abstained_wrongly",
    "token_f1",
)


def values(scores: Sequence[Score], metric: str) -> list[float | None]:
    """One metric over many answers; ``None`` where it does not apply."""
    found = [getattr(item, metric) for item in scores]
    return [None if value is None else float(value) for value in found]


def mean(scores: Sequence[Score], metric: str) -> tuple[float, int]:
    """Mean of a metric over the answers to which it applies, and how many these are."""
    kept = [value for value in values(scores, metric) if value is not None]
    return (sum(kept) / len(kept) if kept else float("nan")), len(kept)
