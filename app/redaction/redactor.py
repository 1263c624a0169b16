"""Redact live text under one of three policies.

*prompt*: reversible pseudonyms (``<PERSON_1>``) from the conversation's vault. *log*: the type alone (``<PERSON>``),
nothing to restore. *training*: pseudonyms like *prompt*, so that a corpus looks like what the model meets in service,
but ages and ZIP codes become the general values of HIPAA Safe Harbor, 45 CFR 164.514(b)(2)(i)(B) and (C).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

import regex

from app.errors import BedsideError, RedactionFailed
from app.redaction.detector import Detector, own_recognizers
from app.redaction.entities import Entity, Redacted, Span
from app.redaction.folding import fold
from app.redaction.lexicon import Lexicon
from app.redaction.presidio import AnonymizerEngine, AnonymizerSpan, OperatorConfig
from app.redaction.recognizers.learned import States
from app.redaction.restore import TOKEN
from app.redaction.vault import Vault

Policy = Literal["prompt", "log", "training"]

SMALL_ZIP3 = frozenset("036 059 063 102 203 556 692 790 821 823 830 831 878 879 884 890 893".split())
"""Three-digit ZIP areas of 20,000 people or fewer in the 2000 census, as listed in the guidance of the U.S. Department
of Health and Human Services on de-identification: they become 000."""


class Redactor:
    """Safe under concurrent use; build it once."""

    def __init__(self, detector: Detector, policy: Policy) -> None:
        self._detector = detector
        self._policy = policy

    def redact(self, text: str, vault: Vault | None = None) -> Redacted:
        """The text without identifiers. Offsets of the entities are characters of ``text``.

        ``vault`` belongs to the conversation; only the policy *log* does without. Text that looks like a token is
        escaped (``<PERSON_1>`` becomes ``(PERSON_1)``) and is no entity. Raises RedactionFailed if anything at all
        goes wrong: the text must then go nowhere. ValueError if the vault is missing.
        """
        if vault is None and self._policy != "log":
            raise ValueError(f"the policy {self._policy} needs the conversation's vault")
        try:
            return self._redact(text, vault)
        except RedactionFailed:
            raise
        except BedsideError as error:
            raise RedactionFailed(f"the vault failed: {error}") from error
        except Exception as error:
            raise RedactionFailed(f"redaction failed with {type(error).__name__}") from None

    def _redact(self, text: str, vault: Vault | None) -> Redacted:
        tokens = _typed_tokens(text)
        known = [value for token, value in vault.tokens().items() if token.startswith("<PERSON")] if vault else []
        found = self._detector.find(text, known)
        spans = [span for span in found if not any(span.start < end and start < span.end for start, end in tokens)]
        entities = tuple(
            Entity(span.type, span.start, span.end, self._replacement(span, text[span.start : span.end], vault))
            for span in spans
        )
        escapes = [Entity("ESCAPED", start, end, _escape(text[start:end])) for start, end in tokens]
        return Redacted(_replaced(text, [*entities, *escapes]), entities)

    def _replacement(self, span: Span, value: str, vault: Vault | None) -> str:
        if vault is None or self._policy == "log":
            return f"<{span.type}>"
        if self._policy == "training" and span.type == "AGE":
            return "90+"
        if self._policy == "training" and span.type == "ZIP":
            return _general_zip(value)
        token = vault.token(span.type, value)
        if not TOKEN.fullmatch(token):
            raise RedactionFailed("the vault gave something that is no token")
        return token


def build_redactor(
    policy: Policy, allowed: Collection[str] = (), timeout_s: float = 2.0, encoder: States | None = None
) -> Redactor:
    """A redactor with all our recognizers; ``allowed`` are the hospital's own numbers, addresses and names."""
    return Redactor(build_detector(allowed, timeout_s, encoder), policy)


def build_detector(allowed: Collection[str] = (), timeout_s: float = 2.0, encoder: States | None = None) -> Detector:
    """The detector under every policy, and under the check of a model's own sentences.

    Without ``encoder`` it has the rules only, and misses most names that no cue announces.
    """
    lexicon = Lexicon.load()
    return Detector(own_recognizers(lexicon, timeout_s, encoder), lexicon, allowed=allowed, timeout_s=timeout_s)


def _replaced(text: str, entities: Sequence[Entity]) -> str:
    """Let Presidio's anonymizer put each replacement in; spans do not overlap."""
    if not entities:
        return text
    # The anonymizer asks an operator by entity type and value, so each replacement is a type of its own.
    operators = {e.replacement: OperatorConfig("replace", {"new_value": e.replacement}) for e in entities}
    spans = [AnonymizerSpan(e.replacement, e.start, e.end, 1.0) for e in entities]
    engine = AnonymizerEngine()  # type: ignore[no-untyped-call]
    result = engine.anonymize(text, spans, operators, merge_entities_with_spaces=False)
    if result.text is None:
        raise RedactionFailed("the anonymizer gave no text")
    return result.text


def _typed_tokens(text: str) -> list[tuple[int, int]]:
    """Where the patient typed something that restoring would take for a token."""
    if "<" not in text and text.isascii():
        return []
    folded = fold(text)
    return [folded.original(*match.span()) for match in TOKEN.finditer(folded.text)]


def _escape(token: str) -> str:
    inner = regex.sub(r"[^\p{L}\d_ ]", "", token).strip()
    return f"({inner})"


def _general_zip(value: str) -> str:
    digits = "".join(c for c in value if c.isdigit())
    area = digits[:3]
    return "000" if len(digits) < 5 or area in SMALL_ZIP3 else area
