"""The check asks about what it doubts, leaves it out until somebody decides, and does what was decided."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.contracts.site import load_site
from tests.scoring_curate import score_check
from training.curate.check import DOUBTS, Check, Options
from training.curate.doubts import Doubt, Inspector, decide
from training.curate.meaning import vectors_of
from training.curate.records import Kind, Record, Turn, read_records, record_line
from training.curate.rows import Table, problem
from training.curate.stages import RECORDS, REVIEW, Context, ReviewItem, StageReport, Verdict
from training.curate.tone import rude
from training.curate.truth import Truth

SITE, ARTICLES = load_site(Path("demo")), Path("demo/articles")
FEW = ("prepare-ct-scan.md", "controlled-medicine-refills.md", "pharmacy-hours-and-pickup.md", "find-your-way.md")
"""Articles for runs of the whole stage, which reads them anew each time."""
WRONG = "You can call Imaging at 515-555-0159 to change the time."
RIGHT = "You can call Imaging at 515-555-0150 to change the time."


Doubts = Callable[..., list[tuple[str, int, str]]]
"""The doubts about a call or note with these texts: kind, turn, proposal."""


@pytest.fixture(scope="module")
def inspector(encoder_folder: Path) -> Inspector:
    return Inspector(SITE, ARTICLES, encoder_folder, vectors_of(Truth.load(SITE, ARTICLES), encoder_folder))


def call(*texts: str, number: int = 1, kind: Kind = "transcript") -> Record:
    """A record; the patient speaks first, in a note only the staff."""
    speakers = ("staff", "staff") if kind == "note" else ("patient", "staff")
    turns = tuple(Turn(speaker=speakers[i % 2], text=text) for i, text in enumerate(texts))
    return Record(id=f"{number:020x}", kind=kind, source="calls.jsonl", place=number, turns=turns)


@pytest.fixture(scope="module")
def doubts(inspector: Inspector) -> Doubts:
    def told(*texts: str, kind: Kind = "transcript") -> list[tuple[str, int, str]]:
        return [(doubt.kind, doubt.turn, doubt.proposal) for doubt in inspector.inspect(call(*texts, kind=kind)).doubts]

    return told


def run(
    tmp_path: Path, encoder: Path, records: list[Record], decisions: dict[str, Verdict] | None = None, workers: int = 1,
    options: Options | None = None,
) -> tuple[Path, StageReport]:  # fmt: skip
    source = tmp_path / "in"
    source.mkdir(exist_ok=True)
    out = tmp_path / f"out-{len(list(tmp_path.iterdir()))}"
    out.mkdir()
    (source / RECORDS).write_text("".join(map(record_line, records)), encoding="utf-8")
    articles = tmp_path / "articles"
    if not articles.exists():
        articles.mkdir()
        for name in FEW:
            (articles / name).write_bytes((ARTICLES / name).read_bytes())
    context = Context(
        site=SITE, articles=articles, decisions=decisions or {}, workers=workers, options=options, encoder=encoder
    )
    return out, Check().run(source, out, context)


def items(out: Path) -> list[ReviewItem]:
    path = out / REVIEW
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [ReviewItem.model_validate_json(line) for line in lines]


def texts(out: Path) -> list[list[str]]:
    return [[turn.text for turn in record.turns] for record in read_records(out / RECORDS)]


@pytest.mark.parametrize(
    "said",
    [
        ("Does the accordion go out of tune in the cold?", "Mine did, I kept it by the stove."),
        ("I want to move my piano up two floors.", "You'd need a piano mover, that's not something we do."),
    ],
)
def test_a_call_far_from_all_that_the_articles_mean_is_off_topic(doubts: Doubts, said: tuple[str, str]) -> None:
    assert [kind for kind, _, _ in doubts(*said)] == ["off_topic"]


def test_a_strange_matter_of_the_hospital_is_one(doubts: Doubts) -> None:
    said = ("My goat butted me and now my knee is swollen.", "Come to urgent care so that somebody looks at the knee.")
    assert doubts(*said) == []


def test_what_the_staff_asks_is_no_figure_of_the_hospitals(doubts: Doubts) -> None:
    assert doubts("I need the billing people.", "Okay, and is 515-555-0137 still a good number for you?") == []


def test_a_notes_figures_are_the_patients_own(doubts: Doubts) -> None:
    assert doubts("Weight 131 pounds at home this morning, 3 pounds over last week.", kind="note") == []


@pytest.mark.parametrize(
    ("question", "wrong", "true", "proposal"),
    [
        (
            "What does the garage cost?", "Once your first half hour is up it's three bucks an hour in the garage.",
            "Once your first half hour is up it's two bucks an hour in the garage.", "three bucks -> $2",
        ),
        (
            "How old must kids be for the ICU?", "Folks up there have to be sixteen or older, hon.",
            "Folks up there have to be twelve or older, hon.", "sixteen -> 12 years",
        ),
        (
            "How long can insulin stay out?", "Insulin that you use can be left out for up to six weeks.",
            "Insulin that you use can be left out for up to four weeks.", "six weeks -> 28 days",
        ),
        (
            "What time does the gift shop close on a weekday?", "They're there till eight.", "They're there till six.",
            "eight -> 6 p.m.",
        ),
        (
            "Can I have the number of the billing people?", "Sure, it's 515-555-0137.", "Sure, it's 515-555-0130.",
            "515-555-0137 -> 515-555-0130",
        ),
    ],
)  # fmt: skip
def test_a_wrong_figure_is_found_in_words_that_no_article_uses(
    doubts: Doubts, question: str, wrong: str, true: str, proposal: str
) -> None:
    assert [told for _, _, told in doubts(question, wrong)] == [proposal]
    assert doubts(question, true) == []


def test_a_wrong_phone_is_doubted_with_its_mend(doubts: Doubts) -> None:
    assert doubts("How do I move my CT?", WRONG) == [("wrong_phone", 1, "515-555-0159 -> 515-555-0150")]
    assert doubts("How do I move my CT?", RIGHT) == []


def test_a_phone_that_deidentification_removed_is_wrong_wherever_it_is_said_again(doubts: Doubts) -> None:
    found = doubts(
        "How do I move my CT?",
        "You can call Imaging at <PHONE_1> to change the time.",
        "What was that?",
        "Sure, <PHONE_1>.",
    )
    assert found == [
        ("wrong_phone", 1, "<PHONE_1> -> 515-555-0150"),
        ("wrong_phone", 3, "<PHONE_1> -> 515-555-0150"),
    ]
    named_before = doubts("What's the number of Imaging?", "<PHONE_1>, that's the direct line.")
    assert named_before == [("wrong_phone", 1, "<PHONE_1> -> 515-555-0150")]
    assert doubts("I need Imaging.", "Okay, and is <PHONE_1> still a good number for you?") == []
    assert doubts("Call me at <PHONE_1>.", "Imaging will call you at <PHONE_1>.") == []


def test_a_contradiction_and_a_rude_answer_are_doubted(doubts: Doubts) -> None:
    (found,) = doubts("Can you mail my Adderall?", "Controlled medicines can be mailed if the patient signs.")
    assert found[:2] == ("contradiction", 1)
    assert doubts("Where do I park?", "That's not my problem.") == [("tone", 1, "leave this answer out")]


@pytest.mark.parametrize(
    ("sentence", "found"),
    [
        ("Are you deaf? I already told you.", True),
        ("That is not my job, call somebody else.", True),
        ("I don't care what they said.", True),
        ("No me importa.", True),
        ("I'm sorry, I can't see that from here.", False),
        ("Our dumbwaiter brings the trays.", False),
        ("We do care for patients without insurance.", False),
    ],
)
def test_rude_sentences(sentence: str, found: bool) -> None:
    assert rude(sentence) is found


def test_a_call_that_is_no_matter_of_the_hospital_is_doubted_as_a_whole(doubts: Doubts) -> None:
    pizza = ("Two large pepperoni, please, no olives.", "I think you dialed wrong.", "Oh, sorry about that.", "Bye.")
    assert [found[:2] for found in doubts(*pizza)] == [("off_topic", -1)]
    for other in (
        "I need to move my appointment.",
        "Is there gluten free food in the cafeteria?",
        "Is Imaging there?",
        "Do you carry Eliquis?",
        "Where can I charge my phone?",
        "Hola, ¿está abierta la tienda de regalos?",
    ):
        assert doubts(other, "Hold on.", "Sure, okay.", "There is.") == [], other
    assert [found[:2] for found in doubts("Two large pepperoni, please.", "I think you dialed wrong.")] == [
        ("off_topic", -1)
    ]


@pytest.mark.parametrize(
    "turns",
    [
        ("Is this the bowling alley?", "It's the hospital.", "Whoops.", "Bye."),
        ("I need an oil change on my sedan.", "You've dialed Cedar Valley.", "One digit off, then.", "It happens."),
        ("You have been selected for a free cruise!", "No thank you.", "Press nine to be removed.", "Goodbye."),
        ("...", "Hello? Is anybody there?", "...", "I'm going to hang up now."),
        ("Sorry, wrong number.", "That's all right."),
    ],
)
def test_a_caller_who_wants_somebody_else_is_known_by_what_is_said(doubts: Doubts, turns: tuple[str, ...]) -> None:
    assert [found[:2] for found in doubts(*turns)] == [("off_topic", -1)]


@pytest.mark.parametrize(
    "turns",
    [
        ("What do I wear?", "Something loose.", "Okay.", "Yes."),
        ("Can I volunteer on weekends?", "Yes you can.", "How?", "Fill out the form."),
        ("My son swallowed a coin.", "Is he breathing fine?", "Yes.", "Come in."),
        ("Is this the pharmacy?", "You've reached the hospital's main line.", "My refill, please.", "One moment."),
        ("Hola, I threw up the limpieza, ¿la tomo otra vez?", "How much?", "Half.", "Hold on."),
    ],
)
def test_a_short_call_about_the_hospital_is_left_alone(doubts: Doubts, turns: tuple[str, ...]) -> None:
    assert doubts(*turns) == []


def test_a_note_is_checked_for_doses_only(doubts: Doubts) -> None:
    note = "Pt doing well, no fever. Rec acetaminophen instead of NSAID; max 5,000 mg/24 h all products."
    assert [found[:2] for found in doubts(note, kind="note")] == [("wrong_dose", 0)]
    assert doubts("Lisinopril 10 mg daily, BP 154/73. Signed 03/08/2026.", kind="note") == []


def test_a_doubted_answer_is_left_out_with_its_question_until_decided(doubts: Doubts, inspector: Inspector) -> None:
    record = call("Hello.", "Hi, how can I help?", "How do I move my CT?", WRONG, "Thanks.", "You're welcome, bye now.")
    found = inspector.inspect(record).doubts
    held = decide(record, found, {})
    assert held.record is not None
    assert [turn.text for turn in held.record.turns] == [
        *(t.text for t in record.turns[:2]),
        "Thanks.",
        "You're welcome, bye now.",
    ]
    assert held.open == list(found)
    assert held.counts == {"answers_held": 1}


def test_what_people_decide_is_done(doubts: Doubts, inspector: Inspector) -> None:
    record = call("How do I move my CT?", WRONG)
    (doubt,) = inspector.inspect(record).doubts
    accepted = decide(record, [doubt], {doubt.key: "accept"})
    assert accepted.record is not None
    assert accepted.record.turns[1].text == RIGHT
    assert (accepted.open, accepted.counts) == ([], {"corrected": 1})
    rejected = decide(record, [doubt], {doubt.key: "reject"})
    assert rejected.record == record
    assert rejected.counts == {"kept_by_decision": 1}
    assert decide(record, [doubt], {doubt.key: "drop"}).record is None
    assert decide(record, [doubt], {}).record is None


def test_several_mends_of_one_sentence_are_all_made(doubts: Doubts, inspector: Inspector) -> None:
    text = "Imaging is open Monday to Friday 7 a.m. to 9 p.m., and the phone is 515-555-0159."
    record = call("When is Imaging open?", text)
    found = inspector.inspect(record).doubts
    assert {doubt.kind for doubt in found} == {"wrong_hours", "wrong_phone"}
    done = decide(record, found, {doubt.key: "accept" for doubt in found})
    assert done.record is not None
    assert done.record.turns[1].text == text.replace("9 p.m.", "7 p.m.").replace("0159", "0150")


@given(st.lists(st.sampled_from(["accept", "reject", "drop", None]), min_size=4, max_size=4))
@settings(deadline=None)
def test_a_decided_record_always_has_both_sides_or_is_gone(verdicts: list[Verdict | None]) -> None:
    record = call("q1", "a1 is wrong", "q2", "a2", "q3", "a3 is bad")
    found = [
        Doubt("wrong_number", 1, "a1 is wrong", "wrong -> right", "", "a1 is right"),
        Doubt("contradiction", 3, "a2", "leave this answer out", ""),
        Doubt("tone", 5, "a3 is bad", "leave this answer out", ""),
        Doubt("off_topic", -1, record.text, "leave this call out", ""),
    ]
    decisions = {doubt.key: verdict for doubt, verdict in zip(found, verdicts, strict=True) if verdict}
    done = decide(record, found, decisions)
    assert [doubt.key for doubt in done.open] == ([d.key for d in found if d.key not in decisions])
    if done.record is None:
        assert sum(count for name, count in done.counts.items() if name.startswith("records_")) == 1
    else:
        assert {turn.speaker for turn in done.record.turns} == {"patient", "staff"}
        assert verdicts[3] == "reject"
        assert all(doubt.sentence not in done.record.text for doubt in done.open)


def records() -> list[Record]:
    return [
        call("How do I move my CT?", WRONG, number=1),
        call("How can I move my CT scan?", WRONG, number=2),
        call("¿Dónde está la farmacia?", "Está en el primer piso, junto a la entrada.", number=3),
        call("Where is the chapel?", "It is in the Main Building.", number=4),
        call("Hi.", "Yes.", number=5),
        call("May dogs visit on the ward?", "Dogs may visit the ward on weekdays.", number=6),
        call("Hello, may dogs visit the ward?", "No, dogs are not allowed on the ward.", number=7),
        call("Seen today, no fever, sleeping well.", number=8, kind="note"),
        call("Where do I park?", "Bad \ufffd text came over the line here.", number=9),
    ]


def test_the_stage_asks_once_balances_and_gives_the_same_bytes_with_more_processes(
    encoder_folder: Path, tmp_path: Path
) -> None:
    one, report = run(tmp_path, encoder_folder, records())
    two, again = run(tmp_path, encoder_folder, records(), workers=2)
    assert report == again
    assert {path.name: path.read_bytes() for path in one.iterdir()} == {
        path.name: path.read_bytes() for path in two.iterdir()
    }
    asked = items(one)
    assert [item.kind for item in asked] == ["wrong_phone", "contradiction", "contradiction"]
    assert asked[0].proposal == "515-555-0159 -> 515-555-0150"
    assert asked[0].record == records()[0].id
    counts = report.counts
    assert counts["found_wrong_phone"] == 2
    assert counts["questions"] == 3
    assert counts["records_held"] == 4
    assert (counts["dropped_too_short"], counts["dropped_invalid"]) == (1, 1)
    gone = sum(counts.get(name, 0) for name in ("records_held", "dropped_too_short", "dropped_invalid"))
    assert (report.records_in, report.records_out) == (9, 9 - gone)
    languages = {row["language"]: row["records"] for row in report.tables["languages"]}
    assert languages == {"en": 8, "es": 1}
    assert {record.language for record in read_records(one / RECORDS)} == {"en", "es"}
    assert report.tables["invalid_rows"] == [{"problem": "text: value_error", "records": 1}]
    assert report.tables["table_checks_failed"] == []


def test_one_decision_settles_every_record_that_says_the_same(encoder_folder: Path, tmp_path: Path) -> None:
    first, _ = run(tmp_path, encoder_folder, records()[:2])
    (item,) = items(first)
    assert not texts(first)
    accepted, report = run(tmp_path, encoder_folder, records()[:2], {item.key: "accept"})
    assert [turns[1] for turns in texts(accepted)] == [RIGHT, RIGHT]
    assert items(accepted) == []
    assert report.counts["corrected"] == 2
    assert not (accepted / REVIEW).exists()


def test_of_two_opposite_answers_the_one_that_the_truth_says_stays(encoder_folder: Path, tmp_path: Path) -> None:
    asked = "Who can pick up my controlled medicine for me at the pharmacy?"
    out, _ = run(
        tmp_path,
        encoder_folder,
        [
            call(
                asked,
                "Another adult may pick up the medicine with a photo ID if you call the pharmacy first.",
                number=1,
            ),
            call(asked, "Nobody else may come, it must be collected by the patient in person.", number=2),
        ],
    )
    assert [item.record for item in items(out)] == [f"{2:020x}"]
    assert len(texts(out)) == 1


def test_long_records_are_dropped_as_the_options_say(encoder_folder: Path, tmp_path: Path) -> None:
    out, report = run(
        tmp_path, encoder_folder, [call("Where?", "Here and there and everywhere.")], options=Options(most_words=4)
    )
    assert report.counts["dropped_too_long"] == 1
    assert texts(out) == []


def test_a_row_names_what_is_wrong_without_its_content() -> None:
    good = call("Where is it?", "Over there.")
    assert problem(good) == ""
    assert problem(good.model_copy(update={"date": "yesterday"})) == "date: string_pattern_mismatch"
    assert problem(good.model_copy(update={"language": "de"})) == "language: literal_error"
    only_patient = good.model_copy(update={"turns": good.turns[:1]})
    assert problem(only_patient) == "staff_turns: greater_than_equal"


def test_the_table_finds_what_no_single_row_can_tell() -> None:
    table = Table()
    assert dict(table.failures()) == {}
    for number in (1, 2, 3, 1, 4, 1, 2):
        table.add(call("q", "a b c", number=number))
    assert dict(table.failures()) == {"id unique": 3}


def test_scores_compare_doubts_with_a_key(encoder_folder: Path, tmp_path: Path) -> None:
    out, _ = run(tmp_path, encoder_folder, records()[:4])
    labels = [
        {"source": "calls.jsonl", "place": 1, "turn": 1, "defect": "wrong_phone", "family": "a", "note": ""},
        {"source": "calls.jsonl", "place": 4, "turn": 1, "defect": "wrong_hours", "family": "a", "note": ""},
        {"source": "calls.jsonl", "place": 99, "turn": 1, "defect": "wrong_hours", "family": "a", "note": ""},
    ]
    key = tmp_path / "key.jsonl"
    key.write_text("".join(json.dumps(label) + "\n" for label in labels), encoding="utf-8")
    figures = score_check(key, out / DOUBTS, records()[:4])[0]
    assert (figures.labelled, figures.found, figures.told, figures.right) == (2, 1, 2, 1)
    assert (figures.recall, figures.precision) == (0.5, 0.5)
    assert score_check(key, out / DOUBTS, records()[:4], family="b")[0].labelled == 0


def test_a_mend_touches_nothing_but_its_own_figure() -> None:
    said = "Take 2 tablets for 3 days. Room 32 is on floor 12, dial 312."
    record = call("How many do I take?", said)
    sentence = "Take 2 tablets for 3 days."
    found = [
        Doubt("wrong_dose", 1, sentence, "2 tablets -> 4 tablets", "", "Take 4 tablets for 3 days."),
        Doubt("wrong_number", 1, sentence, "3 -> 5", "", "Take 2 tablets for 5 days."),
        Doubt("wrong_number", 1, sentence, "3 -> 7", "", "Take 2 tablets for 7 days."),
    ]
    done = decide(record, found, {doubt.key: "accept" for doubt in found})
    assert done.record is not None
    assert done.record.turns[1].text == "Take 4 tablets for 5 days. Room 32 is on floor 12, dial 312."


def test_a_record_without_the_sides_of_its_kind_is_dropped_and_named(encoder_folder: Path, tmp_path: Path) -> None:
    bare = call("The chapel is open every day.", number=1, kind="note").model_copy(update={"kind": "faq"})
    asked = call("Where is the chapel?", "It is in the Main Building.", number=2).model_copy(update={"kind": "note"})
    out, report = run(tmp_path, encoder_folder, [bare, asked])
    assert texts(out) == []
    assert report.counts["dropped_invalid"] == 2
    assert report.tables["invalid_rows"] == [
        {"problem": "a FAQ entry without a question", "records": 1},
        {"problem": "a note in which a patient speaks", "records": 1},
    ]
    assert report.tables["table_checks_failed"] == []


def test_a_row_is_as_long_as_ingest_lets_it_be() -> None:
    assert problem(call("x" * 50_000, "y" * 50_000)) == ""
    assert problem(call("x" * 500_000, "y")) == ""


def test_who_judges_a_contradiction_sees_the_question(inspector: Inspector) -> None:
    question = "Hello there. Do I keep shaking my dry powder inhaler?"
    said = "You should shake a dry powder inhaler, and breathe out into a dry powder inhaler."
    (found,) = inspector.inspect(call(question, said)).doubts
    assert found.kind == "contradiction"
    assert found.reason.endswith(f"; asked was: {question}")
