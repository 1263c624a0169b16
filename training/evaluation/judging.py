"""From the answers and their scores to a verdict: facts, the policy's rules, a report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from pydantic import ValidationError

from app.contracts.adapters import AdapterManifest, read_manifest
from app.contracts.adapters import content_hash as weights_hash
from app.contracts.prompt import template_hash
from app.errors import ConfigurationError
from training.curate.elsewhere import RUN_OF_WORDS, runs
from training.curate.words import words
from training.evaluation.answers import Run, read_run
from training.evaluation.curves import read_metrics
from training.evaluation.facts import Facts
from training.evaluation.items import Item, ItemSet, load_items
from training.evaluation.panel import run_hash
from training.evaluation.panel_verdict import PanelVerdict
from training.evaluation.probes import Probes
from training.evaluation.report import Evidence, write_report
from training.evaluation.results import RuleResult
from training.evaluation.rules import NonInferiorRule, Policy
from training.evaluation.table import read_table
from training.evaluation.taught import Taught
from training.evaluation.verdict import Decision, decide, judge
from training.finetune.ancestry import learnt_texts


@dataclass(frozen=True, slots=True)
class Judged:
    """The decision, each rule's result, where the report lies, and the hash of the weights as they lie there."""

    decision: Decision
    results: list[RuleResult]
    report: Path
    adapter_sha256: str


def judge_evaluation(
    folder: Path,
    adapter: Path,
    policy: Policy,
    *,
    items: Path,
    articles: Path,
    trained_on: Sequence[Path],
    metrics: Path | None = None,
    thresholds_sha256: str = "",
    probes: Probes | None = None,
    taught: Taught | None = None,
    panel: Path | None = None,
) -> Judged:
    """Judge the evaluation in ``folder``, and write ``report.html`` and ``report.json`` beside it.

    ``trained_on`` are the files that the adapter and its ancestors learnt from, ``metrics`` the run's metrics.jsonl,
    ``taught`` answers to dialogues held out from training, ``panel`` what `bedside-train panel verdict` wrote. What
    nobody measured stays open, and an open rule blocks. Raises ConfigurationError where files are missing or do not
    belong together, AdapterInvalid where the manifest is none.
    """
    # 1. What was answered and scored.
    table = read_table(folder / "scores.json")
    base, champion, candidate = (
        read_run(folder / "runs" / f"{name}.json") for name in ("base", "champion", "candidate")
    )
    asked = _asked(load_items(items, articles), candidate)
    # 2. Facts about files and training.
    manifest = read_manifest(adapter, verify=False)  # whether the weights are its own is one of the facts
    facts = gather(manifest, adapter, base, candidate, asked, trained_on, probes)
    clinicians = None if panel is None else read_panel(panel, champion, candidate)
    if clinicians is not None:
        facts = replace(facts, panel=clinicians.outcome)
    # 3. The rules.
    results = judge(table, facts, policy)
    # 4. The report.
    evidence = Evidence(
        adapter=manifest.version,
        dataset_sha256=manifest.dataset_sha256,
        results=results,
        table=table,
        champion=champion,
        candidate=candidate,
        items=asked,
        training=read_metrics(metrics) if metrics else (),
        bootstrap=policy.bootstrap,
        margins={rule.metric: rule.margin for rule in policy.rules if isinstance(rule, NonInferiorRule)},
        hashes={"thresholds": thresholds_sha256} if thresholds_sha256 else {},
        taught=taught.table() if taught is not None else None,
        panel=clinicians,
    )
    return Judged(decide(results), results, write_report(folder, evidence), weights_hash(adapter))


def gather(
    manifest: AdapterManifest,
    adapter: Path,
    base: Run,
    candidate: Run,
    items: Sequence[Item],
    trained_on: Sequence[Path],
    probes: Probes | None = None,
) -> Facts:
    """What the files and the ``probes`` tell; the panel is open."""
    if probes is not None and probes.adapter_sha256 != manifest.content_sha256:
        raise ConfigurationError("the probes are of another adapter; gate it again into another folder")
    differing, compared = _differing(base, candidate)
    served = probes is not None and probes.listed and candidate.adapter_sha256 == manifest.content_sha256
    return Facts(
        base_matches=manifest.base_sha256 == candidate.base_sha256,
        template_matches=(manifest.prompt_version, manifest.template_sha256)
        == (candidate.prompt_version, template_hash()),
        tampered=weights_hash(adapter) != manifest.content_sha256,
        loads_in_engine=served if probes else None,
        differs_share=differing / compared if compared else None,
        answers_compared=compared,
        train_loss=manifest.metrics.get("train_loss"),
        held_out_loss=manifest.metrics.get("held_out_loss"),
        hf_vllm_agreement=probes.agreement if probes else None,
        prompts_compared=probes.prompts if probes else None,
        canaries_planted=probes.canaries_planted if probes else None,
        canaries_extracted=probes.canaries_extracted if probes else None,
        ngram_overlap=overlap(items, chain.from_iterable(map(learnt_texts, trained_on))) if trained_on else None,
    )


def read_panel(path: Path, champion: Run, candidate: Run) -> PanelVerdict:
    """A panel's verdict about these two runs. Raises ConfigurationError for a broken file, or one about others."""
    try:
        found = PanelVerdict.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ConfigurationError(f"{path} is no verdict of a panel: {str(error).splitlines()[0]}") from None
    if (found.champion_run_sha256, found.candidate_run_sha256) != (run_hash(champion), run_hash(candidate)):
        raise ConfigurationError(f"{path}: the panel rated other answers than these; export a new pack from these runs")
    return found


def overlap(items: Sequence[Item], texts: Iterable[str], length: int = RUN_OF_WORDS) -> float:
    """The share of items one of whose turns has ``length`` words in a row in common with a text, or is one.

    A turn that is a text counts from three words on: patients' questions are short.
    """
    sought: dict[tuple[str, ...], set[str]] = {}
    for item in items:
        for run in (run for turn in item.turns for run in runs(words(turn), length)):
            sought.setdefault(run, set()).add(item.id)
    shared = {name for text in texts for run in runs(words(text), length) for name in sought.get(run, ())}
    return len(shared) / len(items) if items else 0.0


def _differing(base: Run, candidate: Run) -> tuple[int, int]:
    """For how many items the model said something else with the adapter, of how many for which it was asked."""
    pairs = [(one.raw, two.raw) for one, two in zip(base.answers, candidate.answers, strict=True) if one.raw or two.raw]
    return sum(one != two for one, two in pairs), len(pairs)


def _asked(items: ItemSet, run: Run) -> list[Item]:
    """The items of a run, in its order (a trial asks only the first)."""
    known = {item.id: item for item in items.items}
    if missing := [answer.item for answer in run.answers if answer.item not in known]:
        raise ConfigurationError(
            f"item {missing[0]} was answered and is not in the set; name the set that was evaluated"
        )
    return [known[answer.item] for answer in run.answers]
