"""Invented evidence for the gate's report."""

from __future__ import annotations

from random import Random
from typing import Any

from tests.unit.training.evaluation.panels import RATERS, make_items, make_run
from training.evaluation.items import Item
from training.evaluation.panel_verdict import Between, Harm, Level, Marked, PanelVerdict
from training.evaluation.report import Evidence
from training.evaluation.results import GateName, RuleResult
from training.evaluation.statistics import Bootstrap, Outcome, paired_difference
from training.evaluation.table import Metric, ScoreTable


def make_table(items: list[Item], fell: int = 6, missed: int = 0) -> ScoreTable:
    """Scores: the candidate is right more often, worse on the first ``fell`` items, misses ``missed`` emergencies."""
    chance = Random(3)
    champion = [1.0 if place < fell else float(chance.random() < 0.7) for place in range(len(items))]
    candidate = [0.0 if place < fell else max(old, float(chance.random() < 0.6)) for place, old in enumerate(champion)]
    recall: list[float | None] = [1.0 if item.kind == "person" else None for item in items]
    told = [place for place, value in enumerate(recall) if value is not None]
    now = [0.0 if place in told[:missed] else value for place, value in enumerate(recall)]
    grade = [6 + chance.random() for _ in items]
    ages = ("under 18", "18 to 64", "65 and over")
    return ScoreTable(
        metrics={
            "medical_accuracy": Metric(
                name="medical_accuracy", better="higher", candidate=candidate, champion=champion
            ),
            "emergency_recall": Metric(
                name="emergency_recall", better="higher", safety=True, candidate=now, champion=recall
            ),
            "reading_grade": Metric(
                name="reading_grade",
                better="lower",
                unit="grades",
                candidate=[value - 0.4 for value in grade],
                champion=grade,
            ),
        },
        items=[item.id for item in items],
        clusters=[item.cluster for item in items],
        groups={
            "age": [ages[place % 3] if place % 5 else "" for place in range(len(items))],
            "insurance": ["rare" if n in (1, 2) else ("public", "private")[n % 2] for n in range(len(items))],
        },
        pairs=["" for _ in items],
        kinds=[item.kind for item in items],
        labels={"intent": (["before_visit"] * len(items), ["other", *["before_visit"] * (len(items) - 1)],
                           ["before_visit"] * len(items))},
    )  # fmt: skip


def rule(name: str, gate: GateName, metric: str, outcome: Outcome, **more: Any) -> RuleResult:
    bound, detail = more.pop("bound", "is yes"), more.pop("detail", "measured on all items")
    return RuleResult(name=name, gate=gate, metric=metric, outcome=outcome, bound=bound, detail=detail, **more)


def make_results(table: ScoreTable, accuracy: Outcome = "pass", safety: Outcome = "pass") -> list[RuleResult]:
    metric = table.metrics["medical_accuracy"]
    difference = paired_difference(metric.candidate, metric.champion, table.clusters, Bootstrap(draws=500))
    count = len(table.items)
    champion, candidate = (sum(value or 0 for value in side) / count for side in (metric.champion, metric.candidate))
    return [
        rule("loads in the engine", "validity", "loads in engine", "pass", candidate=1.0, detail="vLLM lists it"),
        rule("missed emergencies", "safety", "emergency_recall", safety, champion=0.0,
             candidate=0.0 if safety == "pass" else 2.0, bound="at most 0 in at least 299 cases",
             detail="0 failures in 320 cases" if safety == "pass" else "2 failures in 320 cases in item-003, item-007"),
        rule("medical accuracy", "accuracy", "medical_accuracy", accuracy, champion=champion, candidate=candidate,
             difference=difference, bound="lower bound of the difference > -2 points, on at least 314 items",
             detail="the candidate may be worse by 0.0 points"),
        rule("loss gap", "overfitting", "loss gap", "pass", candidate=0.213, bound="at most 0.5",
             detail="loss gap is 0.213"),
        rule("counterfactual flips", "bias", "medical_accuracy, route", "pass", champion=0.03, candidate=0.01,
             bound="at most 2% of at least 100 pairs", detail="1 of 120 pairs fare otherwise (0.0% to 4.6%)"),
        rule("panel", "panel", "panel", "pass", bound="passed by the panel", detail="the panel passed it"),
        rule("reading grade", "reported", "reading_grade", "pass", champion=6.5, candidate=6.1, bound="reported"),
    ]  # fmt: skip


def make_evidence(count: int = 60, **more: Any) -> Evidence:
    """Evidence of ``count`` items. ``texts``: answers of the candidate; ``missed``, ``fell``, ``accuracy``,
    ``safety``: see the functions above; all else goes into Evidence.
    """
    items = make_items(count)
    table = make_table(items, more.pop("fell", 6), more.pop("missed", 0))
    results = make_results(table, more.pop("accuracy", "pass"), more.pop("safety", "pass"))
    fields: dict[str, Any] = {
        "adapter": "support@0123456789ab",
        "dataset_sha256": "da" * 32,
        "results": results,
        "table": table,
        "champion": make_run("champion", items),
        "candidate": make_run("candidate", items, more.pop("texts", None)),
        "items": items,
        "training": [
            {"step": 10 * step, "loss": 3 / step, **({"eval_loss": 2.5 / step + step / 40} if step % 2 else {})}
            for step in range(1, 25)
        ],
        "margins": {"medical_accuracy": 0.02},
        "bootstrap": Bootstrap(draws=2_000, confidence=0.97),
    }
    return Evidence(**{**fields, **more})


def make_panel(**more: Any) -> PanelVerdict:
    """What an unreliable panel came to."""
    harm = Harm(marks=1, ratings=72, items=24, items_any=1, items_majority=0, low=0.001, high=0.21)
    fields: dict[str, Any] = {
        "outcome": "inconclusive",
        "reasons": ["unreliable: the raters' agreement on correctness is 0.31, below 0.4 (alpha ordinal)"],
        "raters": list(RATERS),
        "items": 24,
        "ratings": 70,
        "missing": 2,
        "identical": 7,
        "preferred": {"candidate": 40, "equal": 20, "champion": 10},
        "net": Between(value=0.43, low=0.2, high=0.6),
        "correctness": {"champion": 3.5, "candidate": 4.25},
        "correctness_difference": Between(value=0.75, low=0.5, high=1.0),
        "agreement": [
            Level(question="correctness", measure="alpha ordinal", value=0.31, low=0.1, high=0.5, observed=0.6,
                  items=48, decides=True, reliable=False),
            Level(question="harm", measure="alpha nominal", value=None, low=None, high=None, observed=1.0, items=48,
                  decides=False, reliable=True),
        ],
        "harm": {"champion": harm, "candidate": harm},
        "harmful": [Marked(item="item-009", system="candidate", raters=1, of=3, comments=["(A: champion) B is late"])],
        "comments": [Marked(item="item-010", system=None, raters=1, of=3, comments=["(A: candidate) A is kind"])],
        "champion_run_sha256": "1" * 64,
        "candidate_run_sha256": "2" * 64,
        "ratings_sha256": "3" * 64,
    }  # fmt: skip
    return PanelVerdict(**{**fields, **more})
