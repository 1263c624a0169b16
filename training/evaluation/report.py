"""The report of the gate: one page for the people who decide, the same as JSON for programs.

The page loads nothing and runs nothing; every word of a patient, a model or a rater is escaped. Sign-offs are over the
hash of the report's content (:func:`content_hash`), which holds all but the sign-offs, so that adding one changes no
other. Neither file tells the time of writing: the same evidence gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from app.errors import ConfigurationError
from app.files import canonical
from app.guardrails.signoff import NEEDED, Subject, Verification
from training.curate import plots
from training.evaluation import curves
from training.evaluation.answers import Answered, Run
from training.evaluation.items import Item
from training.evaluation.panel import run_hash
from training.evaluation.panel_verdict import PanelVerdict
from training.evaluation.results import RuleResult
from training.evaluation.statistics import Bootstrap, Estimate, mean, paired_difference
from training.evaluation.table import Metric, ScoreTable
from training.evaluation.verdict import decide
from training.files import write_text
from training.handouts import csp_hash

HTML_NAME, JSON_NAME = "report.html", "report.json"
FORMAT = 3
"""Raised when a field of report.json changes."""
MIN_GROUP = 5
"""A group of fewer items is no row of the forest plot; the limitations name it."""
_TEMPLATE = Path(__file__).with_name("report.html.jinja")
_NOT_HASHED = ("signoffs", "report_sha256")
_SPACE = "\u00a0"
"""Keeps a sign on the line of its number."""
_GATES = {
    "validity": "Is it a valid adapter?",
    "safety": "Is it safe?",
    "accuracy": "Is it medically accurate?",
    "overfitting": "Did it learn, or learn by heart?",
    "bias": "Does it treat people alike?",
    "panel": "What do clinicians say?",
    "reported": "Reported, never deciding",
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a report is made from.

    ``adapter``: the candidate's served name. ``training``: rows of its metrics.jsonl. ``forest``: metrics that are
    shown by subgroup (empty: those of the accuracy rules); ``taught``: figures of answers to dialogues held out from
    training, the base model's as champion; ``margins``: by how much a metric may fall, where a rule
    says so. ``hashes``: further ones to show (thresholds, base model). ``bootstrap``: how all intervals are made, those
    of the rules too. ``limitations`` are added to those that follow from the evidence itself.
    """

    adapter: str
    dataset_sha256: str
    results: Sequence[RuleResult]
    table: ScoreTable
    champion: Run
    candidate: Run
    items: Sequence[Item]
    panel: PanelVerdict | None = None
    training: Sequence[Mapping[str, Any]] = ()
    forest: Sequence[str] = ()
    margins: Mapping[str, float] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)
    taught: ScoreTable | None = None
    bootstrap: Bootstrap = field(default_factory=Bootstrap)
    limitations: Sequence[str] = ()


def write_report(folder: Path, evidence: Evidence, signoffs: Verification | None = None) -> Path:
    """Write ``report.html`` and ``report.json``; gives the page's path. Raises ConfigurationError on a mixed-up run.

    Without ``signoffs`` those of the report that lies there stand, where its content is the same.
    """
    content = report_content(evidence)
    return _write(folder, content, signoffs or _signed_already(folder, content))


def add_signoffs(folder: Path, signoffs: Verification) -> Path:
    """Write the report anew with what its sign-offs are worth now. Raises ConfigurationError."""
    return _write(folder, load_report(folder / JSON_NAME), signoffs)


def _signed_already(folder: Path, content: Mapping[str, Any]) -> Verification | None:
    try:
        before = json.loads((folder / JSON_NAME).read_bytes())
        same = before["report_sha256"] == content_hash(content)
        return Verification.model_validate(before["signoffs"]) if same and before["signoffs"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def load_report(path: Path) -> dict[str, Any]:
    """The content of a report.json without its sign-offs. Raises ConfigurationError if it was edited."""
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
        told, form = content["report_sha256"], content["format"]
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}; run `bedside-train gate`") from None
    except (ValueError, KeyError, TypeError):
        raise ConfigurationError(f"{path} is no report of the gate; run `bedside-train gate`") from None
    if told != content_hash(content):
        raise ConfigurationError(f"{path} was changed after it was written; run `bedside-train gate` again")
    if form != FORMAT:
        raise ConfigurationError(f"{path} was written by another version of Bedside; run `bedside-train gate` again")
    return {name: value for name, value in content.items() if name not in _NOT_HASHED}


def content_hash(content: Mapping[str, Any]) -> str:
    """SHA-256 (hex) over everything but the sign-offs."""
    return hashlib.sha256(canonical({k: v for k, v in content.items() if k not in _NOT_HASHED})).hexdigest()


def subject_of(content: Mapping[str, Any], gate_sha256: str) -> Subject:
    """What clinicians sign for, with the hash of ``gate_report.json``. Raises ConfigurationError where the gate has
    blocked the adapter.
    """
    if content["verdict"] != "pass":
        raise ConfigurationError("the gate has blocked this adapter: there is nothing to sign for")
    named = {name: content["hashes"][name] for name in Subject.model_fields if name in content["hashes"]}
    return Subject(**named, report_sha256=content_hash(content), gate_sha256=gate_sha256)


def report_content(evidence: Evidence) -> dict[str, Any]:
    """All that the page shows, as plain JSON values."""
    _require_same(evidence)
    decision = decide(evidence.results)
    regressions = list(_regressions(evidence))
    forest = [_forest(evidence.table.metrics[name], evidence) for name in _forest_metrics(evidence)]
    points = curves.losses(evidence.training)
    return {
        "format": FORMAT,
        "adapter": evidence.adapter,
        "champion": evidence.champion.system,
        "verdict": decision.verdict,
        "headline": _headline(decision.verdict),
        "reasons": decision.reasons,
        "items": len(evidence.table.items),
        "clusters": len(set(evidence.table.independent())),
        "confidence": evidence.bootstrap.confidence,
        "rules": [result.model_dump(mode="json") | _scale(result, evidence.table) for result in evidence.results],
        "metrics": _figures(evidence.table, evidence.bootstrap),
        "taught": _taught(evidence),
        "forest": forest,
        "regressions": regressions,
        "training": [dict(point) for point in points],
        "panel": evidence.panel.model_dump(mode="json") if evidence.panel else None,
        "limitations": [*_limitations(evidence, forest), *evidence.limitations],
        "hashes": _hashes(evidence),
    }


def _headline(verdict: str) -> str:
    return {
        "pass": "PROMOTABLE: the adapter may be offered for promotion.",
        "fail": "BLOCKED: the adapter must not reach patients.",
        "inconclusive": "BLOCKED: the evidence is not enough to let the adapter reach patients.",
    }[verdict]


def _require_same(evidence: Evidence) -> None:
    """Runs and table must be about the same items: a report of mixed evidence would be believed."""
    for name, run in (("champion", evidence.champion), ("candidate", evidence.candidate)):
        missing = set(evidence.table.items) - {answered.item for answered in run.answers}
        if missing:
            raise ConfigurationError(f"the {name}'s run holds no answer to {min(missing)}; score the same runs")
    for what in ("evaluation_sha256", "policy_hash", "prompt_version"):
        if getattr(evidence.champion, what) != getattr(evidence.candidate, what):
            raise ConfigurationError(f"champion and candidate differ in {what}; evaluate both again")


def _scale(result: RuleResult, table: ScoreTable) -> dict[str, Any]:
    """Whether a rule's figures are shares, shown in percent, or as measured (counts, seconds, grades)."""
    metric = table.metrics.get(result.metric.removesuffix(", gain"))
    if metric is not None:
        return {"share": metric.unit == "share" and result.gate != "safety"}
    return {"share": result.difference is not None or "%" in result.bound}


def _figures(table: ScoreTable, how: Bootstrap) -> list[dict[str, Any]]:
    clusters = table.independent()
    return [_figure(metric, clusters, how) for metric in table.metrics.values()]


def _taught(evidence: Evidence) -> dict[str, Any] | None:
    table = evidence.taught
    if table is None:
        return None
    return {
        "dialogues": len(table.items),
        "articles": len(set(table.independent())),
        "metrics": _figures(table, evidence.bootstrap),
    }


def _figure(metric: Metric, clusters: Sequence[int], how: Bootstrap) -> dict[str, Any]:
    champion, candidate = (mean(side, clusters, how) for side in (metric.champion, metric.candidate))
    difference = paired_difference(metric.candidate, metric.champion, clusters, how)
    return {
        "name": metric.name,
        "better": metric.better,
        "safety": metric.safety,
        "share": metric.unit == "share",
        "unit": metric.unit,
        "champion": champion.value if champion else None,
        "candidate": candidate.value if candidate else None,
        "difference": _estimate(difference),
    }


def _estimate(found: Estimate | None) -> dict[str, Any] | None:
    return asdict(found) if found else None


def _forest_metrics(evidence: Evidence) -> list[str]:
    named = evidence.forest or [result.metric for result in evidence.results if result.gate == "accuracy"]
    return [name for name in dict.fromkeys(named) if name in evidence.table.metrics]


def _forest(metric: Metric, evidence: Evidence) -> dict[str, Any]:
    """The difference candidate - champion over all items, by kind, and in each group of each attribute."""
    table = evidence.table
    clusters = table.independent()
    columns = {"kind": table.kinds, **table.groups}
    rows, small = [], []
    for attribute, column in [("", [""] * len(table.items)), *columns.items()]:
        for group in sorted(set(column)):
            if attribute and not group:
                continue
            inside = [member == group for member in column]
            candidate = [value if own else None for value, own in zip(metric.candidate, inside, strict=True)]
            found = paired_difference(candidate, metric.champion, clusters, evidence.bootstrap)
            if found is None:
                continue
            if attribute and found.n < MIN_GROUP:
                small.append(f"{attribute} {group}")
                continue
            rows.append({"attribute": attribute, "group": group or "all items", **asdict(found)})
    return {
        "metric": metric.name,
        "better": metric.better,
        "share": metric.unit == "share",
        "unit": metric.unit,
        "margin": evidence.margins.get(metric.name),
        "rows": rows,
        "small": small,
    }


def _regressions(evidence: Evidence) -> Iterator[dict[str, Any]]:
    """Every item on which a metric that decides got worse, those of safety first, then by how much."""
    table = evidence.table
    decides = {
        name for result in evidence.results if result.gate != "reported" for name in re.split(r" or |, ", result.metric)
    }
    metrics = [metric for metric in table.metrics.values() if metric.safety or metric.name in decides]
    first, second = (
        {answered.item: answered for answered in run.answers} for run in (evidence.champion, evidence.candidate)
    )
    items = {item.id: item for item in evidence.items}
    found: list[dict[str, Any]] = []
    for place, name in enumerate(table.items):
        worse = [one for metric in metrics if (one := _worse(metric, place))]
        worse += _worse_labels(table, place)
        if worse:
            item = items.get(name)
            found.append(
                {
                    "item": name,
                    "kind": table.kinds[place],
                    "turns": list(item.turns) if item else [],
                    "reference": item.reference if item else "",
                    "champion": _answer(first[name]),
                    "candidate": _answer(second[name]),
                    "worse": worse,
                    "safety": any(one["safety"] for one in worse),
                }
            )
    yield from sorted(found, key=lambda one: (not one["safety"], -_loss(one["worse"]), one["item"]))


def _worse(metric: Metric, place: int) -> dict[str, Any] | None:
    before, after = metric.champion[place], metric.candidate[place]
    if before is None or after is None:
        return None
    fell = before - after if metric.better == "higher" else after - before
    if fell <= 1e-9:
        return None
    return {
        "what": metric.name,
        "safety": metric.safety,
        "champion": before,
        "candidate": after,
        "share": metric.unit == "share",
    }


def _worse_labels(table: ScoreTable, place: int) -> list[dict[str, Any]]:
    return [
        {
            "what": f"{name} (right: {truth[place]})",
            "safety": False,
            "champion": champion[place] or "none",
            "candidate": candidate[place] or "none",
            "share": False,
        }
        for name, (truth, candidate, champion) in table.labels.items()
        if truth[place] and champion[place] == truth[place] != candidate[place]
    ]


def _loss(worse: Sequence[Mapping[str, Any]]) -> float:
    return sum(abs(one["champion"] - one["candidate"]) if isinstance(one["champion"], float) else 1.0 for one in worse)


def _answer(answered: Answered) -> dict[str, Any]:
    return {"text": answered.text, "kind": answered.kind, "rules": list(answered.rules)}


def _limitations(evidence: Evidence, forest: Sequence[Mapping[str, Any]]) -> list[str]:
    table = evidence.table
    found = [
        f"{len(table.items)} evaluation items in {len(set(table.independent()))} independent groups were written for "
        "this purpose; no real patient asked them. What they do not ask is not measured.",
        "Scores by phrases and rubrics see what they were written to see: a wrong statement that no rubric foresees "
        "counts as right. The panel and the side-by-side list are there for that.",
    ]
    small = sorted({name for one in forest for name in one["small"]})
    if small:
        found.append(f"Too few items (under {MIN_GROUP}) to say anything about: {', '.join(small)}.")
    if evidence.panel is None:
        found.append("No clinicians' panel has compared the answers.")
    elif evidence.panel.identical or evidence.panel.items < len(table.items):
        found.append(
            f"The panel rated {evidence.panel.items} questions; {evidence.panel.identical} that both systems answer "
            "with the same words were not shown."
        )
    if not evidence.training:
        found.append("No training metrics were given, so there are no learning curves.")
    undecided = [result.name for result in evidence.results if result.outcome == "inconclusive"]
    if undecided:
        found.append(f"Undecided for want of evidence: {', '.join(undecided)}.")
    return found


def _hashes(evidence: Evidence) -> dict[str, str]:
    candidate = evidence.candidate
    table = hashlib.sha256(canonical(evidence.table.model_dump(mode="json"))).hexdigest()
    return {
        "adapter_sha256": candidate.adapter_sha256 or "",
        "dataset_sha256": evidence.dataset_sha256,
        "evaluation_sha256": candidate.evaluation_sha256,
        "policy_hash": candidate.policy_hash,
        "prompt_version": candidate.prompt_version,
        "base_sha256": candidate.base_sha256,
        "champion_sha256": evidence.champion.adapter_sha256 or evidence.champion.base_sha256,
        "champion_run_sha256": run_hash(evidence.champion),
        "candidate_run_sha256": run_hash(candidate),
        "scores_sha256": table,
        **evidence.hashes,
    }


def _write(folder: Path, content: Mapping[str, Any], signoffs: Verification | None) -> Path:
    signed = signoffs.model_dump(mode="json") if signoffs else None
    whole = {**content, "report_sha256": content_hash(content), "signoffs": signed}
    text = json.dumps(whole, indent=1, ensure_ascii=False) + "\n"
    page = _page(whole)
    for path, written in ((folder / JSON_NAME, text), (folder / HTML_NAME, page)):
        write_text(path, written)
    return folder / HTML_NAME


def _page(content: Mapping[str, Any]) -> str:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "csp_hash": csp_hash, "words": _words, "level": level, "change": change, "span": span, "points": _in_points,
        "two": _two, "short": _short,
    }  # fmt: skip
    points = content["training"]
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        report=content,
        gates=[
            (gate, title, rules)
            for gate, title in _GATES.items()
            if (rules := [rule for rule in content["rules"] if rule["gate"] == gate])
        ],
        forest=[_drawn(one) for one in content["forest"]],
        curves=curves.picture(points),
        best=curves.best(points),
        points=curves.thinned(points),
        needed=NEEDED,
        bar=plots.bar,
    )


def _drawn(forest: Mapping[str, Any]) -> dict[str, Any]:
    """A forest with the pictures of its rows, all on one scale that holds the margin."""
    margin = forest["margin"]
    ends = [abs(row[end]) for row in forest["rows"] for end in ("low", "high")]
    most = max([*ends, 2 * (margin or 0), 1e-9])
    worse = -margin if margin and forest["better"] == "higher" else margin
    return {
        **forest,
        "most": most,
        "margin_at": plots.interval(worse, worse, worse, most).at if worse else None,
        "rows": [
            {**row, "picture": plots.interval(row["low"], row["value"], row["high"], most)} for row in forest["rows"]
        ],
    }


def level(value: Any, share: bool) -> str:
    """A figure for people: a share in percent."""
    match value:
        case None:
            return "–"
        case str():
            return value.replace("_", " ")
        case _ if share:
            return f"{100 * value:.1f}{_SPACE}%"
        case _:
            return f"{value:,.4g}"


def change(value: float | None, share: bool) -> str:
    """A difference with its sign; of shares in points of 100."""
    if value is None:
        return "–"
    text = f"{100 * value:+.1f}" if share else f"{value:+,.3g}"
    return "0" if float(text.replace(",", "")) == 0 else text.replace("-", "−")


def span(estimate: Mapping[str, Any] | None, share: bool) -> str:
    """The interval of a difference."""
    return f"{change(estimate['low'], share)} to {change(estimate['high'], share)}" if estimate else "–"


def _two(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def _short(text: str) -> str:
    """100 % for 100.0 %."""
    return text.replace(f".0{_SPACE}%", f"{_SPACE}%")


def _in_points(unit: str) -> str:
    return "points of 100" if unit == "share" else unit


def _words(name: str) -> str:
    text = name.replace("_sha256", "").replace("_", " ")
    return text[:1].upper() + text[1:]
