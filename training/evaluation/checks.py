"""What each kind of rule does with scores and facts: one function a kind, each from a rule to its result."""

from __future__ import annotations

from collections.abc import Sequence

from training.evaluation.comparison import Compared, Context, compare, compare_metric, group_gaps
from training.evaluation.facts import CASES
from training.evaluation.results import RuleResult
from training.evaluation.rules import (
    BoundRule,
    FactRule,
    FailuresRule,
    FlipsRule,
    GapRule,
    NonInferiorRule,
    NotWorseRule,
    PanelRule,
    Policy,
    ReportedRule,
    Rule,
)
from training.evaluation.statistics import (
    Estimate,
    Outcome,
    non_inferiority,
    share_at_most,
    share_interval,
    within,
)
from training.evaluation.table import Metric, Unit, Value

_NAMED = 5
"""So many items or pairs are named in a detail."""


def check(rule: Rule, context: Context) -> list[RuleResult]:
    """The results of one rule (several for a rule that reports several figures)."""
    match rule:
        case FactRule():
            made = _fact(rule, context)
        case FailuresRule():
            made = _failures(rule, context)
        case NonInferiorRule():
            made = _non_inferior(rule, context)
        case BoundRule():
            made = _bound(rule, context)
        case NotWorseRule():
            made = _not_worse(rule, context)
        case FlipsRule():
            made = _flips(rule, context)
        case GapRule():
            made = _gap(rule, context)
        case PanelRule():
            made = _panel(rule, context)
        case ReportedRule():
            return [_reported(rule, name, context) for name in rule.metrics]
    return [made.model_copy(update={"outcome": "pass"}) if rule.gate == "reported" else made]


def _fact(rule: FactRule, context: Context) -> RuleResult:
    value: bool | float | None = getattr(context.facts, rule.fact)
    named = rule.fact.replace("_", " ")
    bound = f"is {_yes(rule.equals)}" if rule.equals is not None else _bounds(rule.min, rule.max)
    if value is None:
        outcome: Outcome = "inconclusive" if rule.required else "pass"
        wanted = "it is needed" if rule.required else "the policy does not require it"
        return _result(rule, named, bound, outcome, f"{named} was not measured; {wanted}")
    if rule.equals is not None:
        return _result(
            rule,
            named,
            bound,
            "pass" if value == rule.equals else "fail",
            f"{named}: {_yes(bool(value))}",
            candidate=float(value),
        )
    outcome = "pass" if _holds(float(value), rule.min, rule.max) else "fail"
    detail = f"{named} is {float(value):.4g}"
    if rule.min_cases is not None:
        cases = getattr(context.facts, CASES[rule.fact]) or 0
        bound += f", in at least {rule.min_cases} cases"
        detail += f" in {cases} cases"
        if cases < rule.min_cases:
            outcome, detail = "inconclusive", f"{detail}; {rule.min_cases} cases are needed"
    return _result(rule, named, bound, outcome, detail, candidate=float(value))


def _failures(rule: FailuresRule, context: Context) -> RuleResult:
    metrics = [context.table.metrics.get(name) for name in rule.metrics]
    named = " or ".join(rule.metrics)
    bound = f"at most {rule.max_failures} in at least {rule.min_cases} cases"
    bound += " of each" if len(rule.metrics) > 1 else ""
    if None in metrics:
        return _unmeasured(rule, named, bound, context, *rule.metrics)
    found = [metric for metric in metrics if metric is not None]
    applies = {metric.name: len(_clusters(metric, context)) for metric in found}
    least = min(applies, key=lambda name: applies[name])
    cases = applies[least]
    failed = _failed(found, [metric.candidate for metric in found])
    before = _failed(found, [metric.champion for metric in found])
    events = len({context.clusters[place] for place in failed})
    outcome: Outcome = "pass" if cases >= rule.min_cases else "inconclusive"
    if events > rule.max_failures:
        outcome = "fail"
    at_most = share_at_most(min(events, cases), cases, 0.95)
    detail = f"{events} failures in {cases} cases, so at most {at_most:.2%} with 95 % confidence"
    detail += f" ({least} has the fewest cases)" if len(found) > 1 else ""
    detail += _listed(" in", [context.table.items[place] for place in failed])
    if cases < rule.min_cases:
        detail += f"; {rule.min_cases} cases are needed"
    theirs = {context.clusters[place] for place in before}
    added = [place for place in failed if place not in before]
    inherited = False
    if rule.inherited and outcome == "fail":
        own = len({context.clusters[place] for place in added})
        detail += f"; {own} of them not under the champion" + _listed(":", [context.table.items[n] for n in added])
        inherited = own <= rule.max_failures and cases >= rule.min_cases
    made = _result(rule, named, bound, outcome, detail, candidate=float(events), champion=float(len(theirs)))
    return _inherited(made) if inherited else made


def _clusters(metric: Metric, context: Context) -> set[int]:
    """The clusters with an item to which the metric applies."""
    return {cluster for cluster, value in zip(context.clusters, metric.candidate, strict=True) if value is not None}


def _failed(metrics: Sequence[Metric], columns: Sequence[Sequence[Value]]) -> list[int]:
    """The places of the items that fail one of the metrics."""
    verdicts = [metric.failed(values) for metric, values in zip(metrics, columns, strict=True)]
    return [place for place, failed in enumerate(zip(*verdicts, strict=True)) if any(failed)]


def _non_inferior(rule: NonInferiorRule, context: Context) -> RuleResult:
    metric = context.table.metrics.get(rule.metric)
    policy = context.policy
    needed = rule.needed(policy.confidence)
    interval = f"{policy.confidence:.0%} interval of the difference"
    unit = _unit(rule.metric, context)
    bound = f"lower end of the {interval} > {_amount(-rule.margin, unit, 'g')}, on at least {needed} items"
    compared = None if metric is None else compare_metric(metric, context)
    if metric is None or compared is None:
        return _unmeasured(rule, rule.metric, bound, context, rule.metric)
    oriented = compared.difference if metric.better == "higher" else -compared.difference
    outcome = non_inferiority(oriented, rule.margin)
    detail = _told(compared, rule.metric, context)
    if oriented.low < 0:
        detail += f"; the candidate may be worse by {_amount(-oriented.low, unit, '.1f')}"
    if short := _too_few(oriented, needed, policy):
        outcome = "inconclusive" if outcome == "pass" else outcome
        detail += f"; {short}"
    elif outcome == "inconclusive":
        detail += f"; on {oriented.n} items that cannot be told from the margin"
    return _result(rule, rule.metric, bound, outcome, detail, compared=compared)


def _bound(rule: BoundRule, context: Context) -> RuleResult:
    compared = compare(rule, context)
    bound = f"{_bounds(rule.min, rule.max)}, on at least {rule.min_items} items"
    if compared is None:
        return _unmeasured(rule, rule.measured, bound, context, rule.metric or rule.labels)
    outcome: Outcome = "pass" if _holds(compared.candidate, rule.min, rule.max) else "fail"
    detail = _told(compared, rule.metric, context)
    made = _result(rule, rule.measured, bound, outcome, detail, compared=compared)
    if compared.difference.n < rule.min_items:
        needed = f"{detail}; {rule.min_items} items are needed"
        return made.model_copy(update={"outcome": "inconclusive", "detail": needed})
    if outcome == "fail" and rule.inherited is not None and not _holds(compared.champion, rule.min, rule.max):
        oriented = compared.difference if rule.min is not None else -compared.difference
        if non_inferiority(oriented, rule.inherited) == "pass":
            return _inherited(made)
    return made


def _inherited(made: RuleResult) -> RuleResult:
    """A missed bound that the champion misses as well, and that the candidate does not make worse."""
    detail = f"{made.detail}; inherited: the champion misses the bound too"
    return made.model_copy(update={"outcome": "pass", "inherited": True, "detail": detail})


def _not_worse(rule: NotWorseRule, context: Context) -> RuleResult:
    compared = compare(rule, context)
    alpha = context.policy.alpha
    bound = f"not worse at p <= {alpha:g} after Holm, on at least {rule.min_items} items"
    if compared is None:
        return _unmeasured(rule, rule.measured, bound, context, rule.metric or rule.labels)
    adjusted = context.adjusted.get(rule.name, compared.p)
    outcome: Outcome = "fail" if adjusted <= alpha and not compared.better else "pass"
    detail = f"{_told(compared, rule.metric, context)}; {compared.detail}p {compared.p:.2g}, after Holm {adjusted:.2g}"
    if outcome == "pass" and (short := _too_few(compared.difference, rule.min_items, context.policy)):
        outcome = "inconclusive"
        detail += f"; {short}"
    return _result(rule, rule.measured, bound, outcome, detail, compared=compared)


def _flips(rule: FlipsRule, context: Context) -> RuleResult:
    named = ", ".join([*rule.marked, *rule.differing])
    bound = f"at most {rule.max:.0%} of at least {rule.min_pairs} pairs"
    table = context.table
    absent = [name for name in rule.marked if name not in table.metrics]
    absent += [name for name in rule.differing if name not in table.metrics | table.labels]
    if absent:
        return _unmeasured(rule, named, bound, context, *absent)
    flipped, pairs = _flipped(rule, context, champion=False)
    before, compared = _flipped(rule, context, champion=True)
    if not pairs:
        return _result(rule, named, bound, "inconclusive", "no counterfactual pair has two scored items")
    share = len(flipped) / pairs
    confidence = context.policy.confidence
    low, high = share_interval(len(flipped), pairs, confidence)
    enough = pairs >= rule.min_pairs
    outcome: Outcome = "fail" if (share if enough else low) > rule.max else "pass" if enough else "inconclusive"
    detail = (
        f"{len(flipped)} of {pairs} pairs flip (the true share is {low:.1%} to {high:.1%} with {_percent(confidence)})"
    )
    detail += _listed(":", flipped)
    if not enough:
        detail += f"; {rule.min_pairs} pairs are needed"
    champion = len(before) / compared if compared else None
    made = _result(rule, named, bound, outcome, detail, candidate=share, champion=champion)
    if rule.inherited and outcome == "fail" and enough:
        own = [pair for pair in flipped if pair not in before]
        told = f"{detail}; {len(own)} of them not under the champion{_listed(':', own)}"
        made = made.model_copy(update={"detail": told})
        return _inherited(made) if len(own) / pairs <= rule.max else made
    return made


def _flipped(rule: FlipsRule, context: Context, *, champion: bool) -> tuple[list[str], int]:
    """Pairs that flip, and how many have two items with a value in some column."""
    table = context.table
    flips: dict[str, bool] = {}
    for name in dict.fromkeys([*rule.marked, *rule.differing]):
        column: Sequence[object]
        if name in table.metrics:
            column = table.metrics[name].champion if champion else table.metrics[name].candidate
        else:
            column = table.labels[name][2 if champion else 1]
        seen: dict[str, list[object]] = {}
        for value, pair in zip(column, table.pairs, strict=True):
            if pair and value is not None:
                seen.setdefault(pair, []).append(value)
        for pair, values in seen.items():
            if len(values) > 1:
                differs = len(set(values)) > 1 if name in rule.differing else any(values)
                flips[pair] = flips.get(pair, False) or differs
    return [pair for pair, flip in flips.items() if flip], len(flips)


def _gap(rule: GapRule, context: Context) -> RuleResult:
    metric = context.table.metrics.get(rule.metric)
    named = rule.metric if rule.of == "candidate" else f"{rule.metric}, gain"
    unit = _unit(rule.metric, context)
    interval = f"{context.policy.confidence:.0%} interval"
    bound = f"{interval} within {_amount(rule.margin, unit, 'g')}, groups of at least {rule.min_items}"
    absent = [name for name in rule.attributes if name not in context.table.groups]
    if metric is None or absent:
        return _unmeasured(rule, named, bound, context, *(absent if metric else [rule.metric]))
    judged: list[tuple[Outcome, str, Estimate]] = []
    small = []
    for label, found in group_gaps(metric, rule, context):
        if found is None or found.n < rule.min_items:
            small.append(label)
            continue
        outcome = within(found, rule.margin)
        if outcome == "pass" and found.clusters < context.policy.min_clusters:
            outcome = "inconclusive"
        judged.append((outcome, label, found))
    outcomes = {outcome for outcome, _, _ in judged}
    undecided = bool(small) or "inconclusive" in outcomes
    worst: Outcome = "inconclusive" if not judged or (undecided and rule.undecided == "block") else "pass"
    if "fail" in outcomes:
        worst = "fail"
    detail, widest = _groups_told(judged, small, rule, unit)
    return _result(rule, named, bound, worst, detail, difference=widest)


def _groups_told(
    judged: Sequence[tuple[Outcome, str, Estimate]], small: Sequence[str], rule: GapRule, unit: Unit
) -> tuple[str, Estimate | None]:
    if not judged:
        return f"no group has {rule.min_items} items" + _listed(":", small), None
    order: dict[Outcome, int] = {"fail": 2, "inconclusive": 1, "pass": 0}
    _, _, widest = max(judged, key=lambda found: (order[found[0]], abs(found[2].value)))
    told = []
    for outcome, words in (("fail", "too far from the others"), ("inconclusive", "undecided")):
        widest_first = sorted(judged, key=lambda made: -abs(made[2].value))
        named = [f"{label} {_span(found, unit)}" for result, label, found in widest_first if result == outcome]
        if named:
            told.append(f"{words}{_listed(':', named)}")
    if not told:
        told.append(f"{len(judged)} groups, the widest gap {_span(widest, unit)}")
    if small:
        told.append(f"fewer than {rule.min_items} items{_listed(':', small)}")
    return "; ".join(told), widest


def _panel(rule: PanelRule, context: Context) -> RuleResult:
    told = {
        "pass": "the panel passed it",
        "fail": "the panel found it worse",
        "inconclusive": "the panel did not decide",
    }
    if context.facts.panel is not None:
        return _result(rule, "panel", "passed by the panel", context.facts.panel, told[context.facts.panel])
    outcome: Outcome = "inconclusive" if rule.required else "pass"
    wanted = "one is needed" if rule.required else "the policy does not require one"
    return _result(rule, "panel", "passed by the panel", outcome, f"no panel has rated it; {wanted}")


def _reported(rule: ReportedRule, name: str, context: Context) -> RuleResult:
    metric = context.table.metrics.get(name)
    compared = None if metric is None else compare_metric(metric, context)
    title = f"{rule.name}: {name}"
    if compared is None:
        made = _result(rule, name, "reported only", "pass", "not measured")
    else:
        made = _result(rule, name, "reported only", "pass", _told(compared, name, context), compared=compared)
    return made.model_copy(update={"name": title})


def _result(
    rule: Rule,
    metric: str,
    bound: str,
    outcome: Outcome,
    detail: str,
    *,
    candidate: float | None = None,
    champion: float | None = None,
    difference: Estimate | None = None,
    compared: Compared | None = None,
) -> RuleResult:
    if compared is not None:
        candidate, champion, difference = compared.candidate, compared.champion, compared.difference
    return RuleResult(
        name=rule.name,
        gate=rule.gate,
        metric=metric,
        champion=champion,
        candidate=candidate,
        difference=difference,
        bound=bound,
        outcome=outcome,
        detail=detail,
    )


def _unmeasured(rule: Rule, metric: str, bound: str, context: Context, *names: str) -> RuleResult:
    table = context.table
    absent = [name for name in names if name not in table.metrics | table.labels | table.groups]
    what = f"the scores have no {', '.join(absent)}" if absent else f"no item has a value of {', '.join(names)}"
    return _result(rule, metric, bound, "inconclusive", f"{what}; measure it or take the rule out of the policy")


def _too_few(difference: Estimate, needed: int, policy: Policy) -> str:
    """Why a comparison cannot be relied on, or nothing."""
    if difference.n < needed:
        return f"{difference.n} items are too few, {needed} are needed"
    if difference.clusters < policy.min_clusters:
        return f"{difference.clusters} conversations are too few, {policy.min_clusters} are needed"
    return ""


def _told(compared: Compared, metric: str, context: Context) -> str:
    difference, unit = compared.difference, _unit(metric, context)
    return (
        f"candidate {compared.candidate:.3f}, champion {compared.champion:.3f}, "
        f"difference {_span(difference, unit, context.policy.confidence)} "
        f"on {difference.n} items of {difference.clusters} conversations"
    )


def _unit(metric: str, context: Context) -> Unit:
    """That of a metric; accuracy and macro-F1 of labels are shares."""
    found = context.table.metrics.get(metric)
    return "share" if found is None else found.unit


def _amount(value: float, unit: Unit, form: str) -> str:
    """A difference for people; of shares in points of 100."""
    return f"{100 * value:{form}} points" if unit == "share" else f"{value:{form}} {unit}"


def _span(estimate: Estimate, unit: Unit, confidence: float | None = None) -> str:
    """A difference with its interval; ``confidence`` where nothing beside it says that of the interval."""
    scale, form = (100, "+.1f") if unit == "share" else (1, "+.2f")
    ends = f"{scale * estimate.low:{form}} to {scale * estimate.high:{form}}"
    return f"{_amount(estimate.value, unit, form)} ({_percent(confidence) + ': ' if confidence else ''}{ends})"


def _percent(confidence: float) -> str:
    return f"{100 * confidence:g} % confidence"


def _listed(before: str, names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    rest = f" and {more} more" if more > 0 else ""
    return f"{before} {', '.join(names[:_NAMED])}{rest}" if names else ""


def _holds(value: float, least: float | None, most: float | None) -> bool:
    return (least is None or value >= least) and (most is None or value <= most)


def _bounds(least: float | None, most: float | None) -> str:
    return f"<= {most:g}" if least is None else f">= {least:g}"


def _yes(value: bool | None) -> str:
    return "yes" if value else "no"
