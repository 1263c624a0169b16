"""Fine-tuning against TRL's defaults, in one run: real tokens a second, padding, and the loss that comes of it.

Run: ``python -m tests.bench_finetune [--dialogues 240]``; ``make bench-finetune``. Both train a fresh adapter of the
shipped shape over the demonstration model on the same dialogues, once through, with the same batch size, learning rate
and seed; one with the settings of ``bedside-train finetune``, the other with whatever TRL's SFTConfig does by itself.
About three minutes on two cores.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import get_peft_model
from transformers import set_seed
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from training.evaluation.probes import spread
from training.finetune import trainer as ours
from training.finetune.config import FinetuneConfig, load_config
from training.finetune.data import encode_all, load_dialogues
from training.finetune.dialogues import build

GOAL, GOAL_PADDING = 2.0, 0.95


@dataclass(frozen=True, slots=True)
class Run:
    """What one way of training did. ``tokens``: real ones, padding aside; ``efficiency``: their share of all."""

    name: str
    tokens: int
    seconds: float
    efficiency: float
    held_out_loss: float

    @property
    def rate(self) -> float:
        """Real tokens a second."""
        return self.tokens / self.seconds


def defaults(config: FinetuneConfig, folder: Path, steps: int) -> SFTConfig:
    """TRL's own settings, but for what has to be the same."""
    return SFTConfig(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=config.training.batch_size,
        per_device_eval_batch_size=config.training.batch_size,
        learning_rate=config.training.learning_rate,
        seed=config.training.seed,
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        bf16=False,
    )


def measure(name: str, config: FinetuneConfig, arguments: SFTConfig, dialogues: list[Any], held_out: list[Any]) -> Run:
    """Train once over the dialogues."""
    torch.set_num_threads(config.training.threads)
    set_seed(config.training.seed)
    base, tokenizer = ours.load_base(config.base_model, "float32")
    examples, _ = encode_all(tokenizer, dialogues, config.site, max_length=config.training.max_length)
    checks, _ = encode_all(tokenizer, held_out, config.site, max_length=config.training.max_length)
    trainer = SFTTrainer(
        model=get_peft_model(base, ours.lora_config(config.lora)),
        args=arguments,
        train_dataset=ours.dataset(examples),
        eval_dataset=ours.dataset(checks),
        processing_class=tokenizer,
    )
    masks = [batch["attention_mask"] for batch in trainer.get_train_dataloader()]
    efficiency = float(sum(mask.sum() for mask in masks) / sum(mask.numel() for mask in masks))
    began = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - began
    loss = float(trainer.evaluate()["eval_loss"])
    return Run(name, sum(len(example.input_ids) for example in examples), seconds, efficiency, loss)


def report(run: Run, other: Run) -> str:
    """The table."""
    lines = [
        "| | real tokens a second | tokens that are no padding | loss, held out |",
        "|---|---|---|---|",
        *(f"| {one.name} | {one.rate:.0f} | {one.efficiency:.1%} | {one.held_out_loss:.3f} |" for one in (other, run)),
        f"| goal | {GOAL:g} times | {GOAL_PADDING:.0%} | the same |",
        "",
        f"{run.rate / other.rate:.2f} times TRL's defaults.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dialogues", type=int, default=240)
    chosen = parser.parse_args()
    config = load_config(Path("demo/adapters/shipped.yaml")) if Path("var/dialogues/train.jsonl").is_file() else None
    if config is None:
        build(Path("demo/articles"), Path("demo/dialogues/questions.yaml"), Path("var/dialogues"))
        config = load_config(Path("demo/adapters/shipped.yaml"))
    config = config.model_copy(
        update={"training": config.training.model_copy(update={"batch_size": 8, "warmup_steps": 0})}
    )
    dialogues = spread(load_dialogues(config.train), chosen.dialogues)
    held_out = spread(load_dialogues(config.held_out), 40)
    steps = -(-len(dialogues) // config.training.batch_size)
    with tempfile.TemporaryDirectory() as folder:
        mine = ours.arguments(config.model_copy(update={"work": Path(folder) / "a"}), show=False)
        mine.max_steps, mine.save_strategy, mine.load_best_model_at_end, mine.eval_strategy = steps, "no", False, "no"
        mine.lr_scheduler_type = "linear"
        runs = [
            measure("bedside-train finetune", config, mine, dialogues, held_out),
            measure("TRL's defaults", config, defaults(config, Path(folder) / "b", steps), dialogues, held_out),
        ]
    print(report(*runs))


if __name__ == "__main__":
    main()
