"""AdapterManifest and GateReport: the two files by which training hands an adapter to the service."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from app.errors import AdapterInvalid

WEIGHT_FILES = ("adapter_config.json", "adapter_model.safetensors")
"""The files whose bytes are the adapter's identity."""
MANIFEST = "manifest.json"
"""Name of the manifest beside the weights."""
GATE_REPORT = "gate_report.json"
"""Name of the gate's report beside the weights."""
SHIPPED_THRESHOLDS = "892bdcf8be65dab01046bc807e10562fd8b457c549d117bc392dbc754612d88d"
"""SHA-256 of ``training/evaluation/thresholds.yaml``, by which the service knows a verdict of the shipped rules."""
SHIPPED_EVALUATION = "8018d203b793173ffb2ed20300f9623ee6389f7388b697603d73aac70dabd296"
"""Hash of the evaluation set in ``training/evaluation/items``, by which the service knows a verdict on all of it."""


class Ancestor(BaseModel):
    """An adapter that another one's training began with, as its own manifest told it; hashes are SHA-256 (hex).

    ``trained_on`` are those of the files that it learnt from; empty where nobody wrote them down.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str
    content_sha256: str
    dataset_sha256: str
    trained_on: list[str] = Field(default_factory=list)


class AdapterManifest(BaseModel):
    """``manifest.json`` beside an adapter's weights.

    ``content_sha256`` is :func:`content_hash` of the folder; the served name is ``<name>@<first 12 hex digits>``.
    ``base_sha256`` is the SHA-256 of the base model's ``model.safetensors`` (or of the hub revision string).
    ``dataset_versions`` are the curated dataset versions that went into the weights, by way of earlier adapters too:
    when a patient is forgotten they tell which adapters have learnt from her. ``dataset_sha256`` is over all files of
    the run, those that were held out too; ``trained_on`` has the SHA-256 of each that it learnt from, and ``ancestors``
    those of the adapters that training began with, the first one first. Manifests of earlier versions have neither.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,40}$")
    content_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    base_id: str
    base_sha256: str
    rank: int = Field(ge=1, le=512)
    alpha: float
    target_modules: list[str]
    prompt_version: str
    template_sha256: str
    dataset_sha256: str
    dataset_versions: list[str] = Field(default_factory=list)
    trained_on: list[str] = Field(default_factory=list)
    ancestors: list[Ancestor] = Field(default_factory=list)
    created_at: datetime
    libraries: dict[str, str] = Field(default_factory=dict)
    metrics: dict[str, float] = Field(default_factory=dict)

    @property
    def version(self) -> str:
        """The immutable served name, ``support@0123456789ab``."""
        return f"{self.name}@{self.content_sha256[:12]}"

    @property
    def line(self) -> list[Ancestor]:
        """Its ancestors and itself: those of an adapter whose training begins with this one."""
        itself = Ancestor(
            version=self.version,
            content_sha256=self.content_sha256,
            dataset_sha256=self.dataset_sha256,
            trained_on=self.trained_on,
        )
        return [*self.ancestors, itself]


class GateRule(BaseModel):
    """One rule of the gate and how the adapter did: ``value`` against ``bound``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    value: float
    bound: str
    passed: bool
    detail: str = ""


class GateConditions(BaseModel):
    """What a verdict is about and what it was found under; hashes are SHA-256 (hex).

    ``champion_sha256`` is the base model's where it is the champion, ``articles_sha256`` over the site's file and
    articles, ``parts_sha256`` over what the service learnt (search, reranker, redaction), ``bounds`` over the limits
    of the pipeline, ``report_sha256`` that of the content of ``report.json``, which clinicians sign. Those that may be
    None are missing in reports of earlier versions.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    adapter_sha256: str
    evaluation_sha256: str
    policy_hash: str
    prompt_version: str
    thresholds_sha256: str | None = None
    base_sha256: str | None = None
    champion_sha256: str | None = None
    articles_sha256: str | None = None
    parts_sha256: str | None = None
    bounds: str | None = None
    report_sha256: str | None = None

    @property
    def missing(self) -> list[str]:
        """Names of the conditions that nobody wrote down."""
        return [name for name in GateConditions.model_fields if not getattr(self, name)]


class GateReport(GateConditions):
    """``gate_report.json``: whether an adapter may reach patients, bound by hash to what was measured."""

    verdict: Literal["pass", "fail", "inconclusive"]
    created_at: datetime
    rules: list[GateRule]


def content_hash(folder: Path) -> str:
    """SHA-256 (hex) over names and bytes of :data:`WEIGHT_FILES`: equal content gives an equal version everywhere."""
    digest = hashlib.sha256()
    for name in WEIGHT_FILES:
        data = (folder / name).read_bytes()
        digest.update(f"{name}:{len(data)}\n".encode())
        digest.update(data)
    return digest.hexdigest()


def read_manifest(folder: Path, *, verify: bool = True) -> AdapterManifest:
    """The manifest of an adapter's folder; with ``verify`` the weights must be there, and those that it names.

    Raises AdapterInvalid that names the folder and the mend.
    """
    try:
        manifest = AdapterManifest.model_validate_json((folder / MANIFEST).read_bytes())
        found = content_hash(folder) if verify else manifest.content_sha256
    except FileNotFoundError as error:
        raise AdapterInvalid(
            f"{folder} holds no {Path(error.filename).name}: name an adapter's folder, as `bedside-train finetune` "
            "writes it"
        ) from None
    except OSError as error:
        raise AdapterInvalid(f"{error.filename} cannot be read ({error.strerror}): make it readable") from None
    except ValueError as error:
        raise AdapterInvalid(f"{folder / MANIFEST} is no manifest of an adapter: {error}") from None
    if found != manifest.content_sha256:
        raise AdapterInvalid(
            f"{folder}: the weights are not those that the manifest names (their hash differs); train or copy it again"
        )
    return manifest


def as_json(model: BaseModel) -> str:
    """A contract as stable, readable JSON (sorted keys, two spaces, trailing newline)."""
    return json.dumps(model.model_dump(mode="json"), indent=2, sort_keys=True) + "\n"


def write_json(model: BaseModel, path: Path) -> None:
    """Write a contract as JSON. Raises OSError."""
    path.write_text(as_json(model), encoding="utf-8")
