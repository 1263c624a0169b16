"""When a text says a phrase: compared as normalised words, so that case, punctuation and ways to write a number agree.

Both sides are brought to one form: lower case without accents and apostrophes; ``8:00 a.m.`` and ``8am`` as ``8 am``;
telephone numbers as their digits; ``1,000`` as ``1000``; ``$5`` as ``5 dollars``; ``100.4 °F`` as ``100.4 f``; ``5 %``
as ``5 percent``; ``3-12`` as ``3 to 12``; number words up to ninety as digits; hyphens as spaces. A phrase is said
where its words stand side by side in the text and neither of the two words before them, in the same clause, is a
negation: "do not take ibuprofen" does not say "take ibuprofen", and does say "do not take ibuprofen".
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

_NUMBER_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
).split()
_TENS = "thirty forty fifty sixty seventy eighty ninety".split()
_VALUES = {word: str(value) for value, word in enumerate(_NUMBER_WORDS)} | {
    word: str(10 * value) for value, word in enumerate(_TENS, start=3)
}
_NEGATIONS = frozenset(
    "not never no nor nobody whether dont doesnt cannot cant shouldnt mustnt isnt arent without avoid nunca sin".split()
)
_REACH = 2
_BREAK = "|"
_STEPS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"['\u2018\u2019`]"), ""),
    (re.compile(r"[\u2010-\u2015\u2212]"), "-"),
    (re.compile("\u2044"), "/"),
    (re.compile(r"\b([ap])\.?\s?m\b\.?"), r"\1m"),
    (re.compile(r"\(?\b(\d{3})\)?[ .-]?(\d{3})[ .-](\d{4})\b"), r"\1\2\3"),
    (re.compile(r"\b(\d{3})-(\d{4})\b"), r"\1\2"),
    (re.compile(r"(?<=\d),(?=\d{3}\b)"), ""),
    (re.compile(r"\$\s?(\d+(?:\.\d+)?)"), r"\1 dollars"),
    (re.compile(r"\b(\d+)(?::00|\.00?)(?![\d:])"), r"\1"),
    (re.compile(r"\u00b0|\bdegrees?\b(?=\s+(?:f|c|fahrenheit|celsius)\b)"), " "),
    (re.compile(r"\bfahrenheit\b"), "f"),
    (re.compile(r"\bcelsius\b"), "c"),
    (re.compile(r"%"), " percent "),
    (re.compile(r"(?<=\d)\s?-\s?(?=\d)"), " to "),
    (re.compile(r"(?<=\d)(?=[^\W\d_])"), " "),
    (re.compile(r"[,;:!?](?=\s|$)|\.(?=\s|$)|\n"), f" {_BREAK} "),
)
_RUNS_ON_BEFORE = re.compile(r"\d[.,:/-]?$")
_RUNS_ON_AFTER = re.compile(r"[.,:/-]?\d")
_WORD = re.compile(r"\d+(?:[./:]\d+)*|[^\W\d_]+|\|")


@dataclass(frozen=True, slots=True)
class Words:
    """A text as normalised words; ``breaks`` are the places before which a clause begins."""

    words: tuple[str, ...]
    breaks: frozenset[int]

    def says(self, phrase: str) -> bool:
        """Whether the phrase is said somewhere in the text, not negated. An empty phrase never is."""
        wanted = words(phrase).words
        size = len(wanted)
        places = range(len(self.words) - size + 1) if size else range(0)
        return any(self.words[at : at + size] == wanted and not self._negated(at) for at in places)

    def _negated(self, at: int) -> bool:
        for back in range(1, _REACH + 1):
            if at - back < 0 or at - back + 1 in self.breaks:
                return False
            if self.words[at - back] in _NEGATIONS:
                return True
        return False


def words(text: str) -> Words:
    """The normalised words of a text."""
    plain = unicodedata.normalize("NFKD", text.replace("\u00b0", " ").casefold())
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    for pattern, written in _STEPS:
        plain = pattern.sub(written, plain)
    found: list[str] = []
    breaks: set[int] = set()
    for word in _WORD.findall(plain):
        if word == _BREAK:
            breaks.add(len(found))
        else:
            found.append(_VALUES.get(word, word))
    return Words(tuple(found), frozenset(breaks))


def says(text: str, phrase: str) -> bool:
    """Whether the text says the phrase (see :class:`Words`)."""
    return words(text).says(phrase)


def holds(text: str, number: str) -> bool:
    """Whether the number stands in the text as it is written, not as a part of a longer one."""
    found = text.find(number)
    while found >= 0:
        before, after = text[:found], text[found + len(number) :]
        if not (number[:1].isdigit() and _RUNS_ON_BEFORE.search(before)) and not (
            number[-1:].isdigit() and _RUNS_ON_AFTER.match(after)
        ):
            return True
        found = text.find(number, found + 1)
    return False
