"""What an adapter has learnt from by way of the one that its training began with.

Weights keep what they have learnt, whatever config they are trained on with. So the manifest of an adapter names its
ancestors and the files that each of them learnt from, and a config names these files too: under ``train`` and
``also_train``, or else under ``learnt_before``. Nobody trains on or gates an adapter with an ancestor whose texts
nobody can look at.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from app.contracts.adapters import AdapterManifest, Ancestor, read_manifest
from app.errors import AdapterInvalid, ConfigurationError
from training.files import file_hash
from training.finetune.config import FinetuneConfig
from training.finetune.data import load_dialogues

_TEXTS = (".jsonl", ".jsonl.gz", ".txt", ".yaml")
"""Ends of the names of files that something is learnt from."""


def starting_manifest(config: FinetuneConfig) -> AdapterManifest | None:
    """That of the adapter in ``start_from``, if there is one. Raises ConfigurationError where it cannot be believed."""
    if config.start_from is None:
        return None
    try:
        return read_manifest(config.start_from)
    except AdapterInvalid as error:
        raise ConfigurationError(f"start_from: nobody can tell what it learnt from: {error}") from None


def learnt_files(config: FinetuneConfig) -> list[Path]:
    """All files that the weights have learnt from, by the config: in its run, and before (folders: their texts)."""
    before = [
        file
        for path in config.learnt_before
        for file in (sorted(path.rglob("*")) if path.is_dir() else [path])
        if file == path or (file.is_file() and file.name.endswith(_TEXTS))
    ]
    return [*config.training_files, *before]


def require_named(ancestors: Sequence[Ancestor], config: FinetuneConfig) -> None:
    """Raise ConfigurationError where an ancestor learnt from a file that the config does not name, or nobody knows."""
    if not ancestors:
        return
    named = {_hash(path) for path in learnt_files(config)}
    for ancestor in ancestors:
        if not ancestor.trained_on:
            raise ConfigurationError(
                f"start_from: {ancestor.version} does not tell what it learnt from (its manifest is of an earlier "
                "version): train it again, or remove start_from to begin at zero"
            )
        if missing := [sha256 for sha256 in ancestor.trained_on if sha256 not in named]:
            raise ConfigurationError(
                f"start_from: {ancestor.version} learnt from {len(missing)} of {len(ancestor.trained_on)} files that "
                f"the config does not name (SHA-256 {', '.join(one[:12] for one in missing[:5])}): add them, as they "
                "were, under learnt_before, so that the gate looks at them too"
            )


def require_held_out_unseen(config: FinetuneConfig) -> None:
    """Raise ConfigurationError where the weights have learnt from articles that are held out, now or before."""
    held_out = {dialogue.article_id for dialogue in load_dialogues(config.held_out)}
    learnt = {str(row.get("article_id")) for path in learnt_files(config) for row in _rows(path)}
    if shared := learnt & held_out:
        raise ConfigurationError(
            f"Articles on both sides of the split: {', '.join(sorted(shared)[:5])}; take them out of held_out, or out "
            "of train and also_train (what was learnt before stays learnt)"
        )


def learnt_texts(path: Path) -> Iterator[str]:
    """What a file teaches: the questions of dialogues (their answers are sentences of articles), other texts whole.

    Raises ConfigurationError.
    """
    if not _is_rows(path):
        yield from _lines(path)
    for row in _rows(path):
        yield from [str(row["question"])] if "question" in row else _strings(row)


def _is_rows(path: Path) -> bool:
    return path.name.endswith((".jsonl", ".jsonl.gz"))


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file of JSON lines; none of other files."""
    for number, line in enumerate(_lines(path) if _is_rows(path) else (), start=1):
        try:
            row = json.loads(line or "{}")
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise ConfigurationError(f"{path}:{number} is no JSON object: take the file from where it was made again")
        yield row


def _lines(path: Path) -> Iterator[str]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
            for line in lines:
                yield line.strip()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from None


def _strings(value: Any) -> Iterator[str]:
    """All texts in what a line of JSON holds."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)


def _hash(path: Path) -> str:
    try:
        return file_hash(path)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
