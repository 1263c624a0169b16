"""What the learned recognizer finds beside the rules, and what it takes by mistake, at several thresholds.

An identifier counts as found where all its letters and digits are inside found spans, of whatever class. A message
without identifiers counts as changed where anything is found in it. Only totals are printed: never a message.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.encoder.delta import WORDS_FILE, WordDelta
from app.encoder.encoder import Encoder
from app.errors import ConfigurationError
from app.redaction.detector import Detector, own_recognizers
from app.redaction.entities import Span
from app.redaction.lexicon import Lexicon
from app.redaction.recognizers.head import Array, Card, Head
from app.redaction.recognizers.learned import LearnedRecognizer
from training.encoder.names_data import Example

LEVELS = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95)
"""Thresholds of all classes that are tried beside those of the card."""
_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Counts:
    """``found`` and ``total`` identifiers by class; ``changed`` of ``calm`` messages, ``leaking`` of ``telling``."""

    total: Counter[str]
    found: Counter[str]
    calm: int
    changed: int
    telling: int
    leaking: int
    alarms: Counter[str]


class Remembering:
    """An encoder that reads each text once, for trials of several thresholds."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._known: dict[str, tuple[list[tuple[int, int]], Array]] = {}

    def hidden(self, text: str) -> tuple[list[tuple[int, int]], Array]:
        """See Encoder.hidden."""
        if text not in self._known:
            self._known[text] = self._encoder.hidden(text)
        return self._known[text]

    def knows(self, word: str) -> bool:
        """See Encoder.knows."""
        return self._encoder.knows(word)


def read_set(path: Path) -> list[Example]:
    """A set of JSON lines with ``text`` and ``spans`` (``start``, ``end``, ``type`` or ``label``), or plain calm lines.

    Raises ConfigurationError that names a broken line.
    """
    found = []
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                if not line.strip() or line.startswith("#"):
                    continue
                row: dict[str, Any] = json.loads(line) if line.startswith("{") else {"text": line.rstrip("\n")}
                spans = [(one.get("type") or one["label"], one["start"], one["end"]) for one in row.get("spans", [])]
                found.append(Example(row["text"], tuple(spans), path.stem))
            except (ValueError, KeyError, AttributeError) as error:
                raise ConfigurationError(f"{path.name}, line {number} is no message with spans: {error!r}") from None
    return found


def count(find: Callable[[str], Sequence[Span]], messages: Iterable[Example]) -> Counts:
    """Go through the messages once."""
    total: Counter[str] = Counter()
    found: Counter[str] = Counter()
    alarms: Counter[str] = Counter()
    calm = changed = telling = leaking = 0
    for one in messages:
        spans = find(one.text)
        inside = {at for span in spans for at in range(span.start, span.end)}
        if not one.spans:
            calm += 1
            changed += bool(spans)
            alarms.update({span.type for span in spans})
            continue
        missed = False
        for kind, start, end in one.spans:
            whole = all(at in inside for at in range(start, end) if one.text[at].isalnum())
            total[kind] += 1
            found[kind] += whole
            missed = missed or not whole
        telling += 1
        leaking += missed
    return Counts(total, found, calm, changed, telling, leaking, alarms)


def measure(folder: Path, sets: dict[str, list[Example]], cache: Path, levels: Sequence[float] = LEVELS) -> str:
    """A Markdown table for each set: by the rules alone, at the card's thresholds, at each level for all classes."""
    words = WordDelta.load(folder) if (folder / WORDS_FILE).exists() else None
    head, encoder, lexicon = Head.load(folder), Remembering(Encoder.load(cache, words)), Lexicon.load()
    content = (folder / "names.safetensors").read_bytes()
    rules = own_recognizers(lexicon, _TIMEOUT_S)
    detectors = {"rules": Detector(rules, lexicon, timeout_s=_TIMEOUT_S)}
    cards = {"card": head.card}
    cards |= {f"{level:g}": _at(head.card, level) for level in levels}
    for name, card in cards.items():
        learned = LearnedRecognizer(Head(content, card), encoder, lexicon)
        detectors[name] = Detector([*rules, learned], lexicon, timeout_s=_TIMEOUT_S)
    lines = []
    for name, messages in sets.items():
        counts = {kind: count(detector.find, messages) for kind, detector in detectors.items()}
        lines += [f"\n{name}", "| | items | " + " | ".join(detectors) + " |", "|---" * (2 + len(detectors)) + "|"]
        first = next(iter(counts.values()))
        for kind in sorted(first.total):
            row = " | ".join(f"{one.found[kind] / one.total[kind]:.3f}" for one in counts.values())
            lines.append(f"| {kind} | {first.total[kind]} | {row} |")
        if first.telling:
            row = " | ".join(f"{one.leaking / one.telling:.3f}" for one in counts.values())
            lines.append(f"| messages leaking anything | {first.telling} | {row} |")
        if first.calm:
            row = " | ".join(f"{one.changed / one.calm:.3f}" for one in counts.values())
            lines.append(f"| messages changed without cause | {first.calm} | {row} |")
            for kind in sorted({kind for one in counts.values() for kind in one.alarms}):
                lines.append(
                    f"| changed by {kind} | | " + " | ".join(str(one.alarms[kind]) for one in counts.values()) + " |"
                )
    return "\n".join(lines)


def _at(card: Card, level: float) -> Card:
    return card.model_copy(update={"thresholds": dict.fromkeys(card.thresholds, level)})
