from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from random import Random
from tempfile import mkdtemp

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from app.contracts.site import load_site
from app.guardrails.figures import figures
from training.curate.augment import Augment, Augmenter, Options, OtherSides
from training.curate.deduplicate import Options as Likeness
from training.curate.records import Record, read_records, record_line
from training.curate.rephrase import Rates, Rephraser, same_statement
from training.curate.split import Options as Sides
from training.curate.split import keys
from training.curate.stages import RECORDS, Context, StageReport
from training.curate.statements import NEGATIONS, Names
from training.curate.words import words

DEMO = Path("demo")
CALL = (
    ("staff", "Thank you for calling, this is <PERSON_1>. How can I help?"),
    ("patient", "Hi, I'd like to ask, do I need to stop my warfarin 5 mg before the visit? I don't have a ride."),
    ("staff", "Do not stop warfarin without advice. Call 515-555-0120."),
    ("patient", "Thank you, is it okay if my sister drives me home at 4:30 p.m. on Monday?"),
)


@cache
def names() -> Names:
    return Names.load(load_site(DEMO))


@cache
def wild() -> Rephraser:
    """Every rule as often as it can be."""
    return Rephraser(names(), Rates(phrases=1, opener=1, closer=1, lower=0.5, marks=0.5, short=0.5, typos=0.6))


@cache
def questions() -> list[str]:
    asked = yaml.safe_load((DEMO / "dialogues" / "questions.yaml").read_text(encoding="utf-8"))
    return [str(question) + "?" for anchors in asked.values() for lines in anchors.values() for question in lines]


def record(name: str, *turns: tuple[str, str], side: str = "train", **fields: object) -> Record:
    said = [{"speaker": speaker, "text": text} for speaker, text in turns or CALL]
    head = {"id": name, "kind": "transcript", "source": "s", "place": 1, "language": "en", "side": side}
    return Record.model_validate({**head, "turns": said, **fields})


def augmented(
    records: Sequence[Record], folder: Path, options: Options | None = None, workers: int = 1, **others: BaseModel
) -> tuple[list[Record], StageReport]:
    source, out = folder / "in", folder / f"out{len(list(folder.iterdir()))}"
    source.mkdir(exist_ok=True)
    out.mkdir()
    (source / RECORDS).write_text("".join(map(record_line, records)), encoding="utf-8")
    context = Context(load_site(DEMO), DEMO / "articles", options or Options(), others, workers=workers)
    report = Augment().run(source, out, context)
    return list(read_records(out / RECORDS)), report


PIECES = (
    "I'd like to know|do I need to take|could you tell me how much|two tablets|500 mg of ibuprofen|every 6 hours|never|"
    "I can't|not|without my metformin|no Tylenol|dont|on Monday|at 8 a.m.|5-10 units|<PERSON_2>|<DATE_1>|1,000|$20.50|"
    "my left knee|the right side|Cardiology|515-555-0120|98.6 F|twice a day|warfarin and aspirin|don't stop|nothing|"
    "is it okay if|I have to|because|thank you|at the moment|was told|doesn't|didn't expect|isn't it|cannot|Dr. Lee|24"
).split("|")


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=9),
    st.sampled_from([".", "?", "", "..."]),
    st.integers(0, 10**6),
)
def test_what_is_stated_is_never_altered(pieces: list[str], end: str, seed: int) -> None:
    text = " ".join(pieces) + end
    changed = wild().turn(text, "english", Random(seed))
    assert figures(changed) == figures(text)
    assert re.findall(r"\d+", changed) == re.findall(r"\d+", text)
    assert re.findall(r"<\w+>", changed) == re.findall(r"<\w+>", text)
    for kind in (NEGATIONS, names().drugs.keys(), {"left", "right"}, names().places):
        assert [w for w in words(changed) if w in kind] == [w for w in words(text) if w in kind]
    for written in ("can't", "dont", "don't", "doesn't", "didn't", "isn't", "cannot", "never", "nothing"):
        assert len(re.findall(rf"\b{written}\b", changed.lower())) == len(re.findall(rf"\b{written}\b", text.lower()))


@pytest.mark.parametrize(
    "after",
    [
        "take 2 pills of advil not on monday", "take 3 pills of motrin not on monday",
        "take 2 pills of motrin on monday", "take 2 pills of motrin not on friday",
        "take 2 pills of motrn not on monday", "take 2 drops of motrin not on monday",
        "take 2 pills of motrin nott on monday", "take 22 pills of motrin not on monday",
        "not take 2 pills of motrin on monday, motrin",
    ],
)  # fmt: skip
def test_another_statement_is_seen(after: str) -> None:
    before = "take 2 pills of motrin not on monday"
    assert same_statement(before, before.upper(), names())
    assert not same_statement(before, after, names())


def test_a_misspelt_negation_is_another_statement() -> None:
    assert not same_statement("I didn't eat", "I ddn't eat", names())
    assert same_statement("I didn't eat", "i didn’t EAT", names())


def test_questions_are_reworded_in_many_ways_and_the_same_seed_repeats() -> None:
    changed = [wild().turn(text, "english", Random(n)) for n, text in enumerate(questions()[:150])]
    assert sum(words(new) != words(old) for new, old in zip(changed, questions(), strict=False)) > 120
    assert changed == [wild().turn(text, "english", Random(n)) for n, text in enumerate(questions()[:150])]


def test_grammar_survives_phrases() -> None:
    only = Rephraser(names(), Rates(phrases=1, opener=0, closer=0, lower=0, marks=0, short=0, typos=0))
    found = {only.turn("I would like to know, do I need to come? I'm here.", "english", Random(n)) for n in range(40)}
    assert found <= {
        f"{start} know, do I have to come? I am here." for start in ("I'd like to", "I want to", "I was hoping to")
    }
    assert len(found) == 3
    spanish = only.turn("Quisiera saber, ¿cómo puedo pagar?", "spanish", Random(1))
    assert spanish in {f"{start} saber, ¿cómo hago para pagar?" for start in ("Me gustaría", "Quiero")}


def test_variants_are_made_of_training_records_and_change_only_the_patient(tmp_path: Path) -> None:
    records = [
        record(f"r{n}", *CALL[:1], ("patient", text), *CALL[2:], patient=f"p{n}")
        for n, text in enumerate(questions()[:80])
    ]
    records += [record("held", ("patient", "Where may I leave my bicycle?"), side="held_out")]
    records += [
        record("note", ("staff", "Seen today, well."), kind="note"),
        record("fr", ("patient", "Bonjour à tous"), language="fr"),
    ]
    found, report = augmented(records, tmp_path, Options(share=1))
    by_id = {item.id: item for item in found}
    assert len(by_id) == len(found) == report.records_out
    assert [item for item in found if not item.origin] == records
    variants = [item for item in found if item.origin]
    assert len(variants) == report.counts["variants"] >= 75
    assert "rejected_alike" not in report.counts  # nothing was tried with the held-out record
    assert {item.origin for item in variants} <= {f"r{n}" for n in range(80)}
    for item in variants:
        source = by_id[item.origin]
        assert (item.side, item.patient, item.weight) == ("train", source.patient, source.weight)
        assert words(item.text) != words(source.text)
        for old, new in zip(source.turns, item.turns, strict=True):
            assert old.text == new.text if old.speaker == "staff" else same_statement(old.text, new.text, names())
        assert set(keys(item)) - {f"3 record {item.id}"} <= set(keys(source))


def test_the_share_is_met_and_workers_change_nothing(tmp_path: Path) -> None:
    records = [record(f"r{n}", ("patient", text), ("staff", "Yes.")) for n, text in enumerate(questions()[:200])]
    found, report = augmented(records, tmp_path)
    assert report.counts["variants"] == pytest.approx(60, abs=22)
    assert augmented(records, tmp_path, workers=2)[0] == found
    none, _ = augmented(records, tmp_path, Options(share=0))
    assert none == records


def test_weights_above_one_become_variants(tmp_path: Path) -> None:
    weights = (0.5, 1.0, 2.4)
    turns = [(("patient", text), ("staff", "Yes.")) for text in questions()[:300]]
    records = [record(f"r{n}", *said, weight=weights[n % 3]) for n, said in enumerate(turns)]
    found, _ = augmented(records, tmp_path, Options(share=0.5, phrases=1, typos=0.2))
    for weight in weights:
        members = {item.id for item in records if item.weight == weight}
        mass = sum(item.weight for item in found if item.id in members or item.origin in members)
        assert mass == pytest.approx(1.5 * weight * len(members), rel=0.1)
    assert max(item.weight for item in found if item.origin) == 1
    kept, _ = augmented(records, tmp_path, Options(share=0, spread=False))
    assert kept == records


def test_a_weight_that_no_variant_was_made_for_stays(tmp_path: Path) -> None:
    found, report = augmented([record("r", ("patient", "<PERSON_1>"), weight=3.0)], tmp_path)
    assert [item.weight for item in found] == [3.0]
    assert report.counts["without_variant"] >= 2


LONG = "so the blue car was parked beside the old mill when my brother in law came home"


def others(*held: Record, folder: Path, limits: Likeness | None = None) -> OtherSides:
    path = folder / RECORDS
    path.write_text("".join(map(record_line, held)), encoding="utf-8")
    files = Path(mkdtemp(dir=folder))
    OtherSides.gather(path, 13, files)
    return OtherSides(files, path, 13, names(), limits)


def test_no_variant_comes_near_another_side(tmp_path: Path) -> None:
    held = record("h", ("patient", f"Well, {LONG}."), ("patient", "Where can I park?"), side="held_out")
    near = others(held, record("t", ("patient", "May I bring my dog?")), folder=tmp_path).near
    source = record("r", ("patient", "Where do I park?"), ("staff", LONG))
    assert near(record("v", ("patient", f"Ah, {LONG}")), source) == "shared_run"
    assert near(record("v", ("patient", "where can i park")), source) == "shared_turn"
    assert near(record("v", ("patient", "where can i park")), record("r", ("patient", "Where can I park?"))) == ""
    assert near(record("v", ("patient", "may I bring my dog")), source) == ""
    spoilt = f"well {LONG} where can I park".replace("blue", "grey").replace("brother", "uncle").replace("old ", "")
    assert near(record("v", ("patient", spoilt)), source) == "alike"
    assert Likeness().kin < 0.76
    strict = others(held, folder=tmp_path, limits=Likeness(kin=0.99, near=0.99))
    assert strict.near(record("v", ("patient", spoilt)), source) == ""


def test_a_variant_near_another_side_is_thrown_away(tmp_path: Path) -> None:
    """Whatever the rules can make of this question lies on the held-out side already."""
    rephraser = Rephraser(names(), Rates(phrases=1, opener=0, closer=0, lower=0, marks=0, short=0, typos=0))
    source = record("r", ("patient", "Where can I park?"), ("staff", "In the garage."))
    turns = [("patient", f"Where {how} I park?") for how in ("do", "should")]
    blocked = Augmenter(rephraser, others(record("h", *turns, side="held_out"), folder=tmp_path), Options(share=1), 7)
    made = blocked(source)
    assert made.records == [source]
    assert made.counts["rejected_shared_turn"] > 0
    free = Augmenter(rephraser, others(record("h", side="validation"), folder=tmp_path), Options(share=1), 7)
    assert len(free(source).records) == 2


def test_a_variant_keeps_from_the_runs_that_split_keeps_apart(tmp_path: Path) -> None:
    """Whatever the rules can make of this question has eight words in a row with a held-out one."""
    tail = "I park while my brother visits the third floor?"
    source = record("r", ("patient", f"Where can {tail}"), ("staff", "In the garage."))
    held = [
        record(f"h{how}", ("patient", f"Please say {how} {tail}"), ("staff", "Ask."), side="held_out")
        for how in ("where do", "where should", "where would")
    ]
    options, apart = Options(share=5, phrases=1, typos=0), {"deduplicate": Likeness(kin=0.99, near=0.99)}
    free, _ = augmented([source, *held], tmp_path, options, **apart)
    made, report = augmented([source, *held], tmp_path, options, split=Sides(run=6), **apart)
    assert any(item.origin for item in free)
    assert [item for item in made if item.origin] == []
    assert report.counts["rejected_shared_run"] > 0
