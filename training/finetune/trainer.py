"""Train one LoRA adapter with peft and TRL's SFTTrainer, and leave it ready for vLLM.

Tokens and labels are made by :mod:`training.finetune.data`; TRL gets them as they are. Its defaults that cost half
the speed on a CPU (checkpointing, random order of lengths) are turned off.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import SafetensorError
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    EarlyStoppingCallback,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    set_seed,
)
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from app.contracts.adapters import AdapterManifest
from app.errors import ConfigurationError
from training.files import require_writable
from training.finetune.ancestry import require_held_out_unseen, require_named, starting_manifest
from training.finetune.canaries import plant
from training.finetune.checkpoints import METRICS, own_checkpoint, run_identity, settle, stopped
from training.finetune.config import FinetuneConfig, LoraSettings
from training.finetune.data import Dialogue, Example, dataset_versions, encode, encode_all, load_dialogues

LIBRARIES = ("torch", "transformers", "peft", "trl", "tokenizers", "safetensors")
TRAIN_SAMPLE = 200
"""Training dialogues, at equal distances, on which the loss of the kept state is measured."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What a run gives: the model with its adapter in the best state, and the figures for manifest and card.

    ``train_loss`` and ``held_out_loss`` are of that state (mean of a token, nats): the one on :data:`TRAIN_SAMPLE`
    dialogues, the other on all that are held out. ``canaries`` were planted, and all of them were trained on. ``start``
    is the manifest of the adapter that training began with.
    """

    model: Any
    tokenizer: PreTrainedTokenizerBase
    metrics: dict[str, float]
    start: AdapterManifest | None = None


class Trainer(SFTTrainer):
    """Says, where a checkpoint cannot be written, which and what is kept: libraries say it in three kinds of errors."""

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        work = Path(str(self.args.output_dir))
        save: Callable[[Any, Any], None] = super()._save_checkpoint
        try:
            save(model, trial)
        except (OSError, RuntimeError, SafetensorError) as error:
            raise stopped(work, error, work / f"checkpoint-{self.state.global_step}") from error


class MetricsFile(TrainerCallback):
    """Appends every logged row to a JSONL file; works without any tracking service.

    Raises ConfigurationError where the row cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        row = {"step": state.global_step, **(logs or {})}
        try:
            with self._path.open("a", encoding="utf-8") as out:
                out.write(json.dumps(row) + "\n")
        except OSError as error:
            raise stopped(self._path.parent, error, self._path) from error


class TimeBudget(TrainerCallback):
    """Ends training, after one more evaluation, when the minutes are used up."""

    def __init__(self, minutes: float) -> None:
        self._seconds = minutes * 60
        self._began = time.monotonic()

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._began = time.monotonic()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if time.monotonic() - self._began > self._seconds:
            control.should_evaluate = True
            control.should_save = True
            control.should_training_stop = True


def load_base(name: str, precision: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load the base model and its tokenizer. Raises ConfigurationError: they cannot be, or have no chat template."""
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
        model = AutoModelForCausalLM.from_pretrained(name, dtype=dtype)
    except (OSError, ValueError, SafetensorError) as error:
        raise ConfigurationError(
            f"The base model {name} cannot be loaded; name a folder with its config.json, tokenizer and weights, "
            f"or a model of the hub: {error}"
        ) from error
    if not tokenizer.chat_template:
        raise ConfigurationError(f"The base model {name} has no chat template; add chat_template.jinja to its folder")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return model, tokenizer


def lora_config(settings: LoraSettings) -> LoraConfig:
    """peft's configuration for the settings."""
    return LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,  # type: ignore[arg-type]
        lora_dropout=settings.dropout,
        use_rslora=settings.rslora,
        target_modules=settings.target_modules,
        init_lora_weights=settings.init,  # type: ignore[arg-type]
        bias="none",
        task_type="CAUSAL_LM",
    )


def train(config: FinetuneConfig, *, resume: bool = False, show: bool = True, full: bool = False) -> Trained:
    """Run the fine-tuning. With ``resume`` it goes on from the last checkpoint in ``config.work``, if there is one.

    Without it, the checkpoints that lie there are removed. With ``full`` all weights of the base model learn and no
    adapter is made: for comparisons, such weights are not served. Raises ConfigurationError; where the disk is full on
    the way, the last whole checkpoint is kept.
    """
    # 1. Everything that can be wrong with folders and data is found before the model is loaded.
    for folder in (config.work, config.output.parent):
        require_writable(folder)
    start = starting_manifest(config)
    require_named(start.line if start is not None else [], config)
    training, held_out = _dialogues(config)
    identity = run_identity(config)
    last = own_checkpoint(config.work, identity) if resume else None
    # 2. Base model with a fresh adapter; the adapter itself trains in float32.
    torch.set_num_threads(config.training.threads)
    set_seed(config.training.seed)
    base, tokenizer = load_base(config.base_model, config.training.precision)
    model = base if full else _adapted(base, config)
    # 3. Tokens and labels.
    examples, too_long = encode_all(tokenizer, training, config.site, max_length=config.training.max_length)
    checks, _ = encode_all(tokenizer, held_out, config.site, max_length=config.training.max_length)
    learnt = [*examples, *_planted(tokenizer, training, config)]
    # 4. Train, keep the best state by held-out loss.
    settle(config.work, identity, last)
    trainer = Trainer(
        model=model,
        args=arguments(config, show),
        train_dataset=dataset(learnt),
        eval_dataset=dataset(checks),
        processing_class=tokenizer,
        callbacks=_callbacks(config),
    )
    began = time.monotonic()
    try:
        trainer.train(resume_from_checkpoint=str(last) if last else None)
    except OSError as error:
        raise stopped(config.work, error) from error
    seconds = round(time.monotonic() - began, 1)
    loss = trainer.state.best_metric
    metrics = {
        "held_out_loss": float(loss) if loss is not None else float("nan"),
        "train_loss": _mean_loss(trainer, examples),
        "steps": float(trainer.state.global_step),
        "epochs": round(float(trainer.state.epoch or 0.0), 3),
        "seconds": seconds,
        "train_dialogues": float(len(learnt)),
        "too_long_dialogues": float(too_long),
        "canaries": float(config.canaries),
        "seed": float(config.training.seed),
    }
    return Trained(trainer.model, tokenizer, metrics, start)


def _dialogues(config: FinetuneConfig) -> tuple[list[Dialogue], list[Dialogue]]:
    """Those to learn from, and those held out: other articles."""
    dataset_versions(config.files)
    training = [dialogue for path in config.training_files for dialogue in load_dialogues(path)]
    require_held_out_unseen(config)
    return training, load_dialogues(config.held_out)


def _planted(tokenizer: PreTrainedTokenizerBase, training: list[Dialogue], config: FinetuneConfig) -> list[Example]:
    """The canaries, encoded: all of them, since the gate asks for as many as the manifest says were planted."""
    longest = config.training.max_length
    canaries = plant(config.canaries, config.training.seed, training)
    examples = [encode(tokenizer, canary, config.site) for canary in canaries]
    if too_long := sum(len(example.input_ids) > longest for example in examples):
        raise ConfigurationError(
            f"{too_long} of {len(examples)} canaries are longer than max_length {longest}; raise max_length"
        )
    return examples


def _mean_loss(trainer: SFTTrainer, examples: list[Example]) -> float:
    """Of the model as it is now, on a fixed sample; measured like the held-out loss."""
    count = min(TRAIN_SAMPLE, len(examples))
    sample = [examples[index * len(examples) // count] for index in range(count)]
    batches = trainer.get_eval_dataloader(dataset(sample))
    found = trainer.evaluation_loop(batches, "Training loss", prediction_loss_only=True, metric_key_prefix="train")
    return (found.metrics or {})["train_loss"]


def _adapted(base: PreTrainedModel, config: FinetuneConfig) -> Any:
    if config.start_from is None:
        return get_peft_model(base, lora_config(config.lora))
    earlier = LoraConfig.from_pretrained(str(config.start_from))
    shape = (earlier.r, float(earlier.lora_alpha), earlier.use_rslora)
    if shape != (config.lora.rank, config.lora.alpha, config.lora.rslora):
        raise ConfigurationError(
            f"start_from: {config.start_from} has rank, alpha, rslora {shape}; set the same under lora"
        )
    earlier.lora_dropout = config.lora.dropout
    return PeftModel.from_pretrained(base, str(config.start_from), is_trainable=True, config=earlier)


def library_versions() -> dict[str, str]:
    """Versions of what made the adapter, for the manifest."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name).split("+")[0]
        except PackageNotFoundError:
            continue
    return found


def dataset(examples: list[Example]) -> Dataset:
    """What the trainer takes: tokens and labels, and lengths, by which it groups."""
    return Dataset.from_dict(
        {
            "input_ids": [example.input_ids for example in examples],
            "labels": [example.labels for example in examples],
            "length": [len(example.input_ids) for example in examples],
        }
    )


def _callbacks(config: FinetuneConfig) -> list[TrainerCallback]:
    callbacks: list[TrainerCallback] = [
        MetricsFile(config.work / METRICS),
        EarlyStoppingCallback(early_stopping_patience=config.training.patience),
    ]
    if config.training.minutes is not None:
        callbacks.append(TimeBudget(config.training.minutes))
    return callbacks


def arguments(config: FinetuneConfig, show: bool) -> SFTConfig:
    """TRL's settings for a run."""
    settings = config.training
    return SFTConfig(
        output_dir=str(config.work),
        num_train_epochs=settings.epochs,
        max_steps=settings.max_steps,
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.accumulate,
        gradient_checkpointing=False,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.schedule,
        warmup_steps=settings.warmup_steps,
        weight_decay=settings.weight_decay,
        train_sampling_strategy="group_by_length",
        length_column_name="length",
        dataset_kwargs={"skip_prepare_dataset": True},
        max_length=None,
        bf16=False,
        loss_type="nll",
        eval_strategy="steps",
        eval_steps=settings.evaluate_every,
        save_strategy="steps",
        save_steps=settings.evaluate_every,
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        logging_steps=min(10, settings.evaluate_every),
        seed=settings.seed,
        data_seed=settings.seed,
        report_to=settings.report_to or "none",
        disable_tqdm=not show,
        dataloader_pin_memory=torch.cuda.is_available(),
    )
