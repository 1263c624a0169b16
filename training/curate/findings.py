"""What a run of curation means, in plain sentences for a privacy officer and a clinician."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from training.curate.answers import MEASURES
from training.curate.stages import StageReport

Reader = Literal["privacy", "clinical"]
Tone = Literal["good", "look", "bad"]

_TITLES = {measure.name: measure.title for measure in MEASURES}
_KINDS = {measure.name: measure.kind for measure in MEASURES}
_ABOUT = {
    "quality": "the quality of answers",
    "resolved": "the share of questions resolved",
    "grounded": "the share of calls that say what an approved article says",
    "next_step": "the share of calls that name a next step",
    "courteous": "the share of courteous calls",
    "words": "the length of answers",
    "reading_grade": "the reading grade of answers",
}
_PRIVATE = ("ingest", "deidentify")
_SETTLED = ("taken_out", "accept", "reject", "drop")
_PEOPLE = {"age_band": "age", "reading_level": "reading level"}


@dataclass(frozen=True, slots=True)
class Finding:
    """A sentence. ``look``: a person should; ``bad``: do not use the data before it is mended."""

    reader: Reader
    tone: Tone
    text: str


def summary(found: Sequence[Finding]) -> Finding:
    """All findings in one sentence, with the gravest tone among them."""
    tones = {finding.tone for finding in found}
    if "bad" in tones:
        return Finding("privacy", "bad", "Do not use these data until what is marked “stop” has been mended.")
    if "look" in tones:
        return Finding("privacy", "look", "These data can be used once a person has looked at what is marked “check”.")
    return Finding("privacy", "good", "Nothing was found that stands against using these data.")


def findings(stages: Sequence[StageReport], queue: Mapping[tuple[str, str], int]) -> list[Finding]:
    """All that the reports allow to say, the gravest first for each reader."""
    by_name = {stage.stage: stage for stage in stages}
    found = [
        *_privacy(by_name, stages),
        *_corrections(by_name),
        *_bias(by_name.get("balance")),
        *_sides(by_name.get("split")),
        *_accounts(stages),
    ]
    for reader in ("privacy", "clinical"):
        waiting = sum(count for (stage, _), count in queue.items() if (stage in _PRIVATE) == (reader == "privacy"))
        if waiting:
            found.append(Finding(reader, "look", f"{_number(waiting)} questions wait for a person's decision."))
    order = {"bad": 0, "look": 1, "good": 2}
    return sorted(found, key=lambda item: (item.reader != "privacy", order[item.tone]))


def _privacy(stages: Mapping[str, StageReport], run: Sequence[StageReport]) -> Iterator[Finding]:
    if "deidentify" not in stages:
        text = "De-identification was not run: these data may hold identifiers of patients."
        yield Finding("privacy", "bad", text)
    else:
        yield from _identifiers(stages["deidentify"])
    if ingest := stages.get("ingest"):
        for name, why in (("without_consent", "consent"), ("without_licence", "a licence")):
            if count := ingest.counts.get(name, 0):
                yield Finding("privacy", "good", f"{_records(count)} without {why} {_were(count)} left out.")
        if count := ingest.counts.get("without_patient", 0):
            text = (
                f"{_records(count)} {'names' if count == 1 else 'name'} no patient: nobody can be forgotten by them, "
            )
            yield Finding("privacy", "look", f"{text}and one patient's may lie on two sides.")
        if never := ingest.tables.get("fields_never_seen", []):
            named = ", ".join(sorted({f"{row['field']}: {row['key']}" for row in never}))
            yield Finding(
                "privacy", "look", f"The config names fields that no record has; are they misspelled? {named}."
            )
        if count := ingest.counts.get("quarantined", 0):
            text = f"{_pieces(count)} of the sources could not be read and were set aside, each with its reason."
            yield Finding("privacy", "look", text)


def _identifiers(stage: StageReport) -> Iterator[Finding]:
    counts, kinds = stage.counts, stage.tables.get("identifiers", [])
    replaced = sum(int(row.get("count", 0)) for row in kinds)
    text = f"{_number(replaced)} identifiers of {len(kinds)} kinds were replaced"
    if messages := counts.get("messages", 0):
        text += f", in {_number(counts.get('messages_changed', 0))} of {_number(messages)} messages"
    yield Finding("privacy", "good", f"{text}.")
    if cleared := counts.get("fields_cleared", 0):
        text = f"{_number(cleared)} values beside the text (groups, topics, terms) were cleared: they could identify."
        yield Finding("privacy", "look", text)
    if failed := counts.get("redaction_failed", 0):
        text = f"{_records(failed)} could not be de-identified for certain and {_were(failed)} left out."
        yield Finding("privacy", "look", text)
    if audited := counts.get("audited_messages", 0):
        yield _second_look(audited, stage)


def _second_look(audited: int, stage: StageReport) -> Finding:
    """What became of the identifiers that the stricter look suspects: taken out, decided on, or still asked about."""
    done: Counter[str] = Counter()
    for row in stage.tables.get("suspects", []):
        done[str(row.get("what", ""))] += int(row.get("count", 0))
    text = f"A second, stricter look at {_number(audited)} messages"
    if not (suspected := done.total() or stage.counts.get("messages_with_suspects", 0)):
        return Finding("privacy", "good", f"{text} found nothing that could still be an identifier.")
    text = f"{text} suspected {_number(suspected)} more places"
    if asked := suspected - sum(done[name] for name in _SETTLED):
        return Finding("privacy", "look", f"{text}; {_number(asked)} wait for a person's decision.")
    return Finding("privacy", "good", f"{text}; none was left in without a person's decision.")


def _corrections(stages: Mapping[str, StageReport]) -> Iterator[Finding]:
    for name, said in (
        ("correct", "Words were corrected"),
        ("check", "Answers were checked against the hospital's facts"),
    ):
        if (stage := stages.get(name)) and stage.counts:
            listed = ", ".join(f"{label(key).lower()} {_number(count)}" for key, count in stage.counts.items() if count)
            yield Finding("clinical", "good", f"{said}: {listed or 'nothing to report'}.")
    if stage := stages.get("deduplicate"):
        copies = sum(count for name, count in stage.counts.items() if name.endswith("copies_dropped"))
        said = f"{_records(copies)} that {'repeats' if copies == 1 else 'repeat'} another {_were(copies)} left out."
        yield Finding("clinical", "good", said)


def _bias(stage: StageReport | None) -> Iterator[Finding]:
    if stage is None or "bias_before" not in stage.tables:
        return
    rows = [row for row in stage.tables["bias_before"] if row.get("alarm")]
    if not rows:
        tested = len(stage.tables["bias_before"])
        text = f"No group of patients was found to be answered differently, in {_number(tested)} comparisons."
        if not tested:
            text = "Whether groups of patients are answered differently could not be tested: no group is large enough."
        yield Finding("clinical", "good" if tested else "look", text)
        return
    after = {_key(row): row for row in stage.tables.get("bias_after", [])}
    for dimension in dict.fromkeys(str(row["dimension"]) for row in rows):
        own = [row for row in rows if row["dimension"] == dimension]
        largest = max(own, key=lambda row: (_KINDS.get(row["measure"]) != "mean", abs(row["effect"])))
        yield Finding("clinical", "look", _gap(largest, after.get(_key(largest))))
    mended, halved = stage.counts.get("gaps_to_mend", 0), stage.counts.get("gaps_halved", 0)
    if mended:
        tone: Tone = "good" if halved == mended else "look"
        text = f"{halved} of {mended} gaps in the quality of answers are at least halved by the records' weights."
        yield Finding("clinical", tone, text)
        fallen = [row["measure"] for row in stage.tables.get("overall", []) if row.get("fell")]
        said = "No overall measure fell" if not fallen else f"Over all patients, {_listed(fallen)} fell"
        yield Finding("clinical", "look" if fallen else "good", f"{said} for it.")


def _sides(stage: StageReport | None) -> Iterator[Finding]:
    rows = stage.tables.get("sides", []) if stage is not None else []
    for row in rows:
        if not row.get("records"):
            side = str(row["side"]).replace("_", " ")
            text = f"The side {side} is empty: too few patients, calls or articles are apart from the others. "
            yield Finding("clinical", "look", f"{text}What is trained on these data cannot be measured on it.")


def _gap(row: Mapping[str, Any], after: Mapping[str, Any] | None) -> str:
    measure, dimension = str(row["measure"]), str(row["dimension"])
    about = _ABOUT.get(measure, measure)
    by = _PEOPLE.get(dimension, label(dimension).lower())
    side = "above" if row["gap"] > 0 else "below"
    text = (
        f"Answers differ by {by}: for “{row['group']}”, {about} is {difference(row['gap'], measure)} {side} the "
        f"others' at equal topics (95 % interval {interval(row, measure)})"
    )
    return text + (f"; with the records' weights, {amount(after['gap'], measure)}." if after else ".")


def _accounts(stages: Sequence[StageReport]) -> Iterator[Finding]:
    broken = [
        f"{first.stage} gave {_number(first.records_out)}, {second.stage} read {_number(second.records_in)}"
        for first, second in pairwise(stages)
        if first.records_out != second.records_in
    ]
    if broken:
        yield Finding("privacy", "bad", f"Records went missing between stages: {'; '.join(broken)}.")
    elif len(stages) > 1:
        changes = [stage.records_out - stage.records_in for stage in stages]
        out, added = (sum(max(0, sign * change) for change in changes) for sign in (-1, 1))
        text = f"No record was lost between stages: {_number(stages[0].records_in)} read, {_number(out)} left out"
        text += f", {_number(added)} made from others" if added else ""
        yield Finding("privacy", "good", f"{text}, {_number(stages[-1].records_out)} kept.")


def amount(value: float, measure: str, unit: bool = True) -> str:
    """A gap with its sign, in points for shares and quality."""
    digits = f"{abs(value) * 100:.0f}" if in_percent(measure) else f"{abs(value):.1f}"
    sign = "" if float(digits) == 0 else "+" if value > 0 else "−"
    return f"{sign}{digits}{' points' if unit and in_percent(measure) else ''}"


def difference(value: float, measure: str) -> str:
    """The size of a gap without its sign."""
    return amount(abs(value), measure).lstrip("+")


def interval(row: Mapping[str, Any], measure: str, unit: bool = True) -> str:
    """From where to where a gap may lie."""
    return f"{amount(row['low'], measure, unit=False)} to {amount(row['high'], measure, unit)}"


def level(value: float, measure: str) -> str:
    """A mean of a measure."""
    return f"{value * 100:.0f} %" if in_percent(measure) else f"{value:.1f}"


def in_percent(measure: str) -> bool:
    """Whether a measure lies between 0 and 1."""
    return measure == "quality" or _KINDS.get(measure) == "share"


def title(measure: str) -> str:
    """What a measure is called in tables."""
    return _TITLES.get(measure, label(measure))


def label(name: str) -> str:
    """A name of ours as words: ``near_copies_dropped`` gives "Near copies dropped"."""
    words = name.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def _key(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return str(row["dimension"]), str(row["group"]), str(row["measure"])


def _listed(names: Sequence[str]) -> str:
    return ", ".join(title(name) for name in names)


def _number(count: int) -> str:
    return f"{count:,}"


def _records(count: int) -> str:
    return f"{_number(count)} record{'' if count == 1 else 's'}"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


def _pieces(count: int) -> str:
    return f"{_number(count)} piece{'' if count == 1 else 's'}"
