"""The commands of the panel and of the sign-offs, from runs to a signed report."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.contracts.adapters import GATE_REPORT, AdapterManifest, GateReport, content_hash, write_json
from app.contracts.prompt import PROMPT_VERSION
from app.errors import ConfigurationError
from app.guardrails.policy import default_bundle_folder, load_bundle
from tests.unit.training.evaluation.panels import RATERS, cells, make_run, rate
from tests.unit.training.evaluation.reports import make_evidence
from training.evaluation.answers import write_run
from training.evaluation.clinicians import panel, signoff
from training.evaluation.items import load_items
from training.evaluation.report import HTML_NAME, JSON_NAME, load_report, write_report
from training.evaluation.report import content_hash as content_hash_of

HEAD = "id: fasting\ntitle: Eating before surgery\ntopic: surgery\naudience: patients\nowner: Surgery\n"
DATES = "reviewed: 2026-01-01\nreview_by: 2027-01-01\nsources: [own]\n"


def said(result: object) -> str:
    """The output, or the error that the program would print."""
    error = getattr(result, "exception", None)
    return str(error) if isinstance(error, ConfigurationError) else str(getattr(result, "output", ""))


@pytest.fixture
def items(tmp_path: Path) -> Path:
    folder = tmp_path / "items"
    folder.mkdir()
    listed = [
        {"id": f"item-{number:03d}", "family": "f", "author": "a", "topic": "t", "kind": "person",
         "turns": [f"May I talk to a person, {number}?"], "intent": "other"}
        for number in range(20)
    ]  # fmt: skip
    (folder / "one.yaml").write_text(json.dumps(listed))
    return folder


def test_a_panel_from_export_to_verdict(tmp_path: Path, items: Path) -> None:
    (tmp_path / "site" / "articles").mkdir(parents=True)
    (tmp_path / "site" / "articles" / "fasting.md").write_text(f"---\n{HEAD}{DATES}---\n\nNone.\n\n## Water\n\nSix.\n")
    asked = list(load_items(items).items)
    runs = []
    for system in ("champion", "candidate"):
        run = make_run(system, asked)
        write_run(run, tmp_path / f"{system}.json")
        runs.append(str(tmp_path / f"{system}.json"))
    key, store = str(tmp_path / "key.json"), str(tmp_path / "ratings.json")
    named = [part for rater in RATERS for part in ("--rater", rater)]
    (tmp_path / "file").touch()
    where = ["--items", str(items), "--site", str(tmp_path / "site")]
    runner = CliRunner()
    result = runner.invoke(panel, ["export", *runs, "--out", str(tmp_path / "pack"), "--key", key, *named, *where])
    assert "20 questions; 0 items have the same answer" in said(result)
    closed = ["--out", str(tmp_path / "file" / "pack"), "--key", str(tmp_path / "other.json")]
    assert "cannot be written" in said(runner.invoke(panel, ["export", *runs, *closed, *named, *where]))
    sheets = sorted((tmp_path / "pack").glob("panel-*.csv"))
    assert len(sheets) == 3
    filled = [str(rate(sheet, noise=0.1, seed=number)) for number, sheet in enumerate(sheets)]
    assert "Eating before surgery: Water\nSix." in cells(sheets[0])[0]["passages"]
    result = runner.invoke(panel, ["import", *filled, "--key", key, "--ratings", str(tmp_path / "file" / "ratings")])
    assert "cannot be" in said(result)
    result = runner.invoke(panel, ["import", *filled, "--key", key, "--ratings", store])
    assert "20 ratings of Dr. Ines Calloway, 0 left open; raters so far: 1" in said(result)
    out = tmp_path / "panel.json"
    result = runner.invoke(panel, ["verdict", *runs, "--key", key, "--ratings", store, "--out", str(out)])
    assert (result.exit_code, "panel: pass" in said(result)) == (0, True)
    assert json.loads(out.read_text())["outcome"] == "pass"
    (tmp_path / "ratings.json").unlink()
    result = runner.invoke(panel, ["verdict", *runs, "--key", key, "--ratings", store])
    assert (result.exit_code, "0 raters; 3 are needed" in said(result)) == (2, True)


def test_two_clinicians_sign_for_what_is_there(tmp_path: Path, items: Path) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    (adapter / "adapter_model.safetensors").write_bytes(b"weights")
    manifest = AdapterManifest(
        name="support", content_sha256=content_hash(adapter), base_id="demo", base_sha256="ba" * 32, rank=4, alpha=8.0,
        target_modules=["q_proj"], prompt_version=PROMPT_VERSION, template_sha256="0" * 64, dataset_sha256="da" * 32,
        created_at=datetime(2026, 11, 1, tzinfo=UTC),
    )  # fmt: skip
    write_json(manifest, adapter / "manifest.json")
    about = {
        "evaluation_sha256": load_items(items).sha256,
        "policy_hash": load_bundle(default_bundle_folder()).hash,
        "prompt_version": PROMPT_VERSION,
    }
    evidence = make_evidence(20)
    runs = {
        "champion": evidence.champion.model_copy(update=about),
        "candidate": evidence.candidate.model_copy(update=about | {"adapter_sha256": manifest.content_sha256}),
    }
    gated = tmp_path / "gated"
    gated.mkdir()
    write_report(gated, make_evidence(20, **runs))
    told = content_hash_of(load_report(gated / JSON_NAME))
    beside = GateReport(
        **about, adapter_sha256=manifest.content_sha256, verdict="pass", created_at=manifest.created_at, rules=[],
        report_sha256=told,
    )  # fmt: skip
    write_json(beside, adapter / GATE_REPORT)
    runner = CliRunner()
    people = []
    for number, name in enumerate(("Dr. Ines Calloway", "Dr. Omar Whitfield")):
        result = runner.invoke(signoff, ["keygen", str(tmp_path / f"key{number}")])
        assert result.exit_code == 0
        people.append(
            {"id": f"u-{number}", "name": name, "profession": "physician", "keys": [{"key": f"key{number}.pub"}]}
        )
    signers = tmp_path / "signers.yaml"
    signers.write_text(json.dumps({"signers": people}))
    where = [str(gated), "--adapter", str(adapter), "--signers", str(signers), "--items", str(items)]
    result = runner.invoke(signoff, ["verify", *where])
    assert (result.exit_code, said(result)) == (2, "0 of 2 sign-offs count\n")
    # What is signed is the report by which the service promotes.
    write_json(beside.model_copy(update={"report_sha256": "0" * 64}), adapter / GATE_REPORT)
    result = runner.invoke(signoff, ["sign", *where, "--key", str(tmp_path / "key0")])
    assert "report_sha256: not what the report is about any more; run the gate again" in said(result)
    for old, mend in ((beside.model_copy(update={"report_sha256": None}), "names no report.json"), (None, "run `bed")):
        (adapter / GATE_REPORT).unlink()
        if old:
            write_json(old, adapter / GATE_REPORT)
        assert mend in said(runner.invoke(signoff, ["sign", *where, "--key", str(tmp_path / "key0")]))
    write_json(beside, adapter / GATE_REPORT)
    assert "Dr. Ines Calloway has signed" in said(
        runner.invoke(signoff, ["sign", *where, "--key", str(tmp_path / "key0")])
    )
    result = runner.invoke(signoff, ["sign", *where, "--key", str(tmp_path / "key1")])
    assert said(result).endswith("signed by Dr. Ines Calloway and Dr. Omar Whitfield\n")
    assert runner.invoke(signoff, ["verify", *where]).exit_code == 0
    assert "It is signed by Dr. Ines Calloway and Dr. Omar Whitfield." in (gated / HTML_NAME).read_text()
    # The same report again, as of a second gate, leaves the signatures on its page.
    write_report(gated, make_evidence(20, **runs))
    assert "It is signed by Dr. Ines Calloway and Dr. Omar Whitfield." in (gated / HTML_NAME).read_text()
    write_report(gated, make_evidence(20, **runs, limitations=["Another one."]))
    assert "It is signed by" not in (gated / HTML_NAME).read_text()
    write_report(gated, make_evidence(20, **runs))
    # A byte of the weights changes: nothing that was signed counts, and nobody can sign.
    (adapter / "adapter_model.safetensors").write_bytes(b"Weights")
    result = runner.invoke(signoff, ["verify", *where])
    assert result.exit_code == 2
    assert said(result).count("changed since: the adapter") == 2
    assert "Before that, 2 clinicians must sign for it: 0 of 2 sign-offs count." in (gated / HTML_NAME).read_text()
    result = runner.invoke(signoff, ["sign", *where, "--key", str(tmp_path / "key0")])
    assert "adapter_sha256: not what the report is about any more" in said(result)
