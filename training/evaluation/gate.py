"""The whole gate for one adapter: answer, probe, judge, and write what the service asks for before a promotion."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from app.contracts.adapters import GATE_REPORT, AdapterManifest, GateConditions, GateReport, as_json
from app.errors import ConfigurationError
from training.evaluation.answers import Run
from training.evaluation.evaluate import Plan, Started, evaluate, quiet
from training.evaluation.judging import Judged, judge_evaluation
from training.evaluation.probes import PROMPTS, probe
from training.evaluation.report import JSON_NAME, content_hash, load_report
from training.evaluation.rules import Policy
from training.evaluation.taught import DIALOGUES, ask_what_was_taught
from training.evaluation.verdict import to_report
from training.files import require_writable, write_text
from training.finetune.adapter import measured_card, require_base
from training.finetune.ancestry import learnt_files, require_held_out_unseen, require_named
from training.finetune.canaries import plant, secret
from training.finetune.config import FinetuneConfig
from training.finetune.data import files_hash, load_dialogues
from training.serving import Starting


@dataclass(frozen=True, slots=True)
class Gated:
    """What was judged, and the report that lies beside the weights now (after a trial on few items: does not)."""

    judged: Judged
    report: GateReport
    written: bool


async def run_gate(
    plan: Plan,
    config: FinetuneConfig,
    policy: Policy,
    thresholds_sha256: str,
    engine: Starting,
    started: Started = quiet,
    panel: Path | None = None,
) -> Gated:
    """Gate ``plan.candidate``, which was trained with ``config``; ``engine`` serves its base model.

    ``panel``: a verdict of the clinicians' panel about the answers that are kept in ``plan.out``.

    Raises AdapterInvalid for a broken folder or one over another base, ConfigurationError (a folder that cannot be
    written too, before anything is asked), DependencyError. What was answered is kept in ``plan.out``: a second call
    goes on there. A trial (``plan.limit``) writes nothing beside the weights, since a report binds to the whole
    evaluation set.
    """
    # 1. The folder is what its manifest says. What was planted in training is searched for in every answer.
    manifest = require_base(plan.candidate, plan.base_model)
    require_what_it_learnt_from(manifest, config)
    require_other_champion(plan, manifest)
    if plan.limit is None:
        require_writable(plan.candidate)
    training = [dialogue for path in config.training_files for dialogue in load_dialogues(path)]
    canaries = plant(int(manifest.metrics.get("canaries", 0)), int(manifest.metrics.get("seed", 0)), training)
    # 2. Base, champion and candidate answer the items, base and candidate dialogues held out from training; vLLM and
    # transformers are compared.
    evaluation = await evaluate(replace(plan, canaries=tuple(map(secret, canaries))), engine, started)
    prompts = PROMPTS if plan.limit is None else min(PROMPTS, plan.limit)
    probes = await probe(plan.candidate, manifest, config, plan.out, engine, canaries, prompts)
    dialogues = DIALOGUES if plan.limit is None else min(DIALOGUES, plan.limit)
    taught = await ask_what_was_taught(plan.candidate, manifest, config, plan.out, engine, dialogues)
    # 3. The rules.
    metrics = config.work / "metrics.jsonl"
    judged = judge_evaluation(
        plan.out,
        plan.candidate,
        policy,
        items=plan.items,
        articles=plan.site / "articles",
        trained_on=learnt_files(config),
        metrics=metrics if metrics.is_file() else None,
        thresholds_sha256=thresholds_sha256,
        probes=probes,
        taught=taught,
        panel=panel,
    )
    # 4. Report and card lie beside the weights.
    report = gate_report(judged, evaluation.champion, evaluation.candidate, thresholds_sha256)
    if plan.limit is None:
        card = plan.candidate / "README.md"
        text = card.read_text(encoding="utf-8") if card.is_file() else ""
        write_text(card, measured_card(text, rows(report)))
        write_text(plan.candidate / GATE_REPORT, as_json(report))
    return Gated(judged, report, written=plan.limit is None)


def require_what_it_learnt_from(manifest: AdapterManifest, config: FinetuneConfig) -> None:
    """Raise ConfigurationError where the config names other dialogues than those that went into the adapter.

    What was planted, and what of the evaluation set was seen, is told by these files; what an adapter learnt that this
    one's training began with is in the weights too.
    """
    if files_hash(config.files) != manifest.dataset_sha256:
        raise ConfigurationError(
            f"{manifest.version} was trained on other dialogues than those that the config names (train, also_train, "
            "held_out): give with --config the one that it was trained with, and its files as they were"
        )
    if config.start_from is not None and not manifest.ancestors:
        raise ConfigurationError(
            f"the config has start_from: {config.start_from}, and the manifest of {manifest.version} names no adapter "
            "that it began with: give with --config the one that it was trained with; if this is it, train again"
        )
    require_named(manifest.ancestors, config)
    require_held_out_unseen(config)


def require_other_champion(plan: Plan, candidate: AdapterManifest) -> None:
    """Raise ConfigurationError where the champion has the candidate's weights, under whatever name."""
    if plan.champion is None:
        return
    if require_base(plan.champion, plan.base_model).content_sha256 == candidate.content_sha256:
        raise ConfigurationError(f"{plan.champion} is the candidate itself; name the adapter that serves now, or base")


def gate_report(judged: Judged, champion: Run, candidate: Run, thresholds_sha256: str) -> GateReport:
    """The verdict, bound to the hashes of all that it depends on. Raises ConfigurationError."""
    conditions = GateConditions(
        adapter_sha256=judged.adapter_sha256,
        evaluation_sha256=candidate.evaluation_sha256,
        policy_hash=candidate.policy_hash,
        prompt_version=candidate.prompt_version,
        thresholds_sha256=thresholds_sha256,
        base_sha256=candidate.base_sha256,
        champion_sha256=champion.adapter_sha256 or champion.base_sha256,
        articles_sha256=candidate.articles_sha256,
        parts_sha256=candidate.parts_sha256,
        bounds=candidate.bounds,
        report_sha256=content_hash(load_report(judged.report.with_name(JSON_NAME))),
    )
    return to_report(judged.results, conditions, datetime.now(UTC).replace(microsecond=0))


def rows(report: GateReport) -> list[str]:
    """The report as a table for the adapter's card."""
    lines = [f"Gate: **{report.verdict}**, evaluation set `{report.evaluation_sha256[:12]}`.", ""]
    lines += ["| rule | figure | bound | |", "|---|---|---|---|"]
    for rule in report.rules:
        outcome = "; ".join(part for part in ("pass" if rule.passed else "fail", rule.detail) if part)
        lines.append(f"| {rule.name} | {rule.value:g} | {rule.bound} | {outcome.replace('|', '/')} |")
    return lines


def last_line(gated: Gated, adapter: Path) -> str:
    """The verdict in one line, for terminals and logs."""
    decision = gated.judged.decision
    if decision.verdict == "pass" and gated.written:
        return f"PROMOTABLE: {decision.reasons[0]} Next: bedside adapters add {adapter}"
    if decision.verdict == "pass":
        return f"TRIAL: {decision.reasons[0]} Nothing was written beside the weights: gate it on all items."
    return f"BLOCKED: {' '.join(decision.reasons[:2])}"
