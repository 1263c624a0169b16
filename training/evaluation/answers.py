"""What one system answered to every item of an evaluation, on disk as JSON."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from app.contracts.adapters import as_json
from app.errors import ConfigurationError
from training.files import write_text


class Answered(BaseModel):
    """The reply to the last message of an item, as a patient would have got it, and what the model said for it.

    ``kind`` is a ReplyKind. ``own_words``: the model's own words reached the patient; ``said`` are these words, vetted
    and without the safety net that may stand under them. ``raw`` is all that the model said to this message, unchecked
    and with pseudonyms; empty where it was not asked. ``withheld``: of the sentences in ``raw``, those that did not
    reach the patient; the fixed sentence for "not in the articles" is none. ``rules`` are the guardrails that had
    something to say, ``stage:rule``. ``cited`` are article ids and ``cited_ids`` passage ids, in the same order;
    ``passages`` and ``passage_ids`` are what the search found. ``seconds``: from the message to the reply, without the
    time for the rest of ``raw`` after a withheld sentence; other items are answered at the same time.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    item: str
    text: str
    kind: str
    own_words: bool
    said: str = ""
    raw: str = ""
    routes: list[str] = []
    tier: str = ""
    rules: list[str] = []
    cited: list[str] = []
    cited_ids: list[str] = []
    passages: list[str] = []
    passage_ids: list[str] = []
    withheld: int = 0
    seconds: float = 0.0


class Identity(BaseModel):
    """What answers depend on: other values make another run. Hashes are SHA-256 (hex).

    ``adapter_sha256`` is None for the base model alone. ``articles_sha256`` is over the site's file and articles,
    ``parts_sha256`` over what the pipeline has learnt (search, reranker, reading of turns, redaction), ``bounds`` over
    its limits. Its code is not among them: after an update of the service answer into another folder.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    system: str
    adapter_sha256: str | None
    base_sha256: str
    evaluation_sha256: str
    policy_hash: str
    prompt_version: str
    articles_sha256: str = ""
    parts_sha256: str = ""
    bounds: str = ""

    @property
    def key(self) -> str:
        """A short name for files."""
        content = json.dumps(self.model_dump(), sort_keys=True).encode()
        return hashlib.sha256(content).hexdigest()[:12]


class Run(Identity):
    """All answers of one system, in the order of the items."""

    answers: tuple[Answered, ...]


def write_run(run: Run, path: Path) -> None:
    """Write a run as readable JSON; a stop in the middle leaves no half file. Raises ConfigurationError."""
    write_text(path, as_json(run))


def read_run(path: Path) -> Run:
    """Read a run. Raises ConfigurationError."""
    try:
        return Run.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ConfigurationError(f"{path} is no run of an evaluation: {str(error).splitlines()[0]}") from None


class Kept:
    """Answers of a run that is going on: one JSON line each, as soon as it is there, so that a stop loses none.

    The file is named after the system and what its answers depend on; answers of anything else are not seen. All
    methods raise ConfigurationError where the file cannot be read or written.
    """

    def __init__(self, folder: Path, identity: Identity) -> None:
        self._path = folder / f"{identity.system}-{identity.key}.jsonl"
        with self._on_disk():
            folder.mkdir(parents=True, exist_ok=True)

    def read(self) -> dict[str, Answered]:
        """Answers by item. A last line that a stop cut off is dropped from the file."""
        found: dict[str, Answered] = {}
        if not self._path.exists():
            return found
        with self._on_disk():
            data = self._path.read_bytes()
            whole = data[: data.rfind(b"\n") + 1]
            if whole != data:
                self._path.write_bytes(whole)
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                answered = Answered.model_validate_json(line)
            except ValidationError:
                raise ConfigurationError(
                    f"{self._path}:{number}: not an answer of this version; remove the file to answer anew"
                ) from None
            found[answered.item] = answered
        return found

    def add(self, answered: Answered) -> None:
        """Keep one more."""
        with self._on_disk(), self._path.open("a", encoding="utf-8") as file:
            file.write(answered.model_dump_json() + "\n")
            file.flush()
            os.fsync(file.fileno())

    @contextmanager
    def _on_disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ConfigurationError(
                f"{self._path} cannot be kept ({error.strerror}): make its folder writable, or make room on the disk"
            ) from error


def complete(identity: Identity, order: list[str], answers: Mapping[str, Answered]) -> Run:
    """The run of these answers, in the order of the items."""
    return Run(**identity.model_dump(), answers=tuple(answers[item] for item in order))
