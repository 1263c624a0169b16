"""Messages for the learned raise: rule examples, development sets, written messages and everyday questions.

A message is a patient's turns (the last one is judged) and its class: a category of the policy bundle, or ``none``.
Nothing of a blind or held-out set is ever read here.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from app.contracts.replies import Tier
from app.errors import ConfigurationError
from app.guardrails.policy import PolicyBundle
from app.guardrails.triage import Triage
from training.demo_model.exercises import load_facts, load_pages
from training.demo_model.slots import fill, slot_values
from training.wording import as_patient

NONE = "none"
TURN = " // "
WRITTEN = Path(__file__).with_name("messages")
DAILY = ("aftercare", "appointments", "campus", "money_and_medicines", "procedures", "symptoms")
"""Pages of the demo model whose questions stand for everyday ones; others ask too often about what is grave."""


@dataclass(frozen=True, slots=True)
class Message:
    """Turns of one patient, oldest first, the class of the last, and how often it counts in an epoch."""

    turns: tuple[str, ...]
    category: str
    weight: float = 1.0


def messages(bundle: PolicyBundle, development: Path | None, texts: Path | None, seed: int) -> list[Message]:
    """All training messages. ``development``: folder of the ``dev_*`` sets; ``texts``: folder of public texts.

    Raises ConfigurationError that names file and line of a broken entry.
    """
    found = [*_examples(bundle), *_written(WRITTEN, bundle)]
    if development is not None:
        found += _development(development, bundle)
    harmless = [*everyday(seed, Triage(bundle)), *(_public(texts) if texts is not None else ())]
    found += [Message((text,), NONE, 0.25) for text in harmless]
    unique = {message.turns: message for message in reversed(found)}
    return sorted(unique.values(), key=lambda message: message.turns)


def _examples(bundle: PolicyBundle) -> Iterator[Message]:
    """Examples of the rules, at half the weight: the rules know them. Those of urgent rules are in neither class; one
    rule's negative may be another's case.
    """
    triage = Triage(bundle)
    for rule in bundle.triage:
        if Tier.of(rule.tier) is Tier.EMERGENCY:
            for text in rule.positive:
                yield Message(tuple(text.split(TURN)), rule.category, 0.5)
        for text in rule.negative:
            turns = tuple(text.split(TURN))
            if triage.assess(turns).tier < Tier.SAME_DAY:
                yield Message(turns, NONE, 0.5)


def _written(folder: Path, bundle: PolicyBundle) -> Iterator[Message]:
    for path in sorted(folder.glob("*.txt")):
        yield from _file(path, bundle)


def _development(folder: Path, bundle: PolicyBundle) -> Iterator[Message]:
    paths = sorted([*folder.glob("dev_*.txt"), folder / "emergencies_dev.txt", folder / "negatives_dev.txt"])
    for path in paths:
        yield from _file(path, bundle, default=NONE if "negatives" in path.name else None)


def _file(path: Path, bundle: PolicyBundle, default: str | None = None) -> Iterator[Message]:
    known = {*bundle.header.category_order, NONE}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        category, bar, text = line.partition(" | ")
        if not bar and default is not None:
            category, text = default, line
        category = category.split("/")[0].strip()
        if category not in known or not text.strip():
            raise ConfigurationError(
                f"{path.name}, line {number}: must read `category | message` with a known category"
            )
        yield Message(tuple(part.strip() for part in text.split(TURN)), category)


def everyday(seed: int, rules: Triage) -> Iterator[str]:
    """Patients' questions to the :data:`DAILY` pages of the demo model's invented hospitals. Those that the rules find
    pressing are left out: some of them are emergencies.
    """
    rng = Random(seed)
    for item in [*load_pages(only=DAILY), *load_facts()]:
        asked = [
            as_patient(fill(question, slot_values(rng)), rng)
            for fact in item.get("facts", [item])
            for question in fact["q"]
        ]
        for question in [*asked, *item.get("none", [])]:
            if rules.assess((question,)).tier < Tier.SAME_DAY:
                yield question


def _public(folder: Path) -> Iterator[str]:
    """Questions on health in general and on a hospital's services, and everyday dialogue."""
    for name, field in (("medquad", "question"), ("va_faq", "question")):
        for number, row in enumerate(_rows(folder / f"{name}.jsonl.gz")):
            if name != "medquad" or number % 12 == 0:
                yield re.sub(r"\s+", " ", row[field].replace("(are) ", "")).strip()
    for number, row in enumerate(_rows(folder / "sgd.jsonl.gz")):
        if number % 6 == 0:
            yield str(row["turns"][0]["content"])


def _rows(path: Path) -> Iterable[dict[str, Any]]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)
    except (OSError, EOFError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from None
