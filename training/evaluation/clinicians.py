"""``bedside-train panel`` and ``bedside-train signoff``: what clinicians give to the gate."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError

from app.contracts.adapters import GATE_REPORT, GateReport, content_hash, read_manifest
from app.errors import AdapterInvalid, ConfigurationError
from app.guardrails.signoff import VALID_DAYS
from training.evaluation.commands import ITEMS

if TYPE_CHECKING:
    from app.guardrails.signoff import Subject, Verification

SIGNERS = Path("signers.yaml")
panel = typer.Typer(no_args_is_help=True, help="Clinicians compare answers without knowing whose they are.")
signoff = typer.Typer(no_args_is_help=True, help="Two clinicians sign for an adapter that the gate has passed.")

Champion = Annotated[Path, typer.Argument(help="The champion's run, JSON of `bedside-train gate`.")]
Candidate = Annotated[Path, typer.Argument(help="The candidate's run.")]
Key = Annotated[Path, typer.Option("--key", help="The key file, which says which answer is whose.")]
Store = Annotated[Path, typer.Option("--ratings", help="File that collects the ratings of all raters.")]
Items = Annotated[Path, typer.Option("--items", help="Folder of evaluation items.")]
Site = Annotated[Path, typer.Option("--site", help="Folder with site.yaml and articles/.")]
Folder = Annotated[Path, typer.Argument(help="Folder with the gate's report.json.")]
Adapter = Annotated[
    Path | None, typer.Option("--adapter", help="The adapter's folder.", show_default="the same folder")
]
Signers = Annotated[Path, typer.Option("--signers", help="YAML file of the people who may sign, and their keys.")]
Policies = Annotated[Path | None, typer.Option("--policies", help="Another policy bundle than the shipped one.")]


@panel.command("export")
def panel_export(
    champion: Champion,
    candidate: Candidate,
    out: Annotated[Path, typer.Option(help="Folder for the pack that goes to the raters.")],
    key: Key,
    rater: Annotated[list[str], typer.Option(help="A rater's name; give the option three times or more.")],
    count: Annotated[int, typer.Option(min=1, help="So many questions at most.")] = 40,
    items: Items = ITEMS,
    site: Site = Path("demo"),
) -> None:
    """Write a CSV and an offline page for each rater, and the key, which stays here."""
    from training.evaluation.answers import read_run
    from training.evaluation.items import load_items
    from training.evaluation.panel_export import article_passages, export

    runs = read_run(champion), read_run(candidate)
    answered = {answer.item for answer in runs[0].answers}
    asked = [item for item in load_items(items, site / "articles").items if item.id in answered]
    exported = export(*runs, asked, rater, out, key, count=count, passages=article_passages(site / "articles"))
    for sheet in exported.sheets:
        typer.echo(f"{sheet.rater}: {sheet.html} or {sheet.csv}")
    typer.echo(f"{exported.items} questions; {exported.identical} items have the same answer of both and are not shown")
    typer.echo(f"keep {exported.key} from the raters; next: bedside-train panel import")


@panel.command("import")
def panel_import(
    files: Annotated[list[Path], typer.Argument(help="CSV files that the raters sent back.")],
    key: Key,
    ratings: Store = Path("ratings.json"),
    partial: Annotated[bool, typer.Option("--partial", help="Allow questions that a rater left open.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Take these instead of a rater's earlier ones.")] = False,
) -> None:
    """Read filled-in sheets. A sheet with a fault is told line by line and not taken; the files before it are."""
    from training.evaluation.panel_import import import_ratings

    for path in files:
        read = import_ratings(path, key, ratings, on=date.today(), partial=partial, replace=replace)
        told = "known already" if read.known else f"{read.open} left open"
        typer.echo(f"{path}: {read.rows} ratings of {read.rater}, {told}; raters so far: {read.raters}")


@panel.command("verdict")
def panel_verdict(
    champion: Champion,
    candidate: Candidate,
    key: Key,
    ratings: Store = Path("ratings.json"),
    out: Annotated[Path | None, typer.Option(help="Write the verdict to this file, for the gate.")] = None,
) -> None:
    """Open the ratings and say what they are worth. Exit status 0: pass; 2: fail or inconclusive."""
    from training.evaluation.answers import read_run
    from training.evaluation.panel import load_key, load_ratings
    from training.evaluation.panel_verdict import judge
    from training.files import write_text

    opened = load_key(key)
    found = judge(opened, load_ratings(ratings, opened.pack), read_run(champion), read_run(candidate))
    if out:
        write_text(out, found.model_dump_json(indent=1) + "\n")
    preferred = ", ".join(f"{name} {times}" for name, times in found.preferred.items())
    typer.echo(f"{len(found.raters)} raters, {found.items} questions; better: {preferred}")
    for one in found.agreement:
        value = "not defined" if one.value is None else f"{one.value:.2f} ({one.low:.2f} to {one.high:.2f})"
        typer.echo(f"agreement on {one.question}: {one.measure} {value}")
    for reason in found.reasons:
        typer.echo(reason)
    typer.echo(f"panel: {found.outcome}")
    if found.outcome != "pass":
        raise typer.Exit(2)


@signoff.command("keygen")
def signoff_keygen(
    file: Annotated[Path, typer.Argument(help="Where the private key goes; the public one goes beside it as .pub.")],
) -> None:
    """Make a clinician's key pair and print the public key, for the file of signers."""
    from app.guardrails.signing import make_key

    typer.echo(make_key(file))
    typer.echo(f"{file} is the private key (mode 0600): it belongs to one person and is never sent", err=True)


@signoff.command("sign")
def signoff_sign(
    folder: Folder,
    key: Annotated[Path, typer.Option("--key", help="The clinician's private key.")],
    adapter: Adapter = None,
    signers: Signers = SIGNERS,
    days: Annotated[int, typer.Option(min=1, max=365, help="So many days the signature counts.")] = VALID_DAYS,
    items: Items = ITEMS,
    policies: Policies = None,
) -> None:
    """Sign for the adapter, its data, the evaluation set, the policies, the prompt and the report in a folder.

    The sign-offs lie beside the report and beside the weights: `bedside adapters add` brings them to the service.
    """
    from app.guardrails.signing import read_private
    from app.guardrails.signoff import SIGNOFF_FILE, load_register, sign
    from training.evaluation.report import JSON_NAME, load_report, subject_of
    from training.files import write_text

    register, today = load_register(signers), date.today()
    now = _subject_now(adapter or folder, items, policies)
    subject = subject_of(load_report(folder / JSON_NAME), now.gate_sha256)
    changed = [name for name in type(subject).model_fields if getattr(subject, name) != getattr(now, name)]
    if changed:
        raise ConfigurationError(f"{', '.join(changed)}: not what the report is about any more; run the gate again")
    made = sign(subject, read_private(key), register, folder / SIGNOFF_FILE, today=today, days=days)
    beside = adapter or folder
    if beside != folder:  # what `bedside adapters add` reads
        write_text(beside / SIGNOFF_FILE, (folder / SIGNOFF_FILE).read_text(encoding="utf-8"))
    typer.echo(f"{made.statement.name} has signed; it counts until {made.statement.counts_until}")
    _told(_verify(folder, signers, now))


@signoff.command("verify")
def signoff_verify(
    folder: Folder,
    adapter: Adapter = None,
    signers: Signers = SIGNERS,
    items: Items = ITEMS,
    policies: Policies = None,
) -> None:
    """Say who signed what and why a signature does not count. Exit status 0: two people have signed; 2: not yet."""
    if not _told(_verify(folder, signers, _subject_now(adapter or folder, items, policies))).complete:
        raise typer.Exit(2)


def _verify(folder: Path, signers: Path, now: Subject) -> Verification:
    """What the signatures are worth for what is there now; the report's page shows it too."""
    from app.guardrails.signoff import SIGNOFF_FILE, load_register, load_signoffs, verify
    from training.evaluation.report import add_signoffs

    signed = load_signoffs(folder / SIGNOFF_FILE).signoffs
    found = verify(signed, now, load_register(signers), today=date.today())
    add_signoffs(folder, found)
    return found


def _told(found: Verification) -> Verification:
    for one in found.checked:
        typer.echo(f"{one.name}, {one.signed_on}: {'counts' if one.counts else one.why_not}")
    typer.echo(found.said)
    return found


def _subject_now(adapter: Path, items: Path, policies: Path | None) -> Subject:
    """The hashes of what is there now, of the report too: that by which the service promotes, beside the weights."""
    from app.contracts.prompt import PROMPT_VERSION
    from app.guardrails.bundle_source import digest, read_files
    from app.guardrails.policy import default_bundle_folder
    from app.guardrails.signoff import Subject, gate_hash
    from training.evaluation.items import load_items

    try:
        manifest = read_manifest(adapter, verify=False)
        report = GateReport.model_validate_json((adapter / GATE_REPORT).read_bytes())
        weights = content_hash(adapter)
    except (OSError, ValidationError, AdapterInvalid) as error:
        raise ConfigurationError(
            f"{adapter} is no folder of a gated adapter: {str(error).splitlines()[0]}; run `bedside-train gate` on it"
        ) from None
    if report.report_sha256 is None:
        raise ConfigurationError(f"{adapter / GATE_REPORT} names no report.json; run `bedside-train gate` again")
    return Subject(
        adapter_sha256=weights,
        dataset_sha256=manifest.dataset_sha256,
        evaluation_sha256=load_items(items).sha256,
        policy_hash=digest(read_files(policies or default_bundle_folder())),
        prompt_version=PROMPT_VERSION,
        report_sha256=report.report_sha256,
        gate_sha256=gate_hash(report),
    )
