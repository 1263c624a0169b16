"""Identifiers out, people told apart, intervals kept, the same bytes however many processes work."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.contracts.site import load_site
from app.errors import RedactionFailed
from app.redaction.lexicon import Lexicon
from app.redaction.redactor import build_detector
from training.curate.deidentify import Deidentify, Options
from training.curate.fields import plain_files
from training.curate.keys import SecretSource, keyed_hash, keyed_number, load_secret
from training.curate.leaks import StrictLook, excerpt, shape
from training.curate.pseudonyms import Pseudonyms
from training.curate.public import Public
from training.curate.records import Record, Turn, read_records, record_line
from training.curate.shifting import Shift, shift_of
from training.curate.stages import RECORDS, REVIEW, Context, ReviewItem, StageReport, Verdict

SITE = load_site(Path("demo"))
SECRET = b"a secret of these tests"
ARTICLE = """---
id: masks
---
Masks are required from December 1 to March 31. Call 515-555-0111 for a refill of Tylenol. Visit the garden.
"""


@pytest.fixture(scope="session")
def articles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("articles")
    (folder / "masks.md").write_text(ARTICLE, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def public(articles: Path) -> Public:
    return Public.read(SITE, articles)


@pytest.fixture(scope="session")
def plain(public: Public, encoder_folder: Path) -> Pseudonyms:
    return Pseudonyms(secret=SECRET, encoder=encoder_folder, public=public, options=Options(), decisions={})


@pytest.fixture(scope="session")
def look(public: Public) -> StrictLook:
    return StrictLook(build_detector(public.details, 60), Lexicon.load(), public)


def record(number: int, *texts: str, kind: str = "transcript", first: str = "patient", **more: object) -> Record:
    sides = ("patient", "staff") if first == "patient" else ("staff", "patient")
    turns = [Turn.model_validate({"speaker": sides[n % 2], "text": text}) for n, text in enumerate(texts)]
    fields = {"id": f"{number:020x}", "kind": kind, "source": "calls/a.jsonl", "place": number + 1, "licence": "own"}
    return Record.model_validate(fields | {"turns": turns} | more)


def made(plain: Pseudonyms, *records: Record) -> list[Record]:
    return [Record.model_validate_json(line) for line in plain([record_line(one) for one in records]).lines]


def run(
    folder: Path, articles: Path, records: Iterable[Record], *, workers: int = 1,
    decisions: dict[str, Verdict] | None = None, forgotten: Sequence[str] = (), options: Options | None = None,
) -> tuple[StageReport, list[Record], list[ReviewItem]]:  # fmt: skip
    source = folder / "source"
    source.mkdir(parents=True, exist_ok=True)
    out = folder / f"out{len(list(folder.iterdir()))}"
    out.mkdir()
    (source / RECORDS).write_text("".join(map(record_line, records)), encoding="utf-8")
    context = Context(
        site=SITE, articles=articles, options=options or Options(), secret=SECRET, workers=workers,
        decisions=decisions or {}, forgotten=frozenset(forgotten),
    )  # fmt: skip
    report = Deidentify().run(source, out, context)
    review = out / REVIEW
    items = review.read_text(encoding="utf-8").splitlines() if review.exists() else []
    dropped = sum(report.counts[name] for name in ("forgotten", "redaction_failed", "dropped_by_decision"))
    found = list(read_records(out / RECORDS))
    assert report.records_in == report.records_out + dropped
    assert report.records_out == len(found)
    return report, found, [ReviewItem.model_validate_json(item) for item in items]


# Text


def test_one_person_has_one_pseudonym_in_a_conversation(plain: Pseudonyms) -> None:
    first, second = made(
        plain,
        record(0, "I'm Zanele Mokoena, call 515-555-0142.", "Thank you Zanele for calling.", conversation="C1"),
        record(1, "zanele again", "My name is Kai Mokoena.", conversation="C1"),
    )
    assert [turn.text for turn in first.turns] == [
        "I'm <PERSON_1>, call <PHONE_1>.",
        "Thank you <PERSON_1> for calling.",
    ]
    assert [turn.text for turn in second.turns] == ["<PERSON_1> again", "My name is <PERSON_2>."]
    alone = made(plain, record(2, "My name is Kai Mokoena."))[0]
    assert alone.text == "My name is <PERSON_1>."


def test_what_becomes_known_later_is_found_before(plain: Pseudonyms) -> None:
    found = made(
        plain,
        record(0, "ask okwudili, number 77-1355", "Your name?", "My name is Okwudili Mbeki, MRN 77-1355.", "ok"),
    )[0]
    assert "kwudili" not in found.text
    assert "77-1355" not in found.text


def test_names_and_numbers_that_the_source_tells_are_looked_for(plain: Pseudonyms) -> None:
    one = record(0, "okwudili is late, chart CV88213", "Yes.", names=("Okwudili Mbeki", "4"), patient="CV88213")
    assert made(plain, one)[0].turns[0].text == "<PERSON_1> is late, chart <MRN_1>"


def test_ages_and_zips_become_general(plain: Pseudonyms) -> None:
    found = made(plain, record(0, "My mother is 93, zip 50309. I am 45 and take 500 mg.", "ok"))[0]
    assert found.turns[0].text == "My mother is 90+, zip 503. I am 45 and take 500 mg."


def test_the_hospitals_own_details_stay(plain: Pseudonyms) -> None:
    text = "Call 515-555-0111, Cedar Valley Health, 400 Cedar Valley Parkway. Take Tylenol 500 mg, not 40,000 units."
    assert made(plain, record(0, text, first="staff"))[0].text == text


def test_a_turn_is_never_joined_with_another(plain: Pseudonyms) -> None:
    texts = ["515", "555-0142 is it", "Ana", "Ruiz", "12 Elm", "Street", "\x01", "x"]
    found = made(plain, record(0, *texts))[0]
    assert len(found.turns) == len(texts)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["I'm Ana Ruiz", "515", "-555-0142", "born", "3/4/1980", "<PERSON_1>", "12 Elm", "St",
                                 "MRN", "4471902", "\n", "zip 503", "09"]), min_size=1, max_size=8))  # fmt: skip
def test_any_turns_come_out_as_many(plain: Pseudonyms, texts: list[str]) -> None:
    outcome = plain([record_line(record(0, *texts))])
    assert len(Record.model_validate_json(outcome.lines[0]).turns) == len(texts)
    assert outcome.counts["messages"] == len(texts)


# Fields


def test_people_become_keyed_hashes_and_ids_cannot_be_tried(plain: Pseudonyms) -> None:
    one = record(0, "hi", "ok", patient="P1", conversation="C1")
    found = made(plain, one)[0]
    assert found.patient == keyed_hash(SECRET, "patient", "P1")
    assert found.conversation == keyed_hash(SECRET, "conversation", "C1")
    assert found.id == keyed_hash(SECRET, "record", one.id)
    assert keyed_hash(b"another secret", "patient", "P1") != found.patient
    assert keyed_hash(SECRET, "conversation", "P1") != found.patient


def test_fields_with_identifiers_are_cleared(plain: Pseudonyms) -> None:
    one = record(
        0, "hi", "ok", topic="call from Maria Gonzalez", language="Maria", patient="P1",
        groups={"sex": "female", "zip": "50309", "age": "94", "contact": "515-555-0142", "age_band": "80-89"},
        names=("Maria Gonzalez",), source="calls/2026-03/maria_gonzalez-4471902.vtt",
    )  # fmt: skip
    outcome = plain([record_line(one)])
    found = Record.model_validate_json(outcome.lines[0])
    assert found.groups == {"sex": "female", "age_band": "80-89"}
    assert (found.topic, found.language, found.names) == ("", "", ())
    assert outcome.counts["fields_cleared"] == 4
    assert "gonzalez" not in outcome.lines[0].casefold()
    assert re.fullmatch(r"calls/[0-9a-f]{20}/[0-9a-f]{20}\.vtt", found.source)
    assert found.source.endswith(".vtt")


def test_plain_file_names_stay(public: Public, encoder_folder: Path) -> None:
    plain = plain_files(SECRET, public, encoder_folder)
    for name in ("calls/week-12.jsonl", "notes/export-east.csv", "faq/billing", "*.md", "chats/*"):
        assert plain.file(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "JanePetersen",
        "1412-elm",
        "Milford",
        "call-4711",
        "PX4711",
        "hope",
        "14mar",
        "mar14",
        "march",
        "2026-03",
        "C4711",
    ],
)
def test_a_file_whose_name_is_not_of_plain_words_is_not_told(public: Public, encoder_folder: Path, name: str) -> None:
    plain = plain_files(SECRET, public, encoder_folder)
    assert re.fullmatch(r"calls/[0-9a-f]{20}\.jsonl", plain.file(f"calls/{name}.jsonl"))


def test_what_safe_harbor_names_is_no_group(public: Public, encoder_folder: Path) -> None:
    plain = plain_files(SECRET, public, encoder_folder)
    for named in (
        "age band: 93", "years: 93", "birth year: 1931", "city: milford", "county: dickinson", "ssn4: 6789", "room: 4b",
        "employer: grinnell glass works", "address: 1412 elm", "school: okoboji high", "topic: room 412", "topic: hope",
        "last: petersen",
    ):  # fmt: skip
        assert plain.field(named) == "", named
    for named in (
        "age band: 80-89", "age band: 90+", "age: 34", "sex: female", "insurance: blue cross", "race: white",
        "race: black", "religion: christian", "topic: after surgery", "terms: hospital, internal use", "language: es",
    ):  # fmt: skip
        assert plain.field(named) == named.partition(": ")[2], named
    for name in ("calls/Maria Gonzalez.txt", "calls/515-555-0142.vtt", "calls/2026-03-14.vtt", "calls/C-00004.txt"):
        hidden = plain.file(name)
        assert hidden != name
        assert hidden == plain.file(name)
        assert Path(hidden).suffix == Path(name).suffix


@pytest.mark.parametrize(
    ("name", "hidden"),
    [
        ("call.414-555-0123", "0123"),
        ("report.123-45-6789", "6789"),
        ("x.jane@mail.example", "jane"),
        ("fm/414/555/0123/x.jsonl", "555"),
    ],
)
def test_an_identifier_in_an_ending_or_over_several_folders_is_hidden(
    public: Public, encoder_folder: Path, name: str, hidden: str
) -> None:
    assert hidden not in plain_files(SECRET, public, encoder_folder).file(name)


def test_names_of_groups_and_the_licence_are_looked_at(plain: Pseudonyms) -> None:
    one = record(
        0, "hi", "ok", licence="ask Jane Roe at 414-555-0123",
        groups={"ssn 123-45-6789": "yes", "jane.roe@mail.example": "yes", "plan": "policy 1234-5678", "sex": "male"},
    )  # fmt: skip
    outcome = plain([record_line(one)])
    found = Record.model_validate_json(outcome.lines[0])
    assert (found.groups, found.licence) == ({"sex": "male"}, "")
    assert outcome.counts["fields_cleared"] == 4
    kept = plain([record_line(record(1, "hi", "ok", licence="CC-BY-4.0"))])
    assert Record.model_validate_json(kept.lines[0]).licence == "CC-BY-4.0"


# Dates


def test_dates_of_a_patient_move_together_and_keep_weekday_and_form(plain: Pseudonyms) -> None:
    records = [
        record(n, f"surgery on {day}", "ok", patient="P1", conversation=f"C{n}", date="2026-03-14")
        for n, day in enumerate(["March 3, 2026", "3/17/2026"])
    ]
    first, second = (made(plain, one)[0] for one in records)
    shift = shift_of(SECRET, "P1", "2026-03-14")
    assert first.turns[0].text == f"surgery on {shift.text('March 3, 2026')}"
    assert first.date == (date(2026, 3, 14) - timedelta(weeks=shift.weeks)).isoformat()
    other = made(plain, record(9, "surgery on March 3, 2026", "ok", patient="P2", date="2026-03-14"))[0]
    assert other.text != first.text
    assert "3/17/2026" not in second.text


def test_dates_that_tell_an_age_or_no_person_are_taken_out(plain: Pseudonyms) -> None:
    assert "<DATE_1>" in made(plain, record(0, "born 05/01/1930", "ok", patient="P1", date="2026-03-14"))[0].text
    nobody = made(plain, record(1, "since March 3, 2026", "ok", date="2026-03-14"))[0]
    assert (nobody.turns[0].text, nobody.date) == ("since <DATE_1>", "2026")
    faq = made(plain, record(2, "When?", "It opens at 8.", kind="faq", date="2026-03-14"))[0]
    assert faq.date == "2026-03-14"


def test_days_in_the_articles_are_no_secret_unless_a_patient_says_them(plain: Pseudonyms) -> None:
    fact = "Masks from December 1 to March 31, your visit is on March 12."
    found = made(plain, record(0, "when are masks needed", fact, patient="P1", date="2026-03-14"))[0]
    assert "from December 1 to March 31" in found.text
    assert "March 12" not in found.text
    said = made(plain, record(1, "I was born December 1", "December 1, thanks", patient="P1", date="2026-03-14"))[0]
    assert "December 1" not in said.text
    note = made(plain, record(2, "Seen December 1.", kind="note", first="staff", patient="P1", date="2026-03-14"))[0]
    assert "December 1" not in note.text


def test_dates_can_be_taken_out_altogether(public: Public, encoder_folder: Path) -> None:
    options = Options(dates="token")
    worker = Pseudonyms(secret=SECRET, encoder=encoder_folder, public=public, options=options, decisions={})
    found = made(worker, record(0, "since March 3, 2026", "ok", patient="P1", date="2026-03-14"))[0]
    assert (found.turns[0].text, found.date) == ("since <DATE_1>", "2026")


@pytest.mark.parametrize(
    ("value", "moved"),
    [
        ("03/14/2026", "01/24/2026"), ("3/4/26", "1/14/26"), ("2026-03-14", "2026-01-24"), ("14.3.2026", "24.1.2026"),
        ("March 3rd", "January 13th"), ("Tuesday, March 3, 2026", "Tuesday, January 13, 2026"), ("mar 3", "jan 13"),
        ("MAR. 3, 2026", "JAN. 13, 2026"), ("3 de marzo de 2026", "13 de enero de 2026"), ("3/14", "1/24"),
        ("5th of May", "17th of March"), ("15-Mar-2026", "25-Jan-2026"), ("31/12/2025", "12/11/2025"),
        ("the third of March", None), ("1930-01-01", None), ("02/29/2023", None), ("13/13/2026", None), ("soon", None),
    ],
)  # fmt: skip
def test_a_date_moves_in_the_form_in_which_it_was_written(value: str, moved: str | None) -> None:
    assert Shift(7, "2026-03-14").text(value) == moved


@settings(deadline=None)
@given(st.dates(date(1990, 1, 1), date(2030, 12, 31)), st.dates(date(1990, 1, 1), date(2030, 12, 31)), st.text())
def test_intervals_and_weekdays_stay(one: date, other: date, patient: str) -> None:
    shift = shift_of(SECRET, patient, "2026-03-14")
    assert 1 <= shift.weeks <= 52
    moved, also = (date.fromisoformat(shift.iso(day.isoformat())) for day in (one, other))
    assert also - moved == other - one
    assert moved.weekday() == one.weekday()
    assert shift.text(one.isoformat()) == moved.isoformat()
    assert shift.iso("2026-03")[:2] == "20"
    assert (shift.iso(""), len(shift.iso("2026"))) == ("", 4)


# The stricter look


@pytest.mark.parametrize(
    ("text", "suspect"),
    [
        ("it's 77-1355.", "77-1355"), ("5491.", "5491"), ("my code, XB7-2806-5355", "XB7-2806-5355"),
        ("a truck, NEV 418, is there", "NEV 418"), ("I log in as cfarah7 and it", "cfarah7"),
        ("see IMG_67_face.jpg now", "IMG_67_face.jpg"), ("it is Thandeka speaking", "Thandeka"),
        ("<PERSON_1> Mthembu, hi", "Mthembu"), ("She lives in Grinnell", "Grinnell"),
        ("spelled R-O-S-S-I", "R-O-S-S-I"),
        ("ask Dr. Oyelaran please", "Oyelaran"), ("<ADDRESS_1> in Fort Dodge", "Fort Dodge"),
        ("five one five five five five oh one two", "five one five five five five oh one two"),
        ("this is thandeka with imaging and i am late", "thandeka"), ("denied on 11/3 again", "11/3"),
        ("she turned um 91 last week", "91"), ("see https://x.example/me", "https://x.example/me"),
        ("a teller at Harlan Savings", "Harlan Savings"), ("my address is 12 Hollow, near", "12 Hollow"),
    ],
)  # fmt: skip
def test_shapes_and_places_are_suspected(look: StrictLook, text: str, suspect: str) -> None:
    assert suspect in [text[span.start : span.end] for span in look.suspects(text)]


@pytest.mark.parametrize(
    "text",
    [
        "Take 10,000 units, 2,000 mg or 81 mg at 8:30, pain 7/10, A1C 6.5, BP 120/80, 98.6, 1/2 tablet, 140-180.",
        "You can call 515-555-0111 or visit the garden of Cedar Valley Health on Tuesday in March.",
        "<PERSON_1> called <PHONE_1> about Tylenol and Lipitorr; my mom is 90+ and I took Humirra.",
        "Bye, <PERSON_1>. God bless. Good morning <PERSON_2>, Invoice <ACCOUNT_1>. It'll be fine, don't worry.",
        "i tkae it wiht water evry morning and i feeel dizzzy",
        "Yes. Sure. Okay. What's the MRI for? The ER or the ICU?",
    ],
)
def test_words_and_figures_of_medicine_are_not(look: StrictLook, text: str) -> None:
    assert [text[span.start : span.end] for span in look.suspects(text)] == []


def test_what_was_put_there_is_known(look: StrictLook) -> None:
    text = "seen on 01/24/2026 (01/24/2026)"
    assert look.suspects(text)
    assert look.suspects(text, {"01/24/2026"}) == []


def test_an_excerpt_shows_the_shape_only(look: StrictLook) -> None:
    text = "x" * 100 + " I log in as cfarah7, truck NEV 418"
    spans = look.suspects(text)
    shown = excerpt(text, spans[0], spans)
    assert shown.startswith("… ")
    assert "xxxxxx9" in shown
    assert "XXX 999" in shown
    assert shape("Ana-7é") == "Xxx-9x"


def test_suspects_are_taken_out_asked_about_and_decided(tmp_path: Path, articles: Path) -> None:
    one = record(0, "I use the Qubixab app", "Thanks.", "and again the Qubixab app", "ok")
    report, found, items = run(tmp_path, articles, [one])
    assert "Qubix" not in found[0].text
    assert [(item.kind, item.proposal) for item in items] == [("name", "<PERSON>")]
    assert "Qubix" not in items[0].model_dump_json()
    assert report.tables["suspects"] == [{"kind": "name", "what": "taken_out", "count": 2}]
    assert report.counts["messages_with_suspects"] == 2

    report, found, items = run(tmp_path, articles, [one], decisions={items[0].key: "reject"})
    assert found[0].turns[0].text == "I use the Qubixab app"
    assert items == []
    _, _, asked = run(tmp_path, articles, [one], options=Options(take_out=()))
    report, found, _ = run(tmp_path, articles, [one], decisions={asked[0].key: "drop"})
    assert (found, report.counts["dropped_by_decision"]) == ([], 1)
    _, found, items = run(tmp_path, articles, [one], options=Options(take_out=()), decisions={asked[0].key: "accept"})
    assert ("Qubix" in found[0].text, items) == (False, [])


def test_questions_are_few_and_the_same_ones_in_any_order(tmp_path: Path, articles: Path) -> None:
    records = [record(n, f"I use the {invented(n)} app", "ok") for n in range(300)]
    few = Options(questions=5)
    one, two = (run(tmp_path / name, articles, r, options=few) for name, r in (("a", records), ("b", records[::-1])))
    assert [item.key for item in one[2]] == sorted(item.key for item in one[2])
    assert one[2] == two[2]
    assert len(one[2]) == 5
    every = run(tmp_path / "c", articles, records[:50], options=Options(questions=0, take_out=()))
    assert len(every[2]) == sum(row["count"] for row in every[0].tables["suspects"]) > 20


def test_only_a_share_is_looked_at(tmp_path: Path, articles: Path) -> None:
    records = [record(n, "hello", "hi") for n in range(80)]
    report, _, _ = run(tmp_path, articles, records, options=Options(audit_share=0.25))
    assert 20 < report.counts["audited_messages"] < 70


# The stage


def invented(number: int) -> str:
    """A name of something that only the stricter look suspects."""
    return "Qubix" + "".join("abcdefghij"[int(digit)] for digit in f"{number:03}")


def corpus() -> list[Record]:
    found = []
    for n in range(70):
        texts = (
            f"I'm Ana{n} Ruiz, MRN CV{n}44719, since 3/{n % 28 + 1}/2026",
            f"Thanks Ana{n}, see the {invented(n)} app.",
        )
        conversation = f"C{n % 31}" if n % 4 else None
        found.append(record(n, *texts, patient=f"P{n % 9}", conversation=conversation, date="2026-03-14"))
    return found


def test_records_of_a_conversation_stand_together_and_workers_change_nothing(tmp_path: Path, articles: Path) -> None:
    one = run(tmp_path / "one", articles, corpus())
    two = run(tmp_path / "two", articles, corpus(), workers=2)
    assert one == two
    order = [found.conversation or found.id for found in one[1]]
    assert [key for n, key in enumerate(order) if n == 0 or order[n - 1] != key] == list(dict.fromkeys(order))
    assert len(one[1]) == 70
    assert one[0].tables["identifiers"]
    text = json.dumps([one[0].model_dump(), [item.model_dump() for item in one[2]]])
    assert "Ruiz" not in text
    assert "Qubix" not in text


def test_the_forgotten_do_not_come_back(tmp_path: Path, articles: Path) -> None:
    records = [
        record(0, "hi", "ok", patient="P1", conversation="C1"), record(1, "hi", "ok", conversation="C1"),
        record(2, "hi", "ok", patient="P2"),
    ]  # fmt: skip
    report, found, _ = run(tmp_path, articles, records, forgotten=[keyed_hash(SECRET, "patient", "P1")])
    assert (len(found), report.counts["forgotten"]) == (1, 2)


def test_a_record_that_cannot_be_read_to_the_end_goes_nowhere(public: Public, encoder_folder: Path) -> None:
    class Broken(Pseudonyms):
        def _redacted(self, *given: object) -> list[str]:
            raise RedactionFailed("recognizers took longer than 60 s")

    broken = Broken(secret=SECRET, encoder=encoder_folder, public=public, options=Options(), decisions={})
    outcome = broken([record_line(record(0, "hi"))])
    assert (outcome.lines, outcome.counts["redaction_failed"]) == ([], 1)


# The key and what is public


def test_the_key_comes_from_a_safe_place(tmp_path: Path) -> None:
    load = partial(load_secret, demonstration=False)
    variable = {"BEDSIDE_CURATE_SECRET": "s" * 32, "OTHER": "t" * 32, "SHORT": "t"}
    assert load(SecretSource(), environment=variable) == b"s" * 32
    assert load(SecretSource(environment="OTHER"), environment=variable) == b"t" * 32
    path = tmp_path / "key"
    path.write_bytes(b"u" * 20 + b"\n")
    path.chmod(0o600)
    assert load(SecretSource(file=path), environment={}) == b"u" * 20
    demonstration = SecretSource(demonstration="v" * 20)
    assert load_secret(demonstration, demonstration=True, environment={}) == b"v" * 20
    path2 = tmp_path / "open"
    path2.write_bytes(b"u" * 20)
    path2.chmod(0o644)
    for source, fault in (
        (SecretSource(), "BEDSIDE_CURATE_SECRET is not set"), (SecretSource(environment="SHORT"), "at least 16"),
        (SecretSource(file=path2), "chmod 600"), (SecretSource(file=tmp_path / "none"), "cannot be read"),
        (demonstration, "demonstration: true"),
    ):  # fmt: skip
        with pytest.raises(Exception, match=fault):
            load(source, environment=variable if source.environment else {})
    with pytest.raises(ValueError, match="name one of"):
        SecretSource(environment="A", demonstration="b")


def test_keyed_numbers_are_even() -> None:
    found = [keyed_number(SECRET, "weeks", str(n), 4) for n in range(4000)]
    assert all(900 < found.count(value) < 1100 for value in range(4))


def test_what_the_hospital_says_itself_is_public(public: Public) -> None:
    assert {"515-555-0111", "Cedar Valley Health", "chart.cedarvalley.example"} <= set(SITE.own_details)
    assert {"garden", "masks", "visit"} <= public.words
    assert public.days == {"december 1", "march 31"}


def test_a_number_told_over_several_turns_is_taken_out_and_can_be_given_back(tmp_path: Path, articles: Path) -> None:
    call = record(
        0, "Can I have your social?", "One two three.", "Mhm.", "Four five.", "Okay.", "Six seven eight nine.",
        "Thanks, you need two forms.", first="staff",
    )  # fmt: skip
    _, [found], questions = run(tmp_path, articles, [call])
    assert [turn.text for turn in found.turns][1::2] == ["<ACCOUNT_1>.", "<ACCOUNT_2>.", "<ACCOUNT_3>."]
    assert found.turns[-1].text == "Thanks, you need two forms."
    assert {question.kind for question in questions} == {"number"}
    rejected: dict[str, Verdict] = {question.key: "reject" for question in questions}
    _, [kept], _ = run(tmp_path, articles, [call], decisions=rejected)
    assert [turn.text for turn in kept.turns][1::2] == ["One two three.", "Four five.", "Six seven eight nine."]
