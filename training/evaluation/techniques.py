"""Techniques of fine-tuning side by side: the same dialogues, budget and seed; what each gives, and what it costs.

Each variant trains in a process of its own, so that its peak of memory is its own. What is measured does not ask for an
engine: the loss on the dialogues that are held out, and the overlap of the answers to some of them with the answers
that were written. Whether an adapter may be served is the gate's to say.
"""

from __future__ import annotations

import hashlib
import json
import resource
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment, StrictUndefined
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import ConfigurationError
from training.config_file import checked, read_config, read_fields
from training.curate import plots
from training.evaluation.probes import LONGEST, spread
from training.evaluation.scorers.bleu import Bleu
from training.evaluation.scorers.token_f1 import token_f1
from training.evaluation.statistics import Bootstrap, Estimate, paired_difference
from training.files import require_writable, write_text
from training.finetune.config import FinetuneConfig
from training.finetune.data import files_hash, load_dialogues
from training.handouts import csp_hash
from training.sentences import without_citation

RESULT, JSON_NAME, HTML_NAME = "result.json", "compare.json", "compare.html"
_TEMPLATE = Path(__file__).with_name("techniques.html.jinja")
_NAME = r"^[a-z][a-z0-9-]{0,40}$"


class Variant(BaseModel):
    """One way to train: ``lora`` an adapter, ``full`` all weights. ``lora`` and ``training`` change these settings of
    the config, what they do not name stays.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    technique: Literal["lora", "full"] = "lora"
    lora: dict[str, Any] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)


class CompareConfig(BaseModel):
    """The YAML file of ``bedside-train compare``. ``config`` is a config of ``finetune``, whose adapters begin at zero
    here; ``work`` gets a folder for each variant, and the page. ``answers``: held-out dialogues that are answered.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    config: Path
    work: Path
    answers: int = Field(default=60, ge=1)
    variants: dict[str, Variant] = Field(min_length=2)


class Result(BaseModel):
    """What one variant gave. ``identity``: hash of all that it was made from. ``trainable`` of ``parameters`` weights
    learn. ``seconds`` of training; ``peak_mb``: the most resident memory of its process (on a GPU, of the GPU), in MB.
    Losses in nats a token. ``token_f1`` and ``bleu`` of each answer, 0 to 1; ``articles``: what each is about.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    identity: str
    name: str
    technique: str
    settings: dict[str, Any]
    trainable: int
    parameters: int
    steps: int
    seconds: float
    peak_mb: float
    train_loss: float
    held_out_loss: float
    token_f1: list[float]
    bleu: list[float]
    articles: list[str]


Watch = Callable[[str, int, int], None]
"""Told a variant's name, its number and how many there are, before it trains."""


def load_compare(path: Path) -> tuple[CompareConfig, dict[str, FinetuneConfig]]:
    """The config, and that of each variant. Raises ConfigurationError that names file, variant, field and mend."""
    compare = read_config(path, CompareConfig)
    fields = read_fields(compare.config)
    variants = {}
    for name, variant in compare.variants.items():
        made = checked({"name": name}, _Named, f"{path}: variants: {name}").name
        own = {
            **{key: value for key, value in fields.items() if key not in ("start_from", "learnt_before")},
            "output": str(compare.work / made / "adapter"),
            "work": str(compare.work / made / "run"),
            "lora": {**fields.get("lora", {}), **variant.lora},
            "training": {**fields.get("training", {}), **variant.training},
        }
        variants[made] = checked(own, FinetuneConfig, f"{path}: variants: {made}")
    for needed in next(iter(variants.values())).files:
        if not needed.is_file():
            raise ConfigurationError(
                f"{compare.config}: {needed} does not exist; make it first (bedside-train dialogues)"
            )
    return compare, variants


class _Named(BaseModel):
    name: str = Field(pattern=_NAME)


def compare(config: CompareConfig, variants: Mapping[str, FinetuneConfig], watch: Watch) -> Path:
    """Train what has no result yet, and write ``compare.json`` and the page, whose path is given.

    Raises ConfigurationError: a variant cannot be trained, or its process was ended from outside. Results that are
    there are kept, and a second call goes on with the others.
    """
    require_writable(config.work)
    results = []
    for number, (name, settings) in enumerate(variants.items(), start=1):
        wanted = _identity(config, name, settings)
        result = _kept(config.work / name / RESULT, wanted)
        if result is None:
            watch(name, number, len(variants))
            result = _in_a_process(config, name, settings, wanted)
            write_text(config.work / name / RESULT, result.model_dump_json() + "\n")
        results.append(result)
    content = summary(results)
    write_text(config.work / JSON_NAME, json.dumps(content, indent=1) + "\n")
    write_text(config.work / HTML_NAME, page(content))
    return config.work / HTML_NAME


def measure(config: CompareConfig, name: str, settings: FinetuneConfig, identity: str) -> Result:
    """Train one variant in this process, and measure it. Raises ConfigurationError."""
    import torch

    from training.finetune.adapter import write_adapter
    from training.finetune.generate import Answerer
    from training.finetune.trainer import train

    technique = config.variants[name].technique
    trained = train(settings, full=technique == "full")
    if technique == "lora":
        write_adapter(trained, settings)
    learns = {True: 0, False: 0}
    for weights in trained.model.parameters():
        learns[weights.requires_grad] += weights.numel()
    asked = spread(load_dialogues(settings.held_out), config.answers)
    said = Answerer(trained.model, trained.tokenizer, settings.site).answer(asked, longest=LONGEST)
    pairs = [(without_citation(text), without_citation(item.answer)) for text, item in zip(said, asked, strict=True)]
    bleu = Bleu()
    peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 1024 * _resident_kb()
    return Result(
        identity=identity,
        name=name,
        technique=technique,
        settings={"lora": settings.lora.model_dump(), "training": settings.training.model_dump()},
        trainable=learns[True],
        parameters=learns[True] + learns[False],
        steps=int(trained.metrics["steps"]),
        seconds=trained.metrics["seconds"],
        peak_mb=peak / 1e6,
        train_loss=trained.metrics["train_loss"],
        held_out_loss=trained.metrics["held_out_loss"],
        token_f1=[token_f1(*pair) for pair in pairs],
        bleu=[bleu.of(*pair) for pair in pairs],
        articles=[item.article_id for item in asked],
    )


def summary(results: Sequence[Result]) -> dict[str, Any]:
    """What table and pictures show; differences are to the first variant, paired by dialogue, clusters are articles."""
    first = results[0]
    rows = []
    for result in results:
        row = result.model_dump(exclude={"token_f1", "bleu", "articles", "identity"})
        for name in ("token_f1", "bleu"):
            own, other = getattr(result, name), getattr(first, name)
            row[name] = sum(own) / len(own)
            row[f"{name}_difference"] = None if result is first else _difference(own, other, result.articles)
        rows.append(row)
    return {"answers": len(first.articles), "articles": len(set(first.articles)), "variants": rows}


def page(content: Mapping[str, Any]) -> str:
    """The table as a page that needs no network."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["csp_hash"] = csp_hash
    rows = content["variants"]
    most = {name: max(row[name] for row in rows) for name in ("seconds", "peak_mb", "held_out_loss")}
    pictures = [
        {name: plots.bar(row[name], most[name]) for name in most} | {"f1": plots.bar(row["token_f1"], 1)}
        for row in rows
    ]
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    return template.render(content=content, rows=list(zip(rows, pictures, strict=True)))


def table(content: Mapping[str, Any]) -> str:
    """The same in lines for a terminal or a Markdown page."""
    lines = [
        "| variant | weights that learn | steps | seconds | MB | loss, held out | token F1 | to the first | BLEU |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in content["variants"]:
        apart = row["token_f1_difference"]
        span = f"{apart['value']:+.3f} ({apart['low']:+.3f} to {apart['high']:+.3f})" if apart else ""
        cells = [
            row["name"], f"{row['trainable']:,} of {row['parameters']:,}", str(row["steps"]),
            f"{row['seconds']:.0f}", f"{row['peak_mb']:.0f}", f"{row['held_out_loss']:.3f}",
            f"{row['token_f1']:.3f}", span, f"{row['bleu']:.3f}",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _difference(own: Sequence[float], other: Sequence[float], articles: Sequence[str]) -> dict[str, Any] | None:
    numbers = {name: number for number, name in enumerate(dict.fromkeys(articles))}
    found: Estimate | None = paired_difference(own, other, [numbers[name] for name in articles], Bootstrap())
    return {"value": found.value, "low": found.low, "high": found.high, "p": found.p} if found else None


def _in_a_process(config: CompareConfig, name: str, settings: FinetuneConfig, identity: str) -> Result:
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
        try:
            return pool.submit(measure, config, name, settings, identity).result()
        except BrokenProcessPool:
            raise ConfigurationError(
                f"the process of {name} was ended from outside, most likely for want of memory: take a smaller "
                "batch_size, or leave the variant out; run it again, what is finished is kept"
            ) from None


def _kept(path: Path, identity: str) -> Result | None:
    try:
        result = Result.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    return result if result.identity == identity else None


def _identity(config: CompareConfig, name: str, settings: FinetuneConfig) -> str:
    content = {
        "variant": config.variants[name].technique,
        "settings": settings.model_dump(mode="json", exclude={"output", "work"}),
        "answers": config.answers,
        "data": files_hash(settings.files),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _resident_kb() -> int:
    """The most resident memory of this process so far, in kB (Linux)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
