"""The evaluation items: what patients ask, and what a right reply has to do. Read from YAML, checked, frozen by a hash.

    python -m training.evaluation.items FOLDER --articles demo/articles

prints every fault with its file, item, field and mend, or the counts by kind, topic and family.

A file is a list of items, or a mapping with ``items`` and the ``family``, ``author`` and ``topic`` that they share.
Times, numbers and routes stand in quotes: YAML reads a bare 8:30 as 510.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from app.contracts.site import Route
from app.errors import ConfigurationError
from app.knowledge.articles import read_folder
from app.knowledge.passages import split
from training.evaluation.phrases import holds, words
from training.sentences import split_sentences

ItemKind = Literal["answer", "no_answer", "emergency", "refuse", "person", "privacy"]
"""``answer``: an approved article answers it; ``no_answer``: harmless, no article does; ``emergency``: a red flag that
must get the emergency reply; ``refuse``: it asks for what the chat must not do (diagnosis, change of a dose, harm,
other people's data); ``person``: the patient wants a human; ``privacy``: it plants or probes identifiers."""

INTENTS = (
    "before_visit", "procedure_prep", "after_procedure", "medicine", "symptom", "test_results", "appointments",
    "billing", "insurance", "records", "portal", "visiting", "directions", "pregnancy", "child_health",
    "mental_health", "chronic_condition", "prevention", "complaint", "other",
)  # fmt: skip

ATTRIBUTE = r"^[a-z][a-z_]{1,30}$"
"""What subgroups and counterfactual pairs are told apart by: name, pronoun, age, dialect, insurance and the like."""

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
_SHARED = ("family", "author", "topic")


class Statement(BaseModel):
    """One thing that an answer says: any of these phrases, matched on normalised words (:mod:`.phrases`).

    ``harm``: what comes of getting it wrong: 1 a nuisance, 2 wrong care, 3 danger.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    any_of: list[Text] = Field(min_length=1)
    harm: int = Field(default=1, ge=1, le=3)


class Item(BaseModel):
    """One evaluation item. ``turns`` are the patient's messages: the last is scored, the others are played before it.

    ``conversation`` joins items of one conversation and near-copies to one cluster. ``articles`` (ids) are those of
    which any one answers it, ``reference`` the sentences of one of them that do, word for word, ``numbers`` those that
    a right answer must hold as they are written there; all three only for the kind ``answer``. ``route`` is where the
    reply must send the patient, where one is called for. Items with one ``pair`` ask the same and differ in
    ``attributes`` (name, pronoun, age, dialect, insurance and the like).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{2,80}$")
    family: Text
    author: Text
    topic: Text
    kind: ItemKind
    language: Literal["en", "es"] = "en"
    turns: list[Text] = Field(min_length=1)
    conversation: str = ""
    articles: list[Text] = []
    must_state: list[Statement] = []
    must_not_state: list[Statement] = []
    numbers: list[Text] = []
    route: str = ""
    intent: str
    reference: str = ""
    pair: str = ""
    attributes: dict[str, str] = {}

    @property
    def cluster(self) -> str:
        """The conversation that the item belongs to, else the item alone."""
        return self.conversation or self.id


@dataclass(frozen=True, slots=True)
class ItemSet:
    """The items in the order of their files, and a SHA-256 (hex) over their content that no order or layout changes."""

    items: tuple[Item, ...]
    sha256: str


def load_items(folder: Path, articles: Path | None = None) -> ItemSet:
    """Read and check every ``*.yaml`` of a folder; with a folder of articles, references too.

    Raises ConfigurationError with all faults, one a line.
    """
    items, faults = read_items(folder, articles)
    if faults:
        raise ConfigurationError("\n".join(faults))
    return ItemSet(tuple(items), content_hash(items))


def read_items(folder: Path, articles: Path | None = None) -> tuple[list[Item], list[str]]:
    """The items that can be read, and every fault of the folder. Raises ConfigurationError if a folder is missing."""
    paths = sorted(folder.glob("*.yaml"))
    if not paths:
        raise ConfigurationError(f"{folder} holds no .yaml file; name the folder with the evaluation items")
    known = None if articles is None else _article_texts(articles)
    placed: list[tuple[str, Item]] = []
    faults: list[str] = []
    for path in paths:
        read, wrong = _read_file(path)
        placed += [(path.name, item) for item in read]
        faults += wrong
    for name, item in placed:
        faults += [f"{name}: {item.id}: {fault}" for fault in _faults(item, known)]
    faults += _repeated(placed)
    faults += _unpaired(placed)
    return [item for _, item in placed], faults


def content_hash(items: Iterable[Item]) -> str:
    """SHA-256 over the items sorted by id, fields that stand at their default left out."""
    content = [item.model_dump(exclude_defaults=True) for item in sorted(items, key=lambda item: item.id)]
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _read_file(path: Path) -> tuple[list[Item], list[str]]:
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        return [], [f"{path.name}: cannot be read as UTF-8 YAML: {' '.join(str(error).split())}"]
    shared: dict[str, Any] = {}
    if isinstance(content, dict):
        shared = {key: value for key, value in content.items() if key != "items"}
        content = content.get("items")
        if unknown := sorted(set(map(str, shared)) - set(_SHARED)):
            return [], [f"{path.name}: {', '.join(unknown)}: only {', '.join(_SHARED)} may stand above items"]
    if not isinstance(content, list) or not content:
        return [], [f"{path.name}: must be a list of items, or hold one under `items:`"]
    items, faults = [], []
    for number, fields in enumerate(content, start=1):
        if not isinstance(fields, dict):
            faults.append(f"{path.name}: item {number}: must hold `field: value` lines")
            continue
        try:
            items.append(Item.model_validate({**shared, **fields}))
        except ValidationError as error:
            name = f"{path.name}: {fields.get('id') or f'item {number}'}"
            faults += [f"{name}: {'.'.join(map(str, fault['loc']))}: {_mend(fault)}" for fault in error.errors()]
    return items, faults


def _mend(fault: Mapping[str, Any]) -> str:
    if fault["type"] == "string_type":
        return f"must be text, not {fault['input']!r}: put it in quotes"
    if fault["type"] == "extra_forbidden":
        return f"unknown field; the fields are {', '.join(Item.model_fields)}"
    if fault["type"] == "missing":
        return "is missing"
    return str(fault["msg"])


def _faults(item: Item, known: Mapping[str, str] | None) -> list[str]:
    """What is wrong with one item by itself."""
    faults = []
    if item.route and item.route not in get_args(Route):
        faults.append(f"route: {item.route!r} is none of {', '.join(get_args(Route))}")
    if item.intent not in INTENTS:
        faults.append(f"intent: {item.intent!r} is none of {', '.join(INTENTS)}")
    if odd := [key for key in item.attributes if not re.match(ATTRIBUTE, key)]:
        faults.append(f"attributes: {', '.join(odd)}: an attribute is a word in lower case, such as pronoun")
    for field in ("must_state", "must_not_state"):
        for number, statement in enumerate(getattr(item, field)):
            faults += [
                f"{field}.{number}: {phrase!r} has no word" for phrase in statement.any_of if not words(phrase).words
            ]
    if item.kind != "answer":
        filled = [field for field in ("articles", "reference", "numbers") if getattr(item, field)]
        return faults + [f"{field}: must be empty unless kind is answer" for field in filled]
    for field, mend in (
        ("articles", "name the articles of which any one answers it"),
        ("reference", "quote the sentences of the article that answer it"),
        ("must_state", "say what a right answer states"),
    ):
        if not getattr(item, field):
            faults.append(f"{field}: is empty; {mend}")
    return faults + _rubric_faults(item) + ([] if known is None else _article_faults(item, known))


def _rubric_faults(item: Item) -> list[str]:
    """A right answer by the rubric must be one that the article gives: the reference is held against it."""
    if not item.reference:
        return []
    said = words(item.reference)
    faults = [
        f"must_state.{number}: the reference says none of {statement.any_of}; mend them or quote that sentence too"
        for number, statement in enumerate(item.must_state)
        if not any(map(said.says, statement.any_of))
    ]
    for number, statement in enumerate(item.must_not_state):
        if wrong := [phrase for phrase in statement.any_of if said.says(phrase)]:
            faults.append(f"must_not_state.{number}: the reference itself says {wrong}; mend the phrases")
    return faults + [
        f"numbers: {number!r} is not in the reference; quote the sentence that holds it"
        for number in item.numbers
        if not holds(item.reference, number)
    ]


def _article_faults(item: Item, known: Mapping[str, str]) -> list[str]:
    faults = [f"articles: there is no article {name!r}" for name in item.articles if name not in known]
    texts = [known[name] for name in item.articles if name in known]
    if not texts or not item.reference:
        return faults
    sentences = split_sentences(_squeezed(item.reference))
    missing = [[sentence for sentence in sentences if sentence not in text] for text in texts]
    if all(missing):
        fewest = min(missing, key=len)
        faults.append(f"reference: stands word for word in none of the articles: {fewest[0]!r}")
    return faults


def _article_texts(folder: Path) -> dict[str, str]:
    articles, faults = read_folder(folder)
    if faults:
        raise ConfigurationError("; ".join(faults))
    return {
        article.head.id: " ".join(_squeezed(piece.text) for piece in split(article.markdown)) for article in articles
    }


def _squeezed(text: str) -> str:
    """One line, list marks off: as sentences are compared."""
    lines = (line.strip().removeprefix("- ") for line in text.splitlines())
    return " ".join(" ".join(lines).split())


def _repeated(placed: Sequence[tuple[str, Item]]) -> list[str]:
    files: dict[str, list[str]] = defaultdict(list)
    for name, item in placed:
        files[item.id].append(name)
    return [
        f"{names[-1]}: {item}: id: used {len(names)} times ({', '.join(names)}); every item needs its own"
        for item, names in files.items()
        if len(names) > 1
    ]


def _unpaired(placed: Sequence[tuple[str, Item]]) -> list[str]:
    groups: dict[str, list[tuple[str, Item]]] = defaultdict(list)
    for name, item in placed:
        if item.pair:
            groups[item.pair].append((name, item))
    faults = []
    for pair, members in groups.items():
        name, first = members[0]
        items = [item for _, item in members]
        start = f"{name}: {first.id}: pair: {pair!r}"
        if len(items) < 2:
            faults.append(f"{start} has one member; a pair needs two or more")
            continue
        if any(item.kind != first.kind or set(item.articles) != set(first.articles) for item in items):
            faults.append(f"{start}: its members must have the same kind and articles: they ask the same")
        told = [json.dumps(item.attributes, sort_keys=True) for item in items]
        if "{}" in told or len(set(told)) < len(told):
            faults.append(f"{start}: its members must differ in attributes, and each have some")
    return faults


def main(arguments: Sequence[str] | None = None) -> int:
    """Check a folder for its authors: faults and exit status 1, or counts."""
    parser = argparse.ArgumentParser(prog="training.evaluation.items", description="Check a folder of items.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--articles", type=Path, help="folder of articles; references are held against it")
    chosen = parser.parse_args(arguments)
    try:
        items, faults = read_items(chosen.folder, chosen.articles)
    except ConfigurationError as error:
        items, faults = [], [str(error)]
    if faults:
        print("\n".join(faults), file=sys.stderr)
        print(f"{len(faults)} faults", file=sys.stderr)
        return 1
    print(f"{len(items)} items, sha256 {content_hash(items)}")
    for field in ("kind", "topic", "family", "author", "language", "intent"):
        counts = Counter(str(getattr(item, field)) for item in items)
        print(f"{field}: " + ", ".join(f"{value} {count}" for value, count in sorted(counts.items())))
    print(f"pairs: {len({item.pair for item in items if item.pair})}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
