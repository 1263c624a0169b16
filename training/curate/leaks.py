"""The second, stricter look at de-identified text: what could still be an identifier.

The first look weighs what stands around a word, since live text must stay readable; this one suspects every shape and
every unknown word that stands where a name could, since a corpus can do without a word more easily than it can tell a
name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import regex
from rapidfuzz import process
from rapidfuzz.distance import OSA

from app.redaction.detector import Detector
from app.redaction.entities import Span
from app.redaction.lexicon import Lexicon
from training.curate.leak_rules import RULES, Cue, SuspectKind
from training.curate.public import TIMEOUT_S, Public

_KINDS: dict[str, SuspectKind] = {
    **dict.fromkeys(("PERSON", "ORGANIZATION", "CITY"), "name"),
    **dict.fromkeys(("EMAIL", "URL", "IP", "ADDRESS", "USERNAME"), "address"),
    **dict.fromkeys(("PHONE", "SSN", "CARD", "ACCOUNT", "ZIP"), "number"),
    "DATE": "date",
    "AGE": "age",
}
_OURS = regex.compile(r"<[A-Z_]+(?:_\d+)?>|\b90\+")
"""What de-identification writes."""
_LEAST_DRUG, _LONG_DRUG = 6, 8
_WORD = regex.compile(r"\p{L}[\p{L}\p{M}]*+(?:['’\-]\p{L}[\p{L}\p{M}]*+)*+")
_ENDING = regex.compile(r"(?:'(?:s|ll|d|ve|re|m)|n't)$", regex.IGNORECASE)
_PLAIN = frozenset(
    "january february march april may june july august september october november december jan feb mar apr jun jul aug "
    "sep sept oct nov dec monday tuesday wednesday thursday friday saturday sunday mon tue tues wed thu thurs fri sat "
    "sun medicare medicaid tricare covid english spanish dob mrn dx hx rx pt note clinic telephone encounter invoice "
    "claim patient date".split()
)
"""Words with a capital that are no name even where one is cued."""
_TYPED_SMALL = 0.01
"""A text with a smaller share of capitals was written without any."""


class StrictLook:
    """Finds suspects. A capital alone makes no word of the hospital's own articles a name, and a weak cue none of
    everyday English, nor a drug's name with a slip.
    """

    def __init__(self, detector: Detector, lexicon: Lexicon, public: Public) -> None:
        self._detector = detector
        self._lexicon = lexicon
        self._allowed = "\n".join(f" {_plain(value)} " for value in public.details)
        self._words = public.words | public.drugs | lexicon.ordinary
        self._everyday = public.everyday
        self._drugs = sorted(drug for drug in public.drugs if len(drug) >= _LEAST_DRUG)

    def suspects(self, text: str, known: Collection[str] = (), *, again: bool = False) -> list[Span]:
        """Suspects left to right, not overlapping; types are :data:`SuspectKind`.

        ``known`` are words that de-identification itself put there (moved dates, short ZIPs). With ``again`` only what
        a place beside something taken out gives away. Raises RedactionFailed.
        """
        ours = [match.span() for match in _OURS.finditer(text)]
        settled: list[Span] = []
        for span in sorted(self._all(text, again), key=lambda s: (s.start, -s.end)):
            value = text[span.start : span.end]
            if f" {_plain(value)} " in self._allowed or not _plain(_removed(value, known)):
                continue
            if any(span.start < end and start < span.end for start, end in ours):
                continue
            if settled and span.start < settled[-1].end:
                settled[-1] = Span(settled[-1].type, settled[-1].start, max(span.end, settled[-1].end), 1.0)
            else:
                settled.append(span)
        return settled

    def _all(self, text: str, again: bool) -> Iterator[Span]:
        shown = self._with_capitals(text)
        for rule in RULES:
            if again and not rule.again:
                continue
            for match in rule.pattern.finditer(text if rule.cue == "capital" else shown, timeout=TIMEOUT_S):
                start, end = match.span("v")
                if start < end and (not rule.cue or self._may_be_name(match["v"], rule.cue)):
                    yield Span(rule.kind, start, end, 1.0)
        if again:
            return
        # The detector has read this text before; with capitals put in it reads another one.
        for span in self._detector.find(shown) if shown != text else ():
            yield Span(_KINDS.get(span.type, "code"), span.start, span.end, span.score)
        for match in _WORD.finditer(shown):
            word = _stem(match.group())
            lower = word.casefold()
            listed = lower in self._lexicon.given or lower in self._lexicon.surnames
            if listed and lower not in self._lexicon.ordinary and (len(lower) > 3 or word[0].isupper()):
                following = _WORD.match(shown, match.end() + 1)
                if not (following and following.group().casefold() in self._lexicon.after_eponym):
                    yield Span("name", match.start(), match.start() + len(word), 1.0)

    def _with_capitals(self, text: str) -> str:
        """A text without capitals with one on each word that is of no known kind, or a name; offsets stay."""
        plain = _OURS.sub("", text)
        if sum(map(str.isupper, plain)) > _TYPED_SMALL * len(plain):
            return text

        def capital(match: regex.Match[str]) -> str:
            word = match.group()
            lower = _stem(word).casefold()
            named = lower in self._lexicon.given or lower in self._lexicon.surnames
            return word[0].upper() + word[1:] if named or self._is_strange(lower, "weak", names=False) else word

        # A letter whose capital is longer would move what follows it.
        changed = _WORD.sub(capital, text)
        return changed if len(changed) == len(text) else text

    def _may_be_name(self, value: str, cue: Cue) -> bool:
        stems = [_stem(match.group()) for match in _WORD.finditer(value) if len(match.group()) > 1]
        lower = [stem.casefold() for stem in stems]
        if " ".join(lower) in self._lexicon.cities:
            return True
        # Two capitals side by side that the hospital never writes are a name of something ("Fort Dodge").
        if len(stems) > 1 and not any(stem in self._words or stem in _PLAIN or stem.upper() == stem for stem in lower):
            return True
        return any(
            stem.casefold() not in _PLAIN and not (stem.isupper() and len(stem) < 5) and self._is_strange(stem, cue)
            for stem in stems
        )

    def _is_strange(self, word: str, cue: Cue, *, names: bool = True) -> bool:
        lower = word.casefold()
        if self._lexicon.is_name(lower):
            return names
        return lower not in self._words and not (cue != "strong" and (lower in self._everyday or self._is_drug(lower)))

    def _is_drug(self, word: str) -> bool:
        slips = 1 if len(word) < _LONG_DRUG else 2
        return len(word) >= _LEAST_DRUG and (
            process.extractOne(word, self._drugs, scorer=OSA.distance, score_cutoff=slips) is not None
        )


def shape(value: str) -> str:
    """What a value looks like without being told: capitals X, small letters x, digits 9."""
    return "".join("9" if c.isdigit() else "X" if c.isupper() else "x" if c.isalpha() else c for c in value)


def excerpt(text: str, span: Span, others: Collection[Span], around: int = 60) -> str:
    """The words around a suspect; all suspects by their shape only."""
    start, end = max(0, span.start - around), min(len(text), span.end + around)
    shown = list(text[start:end])
    for other in others:
        for index in range(max(start, other.start), min(end, other.end)):
            shown[index - start] = shape(text[index])
    return f"{'… ' if start else ''}{''.join(shown)}{' …' if end < len(text) else ''}"


def _removed(value: str, known: Collection[str]) -> str:
    # The longest first: one may be the beginning of another.
    for word in sorted(known, key=lambda word: (-len(word), word)):
        value = value.replace(word, "")
    return value


def _stem(word: str) -> str:
    return _ENDING.sub("", word.replace("’", "'"))


def _plain(value: str) -> str:
    return " ".join(match.group() for match in regex.finditer(r"[\p{L}\d]+", value.lower()))
