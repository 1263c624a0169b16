"""Stage 3 as well: marks of an attack on the assistant's instructions.

It is assumed to fail: nothing behind it relies on it (no tools, no secrets, output checks). It spares honest patients
a confused answer and tells the operator.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import re
from dataclasses import dataclass

from app.guardrails.policy import InjectionRule, PolicyBundle
from app.guardrails.reading import Reader, Reading

_ENCODED = re.compile(r"[A-Za-z0-9+/]{24,}={0,2}")


@dataclass(frozen=True, slots=True)
class InjectionVerdict:
    """``score`` in [0, 1]; ``blocked`` when it reaches the bundle's threshold."""

    score: float
    rules: tuple[str, ...]
    blocked: bool = False


class Injection:
    """Scores one message. Pure and thread-safe."""

    def __init__(self, bundle: PolicyBundle) -> None:
        self.threshold = bundle.header.injection_threshold
        self._rules = bundle.injection
        self._regex = {rule.id: [re.compile(r, re.IGNORECASE) for r in rule.regex] for rule in bundle.injection}
        self._reader = Reader(bundle, [t for rule in bundle.injection for t in rule.triggers])

    def assess(self, text: str) -> InjectionVerdict:
        """Score the message and what is hidden in it by base64, hexadecimal or reversal."""
        whole = "\n".join([text, *_decoded(text)])
        reading = self._reader.read([whole])
        hits = [rule for rule in self._rules if self._matches(rule, reading, whole)]
        doubt = 1.0
        for rule in hits:
            doubt *= 1 - rule.weight
        score = round(1 - doubt, 4)
        return InjectionVerdict(score, tuple(rule.id for rule in hits), score >= self.threshold)

    def _matches(self, rule: InjectionRule, reading: Reading, text: str) -> bool:
        if any(pattern.search(text) for pattern in self._regex[rule.id]):
            return True
        return any(reading.holds(self._reader.trigger(source)) for source in rule.triggers)


def _decoded(text: str) -> list[str]:
    """Readable text found in base64 or hexadecimal runs."""
    found = []
    for run in _ENCODED.findall(text)[:8]:
        candidates = []
        if re.fullmatch(r"(?:[0-9a-fA-F]{2}){12,}", run):
            candidates.append(bytes.fromhex(run))
        with contextlib.suppress(binascii.Error, ValueError):
            candidates.append(base64.b64decode(run + "=" * (-len(run) % 4), validate=True))
        for data in candidates:
            try:
                plain = data.decode("ascii")
            except UnicodeDecodeError:
                continue
            if sum(c.isalpha() or c == " " for c in plain) > 0.8 * len(plain):
                found.append(plain)
    return found
