"""``bedside-train evaluate``: what an administrator types, and what she reads when it is done."""

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
    from training.evaluation.table import Metric

ITEMS = Path(__file__).with_name("items")
"""The evaluation set of the project."""


def evaluate(
    adapter: Annotated[Path, typer.Argument(help="The candidate's folder.")],
    out: Annotated[Path, typer.Option(help="Folder for runs, scores and answers; a stopped evaluation in it goes on.")],
    against: Annotated[str, typer.Option(help="The champion's folder, or base for the base model alone.")] = "base",
    items: Annotated[Path, typer.Option(help="Folder of evaluation items.", show_default="the shipped set")] = ITEMS,
    base_model: Annotated[str, typer.Option(help="The base model of both, a folder or a hub id.")] = "demo/model",
    site: Annotated[Path, typer.Option(help="Folder with site.yaml and articles/.")] = Path("demo"),
    policies: Annotated[Path | None, typer.Option(help="Another policy bundle than the shipped one.")] = None,
    state: Annotated[Path, typer.Option(help="Folder for the search index and the encoder's file.")] = Path("var"),
    canaries: Annotated[Path | None, typer.Option(help="Texts planted in training data, one a line.")] = None,
    passages: Annotated[int, typer.Option(min=1, max=8, help="Passages put before the model.")] = 1,
    max_tokens: Annotated[int, typer.Option(min=16, max=2048, help="Tokens of one answer.")] = 192,
    at_once: Annotated[int, typer.Option(min=1, max=256, help="Items that are answered at the same time.")] = 16,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N items (for a trial).")] = None,
) -> None:
    """Answer the evaluation items with base, champion and candidate as patients would be answered, and score them."""
    import asyncio

    from rich.console import Console

    from app.logging import configure

    configure("error", "text")
    console = Console(stderr=True)
    console.print("Loading the encoder, the policies and the articles ...")
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
    with _progress(console) as progress:
        evaluation = asyncio.run(run(plan, _bars(progress)))
    Console().print(_summary(evaluation))
    typer.echo(f"scores: {out / 'scores.json'}; next: bedside-train judge {out} {adapter}")


def judge(
    evaluation: Annotated[Path, typer.Argument(help="The folder that `bedside-train evaluate` wrote.")],
    adapter: Annotated[Path, typer.Argument(help="The candidate's folder.")],
    trained_on: Annotated[
        list[Path] | None, typer.Option(help="A file of dialogues that it learnt from; may be repeated.")
    ] = None,
    metrics: Annotated[Path | None, typer.Option(help="metrics.jsonl of its training, for the curves.")] = None,
    thresholds: Annotated[Path | None, typer.Option(help="Another policy than the shipped one.")] = None,
    items: Annotated[Path, typer.Option(help="Folder of evaluation items.", show_default="the shipped set")] = ITEMS,
    site: Annotated[Path, typer.Option(help="Folder with site.yaml and articles/.")] = Path("demo"),
) -> None:
    """Apply the gate's policy to an evaluation and write report.html and report.json beside it.

    Exit status 0: pass; 2: fail or inconclusive.
    """
    from training.evaluation.judging import judge_evaluation
    from training.evaluation.rules import THRESHOLDS, load_policy

    policy, digest = load_policy(thresholds or THRESHOLDS)
    judged = judge_evaluation(
        evaluation, adapter, policy, items=items, articles=site / "articles", trained_on=trained_on or (),
        metrics=metrics, thresholds_sha256=digest,
    )  # fmt: skip
    for reason in judged.decision.reasons:
        typer.echo(reason)
    typer.echo(f"report: {judged.report}")
    typer.echo(f"verdict: {judged.decision.verdict}")
    if judged.decision.verdict != "pass":
        raise typer.Exit(2)


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
