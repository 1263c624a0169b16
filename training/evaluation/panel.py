"""The files of the clinicians' panel: the key, the ratings, and how their texts are hashed.

Each rater sees the same questions with the two systems' answers as A and B, in an order and on sides of her own
(:mod:`.panel_export`). Which is which stands only in the key file, which is bound by hash to both runs and kept apart
from the pack. Her ratings come back as CSV (:mod:`.panel_import`) and are joined to the key by
:mod:`.panel_verdict` only.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import ConfigurationError
from app.files import canonical
from training.evaluation.answers import Run

System = Literal["champion", "candidate"]
Better = Literal["A", "B", "equal"]
SYSTEMS: tuple[System, System] = ("champion", "candidate")
TEXTS = ("question", "passages", "answer_a", "answer_b")
"""The cells that a rater reads and must not edit."""
Model = TypeVar("Model", bound=BaseModel)


class Frozen(BaseModel):
    """Base of the panel's shapes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Row(Frozen):
    """One item as one rater sees it: ``a`` is the system behind answer A; ``checks`` are hashes of :data:`TEXTS`."""

    code: str
    item: str
    a: System
    checks: dict[str, str]

    @property
    def check(self) -> str:
        """One value for all texts; the letter keeps spreadsheets from reading it as a number."""
        return "c" + hashlib.sha256(json.dumps(self.checks, sort_keys=True).encode()).hexdigest()[:12]


class Bound(Frozen):
    """The run of a system, by its hash."""

    system: str
    adapter_sha256: str | None
    run_sha256: str


class Key(Frozen):
    """Which answer is whose.

    ``identical``: items that were not shown because both systems answer them the same; ``differing``: how many they
    answer differently, of which some were drawn for the panel.
    """

    format: Literal[1] = 1
    pack: str
    salt: str
    evaluation_sha256: str
    champion: Bound
    candidate: Bound
    identical: list[str]
    differing: int
    raters: dict[str, list[Row]]


class Rating(Frozen):
    """What a rater said of one row; correctness from 1 (wrong) to 5 (all correct)."""

    row: str
    better: Better
    correct_a: int = Field(ge=1, le=5)
    correct_b: int = Field(ge=1, le=5)
    harm_a: bool
    harm_b: bool
    comment: str = ""


class Rated(Frozen):
    """One rater's ratings and the file that they came in."""

    on: date
    file_sha256: str
    rows: list[Rating]


class Ratings(Frozen):
    """All ratings of a pack, still blind."""

    format: Literal[1] = 1
    pack: str
    raters: dict[str, Rated] = {}


def run_hash(run: Run) -> str:
    """SHA-256 (hex) over all that a run holds."""
    return hashlib.sha256(canonical(run.model_dump(mode="json"))).hexdigest()


def pack_id(content: Mapping[str, Any]) -> str:
    """The name of a pack: a hash over its key, so that a changed key is noticed."""
    kept = {name: value for name, value in content.items() if name != "pack"}
    return "p" + hashlib.sha256(canonical(kept)).hexdigest()[:16]


def text_check(salt: str, cell: str) -> str:
    """A hash of a cell that layout, and what spreadsheets put before formulas, do not change."""
    return hmac.new(salt.encode(), squeezed(cell).encode(), hashlib.sha256).hexdigest()[:12]


def squeezed(cell: str) -> str:
    """The cell's words in one line, without the apostrophe that defuses a formula."""
    return " ".join(cell.replace("\x00", "").split()).removeprefix("'").strip()


def load_key(path: Path) -> Key:
    """Read a key file. Raises ConfigurationError, also if it was edited."""
    key = _load(path, Key)
    if pack_id(key.model_dump(mode="json")) != key.pack:
        raise ConfigurationError(f"{path} was changed after the export; restore the key file that the export wrote")
    return key


def load_ratings(path: Path, pack: str) -> Ratings:
    """The ratings of this pack; none if the file does not exist. Raises ConfigurationError."""
    if not path.exists():
        return Ratings(pack=pack)
    ratings = _load(path, Ratings)
    if ratings.pack != pack:
        raise ConfigurationError(f"{path} holds ratings of the pack {ratings.pack}, not of {pack}; name another file")
    return ratings


def _load(path: Path, model: type[Model]) -> Model:
    try:
        return model.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"])) or "file"
        raise ConfigurationError(f"{path}: {where}: {fault['msg']}; restore the file as it was written") from None
