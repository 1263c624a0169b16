"""``bedside-train evaluate`` and ``gate``: what an administrator types, and what she reads when it is done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.errors import ConfigurationError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from training.evaluation.evaluate import Evaluation
    from training.evaluation.gate import Gated
    from training.evaluation.table import Metric

ITEMS = Path(__file__).with_name("items")
"""The evaluation set of the project."""

Against = Annotated[str, typer.Option(help="The champion's folder, or base for the base model alone.")]
Items = Annotated[Path, typer.Option(help="Folder of evaluation items.", show_default="the shipped set")]
SiteFolder = Annotated[Path, typer.Option(help="Folder with site.yaml and articles/.")]
Bundle = Annotated[Path | None, typer.Option(help="Another policy bundle than the shipped one.")]
State = Annotated[Path, typer.Option(help="Folder for the search index and the encoder's file.")]
Passages = Annotated[int, typer.Option(min=1, max=8, help="Passages put before the model.")]
AtOnce = Annotated[int, typer.Option(min=1, max=256, help="Items that are answered at the same time.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the first N items (for a trial).")]


def evaluate(
    adapter: Annotated[Path, typer.Argument(help="The candidate's folder.")],
    out: Annotated[Path, typer.Option(help="Folder for runs, scores and answers; a stopped evaluation in it goes on.")],
    against: Against = "base",
    items: Items = ITEMS,
    base_model: Annotated[str, typer.Option(help="The base model of both, a folder or a hub id.")] = "demo/model",
    site: SiteFolder = Path("demo"),
    policies: Bundle = None,
    state: State = Path("var"),
    canaries: Annotated[Path | None, typer.Option(help="Texts planted in training data, one a line.")] = None,
    passages: Passages = 1,
    max_tokens: Annotated[int, typer.Option(min=16, max=2048, help="Tokens of one answer.")] = 192,
    at_once: AtOnce = 16,
    limit: Limit = None,
) -> None:
    """Answer the evaluation items with base, champion and candidate as patients would be answered, and score them."""
    import asyncio

    from rich.console import Console

    console = _console()
    from training.evaluation.evaluate import BASE, Plan
    from training.evaluation.evaluate import evaluate as run
    from training.evaluation.pipeline import Setup

    plan = Plan(
        candidate=adapter,
        champion=None if against == BASE else Path(against),
        items=items,
        out=out,
        base_model=base_model,
        site=site,
        state=state,
        policies=policies,
        setup=Setup(prompt_passages=passages, max_tokens=max_tokens),
        canaries=_lines(canaries),
        at_once=at_once,
        limit=limit,
    )
    from training.serving import on_demand

    async def answered(progress: Progress) -> Evaluation:
        async with on_demand(base_model) as engine:
            return await run(plan, engine, _bars(progress))

    with _progress(console) as progress:
        evaluation = asyncio.run(answered(progress))
    Console().print(_summary(evaluation))
    typer.echo(f"scores: {out / 'scores.json'}; next: bedside-train gate {adapter} --config ITS_CONFIG --out {out}")


def gate(
    adapter: Annotated[Path, typer.Argument(help="The adapter's folder.")],
    config: Annotated[Path, typer.Option(help="The config it was trained with.")] = Path("demo/adapters/support.yaml"),
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for answers and report; a stopped gate in it goes on.",
            show_default="var/evaluation/VERSION; VERSION-trial with --limit",
        ),
    ] = None,
    against: Against = "base",
    thresholds: Annotated[Path | None, typer.Option(help="Another policy than the shipped one.")] = None,
    panel: Annotated[Path | None, typer.Option(help="What `bedside-train panel verdict --out` wrote.")] = None,
    items: Items = ITEMS,
    site: SiteFolder = Path("demo"),
    policies: Bundle = None,
    state: State = Path("var"),
    passages: Passages = 1,
    at_once: AtOnce = 16,
    limit: Limit = None,
) -> None:
    """Answer the evaluation items with base, champion and candidate, apply the policy, write gate_report.json.

    Exit status 0: pass; 2: fail or inconclusive.
    """
    import asyncio

    from training.evaluation.rules import THRESHOLDS, load_policy
    from training.finetune.config import load_config

    settings = load_config(config)
    policy, digest = load_policy(thresholds or THRESHOLDS)
    console = _console()
    from training.evaluation.evaluate import BASE, Plan
    from training.evaluation.gate import last_line, run_gate
    from training.evaluation.pipeline import Setup
    from training.finetune.adapter import require_base

    plan = Plan(
        candidate=adapter,
        champion=None if against == BASE else Path(against),
        items=items,
        out=out or usual_folder(require_base(adapter, settings.base_model).version, trial=limit is not None),
        base_model=settings.base_model,
        site=site,
        state=state,
        policies=policies,
        setup=Setup(prompt_passages=passages),
        at_once=at_once,
        limit=limit,
    )
    from training.serving import on_demand

    async def judged(progress: Progress) -> Gated:
        async with on_demand(settings.base_model) as engine:
            return await run_gate(plan, settings, policy, digest, engine, _bars(progress), panel)

    with _progress(console) as progress:
        gated = asyncio.run(judged(progress))
    for rule in gated.report.rules:
        typer.echo(f"{'pass' if rule.passed else 'FAIL'}  {rule.name}: {rule.value:g} ({rule.bound}) {rule.detail}")
    typer.echo(f"report: {gated.judged.report}")
    typer.echo(last_line(gated, adapter))
    if gated.judged.decision.verdict != "pass":
        raise typer.Exit(2)


def usual_folder(version: str, *, trial: bool) -> Path:
    """Where a gate keeps what was answered. A trial has a folder of its own: panels and sign-offs hang on the other."""
    return Path("var/evaluation") / (f"{version}-trial" if trial else version)


def _console() -> Console:
    from rich.console import Console

    from app.logging import configure

    configure("error", "text")
    console = Console(stderr=True)
    console.print("Loading the encoder, the policies and the articles ...")
    return console


def _lines(path: Path | None) -> tuple[str, ...]:
    if path is None:
        return ()
    try:
        return tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read as UTF-8 text: {error}") from None


def _progress(console: Console) -> Progress:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console)


def _bars(progress: Progress) -> Callable[[str, int], Callable[[], None]]:
    def started(system: str, count: int) -> Callable[[], None]:
        bar = progress.add_task(f"{system} answers", total=count)
        return lambda: progress.advance(bar)

    return started


def _summary(evaluation: Evaluation) -> object:
    """The mean of every figure, as a table for the terminal."""
    from rich.table import Table

    table = Table(title=f"{len(evaluation.items.items)} items, evaluation set {evaluation.items.sha256[:12]}")
    table.add_column("figure")
    for column in ("items", "champion", "candidate", "difference"):
        table.add_column(column, justify="right")
    for metric in evaluation.table.metrics.values():
        table.add_row(f"{metric.name} (safety)" if metric.safety else metric.name, *_means(metric))
    return table


def _means(metric: Metric) -> tuple[str, str, str, str]:
    def shown(values: Sequence[float | None], form: str = ".3f") -> str:
        kept = [value for value in values if value is not None]
        return format(sum(kept) / len(kept), form) if kept else "-"

    pairs = zip(metric.candidate, metric.champion, strict=True)
    both = [ours - theirs for ours, theirs in pairs if ours is not None and theirs is not None]
    count = sum(value is not None for value in metric.candidate)
    return str(count), shown(metric.champion), shown(metric.candidate), shown(both, "+.3f")
