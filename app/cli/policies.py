"""`bedside policies`: check, sign, compare and try out policy bundles before they are put in force."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from app.bootstrap import load_policies, open_turn_encoder, policy_folder
from app.cli.judging import SOME, Judge, compare
from app.cli.lines import open_source, read_lines, write
from app.contracts.site import load_site
from app.errors import ConfigurationError, PolicyRefused
from app.guardrails import changes, signing
from app.guardrails.active import compiled, require_examples
from app.guardrails.bundle_source import digest, read_files
from app.guardrails.policy import PolicyBundle, load_bundle
from app.settings import Settings

policies = typer.Typer(help="Policy bundles: check, sign, verify, compare, try out.", no_args_is_help=True)
Folder = Annotated[
    Path | None, typer.Argument(help="Folder of a bundle. Default: BEDSIDE_POLICY_FOLDER, else the shipped one.")
]


@policies.command("check")
def check(
    folder: Folder = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Also refuse what is unsigned, expired or not reviewed by a clinician.")
    ] = False,
    examples: Annotated[bool, typer.Option("--examples", help="Also run the examples of every rule.")] = False,
) -> None:
    """Read a bundle and say file and line of each fault. Exit status 1 if there is one."""
    settings = Settings()
    key = signing.read_public(settings.policy_key) if settings.policy_key else None
    try:
        bundle = load_bundle(folder or policy_folder(settings), strict=strict, key=key)
        if examples:
            require_examples(compiled(bundle, load_site(settings.site), datetime.now(UTC)))
    except PolicyRefused as error:
        for reason in error.reasons:
            print(reason, file=sys.stderr)
        print(f"{len(error.reasons)} faults")
        raise typer.Exit(1) from None
    _warn(bundle)
    counts = f"{len(bundle.triage)} triage, {len(bundle.scope)} scope and {len(bundle.injection)} attack rules"
    print(f"{bundle.version} {bundle.hash} is right: {counts}, {len(bundle.texts)} texts; {bundle.signature}")


@policies.command("keygen")
def keygen(
    file: Annotated[Path, typer.Argument(help="Where the private key goes; the public one goes beside it as .pub.")],
) -> None:
    """Make a key pair for signing bundles and print the public key, the value of BEDSIDE_POLICY_KEY."""
    print(signing.make_key(file))
    print(f"{file} is the private key (mode 0600): keep it off the machines that serve patients", file=sys.stderr)


@policies.command("sign")
def sign(
    folder: Annotated[Path, typer.Argument(help="Folder of a bundle.")],
    key: Annotated[Path, typer.Option("--key", help="Private key of `bedside policies keygen`.")],
) -> None:
    """Write bundle.sig: that these very files may be put in force. A bundle with faults is not signed."""
    private = signing.read_private(key)
    bundle = load_bundle(folder, key=private.public_key())
    signing.sign(folder, bundle.hash, private)
    _warn(load_bundle(folder, key=private.public_key()))
    print(f"{bundle.version} {bundle.hash} is signed with the key {signing.key_id(private.public_key())}")


@policies.command("verify")
def verify(
    folder: Folder = None,
    key: Annotated[
        str | None, typer.Option("--key", help="Public key, base64 or a path. Default: BEDSIDE_POLICY_KEY.")
    ] = None,
) -> None:
    """Check the signature of a bundle against its files. Exit status 1 if it is not valid."""
    settings = Settings()
    given = key or settings.policy_key
    if not given:
        raise ConfigurationError("give the public key with --key or BEDSIDE_POLICY_KEY")
    public, where = signing.read_public(given), folder or policy_folder(settings)
    found = digest(read_files(where))
    checked = signing.check(where, found, public)
    if checked.state != "valid":
        raise ConfigurationError(f"{checked.state}: {checked.said}")
    print(f"{found} is signed with the key {signing.key_id(public)}")


@policies.command("diff")
def diff(
    old: Annotated[Path, typer.Argument(help="Folder of a bundle.")],
    new: Annotated[Path, typer.Argument(help="Folder of another.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Say what differs between two bundles: rules field by field, texts, phrases of the lexicon, limits."""
    found = changes.compare(load_bundle(old), load_bundle(new))
    if as_json:
        write(found.as_json())
        return
    for line in found.as_lines():
        print(line)


@policies.command("dry-run")
def dry_run(
    new: Annotated[Path, typer.Argument(help="Folder of the bundle to try.")],
    source: Annotated[str, typer.Option("--input", help="File of JSON lines; - is standard input.")] = "-",
    show_text: Annotated[bool, typer.Option("--show-text", help="Print the patients' words too.")] = False,
) -> None:
    """Judge cases by the bundle in force and by another, and print those that differ, then a table of tiers.

    In: as for `bedside triage`. Out: {"id","changed":{field:{"was","now"}}} a line. Exit status: 0, 3 if a case is
    lowered, 2 if lines cannot be used.
    """
    settings = Settings()
    turns = open_turn_encoder(settings)
    before, after = Judge.of(load_policies(settings), turns), Judge.of(load_bundle(new), turns)
    with open_source(source) as lines:
        status = compare(before, after, read_lines(lines), show_text=show_text)
    raise typer.Exit(0 if status == SOME else status)


def _warn(bundle: PolicyBundle) -> None:
    for warning in bundle.warnings:
        print(f"warning: {warning}", file=sys.stderr)
