"""What can be said of the staff's answers without a judge: the measures by which groups of patients are compared.

Each is plain to check by hand: the source's own mark, the words of the approved articles, the site's routes, and word
lists that stand in ``answers.yaml``. They see differences between groups of many calls; none is a verdict on one call.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Literal

import yaml

from app.contracts.site import Site
from training.curate.exchanges import Exchange, exchanges
from training.curate.readability import grade
from training.curate.records import Record
from training.curate.support import Found, Support
from training.sentences import numbers, split_sentences


@dataclass(frozen=True, slots=True)
class Measure:
    """``kind``: a share of calls (0 or 1 for each) or a mean. ``good``: more of it is a better answer.
    ``any_language``: two languages may be compared by it.
    """

    name: str
    title: str
    kind: Literal["share", "mean"]
    good: bool
    any_language: bool


QUALITY = "quality"
MEASURES = (
    Measure(QUALITY, "quality (mean of the four shares)", "mean", True, False),
    Measure("resolved", "question resolved", "share", True, True),
    Measure("grounded", "says what an approved article says", "share", True, False),
    Measure("next_step", "names a route or a next step", "share", True, True),
    Measure("courteous", "courteous, without a curt phrase", "share", True, False),
    Measure("words", "words of an answer", "mean", False, False),
    Measure("reading_grade", "reading grade of the answers", "mean", False, False),
)
"""In the order of the tuple that :meth:`Rater.rate` returns. Lengths, grades and lists of phrases do not say the same
of English and of Spanish, so languages are compared by the others only."""
_LEAST_OF_QUALITY = 3


class Rater:
    """Rates the answers of one record; build it once in each process."""

    def __init__(self, site: Site, articles: Path) -> None:
        lists = yaml.safe_load((Path(__file__).with_name("answers.yaml")).read_text(encoding="utf-8"))
        self._support = Support.load(articles)
        self._opening = _any_of(lists["openings"])
        self._courteous, self._curt = _any_of(lists["courteous"]), _any_of(lists["curt"])
        places = [contact.label for contact in site.contacts.values()]
        places += [contact.label_es for contact in site.contacts.values() if contact.label_es]
        places += [site.portal_name, *(department.name for department in site.departments)]
        phones = [contact.phone for contact in site.contacts.values()] + [site.phone]
        phones += [department.phone for department in site.departments]
        self._step = _any_of([*lists["next_steps"], *map(re.escape, places)])
        self._phones = frozenset(digits for phone in phones if phone and (digits := _digits(phone)))

    def rate(self, record: Record) -> tuple[float, ...]:
        """One value for each of :data:`MEASURES`; NaN where it cannot be measured.

        Grounding, length and grade are not measured outside English, because articles and formula are English; quality
        is then the mean of the other three.
        """
        staff = [turn.text for turn in record.turns if turn.speaker == "staff"]
        sentences = [sentence for text in staff for line in text.splitlines() for sentence in split_sentences(line)]
        text = "\n".join(sentence for sentence in sentences if not self._opening.search(sentence))
        english = language(record) in ("en", "")
        answered = [exchange for exchange in exchanges(record) if exchange.said] if english else []
        shares = (
            math.nan if record.resolved is None else float(record.resolved),
            float(any(map(self._grounded, answered))) if english else math.nan,
            float(self._names_step(text)),
            float(bool(self._courteous.search(text)) and not self._curt.search(text)),
        )
        known = [share for share in shares if not math.isnan(share)]
        found = grade(text) if english else None
        return (
            fmean(known) if len(known) >= _LEAST_OF_QUALITY else math.nan,
            *shares,
            fmean(len(exchange.said.split()) for exchange in answered) if answered else math.nan,
            math.nan if found is None else found,
        )

    def _grounded(self, exchange: Exchange) -> bool:
        return isinstance(self._support.find(exchange.question, exchange.said), Found)

    def _names_step(self, text: str) -> bool:
        return bool(self._step.search(text)) or any(_digits(found) in self._phones for found in numbers(text))


def language(record: Record) -> str:
    """The record's language in lower case without its region ("en"); empty where nobody said."""
    return (record.language or record.groups.get("language", "")).lower().split("-")[0]


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)


def _any_of(patterns: Sequence[str]) -> re.Pattern[str]:
    return re.compile(r"(?<!\w)(?:" + "|".join(patterns) + r")(?!\w)", re.IGNORECASE)
