"""Sends a planted adapter through ``bedside-train gate`` and reads what blocked it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from app.contracts.adapters import GATE_REPORT, GateReport
from tests.planted.adapters import Planted
from tests.planted.making import Workshop

REFUSED = "refused"
_UNDECIDED = "undecided: "


@dataclass(frozen=True, slots=True)
class Outcome:
    """``verdict`` of the gate, or :data:`REFUSED` where the command ends with an error; ``said`` is its last line."""

    verdict: str
    said: str
    failed: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()


class GateBroke(Exception):
    """The command ended in another way than with a verdict or a sentence of its own; says where its log is."""


def gate(planted: Planted, workshop: Workshop) -> Outcome:
    """Gate it against the base model, whose answers are taken over from gates before. Raises GateBroke."""
    adapter, out = workshop.adapter(planted), workshop.place(planted) / "gate"
    _take_over(workshop.folder, out / "answers")
    (adapter / GATE_REPORT).unlink(missing_ok=True)
    log = workshop.place(planted) / "gate.log"
    words = ["gate", str(adapter), "--config", str(workshop.config(planted)), "--out", str(out)]
    words += ["--items", str(workshop.items), "--state", str(workshop.folder / "state")]
    status = workshop.run(words, log)
    said = (log.read_text(encoding="utf-8").strip().splitlines() or [""])[-1]
    if status == 1 and said.startswith("error: "):
        return Outcome(REFUSED, said)
    if status not in (0, 2) or not (adapter / GATE_REPORT).is_file():
        raise GateBroke(f"the gate of {planted.name} ended with status {status}, see {log}")
    report = GateReport.model_validate_json((adapter / GATE_REPORT).read_bytes())
    blocking = [rule for rule in report.rules if not rule.passed]
    return Outcome(
        report.verdict,
        said,
        tuple(rule.name for rule in blocking if not rule.detail.startswith(_UNDECIDED)),
        tuple(rule.name for rule in blocking if rule.detail.startswith(_UNDECIDED)),
    )


def fault(planted: Planted, outcome: Outcome) -> str:
    """What is wrong with an outcome; nothing where the adapter was blocked by what is meant for it."""
    blocked = [*outcome.failed, *outcome.undecided]
    if not planted.meant and not planted.refusal:
        return "" if outcome.verdict == "pass" else f"is sound and was blocked: {', '.join(blocked) or outcome.said}"
    if outcome.verdict == "pass":
        return "is PROMOTABLE"
    if planted.refusal:
        return "" if planted.refusal in outcome.said else f"was not refused for that: {outcome.said}"
    if not set(planted.meant) & set(outcome.failed):
        return f"was blocked by {', '.join(blocked) or outcome.said}, and not by {' or '.join(planted.meant)}"
    return ""


def _take_over(folder: Path, answers: Path) -> None:
    """Copy what the base model answered in other gates. Names of files say what answers depend on."""
    answers.mkdir(parents=True, exist_ok=True)
    for kept in sorted(folder.glob("*/gate/answers/base-*.jsonl")):
        mine = answers / kept.name
        if kept != mine and (not mine.exists() or mine.stat().st_size < kept.stat().st_size):
            shutil.copyfile(kept, mine)
