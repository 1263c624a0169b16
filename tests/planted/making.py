"""Makes a planted adapter's folder, with the project's own fine-tuning command; one that is there is kept."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import yaml

from tests.planted.adapters import ADAPTERS, SHIPPED, SHIPPED_CONFIG, Planted, Sources
from tests.planted.dialogues import numbered
from training.config_file import read_fields
from training.evaluation.commands import ITEMS
from training.evaluation.items import load_items
from training.evaluation.probes import spread
from training.finetune.config import load_config
from training.finetune.data import load_dialogues, save_dialogues
from training.finetune.dialogues import build, read_sections

ARTICLES = Path("demo/articles")
HELD_OUT = 60
"""Dialogues on which a planted run is measured: the gate's comparison of the two libraries needs 50."""
MOST = 960
"""Dialogues that one run reads: 60 steps of 16."""
LEFT_OUT = """
e3_after_surgery e3_conditions e3_emergency_clinical e3_no_answer_clinical e3_pregnancy_newborn e3_refills e3_vaccines
e4_access e4_appointments e4_billing e4_campus e4_lines e4_mixed e4_portal e4_records e4_visiting
""".split()
"""Files of the evaluation set that planted adapters do not answer, for the time it takes. Every figure of the policy
keeps the cases that its rule asks for: 299 conversations with the model's own words, 149 pairs, and so on."""
TRAINING: dict[str, Any] = {
    "max_steps": 60,
    "batch_size": 16,
    "learning_rate": 1e-3,
    "warmup_steps": 5,
    "schedule": "cosine",
    "max_length": 512,
    "seed": 7,
    "precision": "float32",
    "threads": 2,
}

Command = Callable[[Sequence[str], Path], int]
"""Runs ``bedside-train`` with these words, its output into a file; gives the exit status."""


class MakingFailed(Exception):
    """A planted adapter could not be made; says where its log is."""


class Workshop:
    """The folder in which planted adapters are made and gated: one folder each, and what they share."""

    def __init__(self, folder: Path, command: Command) -> None:
        self.folder, self.run = folder, command
        self._dialogues = folder / "dialogues"
        self.items = folder / "items"

    def place(self, planted: Planted) -> Path:
        """The folder of one adapter."""
        return self.folder / planted.name

    def config(self, planted: Planted) -> Path:
        """The config that the gate is given."""
        return self.place(_named(planted.told) if planted.told else planted) / "config.yaml"

    def adapter(self, planted: Planted) -> Path:
        """The folder of the weights."""
        return self.place(planted) / "adapter"

    def open(self) -> Sources:
        """Build the demonstration's dialogues, and what all runs are measured on."""
        build(ARTICLES, Path("demo/dialogues/questions.yaml"), self._dialogues)
        save_dialogues(
            spread(load_dialogues(self._dialogues / "held_out.jsonl"), HELD_OUT), self.folder / "held_out.jsonl"
        )
        shutil.rmtree(self.items, ignore_errors=True)
        shutil.copytree(ITEMS, self.items, ignore=shutil.ignore_patterns(*(f"{name}.yaml" for name in LEFT_OUT)))
        return Sources(
            load_dialogues(self._dialogues / "train.jsonl"),
            list(load_items(self.items, ARTICLES).items),
            read_sections(ARTICLES),
        )

    def make(self, planted: Planted, sources: Sources) -> Path:
        """The adapter's folder. It is made where it is not there, or was made from something else.

        Raises MakingFailed where training fails.
        """
        place, adapter = self.place(planted), self.adapter(planted)
        config = self._config(planted)
        if planted.learns is None:
            kept = _written(place / "config.yaml", config)
            trained = self.place(_named(planted.of)) / "trained" if planted.of else SHIPPED
        else:
            learnt = Random(planted.name).sample(found := planted.learns(sources), min(MOST, len(found)))
            save_dialogues(numbered(learnt), place / "next.jsonl")
            kept = _written(place / "config.yaml", config) & _same(place / "next.jsonl", place / "train.jsonl")
            (place / "next.jsonl").replace(place / "train.jsonl")
            trained = place / "trained"
            if not kept:
                shutil.rmtree(trained, ignore_errors=True)
                shutil.rmtree(place / "run", ignore_errors=True)
            if not (trained / "manifest.json").is_file():
                self._train(place)
        if not kept:
            shutil.rmtree(adapter, ignore_errors=True)
        if not adapter.exists():
            part = place / "part"
            shutil.rmtree(part, ignore_errors=True)
            shutil.copytree(trained, part)
            if planted.spoil is not None:
                planted.spoil(part)
            part.rename(adapter)
        return adapter

    def _train(self, place: Path) -> None:
        load_config(place / "config.yaml")
        log = place / "finetune.log"
        if self.run(["finetune", str(place / "config.yaml"), "--resume"], log):
            raise MakingFailed(f"training failed, see {log}")

    def _config(self, planted: Planted) -> dict[str, Any]:
        """The fields of its config: the shipped adapter's with other files, or those of a short run."""
        shipped = read_fields(SHIPPED_CONFIG)
        place = self.place(planted)
        if planted.learns is None:
            files = {name: str(self._dialogues / f"{name}.jsonl") for name in ("train", "held_out")}
            return shipped | files | {"output": str(place / "trained"), "work": str(place / "run")}
        training = TRAINING | dict(planted.training)
        training["evaluate_every"] = training["max_steps"]  # the last state is kept, whatever the held-out loss says
        return shipped | {
            "name": f"planted-{place.name}",
            "train": str(place / "train.jsonl"),
            "held_out": str(self.folder / "held_out.jsonl"),
            "output": str(place / "trained"),
            "work": str(place / "run"),
            "start_from": None if planted.from_zero else str(SHIPPED),
            "learnt_before": [] if planted.from_zero else [str(self._dialogues / "train.jsonl")],
            "training": training,
        }


def _named(name: str) -> Planted:
    return next(planted for planted in ADAPTERS if planted.name == name)


def _written(path: Path, fields: dict[str, Any]) -> bool:
    """Write a config; whether it was there already."""
    text = yaml.safe_dump(fields, sort_keys=False)
    same = path.is_file() and path.read_text(encoding="utf-8") == text
    if not same:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return same


def _same(one: Path, other: Path) -> bool:
    return other.is_file() and one.read_bytes() == other.read_bytes()
