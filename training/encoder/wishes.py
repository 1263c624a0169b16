"""Train the learned wish: layers over the turn encoder's vector that find wishes for a person.

    bedside-train encoder wishes --out DIR

Messages lie in ``wishes/*.txt``, each file by another author who saw no rule: ``+`` a wish, ``-`` a message that only
sounds like one. Everyday questions to invented hospitals are no wishes either. The encoder stays as it is: it was tuned
for triage.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

from app.encoder.encoder import TurnEncoder
from app.errors import ConfigurationError
from app.guardrails.learned import NONE
from app.guardrails.policy import default_bundle_folder, load_bundle
from app.guardrails.triage import Triage
from app.guardrails.wishes import CLASSES, HUMAN, WEIGHTS_FILE
from training.encoder.triage import Settings, fit, write
from training.encoder.triage_data import Message, everyday
from training.hospitals.articles import hospitals

FOLDER = Path(__file__).with_name("wishes")
EVERYDAY = 0.25
"""So often an everyday question counts."""
SETTINGS = Settings(head_epochs=60)


def read_wishes(path: Path) -> list[tuple[str, bool]]:
    """Messages of a file, each with whether a person is wished for. Raises ConfigurationError naming file and line."""
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        mark, _, text = line.partition(" ")
        if line.strip() and (mark not in ("+", "-") or not text.strip()):
            raise ConfigurationError(f"{path}, line {number}: must begin with `+ ` or `- `, then a message")
        if line.strip():
            found.append((text.strip(), mark == "+"))
    return found


def messages(seed: int) -> list[Message]:
    """All training messages, each once."""
    written = (one for path in sorted(FOLDER.glob("*.txt")) for one in read_wishes(path))
    found = [Message((text,), HUMAN if wished else NONE) for text, wished in written]
    found += [
        Message((text,), NONE, EVERYDAY)
        for text in (*everyday(seed, Triage(load_bundle(default_bundle_folder()))), *_asked())
    ]
    unique = {message.turns: message for message in reversed(found)}
    return sorted(unique.values(), key=lambda message: message.turns)


def _asked() -> Iterator[str]:
    for articles in hospitals().values():
        for article in articles:
            yield from article.unanswered
            for section in article.sections:
                yield from section.questions


def train(out: Path, cache: Path, seed: int) -> Path:
    """Train the layers over the shipped turn encoder and write them into ``out``; returns their path."""
    rng = Random(seed)
    found = messages(seed)
    seen = [one for one in found if rng.random() < one.weight]
    vectors = TurnEncoder.load(cache).embed([one.turns[0] for one in seen])
    out.mkdir(parents=True, exist_ok=True)
    return write(fit(vectors, seen, CLASSES, SETTINGS), CLASSES, out / WEIGHTS_FILE)
