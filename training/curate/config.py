"""The YAML file of ``bedside-train curate``."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.contracts.site import Site, load_site
from app.errors import ConfigurationError
from training.config_file import read_config
from training.curate.augment import Options as AugmentOptions
from training.curate.balance import Options as BalanceOptions
from training.curate.check import Options as CheckOptions
from training.curate.correct import Options as CorrectOptions
from training.curate.deduplicate import Options as DeduplicateOptions
from training.curate.deidentify import Options as DeidentifyOptions
from training.curate.ingest import Options as IngestOptions
from training.curate.keys import SecretSource, load_secret
from training.curate.publish import Options as PublishOptions
from training.curate.split import Options as SplitOptions


class CurateConfig(BaseModel):
    """Paths are relative to the folder where the command runs.

    ``sources`` is the folder of raw files, ``site`` the hospital's (site.yaml, articles/). ``work`` gets the stages'
    folders: identifiers are in it. ``versions`` gets the dataset versions, ``decisions`` is the file of what reviewers
    decided; both outlive ``work``. ``current`` is a link that is set to the newest version, for fine-tuning configs.
    ``encoder`` keeps the encoder's ONNX files, which are written there once.
    The other fields are the stages' options.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,40}$")
    sources: Path
    site: Path
    work: Path
    versions: Path
    decisions: Path
    current: Path | None = None
    encoder: Path = Path("var/encoder")
    seed: int = 7
    workers: int = Field(default=1, ge=1)
    secret: SecretSource = Field(default_factory=SecretSource)
    ingest: IngestOptions
    deidentify: DeidentifyOptions = Field(default_factory=DeidentifyOptions)
    correct: CorrectOptions = Field(default_factory=CorrectOptions)
    check: CheckOptions = Field(default_factory=CheckOptions)
    deduplicate: DeduplicateOptions = Field(default_factory=DeduplicateOptions)
    balance: BalanceOptions = Field(default_factory=BalanceOptions)
    split: SplitOptions = Field(default_factory=SplitOptions)
    augment: AugmentOptions = Field(default_factory=AugmentOptions)
    publish: PublishOptions = Field(default_factory=PublishOptions)

    @model_validator(mode="after")
    def _one_setting_of_articles(self) -> CurateConfig:
        if self.split.articles != self.publish.articles:
            raise ValueError(
                f"split.articles is {self.split.articles} and publish.articles {self.publish.articles}; set both alike"
            )
        return self

    def read_site(self) -> Site:
        """The hospital. Raises ConfigurationError."""
        return load_site(self.site)

    @property
    def articles(self) -> Path:
        """The folder of its articles."""
        return self.site / "articles"

    def key(self, site: Site) -> bytes:
        """The key of patients' hashes. Raises ConfigurationError where it is missing or unsafe."""
        return load_secret(self.secret, demonstration=site.demonstration)


def load_config(path: Path) -> CurateConfig:
    """Read and check a config. Raises ConfigurationError that names the file, the field and the mend."""
    config = read_config(path, CurateConfig)
    inside = {"work": config.work, "versions": config.versions}
    for name, folder in inside.items():
        if _is_inside(folder, config.sources):
            raise ConfigurationError(f"{path}: {name}: {folder} lies inside the sources; name another folder")
    if config.current is not None and os.path.exists(config.current) and not os.path.islink(config.current):
        raise ConfigurationError(f"{path}: current: {config.current} is there and no link; name another place")
    kept = {"versions": config.versions, "decisions": config.decisions, "sources": config.sources}
    if config.secret.file is not None:
        kept["secret.file"] = config.secret.file
    for name, place in kept.items():
        if _is_inside(place, config.work):
            raise ConfigurationError(f"{path}: {name}: {place} lies inside work, which may be deleted")
    return config


def _is_inside(folder: Path, other: Path) -> bool:
    # Not Path.resolve: it raises for links that lead to themselves.
    return Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(other))
