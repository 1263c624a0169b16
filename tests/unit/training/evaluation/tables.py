"""Score tables of adapters whose worth is known, for the gate's tests.

1,000 items: 330 emergencies, 600 questions with an answer (the first 320 of them in 160 pairs, he and she), and 70 that
must be refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

from training.evaluation.facts import Facts
from training.evaluation.rules import Policy, load_policy
from training.evaluation.table import Metric, ScoreTable

EMERGENCIES = range(330)
ANSWERS = range(330, 930)
PAIRED = range(330, 650)
REFUSALS = range(930, 1000)
ITEMS = 1000
OTHERS = ("name_origin", "dialect", "insurance", "language", "writing", "style", "reading_level")
ROUTES = ("desk", "nurse line", "billing")

GOOD_FACTS = Facts(
    base_matches=True,
    template_matches=True,
    tampered=False,
    loads_in_engine=True,
    differs_share=0.4,
    answers_compared=600,
    hf_vllm_agreement=1.0,
    prompts_compared=50,
    train_loss=1.1,
    held_out_loss=1.2,
    canaries_extracted=0,
    canaries_planted=50,
    ngram_overlap=0.0,
)

Values = list[float | None]


def policy() -> Policy:
    """The shipped policy, with fewer resamples."""
    return load_policy()[0].model_copy(update={"draws": 1_000})


def facts(**changes: object) -> Facts:
    """Those of a good adapter, changed."""
    return replace(GOOD_FACTS, **changes)  # type: ignore[arg-type]


def on(places: Sequence[int], value: Callable[[int], float]) -> Values:
    """A column with values on some items."""
    column: Values = [None] * ITEMS
    for place in places:
        column[place] = value(place)
    return column


def metric(name: str, better: str, candidate: Values, champion: Values | None = None, safety: bool = False) -> Metric:
    """A metric; without a champion both have the same values."""
    return Metric.model_validate(
        {
            "name": name,
            "better": better,
            "safety": safety,
            "candidate": candidate,
            "champion": candidate if champion is None else champion,
        }
    )


def good() -> ScoreTable:
    """A candidate as safe as the champion and right in 10 points more of the answers, whoever asks."""
    rng = Random(3)
    right = {place: rng.random() for place in ANSWERS}
    for place in PAIRED:
        right[place] = right[place - place % 2]
    medical = (
        on(ANSWERS, lambda place: float(right[place] < 0.85)),
        on(ANSWERS, lambda place: float(right[place] < 0.75)),
    )
    metrics = [
        metric("missed_emergency", "lower", on(EMERGENCIES, lambda _: 0.0), safety=True),
        metric("wrong_number", "lower", on(ANSWERS, lambda _: 0.0), safety=True),
        metric("phi_leak", "lower", on(ANSWERS, lambda _: 0.0), safety=True),
        metric("canary", "lower", on(range(ITEMS), lambda _: 0.0), safety=True),
        metric("raw_wrong_number", "lower", on(ANSWERS, lambda place: float(place == 500))),
        metric("own_words", "higher", on(ANSWERS, lambda place: float(place % 20 > 0))),
        metric("refusal", "higher", on(REFUSALS, lambda _: 1.0)),
        metric("over_refusal", "lower", on(ANSWERS, lambda place: float(place % 50 == 0))),
        metric("medical_accuracy", "higher", *medical),
        metric("flips", "lower", on(PAIRED, lambda _: 0.0)),
        metric("bleu", "higher", on(ANSWERS, lambda place: right[place])),
    ]
    truth = ["emergency"] * 330 + ["answer"] * 600 + ["refuse"] * 70
    said = ["no answer" if place in ANSWERS and right[place] > 0.9 else label for place, label in enumerate(truth)]
    routes = [ROUTES[place % 3] if place in ANSWERS and place % 4 else "" for place in range(ITEMS)]
    routed = ["" if place in ANSWERS and right[place] > 0.9 else label for place, label in enumerate(routes)]
    return ScoreTable(
        metrics={made.name: made for made in metrics},
        items=[f"item-{place}" for place in range(ITEMS)],
        clusters=[""] * ITEMS,
        groups={
            "pronoun": [("he", "she")[place % 2] if place in PAIRED else "" for place in range(ITEMS)],
            "age_band": [("child", "adult")[place // 2 % 2] if place in ANSWERS else "" for place in range(ITEMS)],
            **{name: [""] * ITEMS for name in OTHERS},
        },
        pairs=[f"pair-{place // 2}" if place in PAIRED else "" for place in range(ITEMS)],
        kinds=truth,
        labels={"reply": (truth, said, said), "route": (routes, routed, routed)},
    )


def changed(table: ScoreTable, name: str, change: Callable[[int, float], float]) -> ScoreTable:
    """The table with other values of the candidate in one metric."""
    old = table.metrics[name]
    column = [None if value is None else change(place, value) for place, value in enumerate(old.candidate)]
    metrics = {**table.metrics, name: old.model_copy(update={"candidate": column})}
    return table.model_copy(update={"metrics": metrics})


def relabelled(table: ScoreTable, name: str, change: Callable[[int, str], str]) -> ScoreTable:
    """The table with other labels of the candidate."""
    truth, candidate, champion = table.labels[name]
    said = [change(place, label) for place, label in enumerate(candidate)]
    return table.model_copy(update={"labels": {**table.labels, name: (truth, said, champion)}})
