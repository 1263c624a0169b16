"""What must hold between the parts of a bundle. Each check yields faults that name file and line."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from datetime import date

from app.encoder.delta import TurnDelta
from app.errors import ConfigurationError
from app.guardrails import wishes
from app.guardrails.bundle_parts import Parts, Phrase, Placed, as_lists
from app.guardrails.bundle_source import Fault, YamlFile
from app.guardrails.catalogue import FIELDS
from app.guardrails.facts import FACTS
from app.guardrails.learned import NONE, WEIGHTS_FILE, Classifier
from app.guardrails.patterns import Matcher, parse, phrase_words
from app.guardrails.rules import BundleHeader, TriageRule, triggers_of

NEEDED_TEXTS = frozenset({
    "clarify", "consent_required", "decline_injection", "error", "fallback_intro", "handoff_closed", "handoff_open",
    "hold_abuse", "hold_crisis", "no_answer", "part_no_answer", "safety_net", "unreadable",
})  # fmt: skip
"""Texts that a turn asks for by itself, beside those that rules name."""
_SHOWN = 3
_PLAIN = re.compile(r"[a-z0-9]{2}[^@#~>+|]*$")
_NAME = re.compile(r"@([\w-]+)")


def cross_faults(parts: Parts, header: BundleHeader) -> list[Fault]:
    """All faults between parts that are each valid by themselves."""
    faults = list(_concept_faults(parts, header))
    faults += _twice(parts)
    faults += _text_faults(parts)
    for placed in parts.rules:
        text = getattr(placed.rule, "text", None)
        if text is not None and text not in parts.texts:
            faults.append(placed.fault(f"the text {text!r} is not in texts_*.yaml", "text"))
        for field, number, trigger in triggers_of(placed.rule):
            faults += [placed.fault(f"{said} in {trigger!r}", field, number) for said in _wrong(trigger, parts)]
    faults += _learned_faults(parts, header)
    faults += _wish_faults(parts)
    known = set(header.category_order)
    for red_flag in parts.triage:
        if (category := red_flag.rule.category) not in known:
            said = f"category {category!r} is not in category_order of bundle.yaml"
            faults.append(red_flag.fault(said, "category"))
    return faults


def expired(parts: Parts, today: date) -> list[Fault]:
    """Rules past their day, those with one common line of ``expires`` together."""
    late = [placed for placed in parts.triage if placed.rule.expires < today]
    return _together(late, "expires", "expired on {expires}: have it reviewed and renewed")


def unreviewed(parts: Parts) -> list[Fault]:
    """Rules, and the learned raise, that no clinician has signed; rules with one common line together."""
    open_ = [placed for placed in parts.triage if not placed.rule.clinically_reviewed]
    said = "{be} not clinically reviewed: let a clinician review and sign for it (reviewer, clinically_reviewed: true)"
    learned = parts.learned
    if learned is None or learned.policy.clinically_reviewed:
        return _together(open_, "clinically_reviewed", said)
    raised = learned.file.fault(f"the learned raise {said.format(be='is')}", "clinically_reviewed")
    return [*_together(open_, "clinically_reviewed", said), raised]


def _learned_faults(parts: Parts, header: BundleHeader) -> Iterator[Fault]:
    if parts.learned is None:
        return
    policy, file = parts.learned.policy, parts.learned.file
    yield from _base_faults(policy.base, WEIGHTS_FILE, file)
    try:
        classes = Classifier(parts.learned.weights).classes
    except ConfigurationError as error:
        yield Fault(WEIGHTS_FILE, None, str(error))
        classes = [NONE]
    for name in classes[1:]:
        if name not in policy.categories:
            yield file.fault(f"categories: nothing stands there for {name}, which the weights know", "categories")
    for name, raised in policy.categories.items():
        if name not in header.category_order:
            yield file.fault(f"category {name!r} is not in category_order of bundle.yaml", "categories", name)
        for field, text in (("text", raised.text), ("unsure_text", raised.unsure_text)):
            if text not in parts.texts:
                said = f"category {name}: the text {text!r} is not in texts_*.yaml"
                yield file.fault(said, "categories", name, field)


def _base_faults(base: str, weights: str, file: YamlFile) -> Iterator[Fault]:
    try:
        ours = TurnDelta.load().sha256
    except ConfigurationError as error:
        yield file.fault(f"base: {error}", "base")
        return
    if base != ours:
        said = (
            f"base: the layers were trained over another change of the encoder: copy {file.name} and "
            f"{weights} of this version, or train both again (this version's is {ours})"
        )
        yield file.fault(said, "base")


def _wish_faults(parts: Parts) -> Iterator[Fault]:
    if parts.wishes is None:
        return
    policy, file = parts.wishes.policy, parts.wishes.file
    yield from _base_faults(policy.base, wishes.WEIGHTS_FILE, file)
    try:
        classes = Classifier(parts.wishes.weights).classes
    except ConfigurationError as error:
        yield Fault(wishes.WEIGHTS_FILE, None, str(error).replace(WEIGHTS_FILE, wishes.WEIGHTS_FILE))
    else:
        if classes != wishes.CLASSES:
            said = f"its classes must be {' and '.join(wishes.CLASSES)}; train it again"
            yield Fault(wishes.WEIGHTS_FILE, None, said)
    if policy.text not in parts.texts:
        yield file.fault(f"the text {policy.text!r} is not in texts_*.yaml", "text")


def _together(placed: list[Placed[TriageRule]], field: str, said: str) -> list[Fault]:
    lines: dict[tuple[str, int], list[TriageRule]] = {}
    for one in placed:
        lines.setdefault((one.file.name, one.line(field)), []).append(one.rule)
    faults = []
    for (file, line), rules in lines.items():
        names = ", ".join(rule.id for rule in rules[:_SHOWN])
        more = f" and {len(rules) - _SHOWN} more" if len(rules) > _SHOWN else ""
        alone = len(rules) == 1
        subject = f"rule {names}" if alone else f"{len(rules)} rules ({names}{more})"
        words = said.format(expires=rules[0].expires, be="is" if alone else "are")
        faults.append(Fault(file, line, f"{subject} {words}"))
    return faults


def _twice(parts: Parts) -> Iterator[Fault]:
    first: dict[str, Placed[TriageRule]] = {}
    for placed in parts.rules:
        known = first.setdefault(placed.rule.id, placed)
        if known is not placed:
            yield placed.fault(f"occurs twice; the first is in {known.file.name}, line {known.line()}", "id")


def _text_faults(parts: Parts) -> Iterator[Fault]:
    for name in sorted(NEEDED_TEXTS - set(parts.texts)):
        yield Fault("texts_*.yaml", None, f"the text {name!r} is missing; every conversation may need it")
    for name, text in parts.texts.items():
        for language, form in text.forms.items():
            try:
                fields = {field for _, field, _, _ in string.Formatter().parse(form) if field is not None}
            except ValueError as error:
                yield text.file.fault(f"text {name}, {language}: {error}", name, language)
                continue
            for field in sorted(fields - FIELDS):
                line = text.file.line_of("{" + field, name, language)
                yield Fault(text.file.name, line, f"text {name}, {language}: no site has a field {field!r}")


def _concept_faults(parts: Parts, header: BundleHeader) -> Iterator[Fault]:
    found = False
    for phrases in parts.concepts.values():
        for phrase in phrases:
            for said in () if _PLAIN.match(phrase.text) else _wrong(phrase.text, parts):
                found = True
                yield phrase.fault(f"{said} in {phrase.text!r}")
    if not found:
        yield from _loops(parts, header)


def _loops(parts: Parts, header: BundleHeader) -> Iterator[Fault]:
    try:
        Matcher(as_lists(parts.concepts), [], frozenset(header.fillers))
    except ValueError as error:
        name = _NAME.search(str(error))
        entries: list[Phrase] = parts.concepts.get(name[1], []) if name else []
        inner = [entry for entry in entries if "@" in entry.text] or entries
        yield inner[0].fault(str(error)) if inner else Fault("lexicon*.yaml", None, str(error))


def _wrong(source: str, parts: Parts) -> Iterator[str]:
    """What is wrong with a trigger or with an entry of the lexicon: syntax, unknown names, phrases without words."""
    try:
        items = [name for part in parse(source).parts for names in part.items for name in names]
    except ValueError as error:
        yield str(error)
        return
    for name in items:
        if name.startswith("@"):
            if name[1:] not in parts.concepts:
                yield f"unknown concept {name}"
        elif name.startswith("#"):
            if re.split(r"[<>=]", name[1:])[0] not in FACTS:
                yield f"unknown fact {name}; known: {', '.join(sorted(FACTS))}"
        elif not _PLAIN.match(name):
            try:
                phrase_words(name)
            except ValueError as error:
                yield str(error)
