"""Read the text that the demo base model learns from: a folder of gzipped JSONL files that the user supplies.

Nothing of it is kept in the repository. Each file has one JSON object a line with ``source`` and ``id``; which
further fields are read is listed in :data:`FILES`. A missing or broken file stops the build with its name.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from app.errors import ConfigurationError

Kind = Literal["answers", "pages", "extracts", "dialogues"]

FILES: dict[str, tuple[Kind, str]] = {
    "medquad": ("answers", "MedQuAD (abachaa/MedQuAD), CC BY 4.0"),
    "va_faq": ("answers", "VA.gov content (department-of-veterans-affairs/vagov-content), CC0 1.0"),
    "counselchat": ("answers", "CounselChat (nbertagnolli/counsel-chat), MIT"),
    "pubmedqa_l": ("answers", "PubMedQA labelled part (pubmedqa/pubmedqa), MIT"),
    "va_pages": ("pages", "VA.gov content (department-of-veterans-affairs/vagov-content), CC0 1.0"),
    "xquad_en": ("extracts", "XQuAD English (google-deepmind/xquad), CC BY-SA 4.0"),
    "covidqa": ("extracts", "COVID-QA (deepset-ai/COVID-QA), Apache-2.0"),
    "mts_dialog": ("dialogues", "MTS-Dialog (abachaa/MTS-Dialog), CC BY 4.0"),
    "sgd": ("dialogues", "Schema-Guided Dialogue (google-research-datasets), CC BY-SA 4.0"),
}
"""Stem of ``<stem>.jsonl.gz`` -> what it holds, and the credit for the model card."""

_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z(\"'])")
_MARKUP = re.compile(r"<[^>]{0,200}>|\]\([^)]*\)|[#*_`\[\]|{}]")
SENTENCE_CHARACTERS = (15, 260)


@dataclass(frozen=True, slots=True)
class Answered:
    """A question with the sentences that answer it, the first of them the most direct."""

    question: str
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Extract:
    """A question, the sentences of its context, which of them (index) holds the answer, and the answer itself."""

    question: str
    sentences: tuple[str, ...]
    target: int
    answer: str


@dataclass(slots=True)
class Texts:
    """Everything that was read: sentences by document, answered questions, extracts, and plain running text."""

    documents: list[tuple[str, ...]] = field(default_factory=list)
    answered: list[Answered] = field(default_factory=list)
    extracts: list[Extract] = field(default_factory=list)
    plain: list[str] = field(default_factory=list)
    credits: list[str] = field(default_factory=list)


def sentences(text: str) -> tuple[str, ...]:
    """Split running text into sentences of 15 to 260 characters; markup is dropped, other lengths are left out."""
    flat = re.sub(r"\s+", " ", _MARKUP.sub(" ", text))
    low, high = SENTENCE_CHARACTERS
    return tuple(part.strip() for part in _END.split(flat) if low < len(part.strip()) < high)


def held_out(text: str) -> bool:
    """Whether a context is kept from training and used to measure: one in ten, by its hash."""
    return hashlib.sha256(text.encode()).digest()[0] % 10 == 0


def read(folder: Path, names: tuple[str, ...] = tuple(FILES), *, measuring: bool = False) -> Texts:
    """Read the named files of ``folder``: all but the held-out contexts, or, when ``measuring``, only those.

    Raises ConfigurationError that names what is missing or broken.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"The data folder {folder} does not exist. Pass the folder with the .jsonl.gz files.")
    if measuring:
        names = tuple(name for name in names if FILES[name][0] == "extracts")
    missing = [name for name in names if not (folder / f"{name}.jsonl.gz").is_file()]
    if missing:
        listed = ", ".join(f"{name}.jsonl.gz" for name in missing)
        raise ConfigurationError(f"In {folder} these files are missing: {listed}.")
    texts = Texts()
    for name in names:
        kind, credit = FILES[name]
        path = folder / f"{name}.jsonl.gz"
        for number, row in enumerate(_rows(path), start=1):
            try:
                if kind != "extracts" or held_out(row["context"]) == measuring:
                    _add(texts, kind, row)
            except (KeyError, TypeError, AttributeError) as error:
                raise ConfigurationError(
                    f"{path}, line {number}: field missing or of the wrong kind: {error}"
                ) from None
        if credit not in texts.credits:
            texts.credits.append(credit)
    texts.documents = [document for document in texts.documents if len(document) >= 3]
    if not texts.documents and not measuring:
        raise ConfigurationError(f"{folder} holds no document of three sentences or more.")
    return texts


def _rows(path: Path) -> list[dict[str, Any]]:
    rows = []
    number = 0
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                number += 1
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise ValueError("not a JSON object")
                rows.append(row)
    except (OSError, EOFError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read after line {number}: {error}") from None
    if not rows:
        raise ConfigurationError(f"{path} is empty.")
    return rows


def _add(texts: Texts, kind: Kind, row: dict[str, Any]) -> None:
    if kind == "answers":
        found = sentences(row["answer"])
        texts.documents.append(found)
        question = re.sub(r"\s+", " ", row["question"].replace("(are) ", "")).strip()
        if found and len(question) < 300:
            texts.answered.append(Answered(question, found[:8]))
        texts.plain.append(f"{row['question']}\n{row['answer'][:2500]}")
    elif kind == "pages":
        texts.documents.append(sentences(row["text"]))
        texts.plain.append(row["text"][:4000])
    elif kind == "extracts":
        found = sentences(row["context"])
        answer = row["answer"].strip()
        at = next((index for index, sentence in enumerate(found) if answer in sentence), None)
        texts.documents.append(found[:40])
        if at is not None:
            texts.extracts.append(Extract(row["question"].strip(), found[max(0, at - 4) : at + 5], min(at, 4), answer))
    else:
        turns = [turn["content"] for turn in row["turns"]]
        texts.plain.append("\n".join(turns))
        if len(turns) >= 3:
            texts.documents.append(tuple(turn for turn in turns if 15 < len(turn) < 200))
