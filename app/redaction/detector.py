"""Find identifiers, or fail: no text passes unread.

The recognizers are Presidio's type, so a site can add its own. They are called here one after another instead of
through Presidio's AnalyzerEngine, whose removal of duplicates and context step compare every result with every other
one (quadratic in a text of many identifiers) and whose regular expressions go on after a timeout.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

import regex

from app.errors import RedactionFailed
from app.redaction.entities import TYPES, Span
from app.redaction.folding import fold
from app.redaction.lexicon import Lexicon
from app.redaction.presidio import CreditCardRecognizer, EntityRecognizer, IpRecognizer, UsMbiRecognizer
from app.redaction.recognizers.contact import contact_rules
from app.redaction.recognizers.dates import date_rules
from app.redaction.recognizers.head import Head
from app.redaction.recognizers.learned import LearnedRecognizer, States
from app.redaction.recognizers.names import NameRecognizer
from app.redaction.recognizers.numbers import number_rules
from app.redaction.recognizers.places import place_rules
from app.redaction.recognizers.rules import RuleRecognizer, StrictPatterns

NO_ARTIFACTS: Any = None
"""Recognizers get no tokens and lemmas: none of ours needs a language model of Presidio's."""

_THREAD = "redaction"
_LAST_S = 5.0
"""How long the end of the program waits for recognizers that are late: longer than the service gives one of them."""

_PLACES = frozenset({"ADDRESS", "ZIP", "CITY", "ORGANIZATION", "URL", "EMAIL"})
_WORDS = regex.compile(r"[\p{L}\d]++")
_NAME_WORDS = regex.compile(r"[\p{L}][\p{L}\p{M}'\-]++")


def own_recognizers(lexicon: Lexicon, timeout_s: float, encoder: States | None = None) -> list[EntityRecognizer]:
    """All recognizers of the service, Presidio's three with checksums or hard shapes among them.

    Without ``encoder`` only the rules: names, places and dates that no cue announces are then missed.
    """
    learned = [] if encoder is None else [LearnedRecognizer(Head.load(), encoder, lexicon, timeout_s)]
    return [
        RuleRecognizer("contact", contact_rules(), timeout_s),
        RuleRecognizer("numbers", number_rules(), timeout_s),
        RuleRecognizer("dates", date_rules(), timeout_s),
        RuleRecognizer("places", place_rules(lexicon), timeout_s),
        NameRecognizer(lexicon, timeout_s),
        StrictPatterns("CARD", CreditCardRecognizer(), timeout_s, minimum=0.3),
        StrictPatterns("MBI", UsMbiRecognizer(), timeout_s, minimum=0.3),
        StrictPatterns("IP", IpRecognizer(), timeout_s, minimum=0.5),
        *learned,
    ]


class Detector:
    """Runs recognizers within a time limit and settles what overlaps. Safe under concurrent use.

    ``allowed`` are the hospital's own phone numbers, addresses and names: they identify no patient and are kept.
    """

    def __init__(
        self,
        recognizers: Sequence[EntityRecognizer],
        lexicon: Lexicon,
        *,
        allowed: Collection[str] = (),
        timeout_s: float = 2.0,
    ) -> None:
        self._recognizers = tuple(recognizers)
        self._lexicon = lexicon
        self._timeout_s = timeout_s
        self._allowed_numbers = frozenset(filter(None, (_phone_key(value) for value in allowed)))
        self._allowed_values = frozenset(map(_plain, allowed))
        self._allowed_text = "\n".join(f" {value} " for value in self._allowed_values)

    def find(self, text: str, known_names: Collection[str] = ()) -> list[Span]:
        """Identifiers in ``text``, left to right, not overlapping, with offsets into ``text`` as given.

        ``known_names`` are people named earlier in the conversation: found again also in small letters. Raises
        RedactionFailed if a recognizer raises, gives nonsense or the time limit is over.
        """
        deadline = time.monotonic() + self._timeout_s
        outcome: list[list[Span]] = []
        failures: list[BaseException] = []

        def work() -> None:
            try:
                outcome.append(self._find(text, known_names, deadline))
            except BaseException as error:
                failures.append(error)

        _bounded(work, self._timeout_s)
        if failures:
            # The cause may quote the text: only its type is told.
            raise RedactionFailed(f"a recognizer failed with {type(failures[0]).__name__}") from None
        if not outcome:
            raise RedactionFailed(f"recognizers took longer than {self._timeout_s} s")
        return outcome[0]

    def _find(self, text: str, known_names: Collection[str], deadline: float) -> list[Span]:
        folded = fold(text)
        spans: list[Span] = []
        for recognizer in self._recognizers:
            if time.monotonic() > deadline:  # Nobody waits any more.
                raise TimeoutError
            spans.extend(self._run(recognizer, folded.text))
        names = [
            *(fold(name).text for name in known_names),
            *(folded.text[s.start : s.end] for s in spans if s.type == "PERSON"),
        ]
        spans.extend(self._mentioned_again(folded.text, names))
        kept = [span for span in _settle(spans) if not self._is_allowed(span, folded.text)]
        # One character may fold to several ("ﷺ"), of which two spans hold a part each: then they are one.
        return _settle([Span(s.type, *folded.original(s.start, s.end), s.score) for s in kept])

    def _run(self, recognizer: EntityRecognizer, text: str) -> list[Span]:
        spans = []
        for result in recognizer.analyze(text, recognizer.supported_entities, NO_ARTIFACTS):
            inside = 0 <= result.start < result.end <= len(text)
            if result.entity_type not in TYPES or not inside or not 0 < result.score <= 1:
                raise ValueError("a recognizer gave a result that is no span of the text")
            spans.append(_trimmed(Span(result.entity_type, result.start, result.end, result.score), text))
        return spans

    def _mentioned_again(self, text: str, names: Collection[str]) -> list[Span]:
        """Other mentions of named people: any case, but a name that is a word too only as it was written."""
        loose: set[str] = set()
        exact: set[str] = set()
        for name in names:
            for match in _NAME_WORDS.finditer(name):
                word = match.group().removesuffix("'s")
                lower = word.lower()
                if len(lower) < 3 or lower in self._lexicon.ordinary:
                    continue
                plain = lower in self._lexicon.ambiguous_given or lower in self._lexicon.ambiguous_surnames
                (exact if plain or lower in self._lexicon.eponyms else loose).add(word if plain else lower)
        if not loose and not exact:
            return []
        spans = []
        for match in _NAME_WORDS.finditer(text, timeout=self._timeout_s):
            word = match.group()
            stem = word.removesuffix("'s").removesuffix("'S")
            if stem.lower() in loose or stem in exact:
                spans.append(Span("PERSON", match.start(), match.start() + len(stem), 0.65))
        return _joined(spans, text)

    def _is_allowed(self, span: Span, text: str) -> bool:
        value = text[span.start : span.end]
        if span.type in ("PHONE", "ACCOUNT"):
            return _phone_key(value) in self._allowed_numbers
        if span.type == "PERSON":  # a patient may be called Willow although there is a Willow House
            return _plain(value) in self._allowed_values
        return span.type in _PLACES and f" {_plain(value)} " in self._allowed_text and len(value) > 3


def _bounded(work: Callable[[], None], timeout_s: float) -> None:
    """Run in a thread of its own and stop waiting after the limit: a recognizer that hangs blocks nobody else."""
    thread = threading.Thread(target=work, name=_THREAD, daemon=True)
    thread.start()
    thread.join(timeout_s)


@atexit.register
def _let_late_ones_end() -> None:
    """Wait for what is late, not for ever: an interpreter that ends while a thread is in the encoder's C++ aborts."""
    until = time.monotonic() + _LAST_S
    for thread in threading.enumerate():
        if thread.name == _THREAD:
            thread.join(max(0.0, until - time.monotonic()))


def _settle(spans: Sequence[Span]) -> list[Span]:
    """No overlaps: overlapping spans become one that covers them all, of the type of the surest (then longest)."""
    settled: list[Span] = []
    best: list[Span] = []
    for span in sorted(spans, key=lambda s: (s.start, -s.end)):
        if settled and span.start < settled[-1].end:
            last, leader = settled[-1], best[-1]
            if (span.score, span.end - span.start) > (leader.score, leader.end - leader.start):
                best[-1] = leader = span
            settled[-1] = Span(leader.type, last.start, max(last.end, span.end), leader.score)
        else:
            settled.append(span)
            best.append(span)
    return settled


def _joined(spans: Sequence[Span], text: str) -> list[Span]:
    """Neighbouring words of a name become one span."""
    joined: list[Span] = []
    for span in spans:
        if joined and text[joined[-1].end : span.start] == " ":
            joined[-1] = Span(span.type, joined[-1].start, span.end, span.score)
        else:
            joined.append(span)
    return joined


def _trimmed(span: Span, text: str) -> Span:
    start, end = span.start, span.end
    while start < end - 1 and text[start].isspace():
        start += 1
    while end > start + 1 and (text[end - 1].isspace() or text[end - 1] in ",;"):
        end -= 1
    return Span(span.type, start, end, span.score)


def _phone_key(value: str) -> str:
    """The digits of a number without country code 1; '' if they are too few to be one."""
    digits = "".join(c for c in value if c.isdigit())
    digits = digits[1:] if len(digits) == 11 and digits.startswith("1") else digits
    return digits if len(digits) >= 7 else ""


def _plain(value: str) -> str:
    return " ".join(match.group() for match in _WORDS.finditer(value.lower()))
