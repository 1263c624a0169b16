"""Run the measurement of demo base models: items, answers through vLLM, baselines, one table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.progress import Progress

from app.errors import ConfigurationError
from training.demo_model.evaluation import (
    Adapter,
    Item,
    first_passage,
    items,
    judge,
    random_passage,
    table,
    through_vllm,
)


def measure(
    model: Path,
    data: Path | None,
    against: Sequence[Path],
    *,
    every: int = 1,
    answers: Path | None = None,
    adapter: Adapter | None = None,
) -> str:
    """The table for ``model`` (with ``adapter`` on it), the models beside it and the two baselines; every N-th item.

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
        for folder, on_it in ((model, adapter), *((other, None) for other in against)):
            name = str(folder) if on_it is None else f"{folder} with {on_it.version}"
            task = bar.add_task(name, total=len(asked))
            said, speed = through_vllm(folder, asked, partial(bar.advance, task), on_it)
            results[name] = judge(asked, said)
            speeds.append(f"{name}: {speed.tokens_s:.0f} tokens a second, one stream (median of {speed.streams})")
            if answers is not None:
                with answers.open("a", encoding="utf-8") as out:
                    for item, text in zip(asked, said, strict=True):
                        out.write(json.dumps(_row(name, item, text)) + "\n")
    results["first passage"] = judge(asked, first_passage(asked))
    results["random passage"] = judge(asked, random_passage(asked))
    return "\n".join([table(results), "", *speeds])


def _row(model: str, item: Item, text: str) -> dict[str, object]:
    return {"model": model, "group": item.group, "question": item.question, "right": item.right,
            "fact": item.fact, "answer": text, "passages": item.passages}  # fmt: skip
