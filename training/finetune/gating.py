"""Runs the gate on a folder: generation, judgement, report and card."""

from __future__ import annotations

from pathlib import Path

from app.contracts.adapters import GateReport, write_json
from training.finetune.adapter import base_hash, measured_card, require_base
from training.finetune.config import FinetuneConfig
from training.finetune.data import files_hash, load_dialogues
from training.finetune.gate import Answers, Thresholds, judge
from training.finetune.generate import Answerer


def run_gate(
    adapter: Path, config: FinetuneConfig, thresholds: Thresholds, policy_hash: str, *, limit: int | None = None
) -> GateReport:
    """Verify, answer, judge; writes gate_report.json and the card. Raises AdapterInvalid for a broken folder.

    With ``limit`` nothing is written: a report must bind to the whole evaluation set.
    """
    # 1. The folder is what its manifest says.
    manifest = require_base(adapter, config.base_model)
    # 2. Base and candidate answer the same dialogues. An adapter with foreign shapes fails to load here.
    dialogues = load_dialogues(config.held_out)[:limit]
    answerer = Answerer(config.base_model, adapter, config.site, precision=config.training.precision)
    answers = Answers(
        dialogues, answerer.answer(dialogues, with_adapter=False), answerer.answer(dialogues, with_adapter=True)
    )
    # 3. Judge.
    report = judge(
        answers,
        thresholds,
        manifest,
        policy_hash=policy_hash,
        evaluation_sha256=files_hash([config.held_out]),
        base_sha256=base_hash(config.base_model),
    )
    # 4. Report and card lie beside the weights.
    if limit is None:
        write_json(report, adapter / "gate_report.json")
        card = adapter / "README.md"
        text = card.read_text(encoding="utf-8") if card.is_file() else ""
        card.write_text(measured_card(text, table(report)), encoding="utf-8")
    return report


def table(report: GateReport) -> list[str]:
    """The report as rows for the card."""
    lines = [f"Gate: **{report.verdict}**, on held-out articles that no training dialogue touches.", ""]
    lines += ["| rule | figure | bound | |", "|---|---|---|---|"]
    for rule in report.rules:
        outcome = "; ".join(part for part in ("pass" if rule.passed else "fail", rule.detail) if part)
        lines.append(f"| {rule.name} | {rule.value:g} | {rule.bound} | {outcome} |")
    return lines
