"""Run the measurement of demo base models: items, answers through vLLM, baselines, one table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.progress import Progress

from app.errors import ConfigurationError
from training.demo_model.evaluation import (
    Item,
    first_passage,
    items,
    judge,
    random_passage,
    table,
    through_vllm,
)


def measure(
    model: Path, data: Path | None, against: Sequence[Path], *, every: int = 1, answers: Path | None = None
) -> str:
    """The table for ``model``, the models beside it and the two baselines; every N-th item.

    Raises ConfigurationError for a folder that is no model, before anything is started.
    """
    for folder in (model, *against):
        if not (folder / "config.json").is_file():
            raise ConfigurationError(f"{folder} is not a model folder: it has no config.json")
    asked = items(data)[::every]
    results, speeds = {}, []
    if answers is not None:
        answers.write_text("", encoding="utf-8")
    with Progress() as bar:
        for folder in (model, *against):
            task = bar.add_task(str(folder), total=len(asked))
            said, speed = through_vllm(folder, asked, partial(bar.advance, task))
            results[str(folder)] = judge(asked, said)
            speeds.append(f"{folder}: {speed.tokens_s:.0f} tokens a second, one stream (median of {speed.streams})")
            if answers is not None:
                with answers.open("a", encoding="utf-8") as out:
                    for item, text in zip(asked, said, strict=True):
                        out.write(json.dumps(_row(folder, item, text)) + "\n")
    results["first passage"] = judge(asked, first_passage(asked))
    results["random passage"] = judge(asked, random_passage(asked))
    return "\n".join([table(results), "", *speeds])


def _row(folder: Path, item: Item, text: str) -> dict[str, object]:
    return {"model": str(folder), "group": item.group, "question": item.question, "right": item.right,
            "fact": item.fact, "answer": text, "passages": item.passages}  # fmt: skip
