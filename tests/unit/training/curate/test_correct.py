"""Misspelled drugs are put right where one alone can be meant; all else is left and, if it may be a drug, asked."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.contracts.site import load_site
from app.errors import ConfigurationError
from app.knowledge.articles import read_folder
from tests.cost import seconds
from tests.scoring_curate import misspelled, score_misspelled
from training.curate.correct import _SKIPPED, Correct, Corrected, Decider, Options, correct, corrector
from training.curate.cues import Cue, cue
from training.curate.druglist import DrugList, folded
from training.curate.records import Record, Turn, read_records, record_line
from training.curate.spelling import DrugSpeller
from training.curate.stages import RECORDS, REVIEW, Context, ReviewItem, Verdict

SITE, ARTICLES = load_site(Path("demo")), Path("demo/articles")
FIRST_NAMES = 40
"""Names in a sentence of the test over all names: many sentences would say the same."""


@cache
def drugs() -> DrugList:
    return DrugList.load()


@cache
def speller() -> DrugSpeller:
    return DrugSpeller(drugs())


def record(*texts: str, number: int = 1) -> Record:
    speakers = ("patient", "staff")
    turns = tuple(Turn(speaker=speakers[i % 2], text=text) for i, text in enumerate(texts))
    return Record(id=f"{number:020x}", kind="transcript", source="calls.jsonl", place=number, turns=turns)


def corrected(*texts: str, decisions: dict[str, Verdict] | None = None) -> Corrected:
    return correct(Decider(speller(), decisions or {}), record(*texts))


def text_of(done: Corrected) -> str:
    assert done.record is not None
    return done.record.text


@pytest.mark.parametrize(
    ("said", "right"),
    [
        ("I take acetominophen every day.", "I take acetaminophen every day."),
        ("Acetominofen 500 mg as needed", "Acetaminophen 500 mg as needed"),
        ("REFILL LISINOPRILL 10 MG", "REFILL LISINOPRIL 10 MG"),
        ("Can I take Tylonel with my metforman?", "Can I take Tylenol with my metformin?"),
        ("I'm on warfarin, dijoxin and furosimide.", "I'm on warfarin, digoxin and furosemide."),
        ("He takes lisin0pril 10 mg.", "He takes lisinopril 10 mg."),
        ("potasium chloride 20 mEq daily", "potassium chloride 20 mEq daily"),
        ("I take two asprin tablets.", "I take two aspirin tablets."),
        ("How many Tylanols may I take?", "How many Tylenols may I take?"),
        ("¿Puedo tomar ibuprofneo con la comida?", "¿Puedo tomar ibuprofeno con la comida?"),
        ("pantoprazol 40 mg, taken for years", "pantoprazole 40 mg, taken for years"),
    ],
)  # fmt: skip
def test_a_misspelling_of_one_drug_is_put_right_in_its_case(said: str, right: str) -> None:
    done = corrected(said)
    assert text_of(done) == right
    assert not done.items


@pytest.mark.parametrize(
    "said",
    [
        "Please take the tablets in the morning and call the pharmacy.",
        "The lasic surgery took ten minutes.",
        "She saw Dr. Lasik about her celebration and the elective visit.",
        "<PERSON_1> takes <PERSON_2> to www.tylanol.example or tylanol@example.com.",
        "Tomo metformina y losartán por la mañana.",
        "My allergies to pollen and melanoma in the family.",
        "The patient can continue the transdermal patch, endometrial biopsy next week.",
        "Refill your prescr",
    ],
)
def test_what_is_no_misspelled_drug_stays(said: str) -> None:
    done = corrected(said)
    assert text_of(done) == said
    assert not done.items


def test_no_valid_name_is_touched_however_near_another_is() -> None:
    names = sorted(drugs().drug_of.keys() - drugs().spanish)
    near = sum(
        1 for name in ("accolate", "hydroxyzine", "clonidine", "prednisone", "celexa") if name in drugs().drug_of
    )
    assert near == 5
    assert all(speller().judge(name, Cue.DOSE).verdict == "none" for name in names[::7])
    for start in range(0, len(names), FIRST_NAMES):
        said = ". ".join(f"Take {name} 20 mg" for name in names[start : start + FIRST_NAMES])
        done = corrected(said)
        assert (text_of(done), done.items) == (said, [])


def test_no_word_of_the_lists_is_changed_beside_a_dose() -> None:
    words = sorted(word for word in drugs().words if word not in drugs().drug_of and word not in drugs().everyday)
    for word in words[::11]:
        assert speller().judge(word, Cue.DOSE).verdict != "fix", word


def test_the_approved_articles_stay_as_they_are() -> None:
    judge = corrector(Options(), SITE, ARTICLES, {})
    sources, _ = read_folder(ARTICLES)
    assert len(sources) >= 150
    for source in sources:
        one = record(" ".join(source.head.asked) or "no question", source.markdown)
        done = judge(one)
        assert done.record == one, source.head.id
        assert not done.items, source.head.id


def test_a_short_word_between_two_names_is_asked_about() -> None:
    done = corrector(Options(), SITE, ARTICLES, {})(record("Patient reports a reaction to paxis."))
    assert done.record == record("Patient reports a reaction to paxis.")
    assert "paxil" in done.items[0].proposal + done.items[0].reason


def test_generated_misspellings_reach_the_goal() -> None:
    names = sorted(name for name in drugs().targets() if name.isalpha() and name not in drugs().spanish)
    scores = score_misspelled(drugs(), misspelled(drugs(), names, 400, seed=20261126))
    assert scores["all"].wrong == 0, scores["all"].examples
    assert scores["only one name can be meant"].share >= 0.93
    assert scores["all"].unseen <= 0.02 * scores["all"].cases
    assert scores["all"].fixed + scores["all"].asked + scores["all"].unseen == 400


def test_an_ambiguous_name_is_asked_about_once_for_each_drug() -> None:
    done = corrected("I take prednisoone 10 mg.")
    assert text_of(done) == "I take prednisoone 10 mg."
    assert {item.proposal for item in done.items} == {"prednisoone -> prednisone", "prednisoone -> prednisolone"}
    assert {item.kind for item in done.items} == {"drug_ambiguous"}
    assert all("prednisoone" in item.excerpt and item.stage == "correct" for item in done.items)


def test_decisions_are_applied_in_the_next_run() -> None:
    said = "I take prednisoone 10 mg."
    keys = {item.proposal.split(" -> ")[1]: item.key for item in corrected(said).items}
    accepted = corrected(said, decisions={keys["prednisone"]: "accept", keys["prednisolone"]: "reject"})
    assert text_of(accepted) == "I take prednisone 10 mg."
    assert not accepted.items
    assert accepted.changes[0].decided
    rejected = corrected(said, decisions=dict.fromkeys(keys.values(), "reject"))
    assert (text_of(rejected), rejected.items) == (said, [])
    both = corrected(said, decisions=dict.fromkeys(keys.values(), "accept"))
    assert text_of(both) == said
    assert len(both.items) == 2
    assert corrected(said, decisions={keys["prednisone"]: "drop"}).record is None


def test_which_drug_is_meant_is_asked_for_each_sentence_but_whether_it_is_one_only_once() -> None:
    ambiguous = [corrected(said).items for said in ("I take prednisoone 10 mg.", "She took prednisoone 20 mg today.")]
    assert {item.key for item in ambiguous[0]}.isdisjoint(item.key for item in ambiguous[1])
    uncertain = [corrected(said).items for said in ("Is the Crester new?", "Was the Crester old, and who has it?")]
    assert [len(items) for items in uncertain] == [len(uncertain[0])] * 2
    assert [item.key for item in uncertain[0]] == [item.key for item in uncertain[1]]


def test_a_correction_can_be_refused() -> None:
    said = "I take acetominophen every day."
    first = corrected(said)
    assert first.changes[0].right == "acetaminophen"
    assert text_of(corrected(said, decisions={first.changes[0].key: "reject"})) == said


def test_a_correction_of_a_plural_is_refused_by_the_key_of_the_report() -> None:
    said = "I took two Tylanols yesterday."
    (change,) = corrected(said).changes
    assert change.right == "Tylenols"
    assert text_of(corrected(said, decisions={change.key: "reject"})) == said


def test_a_word_near_a_substance_that_is_no_target_is_not_made_a_drug() -> None:
    # Povidone is on the list, so "providone" is it, not primidone; an unknown class-mate is left alone.
    assert "primidone" not in text_of(corrected("I am allergic to providone."))
    koxcycline = corrected("Take koxcycline 100 mg.")  # Perhaps another drug of the class, not on the list.
    assert text_of(koxcycline) == "Take koxcycline 100 mg."
    assert [item.proposal for item in koxcycline.items] == ["koxcycline -> doxycycline"]
    aprenolol = corrected("I take aprenolol 50 mg.")  # Alprenolol is nearer than atenolol.
    assert text_of(aprenolol) == "I take aprenolol 50 mg."
    assert [item.kind for item in aprenolol.items] == ["drug_uncertain"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("I take XX daily", Cue.BESIDE),
        ("XX 20 mg", Cue.DOSE),
        ("20 mg of XX", Cue.DOSE),
        ("refill of my XX", Cue.BESIDE),
        ("the XX tablets", Cue.BESIDE),
        ("warfarin and XX", Cue.BESIDE),
        ("XX came up when the pharmacy called", Cue.SENTENCE),
        ("XX came up when my aunt called", Cue.NONE),
    ],
)
def test_cues(text: str, found: Cue) -> None:
    at = text.index("XX")
    assert cue(text, at, at + 2, drug=lambda word: word == "warfarin") is found


def test_a_cue_elsewhere_in_the_record_counts_little() -> None:
    assert text_of(corrected("Is it the Lipitorr one?")) == "Is it the Lipitorr one?"
    assert "Lipitor one" in text_of(corrected("Is it the Lipitorr one?", "I will ask the pharmacist."))


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=80))
@settings(max_examples=150, deadline=None)
def test_any_text_is_taken_and_a_second_pass_changes_nothing(text: str) -> None:
    first = corrected("I take " + text + " 20 mg.")
    again = corrected(text_of(first))
    assert text_of(again) == text_of(first)


def test_a_hospital_can_add_names_and_words(tmp_path: Path) -> None:
    names, words = tmp_path / "names.txt", tmp_path / "words.txt"
    names.write_text("# ours\nzorbafilin = Zorbaxan\n", encoding="utf-8")
    words.write_text("acetominophen\n", encoding="utf-8")
    judge = corrector(Options(names=names, words=words), SITE, ARTICLES, {})
    done = judge(record("I take zorbafillin and acetominophen every day."))
    assert text_of(done) == "I take zorbafilin and acetominophen every day."


@pytest.mark.parametrize(
    ("line", "fault"), [("no equals sign", "name = other names"), ("a = Beta\nb = Beta", "stands in")]
)
def test_a_broken_list_is_named(tmp_path: Path, line: str, fault: str) -> None:
    names = tmp_path / "names.txt"
    names.write_text(line, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=fault) as raised:
        DrugList.load(names=names)
    assert "names.txt:" in str(raised.value)


def test_the_lexicon_is_large_and_consistent() -> None:
    lists = drugs()
    assert len(lists.drug_of) >= 500
    assert lists.everyday <= lists.drug_of.keys()
    assert all(right in lists.drug_of for right in lists.decided.values())
    assert not lists.decided.keys() & lists.words
    assert not lists.others & lists.drug_of.keys()
    assert lists.drug_of["acetaminofen"] == "acetaminophen"
    assert lists.drug_of["oxycontin"] == "oxycontin"
    assert folded("Losartán") == "losartan"


def run(tmp_path: Path, records: list[Record], name: str, workers: int = 1, **decisions: Verdict) -> Path:
    source, out = tmp_path / "in", tmp_path / name
    source.mkdir(exist_ok=True)
    out.mkdir()
    (source / RECORDS).write_text("".join(map(record_line, records)), encoding="utf-8")
    context = Context(site=SITE, articles=ARTICLES, decisions=decisions, workers=workers)
    report = Correct().run(source, out, context)
    (out / "report.json").write_text(report.model_dump_json(), encoding="utf-8")
    return out


def test_the_stage_reports_counts_and_gives_the_same_bytes_with_more_processes(tmp_path: Path) -> None:
    records = [
        record("I take acetominophen.", "Take acetominophen 500 mg.", number=1),
        record("Is prednisoone 10 mg right?", "I will ask the pharmacist.", number=2),
        record("When do you open?", "At eight.", number=3),
    ]
    one, two = run(tmp_path, records, "one"), run(tmp_path, records, "two", workers=2)
    assert {path.name: path.read_bytes() for path in one.iterdir()} == {
        path.name: path.read_bytes() for path in two.iterdir()
    }
    report = json.loads((one / "report.json").read_text(encoding="utf-8"))
    assert (report["records_in"], report["records_out"]) == (3, 3)
    assert report["counts"] == {"changed_by_rule": 2, "left_ambiguous": 1, "questions": 2, "records_changed": 1}
    row = report["tables"]["corrections"][0]
    assert (row["wrong"], row["right"], row["count"]) == ("acetominophen", "acetaminophen", 2)
    assert report["examples"] == [
        {"key": "acetominophen", "before": "I take acetominophen.", "after": "I take acetaminophen."}
    ]
    items = [ReviewItem.model_validate_json(line) for line in (one / REVIEW).read_text(encoding="utf-8").splitlines()]
    assert {item.record for item in items} == {records[1].id}
    dropped = run(tmp_path, records, "three", **{items[0].key: "drop"})
    assert [found.id for found in read_records(dropped / RECORDS)] == [records[0].id, records[2].id]
    assert json.loads((dropped / "report.json").read_text())["counts"]["dropped_by_decision"] == 1
    assert not (dropped / REVIEW).exists()


@pytest.mark.parametrize("bait", ["a" * 200_000, "a@" * 100_000, "a-" * 100_000, "a." * 100_000, "@" * 200_000])
def test_bait_is_read_in_time_that_grows_with_its_length(bait: str) -> None:
    assert seconds(lambda: list(_SKIPPED.finditer(bait)), most=5) < 5
