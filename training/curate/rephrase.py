"""The same words of a patient, said otherwise: other phrases, another register, slips of the keyboard.

What the text states stays: figures, drugs, negations, left and right, pseudonyms, and every word with a digit or a
capital in the middle of a sentence. Rules alone cannot promise that, so :func:`same_statement` looks again at each
result, and one that states anything else is thrown away. All randomness comes from the caller's ``random.Random``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Literal

import yaml

from app.guardrails.figures import figures
from training.curate.statements import NEGATIONS, SIDES, Names
from training.curate.words import words
from training.wording import with_typos

Language = Literal["english", "spanish"]

_TOKEN = re.compile(r"<[A-Z_]+(?:_\d+)?>")
_MARK = re.compile(r"[,;](?!\d)|[!¿¡]|(?<!\.[A-Za-z])[.?](?=\s|$)")
_GREETED = re.compile(r"(?:hi|hello|hey|good|yes|hola|buen[ao]s)\b", re.IGNORECASE)
_KEPT_WORDS = frozenset(
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand half quarter double "
    "twice once daily weekly hourly morning noon evening night midnight today tomorrow yesterday monday tuesday "
    "wednesday thursday friday saturday sunday january february march april june july august september october "
    "november december milligram milligrams microgram micrograms gram grams milliliter milliliters liter liters unit "
    "units tablet tablets pill pills capsule capsules puff puffs drop drops dose doses teaspoon tablespoon ounce "
    "minute minutes hour hours day days week weeks month months year years percent degree degrees dollar dollars "
    "before after until unless except only more less without within over under above below every each any all both "
    "stop start increase decrease higher lower allergic allergy pregnant".split()
)
"""Words that no slip may touch, beside negations, sides and drugs: they carry doses, times and conditions."""


@dataclass(frozen=True, slots=True)
class Rates:
    """How often each change is made, from 0 to 1: of phrases that fit, of turns, of words."""

    phrases: float = 0.6
    opener: float = 0.15
    closer: float = 0.1
    lower: float = 0.35
    marks: float = 0.35
    short: float = 0.15
    typos: float = 0.04


class Rephraser:
    """Rewords what patients say; build it once in each process."""

    def __init__(self, names: Names, rates: Rates | None = None) -> None:
        self._names, self._rates = names, rates or Rates()
        content = yaml.safe_load(Path(__file__).with_name("rephrase.yaml").read_text(encoding="utf-8"))
        self._phrases = {language: _Phrases(content[language]) for language in ("english", "spanish")}
        self._openers: Mapping[str, Sequence[str]] = content["openers"]
        self._closers: Mapping[str, Sequence[str]] = content["closers"]
        self._short: Mapping[str, Mapping[str, str]] = content["short"]
        kept = NEGATIONS | SIDES | _KEPT_WORDS | names.drugs.keys() | names.places
        self._kept = frozenset(word.lower() for word in kept)

    def turn(self, text: str, language: Language, rng: Random) -> str:
        """One turn said otherwise; the same text where no rule fits or the result would state something else."""
        for _ in range(4):
            changed = self._changed(text, language, rng)
            if same_statement(text, changed, self._names):
                return changed
        return text

    def _changed(self, text: str, language: Language, rng: Random) -> str:
        rates = self._rates
        text = self._phrases[language].swapped(text, rng, rates.phrases)
        if language == "english":
            text = with_typos(text, rng, rates.typos, self._kept, _capitals(text), _negating(text))
        asks = "?" in text
        if asks and rng.random() < rates.opener and not _GREETED.match(text):
            text = rng.choice(self._openers[language]) + _lower_first(text)
        if asks and rng.random() < rates.closer:
            text = text.rstrip() + rng.choice(self._closers[language])
        if rng.random() < rates.lower:
            text = _lowered(text)
        if rng.random() < rates.marks:
            text = _MARK.sub("", text)
        if rng.random() < rates.short:
            text = self._shortened(text, language)
        return text

    def _shortened(self, text: str, language: Language) -> str:
        short = self._short[language]
        return re.sub(r"[^\W\d_]+", lambda match: short.get(match[0], match[0]), text)


def same_statement(before: str, after: str, names: Names) -> bool:
    """Whether both texts state the same: figures, digits, pseudonyms, drugs, departments, sides and negations, each as
    often and in the same order.
    """
    if re.findall(r"\d+", before) != re.findall(r"\d+", after) or figures(before) != figures(after):
        return False
    if _TOKEN.findall(before) != _TOKEN.findall(after) or _negating(before) != _negating(after):
        return False
    fixed = (names.drugs, names.places, SIDES, NEGATIONS)
    one, other = ([word for word in words(text) if any(word in known for known in fixed)] for text in (before, after))
    return one == other


def _negating(text: str) -> list[str]:
    """Words that are or hold a negation, as they are written."""
    written = re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)*", text.lower().replace("’", "'"))
    return [word for word in written if not NEGATIONS.isdisjoint(words(word))]


class _Phrases:
    """Phrases and what may stand for them."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._others: dict[str, list[str]] = {}
        for line in lines:
            left, arrow, right = line.partition(">")
            old, new = _listed(left), _listed(right)
            for phrase in old:
                self._others.setdefault(phrase, []).extend(
                    (new or [""]) if arrow else [other for other in old if other != phrase]
                )

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        longest = sorted(self._others, key=lambda phrase: (-len(phrase), phrase))
        return re.compile(r"(?<![\w'<-])(?:" + "|".join(map(re.escape, longest)) + r")(?![\w'>-])", re.IGNORECASE)

    def swapped(self, text: str, rng: Random, rate: float) -> str:
        """Replace phrases, each with probability ``rate``; a capital at the beginning stays."""

        def swap(match: re.Match[str]) -> str:
            found = match[0]
            if rng.random() >= rate:
                return found
            other = rng.choice(self._others[found.lower()])
            if "I" in found:
                other = re.sub(r"\bi\b", "I", other)
            return other[:1].upper() + other[1:] if found[0].isupper() and not found.startswith(("I ", "I'")) else other

        return re.sub(r"  +", " ", self._pattern.sub(swap, text.replace("’", "'"))).strip()


def _listed(text: str) -> list[str]:
    return [phrase.strip() for phrase in text.split(",") if phrase.strip()]


def _capitals(text: str) -> frozenset[str]:
    """Words with a capital (in lower case): names of people, places and products."""
    return frozenset(word.lower() for word in re.findall(r"[A-Za-z][A-Za-z'-]*", text) if word != word.lower())


def _lower_first(text: str) -> str:
    first = text.split(maxsplit=1)[0] if text.strip() else ""
    return text[:1].lower() + text[1:] if first[1:].islower() else text


def _lowered(text: str) -> str:
    """In lower case, pseudonyms aside."""
    return "".join(part if _TOKEN.fullmatch(part) else part.lower() for part in re.split(f"({_TOKEN.pattern})", text))
