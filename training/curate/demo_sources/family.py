"""All records of one family: composed, written out, then spoilt."""

from __future__ import annotations

from random import Random

from app.contracts.site import Site
from training.curate.demo_sources.calls import Calls
from training.curate.demo_sources.drafts import Draft, Label
from training.curate.demo_sources.facts import Fact, family
from training.curate.demo_sources.faq import Faq
from training.curate.demo_sources.mistakes import as_recognised, copy_of, cut, garble, spoil
from training.curate.demo_sources.notes import Notes
from training.curate.demo_sources.people import Town
from training.curate.demo_sources.phrases import Family
from training.curate.demo_sources.scripts import scripted

_CALLS, _NOTES, _ENTRIES = 290, 80, 80
_INSURANCE = {"private": 124, "medicare": 34, "medicaid": 26, "uninsured": 20}
"""People of each insurance: the favoured group is over-represented."""
_COPIES = {"transcript": 32, "note": 9, "faq": 9}
_SAME = 4
"""Exact copies among the copies of each kind."""
_MISTAKES = {"wrong_phone": 16, "wrong_hours": 18, "wrong_number": 26, "wrong_dose": 14}
_RECOGNISED, _GARBLED, _CUT = 0.18, 14, 7


def drafts_of(name: Family, facts: list[Fact], site: Site, seed: int) -> list[Draft]:
    """All drafts of a family, in random order. The same facts and seed give the same drafts."""
    rng = Random(f"{seed}-{name}")
    facts = [fact for fact in facts if family(fact.article) == name]
    town = Town(name, rng)
    people = [town.person("en", insurance) for insurance, count in _INSURANCE.items() for _ in range(count)]
    spanish = [town.person("es", rng.choice(("medicaid", "uninsured", "private"))) for _ in range(30)]
    calls = Calls(name, facts, people, town, rng)
    medicines = calls.medicines
    drafts = [calls.call() for _ in range(_CALLS)] + calls.dosed(facts)
    for draft in rng.sample(drafts, round(_RECOGNISED * len(drafts))):
        as_recognised(draft, rng.choice((("patient",), ("patient", "staff"))))
    callers = {"en": people, "es": spanish}
    for script in ("spanish", "mixed", "off_topic"):
        drafts += scripted(script, name, callers, town, medicines, rng)
    notes = Notes(name, people, town, medicines, rng)
    drafts += [notes.note() for _ in range(_NOTES)]
    faq = Faq(name, facts, people, town, medicines, rng)
    drafts += [faq.entry() for _ in range(_ENTRIES)]
    _put_mistakes(drafts, site, rng)
    copies = _copies(drafts, rng)
    _damage(drafts, {id(label.other) for copy in copies for label in copy.labels}, rng)
    drafts += copies
    drafts += _contradictions(faq, calls, rng)
    rng.shuffle(drafts)
    return drafts


def _put_mistakes(drafts: list[Draft], site: Site, rng: Random) -> None:
    english = [draft for draft in drafts if draft.language == "en"]
    for defect, wanted in _MISTAKES.items():
        left = wanted
        for draft in rng.sample(english, len(english)):
            if left and (defect == "wrong_dose" or draft.kind != "note") and spoil(draft, defect, site, rng):
                left -= 1


def _copies(drafts: list[Draft], rng: Random) -> list[Draft]:
    """Copies of some records, most of them edited a little."""
    found: list[Draft] = []
    for kind, wanted in _COPIES.items():
        long_enough = [draft for draft in drafts if draft.kind == kind and draft.words() >= 20]
        made: list[Draft] = []
        for draft in rng.sample(long_enough, len(long_enough)):
            if len(made) < wanted and (copy := copy_of(draft, rng, edited=len(made) >= _SAME)):
                made.append(copy)
        found += made
    return found


def _damage(drafts: list[Draft], copied: set[int], rng: Random) -> None:
    """Garble and cut some calls that nothing else points at."""
    free = [draft for draft in drafts if draft.kind == "transcript" and id(draft) not in copied]
    free = rng.sample([draft for draft in free if len(draft.turns) >= 6], len(free) // 3)
    for draft in free[:_CUT]:
        cut(draft, rng)
    garbled = 0
    for draft in sorted(free[_CUT:], key=lambda one: one.language != "es"):
        garbled += garbled < _GARBLED and garble(draft)


def _contradictions(faq: Faq, calls: Calls, rng: Random) -> list[Draft]:
    """The pairs of the FAQ; some wrong answers were given in a call instead."""
    drafts = []
    for entry, other in faq.contradictions():
        if rng.random() < 0.3:
            ask, answer = entry.turns[0][1], other.turns[1][1]
            told = calls.told(other.topic, ask, answer)
            turn = next(place for place, (_, text) in enumerate(told.turns) if text == answer)
            label = other.labels[0]
            told.labels.append(Label("contradiction", turn, label.wrong, label.right, other=entry))
            other = told
        drafts += [entry, other]
    return drafts
