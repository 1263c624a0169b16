"""Candidate against champion: both, and the base model, answer the same items; every scorer scores them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from app.contracts.adapters import AdapterManifest
from app.errors import ConfigurationError
from training.evaluation.answers import Answered, Identity, Kept, Run, complete, write_run
from training.evaluation.items import Item, ItemSet, content_hash, load_items
from training.evaluation.pipeline import Parts, Setup, answer_items, opened
from training.evaluation.scorers import Context, scorers
from training.evaluation.scorers.replies import got, got_route, wanted_reply
from training.evaluation.table import Metric, ScoreTable, write_table
from training.serving import Starting

BASE = "base"
"""In place of a champion's folder: the base model alone."""

Started = Callable[[str, int], Callable[[], None]]
"""Told a system's name and the number of items; gives what is called for each answer."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is evaluated and where. ``champion`` None: the base model alone. ``out`` gets runs, scores and answers.

    ``limit``: only the first items, for a trial; they make another evaluation set, by its hash.
    """

    candidate: Path
    champion: Path | None
    items: Path
    out: Path
    base_model: str
    site: Path
    state: Path
    policies: Path | None = None
    setup: Setup = field(default_factory=Setup)
    canaries: tuple[str, ...] = ()
    at_once: int = 16
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The runs of base, champion and candidate, and their scores."""

    items: ItemSet
    base: Run
    champion: Run
    candidate: Run
    table: ScoreTable


def quiet(_system: str, _items: int) -> Callable[[], None]:
    """A listener that shows nothing."""
    return lambda: None


async def evaluate(plan: Plan, engine: Starting, started: Started = quiet) -> Evaluation:
    """Answer, score and write ``runs/*.json`` and ``scores.json`` under ``plan.out``.

    ``engine`` serves ``plan.base_model``; it is not started where every answer is kept from a run before.

    Raises ConfigurationError, AdapterInvalid (an adapter is broken or made for another base), DependencyError (engine,
    database or a step of the pipeline failed: what was answered is kept, run it again).
    """
    from training.finetune.adapter import require_base

    # 1. Everything that can be wrong is read before anything slow starts.
    items = limited(load_items(plan.items, plan.site / "articles"), plan.limit)
    candidate = require_base(plan.candidate, plan.base_model)
    champion = None if plan.champion is None else require_base(plan.champion, plan.base_model)
    async with opened(plan.site, plan.state, plan.setup, plan.policies) as parts:
        # 2. Three systems answer the same items.
        systems = {BASE: None, "champion": champion, "candidate": candidate}
        runs = await _runs(plan, parts, items, systems, engine, started)
        # 3. Scores.
        context = Context(parts.site, parts.detector, items.items, plan.canaries)
        table = scored(items, runs["candidate"], runs["champion"], context)
    write_table(table, plan.out / "scores.json")
    return Evaluation(items, runs[BASE], runs["champion"], runs["candidate"], table)


def limited(items: ItemSet, limit: int | None) -> ItemSet:
    """The first items, as an evaluation set of its own."""
    if limit is None:
        return items
    kept = items.items[:limit]
    return ItemSet(kept, content_hash(kept))


async def _runs(
    plan: Plan,
    parts: Parts,
    items: ItemSet,
    systems: dict[str, AdapterManifest | None],
    engine: Starting,
    started: Started,
) -> dict[str, Run]:
    from training.finetune.adapter import base_hash

    base_sha256, order = base_hash(plan.base_model), [item.id for item in items.items]
    folders = {"champion": plan.champion, "candidate": plan.candidate}
    runs: dict[str, Run] = {}
    done: dict[str | None, Run] = {}
    for system, manifest in systems.items():
        sha256 = None if manifest is None else manifest.content_sha256
        identity = parts.identity(system, sha256, base_sha256, items.sha256)
        kept = Kept(plan.out / "answers", identity)
        answers = kept.read()
        if sha256 in done:  # the champion is the base model, or the candidate itself
            run = _renamed(done[sha256], identity)
        elif all(name in answers for name in order):
            run = complete(identity, order, answers)
        else:
            running = await engine()
            if manifest is not None:
                await running.load_adapter(manifest.version, str(_resolved(folders[system])))
            run = await answer_items(
                parts, running, identity, items, kept, adapter=manifest.version if manifest else None,
                at_once=plan.at_once, done=started(system, len(order)),
            )  # fmt: skip
        runs[system] = done[sha256] = run
        write_run(run, plan.out / "runs" / f"{system}.json")
    return runs


def _resolved(folder: Path | None) -> Path:
    assert folder is not None  # a system with a manifest has a folder
    return folder.resolve()


def _renamed(run: Run, identity: Identity) -> Run:
    return Run(**identity.model_dump(), answers=run.answers)


def scored(items: ItemSet, candidate: Run, champion: Run, context: Context) -> ScoreTable:
    """All figures of both runs, item by item. Raises ConfigurationError if the runs cannot be compared."""
    _require_comparable(items, candidate, champion)
    metrics: dict[str, Metric] = {}
    sides = [_by_item(run) for run in (candidate, champion)]
    for ours, theirs in zip(*(scorers(context, answers) for answers in sides), strict=True):
        values = [
            [scorer.score(item, answers[item.id]) for item in items.items]
            for scorer, answers in zip((ours, theirs), sides, strict=True)
        ]
        metrics[ours.name] = Metric(
            name=ours.name,
            better=ours.better,
            safety=ours.safety,
            unit=ours.unit,
            candidate=values[0],
            champion=values[1],
        )
    return ScoreTable(
        metrics=metrics,
        items=[item.id for item in items.items],
        clusters=[item.conversation for item in items.items],
        groups=groups(items.items),
        pairs=[item.pair for item in items.items],
        kinds=[item.kind for item in items.items],
        labels=_labels(items.items, *sides),
    )


def groups(items: Sequence[Item]) -> dict[str, list[str]]:
    """Every attribute that some item has, and the language; "" where an item has none."""
    names = sorted({name for item in items for name in item.attributes})
    found = {name: [item.attributes.get(name, "") for item in items] for name in names}
    return {"language": [str(item.language) for item in items], **found}


def _labels(
    items: Sequence[Item], candidate: dict[str, Answered], champion: dict[str, Answered]
) -> dict[str, tuple[list[str], list[str], list[str]]]:
    sides = (candidate, champion)
    replies = [[got(answers[item.id]) for item in items] for answers in sides]
    routes = [[got_route(item, answers[item.id]) for item in items] for answers in sides]
    return {
        "reply": ([wanted_reply(item) for item in items], replies[0], replies[1]),
        "route": ([item.route for item in items], routes[0], routes[1]),
    }


def _by_item(run: Run) -> dict[str, Answered]:
    return {answered.item: answered for answered in run.answers}


def _require_comparable(items: ItemSet, candidate: Run, champion: Run) -> None:
    for run in (candidate, champion):
        if run.evaluation_sha256 != items.sha256 or [answered.item for answered in run.answers] != [
            item.id for item in items.items
        ]:
            raise ConfigurationError(f"the run of {run.system} answered other items; evaluate it again")
    same = ("base_sha256", "policy_hash", "prompt_version", "articles_sha256", "parts_sha256", "bounds")
    if differ := [name for name in same if getattr(candidate, name) != getattr(champion, name)]:
        raise ConfigurationError(f"candidate and champion ran under different {', '.join(differ)}; evaluate both again")
