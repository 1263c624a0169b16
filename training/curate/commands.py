"""``bedside-train curate``, ``bedside-train data`` and ``bedside-train demo-sources``."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.errors import ConfigurationError
from training.curate.streams import one_thread

if TYPE_CHECKING:
    from rich.progress import Progress

    from training.curate.config import CurateConfig
    from training.curate.forgetting import Forgotten
    from training.curate.stages import StageReport

data = typer.Typer(no_args_is_help=True, help="Dataset versions: what changed, questions to people, forgetting.")
review = typer.Typer(no_args_is_help=True, help="Questions of the stages to people, and their decisions.")
data.add_typer(review, name="review")
Config = Annotated[Path, typer.Argument(help="YAML file; demo/curate.yaml is one.")]


def curate(
    config: Config,
    only: Annotated[str, typer.Option(help="Run this stage alone, on what the one before it has written.")] = "",
    shard: Annotated[
        str, typer.Option(metavar="I/N", help="Run ingest and deidentify on a part of the conversations.")
    ] = "",
    join: Annotated[
        int | None, typer.Option(min=2, help="Join this number of shards, then run the other stages.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes, instead of the config's number.")] = None,
) -> None:
    """Turn raw transcripts, notes and FAQ entries into a dataset version. Run it again to go on where it stopped."""
    part = _shard(shard)
    if join and (only or shard):
        raise ConfigurationError("--join goes with neither --only nor --shard")
    one_thread()
    settings = _config(config)
    from training.curate.chain import Chain

    with _Shown() as shown:
        chain = Chain(settings, watch=shown, workers=workers)
        if only:
            done = chain.only(only, part)
        elif shard:
            done = chain.shard(part)
        else:
            done = chain.join(join) if join else chain.run()
    if done.version:
        typer.echo(f"{done.version} written; report: {done.report}")
        if done.questions:
            typer.echo(f"{done.questions} questions wait for people: bedside-train data review export {config}")


def demo_sources(
    out: Annotated[Path, typer.Option(help="Folder for the files.")] = Path("demo/transcripts"),
    site: Annotated[Path, typer.Option(help="Folder with site.yaml and articles/.")] = Path("demo"),
    seed: Annotated[int, typer.Option(help="Seed of everything that is drawn.")] = 7,
) -> None:
    """Write the demonstration hospital's raw transcripts, notes and FAQ entries, with their deliberate defects."""
    from app.contracts.site import load_site
    from training.curate.demo_sources.write import write_sources

    counts = write_sources(out, site / "articles", load_site(site), seed=seed)
    typer.echo(f"written to {out}: " + ", ".join(f"{name} {count}" for name, count in counts.items()))


@data.command()
def diff(
    before: Annotated[Path, typer.Argument(help="Folder of a version.")],
    after: Annotated[Path, typer.Argument(help="Folder of another one.")],
    as_json: Annotated[bool, typer.Option("--json", help="All of it, as JSON.")] = False,
) -> None:
    """What changed between two dataset versions: records, dialogues, options, counts, sources, decisions."""
    from training.curate.differences import diff as compare

    found = compare(before, after)
    typer.echo(found.model_dump_json(indent=1) if as_json else found.text())


@data.command()
def forget(
    config: Config,
    dataset: Annotated[Path, typer.Argument(help="Folder of the version to make a new one from.")],
    patient: Annotated[str, typer.Option(prompt=True, help="The patient's id in the sources; asked if left out.")],
    adapters: Annotated[list[Path] | None, typer.Option(help="Folders to look for adapters in.")] = None,
    purge: Annotated[bool, typer.Option("--purge", help="Remove the versions that hold the patient.")] = False,
) -> None:
    """Leave a patient out of all later runs, write a version without, and name the adapters to train again."""
    settings = _config(config)
    from training.curate.forgetting import forget as erase

    # The list of the forgotten lies beside the versions, and a link to one lies elsewhere.
    version, versions = Path(os.path.realpath(dataset)), Path(os.path.realpath(settings.versions))
    if version.parent != versions:
        raise ConfigurationError(f"{dataset} is no version of this config; name a folder in {settings.versions}")
    link = settings.current
    mine = link is not None and (not os.path.lexists(link) or Path(os.path.realpath(link)) == version)
    done = erase(
        versions / version.name,
        patient,
        secret=settings.key(settings.read_site()),
        on=date.today(),
        adapters=adapters or [path for path in (Path("adapters"), Path("var/training")) if path.is_dir()],
        also=_works(settings.work),
        purge=purge,
    )
    typer.echo(done.text())
    if link is not None and mine and done.folder is not None:
        _relink(link, done.folder)
    elif link is not None and _is_hers(link, done):
        typer.echo(f"{link} leads to a version with the patient: run `bedside-train curate {config}`")


@review.command()
def export(
    config: Config,
    out: Annotated[
        Path | None, typer.Option(help="Folder for review.csv and review.html; work/review if left out.")
    ] = None,
) -> None:
    """Write the open questions as a CSV and a page."""
    settings = _config(config)
    from training.curate.review import export as write

    done = write(settings.work, out or settings.work / "review", settings.decisions)
    typer.echo(f"{done.questions} open questions ({done.decided} are decided): {done.csv}, {done.html}")


@review.command("import")
def take(
    config: Config,
    decided: Annotated[Path, typer.Argument(help="review.csv with verdicts: accept, reject or drop.")],
    reviewer: Annotated[str, typer.Option(help="Who decided, where a row does not say.")] = "",
    replace: Annotated[bool, typer.Option("--replace", help="Change what was decided before.")] = False,
) -> None:
    """Remember people's decisions; the next run applies them."""
    settings = _config(config)
    from training.curate.review import import_decisions

    done = import_decisions(
        decided, settings.work, settings.decisions, on=date.today(), reviewer=reviewer, replace=replace
    )
    typer.echo(
        f"{done.new} new decisions, {done.changed} changed, {done.known} known, {done.undecided} still open; "
        f"next: bedside-train curate {config}"
    )


def _works(work: Path) -> list[Path]:
    """The folder of the whole run and those of its shards beside it, as far as they are there; nobody else's."""
    shard = re.compile(re.escape(work.name) + r"-shard-\d+-of-\d+")
    beside = sorted(work.parent.iterdir()) if work.parent.is_dir() else []
    return [path for path in (work, *filter(lambda path: shard.fullmatch(path.name), beside)) if path.is_dir()]


def _is_hers(link: Path, done: Forgotten) -> bool:
    """Whether a link leads to a version that holds the patient, or held her and is gone."""
    return Path(os.path.realpath(link)) in {Path(os.path.realpath(path)) for path in (*done.holding, *done.purged)}


def _relink(link: Path, version: Path) -> None:
    """Let the config's link lead to a version. ConfigurationError that says what is done and what is not."""
    from training.curate.chain import set_link

    try:
        set_link(link, version)
    except OSError as error:
        raise ConfigurationError(
            f"{link} still leads to what it led to: {error.strerror or error}; the version without the patient is "
            f"written: mend it and set the link: ln -sfn {os.path.relpath(version, link.parent)} {link}"
        ) from error


def _config(path: Path) -> CurateConfig:
    from training.curate.config import load_config

    return load_config(path)


def _shard(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,5})/(\d{1,5})", text or "1/1")
    part = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= part[0] <= part[1]:
        raise ConfigurationError(f"--shard {text}: write it as 1/4 (the first of four)")
    return part


class _Shown:
    """A bar for the stage that runs and a line for each that is finished, on standard error."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._console = Console(stderr=True, highlight=False)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bars: Progress = Progress(*columns, console=self._console, transient=True)

    def __enter__(self) -> _Shown:
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.stop()

    def begins(self, stage: str, number: int, of: int) -> Callable[[int, int | None], None]:
        """See Watch."""
        for task in self._bars.task_ids:
            self._bars.remove_task(task)
        bar = self._bars.add_task(f"{number}/{of} {stage}", total=None)
        return lambda done, total: self._bars.update(bar, completed=done, total=total)

    def ended(self, report: StageReport, fresh: bool) -> None:
        """See Watch."""
        counts = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in report.counts.items() if count)
        state = "" if fresh else " (finished before)"
        self._bars.print(f"{report.stage}{state}: {report.records_in:,} -> {report.records_out:,}; {counts}")
