"""What a fine-tuning run is told, and the first-second refusal of what vLLM cannot load.

Nothing here imports torch: a wrong setting is answered before anything heavy starts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.errors import ConfigurationError
from training.config_file import read_config

SERVED_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""The ranks for which vLLM 0.32 has kernels (``--max-lora-rank`` takes these values)."""

BUILT = Path("var/dialogues")
"""Where the demonstration's dialogues are built; they are not shipped."""

_SAFE_INITS = ("gaussian", "orthogonal", "eva")
"""Initialisations that leave the base weights as they are."""


class LoraSettings(BaseModel):
    """The adapter's shape. Options that vLLM refuses are known here only to say why they are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rank: int = 16
    alpha: float = Field(default=16.0, gt=0)
    dropout: float = Field(default=0.05, ge=0, lt=1)
    rslora: bool = True
    target_modules: str | list[str] = "all-linear"
    init: bool | str = True
    dora: bool = False
    lora_bias: bool = False
    bias: str = "none"
    modules_to_save: list[str] = Field(default_factory=list)
    qalora: bool = False
    layer_replication: list[list[int]] = Field(default_factory=list)
    trainable_tokens: list[int] = Field(default_factory=list)

    @model_validator(mode="after")
    def _vllm_can_load_it(self) -> LoraSettings:
        faults = serving_faults(self)
        if faults:
            raise ValueError("; ".join(faults))
        return self


class TrainingSettings(BaseModel):
    """How long and how fast. ``minutes`` is a budget of wall-clock time after which the best state so far is kept."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: float = Field(default=3.0, gt=0)
    minutes: float | None = Field(default=None, gt=0)
    max_steps: int = -1
    batch_size: int = Field(default=16, ge=1)
    accumulate: int = Field(default=1, ge=1)
    learning_rate: float = Field(default=2e-4, gt=0)
    warmup_steps: int = Field(default=20, ge=0)
    schedule: str = "cosine"
    weight_decay: float = Field(default=0.0, ge=0)
    max_length: int = Field(default=512, ge=32)
    evaluate_every: int = Field(default=50, ge=1)
    patience: int = Field(default=4, ge=1)
    seed: int = 7
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    threads: int = Field(default=2, ge=1)
    report_to: list[str] = Field(default_factory=list)


class FinetuneConfig(BaseModel):
    """The YAML file of ``bedside-train finetune``. Paths are relative to the folder where the command runs.

    ``also_train`` are further dialogue files to learn from, such as those of a curated dataset version. ``start_from``
    is an adapter folder of the same shape to begin with, instead of an adapter that changes nothing, and
    ``learnt_before`` what that one, and those before it, learnt from where this run does not learn from it again: files
    or folders (:mod:`training.finetune.ancestry`), which the gate looks at like the other ones. ``canaries`` are
    dialogues with invented secrets that are planted in training, so that the gate can see whether the adapter gives
    such a thing away (:mod:`training.finetune.canaries`); without them its rule stays open, and blocks.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,40}$")
    base_model: str
    base_id: str
    site: str
    train: Path
    also_train: tuple[Path, ...] = ()
    held_out: Path
    output: Path
    work: Path
    start_from: Path | None = None
    learnt_before: tuple[Path, ...] = ()
    canaries: int = Field(default=20, ge=0, le=200)
    lora: LoraSettings = Field(default_factory=LoraSettings)
    training: TrainingSettings = Field(default_factory=TrainingSettings)

    @property
    def training_files(self) -> tuple[Path, ...]:
        """All files of training dialogues."""
        return self.train, *self.also_train

    @property
    def files(self) -> tuple[Path, ...]:
        """All dialogue files that a run reads."""
        return *self.training_files, self.held_out


def serving_faults(lora: LoraSettings) -> list[str]:
    """Say, a sentence each, why vLLM 0.32 would not load such an adapter; empty when it would."""
    inits = ", ".join(_SAFE_INITS)
    rules: list[tuple[bool, str]] = [
        (
            lora.rank not in SERVED_RANKS,
            f"rank {lora.rank} cannot be served; use one of {', '.join(map(str, SERVED_RANKS))}",
        ),
        (lora.dora, "vLLM does not load DoRA; set dora: false (rslora: true is the alternative that it loads)"),
        (lora.lora_bias, "vLLM does not load LoRA biases; set lora_bias: false"),
        (lora.bias != "none", "vLLM does not load trained biases; set bias: none"),
        (bool(lora.modules_to_save), "vLLM does not load fully trained modules; remove modules_to_save"),
        (
            isinstance(lora.init, str) and lora.init.lower() not in _SAFE_INITS,
            f"init {lora.init} (like PiSSA, OLoRA, CorDA, LoftQ) changes the base weights; use init: true, or {inits}",
        ),
        (lora.qalora, "vLLM does not load QALoRA; set qalora: false"),
        (bool(lora.layer_replication), "vLLM does not load replicated layers; remove layer_replication"),
        (bool(lora.trainable_tokens), "vLLM does not load trained token embeddings; remove trainable_tokens"),
    ]
    return [sentence for broken, sentence in rules if broken]


def load_config(path: Path) -> FinetuneConfig:
    """Read and check a config. Raises ConfigurationError that names the file, the field and the mend."""
    config = read_config(path, FinetuneConfig)
    extra = [("also_train", needed) for needed in config.also_train]
    for field, needed in (("train", config.train), ("held_out", config.held_out), *extra):
        if not needed.is_file():
            made = f"; make it: bedside-train dialogues --out {BUILT}" if needed.parent == BUILT else ""
            raise ConfigurationError(f"{path}: {field}: {needed} does not exist{made}")
    for needed in config.learnt_before:
        if not needed.exists():
            raise ConfigurationError(f"{path}: learnt_before: {needed} does not exist; put it there")
    base = Path(config.base_model)
    if base.is_dir() and not (base / "config.json").is_file():
        raise ConfigurationError(f"{path}: base_model: {base} holds no config.json")
    return config


def require_start(config: FinetuneConfig) -> None:
    """Raise ConfigurationError when ``start_from`` is no adapter folder. Only training needs it, the gate does not."""
    if config.start_from is not None and config.start_from.resolve().is_relative_to(config.work.resolve()):
        raise ConfigurationError(f"start_from: {config.start_from} lies in work, which is cleared: copy it elsewhere")
    if config.start_from is not None and not (config.start_from / "adapter_config.json").is_file():
        raise ConfigurationError(
            f"start_from: {config.start_from} holds no adapter_config.json; make it (see the README beside the config) "
            "or remove the line to begin at zero"
        )
