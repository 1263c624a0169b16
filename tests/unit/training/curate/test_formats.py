"""Each format into turns and facts; every broken piece a fault with its line, never an exception."""

from __future__ import annotations

import base64
import json
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.curate.formats import fhir, json_lines, labelled_text, tables, webvtt
from training.curate.formats.contract import Format, SourceRule
from training.curate.formats.drafts import Draft, Facts, Fault
from training.curate.formats.encoding import cleaned, decoded, undone
from training.curate.formats.facts import age_band, iso_date, yes_or_no
from training.curate.formats.reading import Limits, Line, SourceFile

FORMATS: dict[str, Format] = {
    "jsonl": json_lines.read,
    "csv": tables.read,
    "txt": labelled_text.read,
    "vtt": webvtt.read,
    "json": fhir.read,
}
CALL = SourceRule(files="*", kind="transcript", fields={"conversation": "id"}, groups={"sex": "sex"})
NOTE = SourceRule(files="*", kind="note")
FAQ = SourceRule(files="*", kind="faq")
SAID = [("staff", "Good morning."), ("patient", "My knee hurts.")]


def read(
    folder: Path, name: str, data: str | bytes, rule: SourceRule = CALL, limits: Limits | None = None
) -> list[Draft | Fault]:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return list(FORMATS[path.suffix[1:]](SourceFile(path, name, limits or Limits()), rule))


def drafts(found: list[Draft | Fault]) -> list[Draft]:
    assert [item for item in found if isinstance(item, Fault)] == []
    return [item for item in found if isinstance(item, Draft)]


def faults(found: list[Draft | Fault]) -> list[tuple[int, str]]:
    return [(item.line, item.reason) for item in found if isinstance(item, Fault)]


def said(draft: Draft) -> list[tuple[str, str]]:
    return [(turn.speaker, turn.text) for turn in draft.turns]


# JSONL


def test_jsonl_turns_labelled_text_and_questions(tmp_path: Path) -> None:
    lines: list[dict[str, Any]] = [
        {
            "id": "C1", "patient": "P7", "date": "03/14/2026", "sex": "Female", "consent": "yes", "licence": "own",
            "resolved": False, "topic": "Pain", "language": "EN", "age": 93,
            "turns": [{"speaker": "Nurse Kelly", "text": "Good morning."}, {"speaker": "patient", "text": "My knee"},
                      {"speaker": "Caller", "text": "hurts."}],
        },
        {"id": "C2", "text": "Agent: Good morning.\nPatient (Ana Ruiz): My knee\nhurts."},
    ]  # fmt: skip
    first, second = drafts(read(tmp_path, "a.jsonl", "\n".join(map(json.dumps, lines)) + "\n"))
    assert said(first) == SAID
    assert said(second) == [("staff", "Good morning."), ("patient", "My knee\nhurts.")]
    facts = first.facts
    assert (facts.patient, facts.conversation, facts.date, facts.topic, facts.language) == (
        "P7", "C1", "2026-03-14", "pain", "en"
    )  # fmt: skip
    assert facts.groups == {"sex": "female", "age_band": "90+"}
    assert (facts.consent, facts.licence, facts.resolved) == (True, "own", False)
    assert facts.names == ("Kelly",)
    assert second.facts.names == ("Ana Ruiz",)
    assert second.facts.consent is None
    question = drafts(read(tmp_path, "q.jsonl", json.dumps({"question": "When?", "answer": "At 8."}), FAQ))[0]
    assert said(question) == [("patient", "When?"), ("staff", "At 8.")]


def test_jsonl_keys_of_nested_objects(tmp_path: Path) -> None:
    rule = SourceRule(files="*", kind="note", fields={"patient": "who.number", "text": "body.plain"})
    line = json.dumps({"who": {"number": 12}, "body": {"plain": "Seen today."}})
    draft = drafts(read(tmp_path, "a.jsonl", line, rule))[0]
    assert (draft.facts.patient, said(draft)) == ("12", [("staff", "Seen today.")])


def test_jsonl_takes_what_is_whole_and_sets_the_rest_aside(tmp_path: Path) -> None:
    good = json.dumps({"id": "C1", "turns": [{"speaker": "patient", "text": "Hi"}]}).encode()
    bad = [
        b'{"id": "C2", "turns": ' + b"[" * 50_000,
        b'{"id": "C3", "turns": [\x00]}',
        b'{"id": "C4", "n": NaN, "turns": []}',
        b'["no", "object"]',
        b'{"id": "C5", "turns": [1]}',
        b'{"id": "C6", "turns": [{"speaker": "Zorgon", "text": "x"}]}',
        b'{"id": "C7", "turns": [{"speaker": "patient"}]}',
        b'{"id": "C8"}',
        b'{"id": "C9", "pad": "' + b"x" * 3000 + b'"}',
        b'"\x81\xff"',
        b'{"topic": "' + b"t" * 500 + b'", "text": "Caller: hi"}',
    ]
    lines = [good, *bad, good]
    data = b"\n".join(lines) + b'\n{"id": "C10", "tur'
    found = read(tmp_path, "a.jsonl", data, limits=Limits(line_bytes=51_000))
    assert [item.place for item in found if isinstance(item, Draft)] == [1, 13]
    assert faults(found) == [
        (2, "JSON nested too deeply"),
        (3, "NUL bytes"),
        (4, "not valid JSON"),
        (5, "a line is no JSON object"),
        (6, "a turn is no object"),
        (7, "unknown speaker"),
        (8, "a turn without speaker or text"),
        (9, "no text"),
        (10, "no text"),
        (11, "neither UTF-8 nor Windows-1252"),
        (12, "a field is too long"),
        (14, "cut off at the end of the file"),
    ]


def test_a_line_over_the_limit_is_skipped_in_pieces(tmp_path: Path) -> None:
    good = json.dumps({"text": "Caller: hi"}).encode()
    data = b"\n".join([good, b'{"text": "' + b"a" * 300_000 + b'"}', good])
    found = read(tmp_path, "a.jsonl", data, limits=Limits(line_bytes=1000))
    assert faults(found) == [(2, "line too long")]
    assert len(found) == 3
    fault = found[1]
    assert isinstance(fault, Fault)
    assert fault.detail == "300013 bytes, at most 1000 are read"
    assert len(fault.raw) <= 300


# CSV


def test_csv_rows_as_records_and_as_turns(tmp_path: Path) -> None:
    text = 'id,patient,text\nC1,P1,"Agent: Good morning.\nCaller: My knee hurts."\nC2,P2,Caller: hi\n'
    first, second = drafts(read(tmp_path, "a.csv", text))
    assert said(first) == SAID
    assert (first.place, second.place) == (1, 2)
    assert second.facts.patient == "P2"
    text = (
        "id,speaker,text\nC1,Agent,Good morning.\nC1,Caller,My knee hurts.\nC2,Caller,Hello\n,Caller,One\n,Caller,Two\n"
    )
    rows = drafts(read(tmp_path, "b.csv", text))
    assert [(row.place, row.facts.conversation, len(row.turns)) for row in rows] == [
        (1, "C1", 2), (3, "C2", 1), (4, None, 1), (5, None, 1)
    ]  # fmt: skip
    faq = drafts(read(tmp_path, "c.csv", "question,answer\nWhen?,At 8.\n", FAQ))
    assert said(faq[0]) == [("patient", "When?"), ("staff", "At 8.")]


def test_csv_goes_on_after_a_broken_row(tmp_path: Path) -> None:
    text = "\n".join(
        [
            "id,text",
            "C1,Caller: one",
            'C2,"Caller: an open quote',
            "C3,Caller: three",
            "C4,Caller: four,extra",
            'C5,"=HYPERLINK(""http://x"")"',
            "C6,@SUM(A1)",
            "C7,+cmd|' /C calc'!A0",
            "C8,- Caller: a dash is none",
            "C9,Caller: nine",
        ]
    )
    found = read(tmp_path, "a.csv", text + "\n")
    kept = [item.place for item in found if isinstance(item, Draft)]
    assert faults(found)[0] == (3, "broken CSV")
    assert (5, "wrong number of cells") in faults(found)
    assert [line for line, reason in faults(found) if reason == "formula in a cell"] == [6, 7, 8]
    assert kept == [1, 3, 9]
    assert [line for line, reason in faults(found) if reason == "no speaker labels"] == [9]


BESIDE = "a row in or beside the conversation cannot be read"


def test_csv_loses_no_turn_inside_a_conversation(tmp_path: Path) -> None:
    data = b"id,speaker,text\nC1,Caller,one\nC1,Agent,t\x00wo\nC1,Caller,three\nC2,Caller,alone\n"
    found = read(tmp_path, "a.csv", data)
    assert faults(found) == [(3, "NUL bytes"), (2, BESIDE)]
    assert [item.facts.conversation for item in found if isinstance(item, Draft)] == ["C2"]


ROWS = "id,speaker,text,patient,consent,licence,name\n"


@pytest.mark.parametrize(
    ("consents", "found"),
    [(("yes", "no", "yes"), False), (("yes", "", "yes"), None), (("", "", ""), None), (("yes",) * 3, True)],
)
def test_a_row_that_refuses_refuses_for_its_conversation(
    tmp_path: Path, consents: tuple[str, ...], found: bool | None
) -> None:
    rows = "".join(f"C1,Caller,hello,P1,{consent},own,\n" for consent in consents)
    assert drafts(read(tmp_path, "a.csv", ROWS + rows))[0].facts.consent is found


def test_what_any_row_of_a_conversation_tells_counts(tmp_path: Path) -> None:
    rows = "C1,Nurse Kelly,one,,yes,own,\nC1,Caller,two,P1,yes,own,Ana Ruiz\nC1,Caller,three,P2,yes,own,\n"
    facts = drafts(read(tmp_path, "a.csv", ROWS + rows))[0].facts
    assert (facts.patient, facts.others, facts.names) == ("P1", ("P2",), ("Ana Ruiz", "Kelly"))
    several = "C1,Caller,one,P1,yes,own,\nC1,Caller,two,P1,yes,theirs,\n"
    assert faults(read(tmp_path, "b.csv", ROWS + several)) == [(2, "several licences in one record")]
    none = "C1,Caller,one,P1,yes,own,\nC1,Caller,two,P1,yes,,\n"
    assert drafts(read(tmp_path, "c.csv", ROWS + none))[0].facts.licence == ""
    long = f"C1,Caller,one,P1,yes,own,\nC1,Caller,two,P1,yes,own,{'x' * 201}\nC2,Caller,hi,P1,yes,own,\n"
    found = read(tmp_path, "d.csv", ROWS + long)
    assert faults(found) == [(2, "a field is too long")]
    assert [item.facts.conversation for item in found if isinstance(item, Draft)] == ["C2"]


def test_a_row_that_cannot_be_read_may_be_of_the_calls_on_both_sides_of_it(tmp_path: Path) -> None:
    rows = ["C1,Caller,one", "C1,Agent,t\x00wo", "C2,Caller,three", "C3,Caller,four", "C3,Agent,five,six"]
    found = read(tmp_path, "a.csv", "\n".join(["id,speaker,text", *rows]) + "\n")
    assert faults(found) == [(3, "NUL bytes"), (2, BESIDE), (4, BESIDE), (6, "wrong number of cells"), (5, BESIDE)]
    rows = [",Caller,one", "C1,Agent,t\x00wo", ",Caller,three"]
    single = read(tmp_path, "c.csv", "\n".join(["id,speaker,text", *rows]) + "\n")
    assert [item.place for item in single if isinstance(item, Draft)] == [1, 2]
    alone = read(tmp_path, "b.csv", "\n".join(["id,text", "C1,Caller: one", "C2,t\x00wo", "C3,Caller: three"]) + "\n")
    assert [item.facts.conversation for item in alone if isinstance(item, Draft)] == ["C1", "C3"]


def test_a_row_with_a_formula_is_of_its_own_call(tmp_path: Path) -> None:
    rows = ["C1,Caller,one", "C2,Caller,=1", "C3,Caller,=1", "C3,Caller,three", ",Caller,=1", ",Caller,four"]
    found = read(tmp_path, "a.csv", "\n".join(["id,speaker,text", *rows, "C4,Caller,five", "C4,Caller,=1"]) + "\n")
    assert [item.facts.conversation for item in found if isinstance(item, Draft)] == ["C1", None]
    assert [line for line, reason in faults(found) if reason == BESIDE] == [5, 8]


REFUSAL = Facts(patient="P1", conversation="C1", consent=False)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.jsonl", {"turns": [{"speaker": "Zorgon", "text": "hi"}]}),
        ("b.jsonl", {"text": "Caller: hi", "groups": {f"column {n}": "x" for n in range(51)}}),
        ("c.jsonl", {"text": "Caller: hi", "topic": "t" * 201}),
        ("a.csv", "id,patient,consent,text\nC1,P1,no,hi\n"),
        ("b.csv", "id,patient,consent,text\nC1,P1,no,=1\n"),
        ("c.csv", "id,patient,consent,speaker,text\nC1,P1,no,Caller,=1\n"),
        ("d.csv", "id,patient,consent,speaker,text\nC1,P1,no,Zorgon,hi\n"),
        ("e.csv", f"id,patient,consent,speaker,text,topic\nC1,P1,no,Caller,hi,{'t' * 201}\n"),
        ("a.txt", "Id: C1\nPatient: P1\nConsent: no\n\nnobody says this\n"),
        ("b.txt", "Id: C1\nPatient: P1\nConsent: no\n\nCaller: one\n\0\n"),
        ("c.txt", "Id: C1\nPatient: P1\nConsent: no\n\nCaller: one\n" + "x" * 5000),
        ("a.vtt", "WEBVTT\n\nNOTE\nid: C1\npatient: P1\nconsent: no\n\n00:01.000 --> 00:02.000\n<v Zorgon>hi\n"),
        ("b.vtt", "WEBVTT\n\nNOTE\nid: C1\npatient: P1\nconsent: no\n\n00:01.000 --> 00:02.000\n\0\n"),
        ("c.vtt", "WEBVTT\n\nNOTE\nid: C1\npatient: P1\nconsent: no\n\n" + "x" * 5000),
        ("d.vtt", "WEBVTT\n\nNOTE\nid: C1\npatient: P1\nconsent: no\n" + "\n" * 20_001),
    ],
)
def test_what_is_set_aside_tells_whose_it_is_and_whether_it_is_refused(
    tmp_path: Path, name: str, data: str | dict[str, Any]
) -> None:
    if isinstance(data, dict):
        data = json.dumps({"id": "C1", "patient": "P1", "consent": "no", **data})
    found = read(tmp_path, name, data, limits=Limits(record_characters=1000))
    assert [item for item in found if isinstance(item, Draft)] == []
    assert REFUSAL in [item.facts for item in found]


def test_fhir_that_is_set_aside_tells_whose_it_is_and_whether_it_is_refused(tmp_path: Path) -> None:
    thread = {"partOf": [{"reference": "Communication/C1"}]}
    refuses = {"extension": [{"url": "http://h.example/consent", "valueString": "no"}]}
    said = [
        message("m1", "Device/d1", "hi", **thread, **refuses), message("m2", "Patient/p1", "hello", **thread)
    ]  # fmt: skip
    found = read(tmp_path, "a.json", bundle(*said))
    told = replace(REFUSAL, patient="p1")
    assert [(item.reason, item.facts) for item in found if isinstance(item, Fault)] == [("unknown speaker", told)]


def test_rows_after_the_one_that_breaks_a_call_still_refuse(tmp_path: Path) -> None:
    head = "id,patient,consent,speaker,text,topic\n"
    broken = f"C1,P1,yes,Caller,hi,{'t' * 201}\nC1,P1,no,Caller,hi,\n"
    found = read(tmp_path, "a.csv", head + broken)
    assert [item.facts for item in found] == [REFUSAL]


def test_csv_without_a_usable_header(tmp_path: Path) -> None:
    for header in ("a,b\n1,2\n", "text,text\nx,y\n"):
        assert faults(read(tmp_path, "a.csv", header)) == [(0, "no header that names the columns")]


# Plain text


def test_text_with_header_labels_and_borders(tmp_path: Path) -> None:
    text = (
        "Id: C1\nDepartment: Imaging\nSEX: f\n\n[Rep]: Good morning.\n00:12 Caller: My knee\nhurts.\n"
        "------\nid: C2\nNurse: Hello.\nCaller: Hours: are they posted?\n"
    )
    first, second = drafts(read(tmp_path, "a.txt", text))
    assert said(first) == [("staff", "Good morning."), ("patient", "My knee\nhurts.")]
    assert (first.place, second.place) == (1, 9)
    assert (first.facts.conversation, second.facts.conversation) == ("C1", "C2")
    assert first.facts.groups == {"sex": "f"}
    assert said(second)[1] == ("patient", "Hours: are they posted?")


def test_text_whose_speakers_are_not_known_is_refused(tmp_path: Path) -> None:
    text = "Caller: Hi.\nMARIA: I am here.\nAgent: Yes.\nMARIA: Good.\n"
    assert faults(read(tmp_path, "a.txt", text)) == [(1, "unknown speaker")]
    rule = CALL.model_copy(update={"speakers": {"maria": "patient"}})
    assert len(drafts(read(tmp_path, "a.txt", text, rule))[0].turns) == 3
    assert faults(read(tmp_path, "b.txt", "just words\n")) == [(1, "no speaker labels")]


def test_text_of_notes_and_questions(tmp_path: Path) -> None:
    note = drafts(read(tmp_path, "a.txt", "Patient: P3\nDate: 2026-01-02\n\nSeen today.\nPlan: rest.\n", NOTE))[0]
    assert said(note) == [("staff", "Seen today.\nPlan: rest.")]
    assert (note.facts.patient, note.facts.date) == ("P3", "2026-01-02")
    faq = drafts(read(tmp_path, "b.txt", "Question: When?\nAnswer: At 8.\nOr later.\n", FAQ))[0]
    assert said(faq) == [("patient", "When?"), ("staff", "At 8.\nOr later.")]


def test_a_bad_line_spoils_its_record_only(tmp_path: Path) -> None:
    data = b"Caller: one\nAgent: t\x00wo\n---\nCaller: three\nAgent: four\n"
    found = read(tmp_path, "a.txt", data)
    assert faults(found) == [(2, "NUL bytes"), (1, "a line inside the record cannot be read")]
    assert [said(item) for item in found if isinstance(item, Draft)] == [[("patient", "three"), ("staff", "four")]]


# WebVTT

VTT = """WEBVTT

NOTE
id: C1
sex: male

1
00:00:00.500 --> 00:00:02.000
<v Nurse Kelly>Good <i>morning</i>.</v>

2
00:00:03.000 --> 00:00:04.000
<v Caller>My knee</v>

00:00:04.000 --> 00:00:05.000
hurts &amp; swells.
"""


def test_vtt_voices_and_facts(tmp_path: Path) -> None:
    draft = drafts(read(tmp_path, "a.vtt", VTT))[0]
    assert said(draft) == [("staff", "Good morning."), ("patient", "My knee hurts & swells.")]
    assert (draft.facts.conversation, draft.facts.groups, draft.facts.names) == ("C1", {"sex": "male"}, ("Kelly",))


def cues(*texts: str) -> str:
    return "WEBVTT\n\n" + "".join(f"00:01.000 --> 00:02.000\n{text}\n\n" for text in texts)


@pytest.mark.parametrize(
    "cue",
    [
        "<v Caller>Can I stay overnight?</v>\n<v Agent>One adult may stay.</v>",
        "<v Caller>Can I stay overnight?\n<v.loud Agent>One adult may stay.",
        "<v Caller>Can I stay overnight?</v><v Agent>One adult may stay.</v>",
        "- Caller: Can I stay overnight?\n- Agent: One adult may stay.",
        "<v Caller>Can I stay\novernight?</v>\nAgent: One adult may stay.",
        "<i>Caller: Can I stay</i>\novernight?\n– <b>Agent: One adult\nmay stay.",
    ],
)
def test_vtt_cues_of_several_people_are_taken_apart(tmp_path: Path, cue: str) -> None:
    draft = drafts(read(tmp_path, "a.vtt", cues("<v Agent>Hello.", cue)))[0]
    assert said(draft) == [
        ("staff", "Hello."), ("patient", "Can I stay overnight?"), ("staff", "One adult may stay.")
    ]  # fmt: skip


def test_vtt_whose_speakers_are_not_known_is_refused(tmp_path: Path) -> None:
    text = cues("Caller: hi", "Supervisor: I take this.", "Caller: thanks", "- Supervisor: Bye.")
    assert faults(read(tmp_path, "a.vtt", text)) == [(0, "unknown speaker")]
    assert faults(read(tmp_path, "b.vtt", cues("<v Caller>hi</v>\nMaria: one", "Maria: two"))) == [
        (0, "unknown speaker")
    ]
    brought = cues("<v Agent>Please bring\n- your card\n- your list of medicines", "- and a jacket")
    assert said(drafts(read(tmp_path, "d.vtt", brought))[0]) == [
        ("staff", "Please bring - your card - your list of medicines - and a jacket")
    ]
    listed = cues("<v Caller>I take\nMedications: two", "<v Caller>And\nMedications: three", "Once: a word")
    assert said(drafts(read(tmp_path, "c.vtt", listed))[0]) == [
        ("patient", "I take Medications: two And Medications: three Once: a word")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("no header\n", "no WEBVTT header"),
        (VTT + "\n4\n00:00:06.000 --> 00:00:07.000\n", "the file ends inside a cue"),
        ("WEBVTT\n\nhello there\nyou\n", "a cue without times"),
        ("WEBVTT\n\n00:00:01.000 --> 00:00:02.000\n<v Zorgon>hi</v>\n", "unknown speaker"),
        ("WEBVTT\n\n00:00:01.000 --> 00:00:02.000\nhi\n", "no speaker labels"),
        ("WEBVTT\n\nNOTE\nid: 3\n", "no text"),
        (
            VTT + "\n00:07.000 --> 00:08.000\n- Is that free?\n- It is.\n",
            "several speak in one cue, and it is not said who",
        ),
        (
            VTT + "\n00:07.000 --> 00:08.000\n- Caller: Is that free?\n- It is.\n",
            "several speak in one cue, and it is not said who",
        ),
    ],
)
def test_vtt_that_cannot_be_read(tmp_path: Path, data: str, reason: str) -> None:
    assert faults(read(tmp_path, "a.vtt", data)) == [(0, reason)]


@pytest.mark.parametrize(
    ("cue", "found"),
    [
        ("<v" + ".a" * 300_000 + ">hi", "no speaker labels"),
        ("<v " * 300_000 + "hi", "no speaker labels"),
        ("<v Caller>hi " + "<a" * 300_000, None),
        ("Caller" + " " * 900_000 + "x", "no speaker labels"),
        ("Caller:" + " " * 900_000 + "x&#10;y", None),
        ("<v Caller>&#" + "9" * 5000 + ";", "a character's number that is none"),
    ],
    ids=["classes", "voices", "tags", "spaces before a colon", "spaces after a colon", "a number"],
)
def test_no_cue_takes_more_than_a_look_at_each_character(tmp_path: Path, cue: str, found: str | None) -> None:
    items = read(
        tmp_path, "a.vtt", f"WEBVTT\n\n00:01.000 --> 00:02.000\n{cue}\n", limits=Limits(record_characters=10**6)
    )
    assert [reason for _, reason in faults(items)] == ([found] if found else [])


# More than may be held


class Read(SourceFile):
    """A file that knows how many of its lines were asked for."""

    def lines(self) -> Iterator[Line | Fault]:
        for line in super().lines():
            ASKED.append(1)
            yield line


ASKED: list[int] = []
LINE = "a" * 1000


def test_vtt_over_the_limit_is_given_up_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.vtt"
    path.write_text("WEBVTT\n\n" + f"00:01.000 --> 00:02.000\n<v Caller>{LINE}\n\n" * 100)
    ASKED.clear()
    found = list(webvtt.read(Read(path, "a.vtt", Limits(record_characters=1000)), CALL))
    assert faults(found) == [(0, "record too long")]
    assert len(ASKED) < 20


def test_text_over_the_limit_is_not_held_and_ends_at_its_border(tmp_path: Path) -> None:
    for first in ("Caller: hi\n", "Id: C1\n"):
        text = first + f"Id: {LINE}\n" * 5000 + "---\nCaller: ho\n"
        tracemalloc.start()
        found = read(tmp_path, "a.txt", text, limits=Limits(record_characters=1000))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert faults(found) == [(1, "record too long")]
        assert [said(item) for item in found if isinstance(item, Draft)] == [[("patient", "ho")]]
        assert peak < 2 * len(text), "the text itself, once as words and once as bytes"


def test_borders_after_a_long_header_cost_a_look_each(tmp_path: Path) -> None:
    text = "Id: C1\n" * 4990 + "---\n" * 100_000 + "Caller: hi\n"
    assert said(drafts(read(tmp_path, "a.txt", text))[0]) == [("patient", "hi")]


def test_csv_over_the_limit_is_not_held(tmp_path: Path) -> None:
    rows = [f"C1,Caller,{LINE},{LINE}\n"] * 6 + ["C2,Caller,hi,\n"]
    found = read(tmp_path, "a.csv", "id,speaker,text,more\n" + "".join(rows), limits=Limits(record_characters=1000))
    assert faults(found) == [(2, "record too long")]
    assert [item.facts.conversation for item in found if isinstance(item, Draft)] == ["C2"]
    text = "id,text,more,most\n" + f'C1,"{LINE}\n","{LINE}\n","{LINE}\n"\n' + "C2,Caller: hi,,\n"
    found = read(tmp_path, "b.csv", text, limits=Limits(line_bytes=2000))
    assert faults(found)[0] == (2, "broken CSV")
    assert [item.facts.conversation for item in found if isinstance(item, Draft)] == ["C2"]


# FHIR


def bundle(*resources: dict[str, Any]) -> str:
    return json.dumps({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": r} for r in resources]})


PATIENT: dict[str, Any] = {
    "resourceType": "Patient", "id": "p1", "identifier": [{"value": "MRN-7"}], "gender": "female",
    "birthDate": "1930-05-01", "name": [{"family": "Ruiz", "given": ["Ana", "Maria"]}],
    "communication": [{"language": {"coding": [{"code": "es-US"}]}}],
    "extension": [{"url": "http://x/us-core-race", "extension": [{"valueString": "White"}]}],
}  # fmt: skip


def message(name: str, sender: str, text: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Communication", "id": name, "subject": {"reference": "Patient/p1"},
        "sender": {"reference": sender}, "payload": [{"contentString": text}], **more,
    }  # fmt: skip


def test_fhir_threads_patients_and_consent(tmp_path: Path) -> None:
    text = bundle(
        PATIENT,
        message("m3", "Patient/p1", "Thanks.", sent="2026-03-03", inResponseTo=[{"reference": "Communication/m2"}]),
        message("m1", "Patient/p1", "My knee hurts.", sent="2026-03-01", topic={"text": "Pain"}),
        message(
            "m2", "Practitioner/d", "Rest it.", sent="2026-03-02", inResponseTo=[{"reference": "Communication/m1"}]
        ),
        message("m9", "Practitioner/d", "Other.", sent="2026-03-02"),
        {"resourceType": "Consent", "status": "active", "patient": {"reference": "Patient/p1"}},
        {"resourceType": "Observation", "id": "o"},
    )
    thread, other = drafts(read(tmp_path, "a.json", text, SourceRule(files="*", kind="transcript")))
    assert said(thread) == [("patient", "My knee hurts."), ("staff", "Rest it."), ("patient", "Thanks.")]
    assert (thread.place, other.place) == (2, 5)
    facts = thread.facts
    assert (facts.patient, facts.conversation, facts.date, facts.language) == ("MRN-7", "m1", "2026-03-01", "es")
    assert facts.groups == {"sex": "female", "race": "white", "age_band": "90+"}
    assert facts.consent is True
    assert facts.names == ("Ana Maria Ruiz",)


def test_fhir_messages_are_in_the_order_of_their_instants(tmp_path: Path) -> None:
    times = ["2026-03-02T01:00:00+09:00", "2026-03-01T23:30:00-06:00", "2026-03-01T20:00:00Z", "2026-03", "", "soon"]
    text = bundle(
        *(message(f"m{n}", "Patient/p1", f"{n}", sent=sent, encounter={"reference": "Encounter/e"})
          for n, sent in enumerate(times))
    )  # fmt: skip
    thread = drafts(read(tmp_path, "a.json", text))[0]
    assert said(thread) == [("patient", "4 5 3 0 2 1")]


def test_fhir_that_was_entered_in_error_or_not_done_is_set_aside(tmp_path: Path) -> None:
    data = base64.b64encode(b"Caller: words").decode()
    answers = {"inResponseTo": [{"reference": "Communication/m2"}]}
    text = bundle(
        message("m1", "Patient/p1", "One.", inResponseTo=[]),
        message(
            "m2", "Patient/p1", "Not hers.", status="entered-in-error", subject={"reference": "Patient/p2"},
            inResponseTo=[{"reference": "Communication/m1"}],
        ),
        message("m3", "Patient/p1", "Two.", **answers),
        message("m9", "Patient/p1", "Never sent.", status="not-done"),
        document(data) | {"status": "entered-in-error"},
        document(data) | {"status": "current", "docStatus": "entered-in-error"},
    )  # fmt: skip
    found = read(tmp_path, "a.json", text)
    assert faults(found) == [(place, "entered in error, or not done") for place in (2, 4, 5, 6)]
    [thread] = [item for item in found if isinstance(item, Draft)]
    assert (said(thread), thread.facts.others) == ([("patient", "One. Two.")], ())


def test_what_any_message_of_a_thread_tells_counts(tmp_path: Path) -> None:
    def told(name: str, who: str, **extensions: str) -> dict[str, Any]:
        items = [{"url": f"https://h.example/{key}", "valueString": value} for key, value in extensions.items()]
        more = {"partOf": [{"reference": "Communication/root"}], "extension": items}
        return message(name, "Patient/p1", name, **more) | {"subject": {"reference": who} if who else None}

    def facts_of(*messages: dict[str, Any]) -> Facts:
        agreed = {"resourceType": "Consent", "status": "active", "patient": {"reference": "Patient/p1"}}
        return drafts(read(tmp_path, "a.json", bundle(PATIENT, agreed, *messages)))[0].facts

    both = facts_of(told("m0", "Patient/p1"), told("m1", "Patient/p8"))
    assert (both.patient, both.others, both.consent) == ("MRN-7", ("p8",), None)
    nameless = facts_of(told("m0", ""), told("m1", "Patient/p1"))
    assert (nameless.patient, nameless.others, nameless.consent) == ("MRN-7", (), True)
    assert nameless.names == ("Ana Maria Ruiz",)
    assert facts_of(told("m0", "Patient/p1"), told("m1", "Patient/p1", consent="no")).consent is False


def test_fhir_transcripts_in_a_message_and_fields_in_extensions(tmp_path: Path) -> None:
    resource = message("m1", "", "Agent: Good morning.\nCaller: My knee hurts.") | {
        "extension": [
            {"url": "https://h.example/fhir/topic", "valueString": "Pain"},
            {"url": "https://h.example/fhir/sex", "valueString": "male"},
            {"url": "https://h.example/fhir/consent", "valueBoolean": False},
        ]
    }
    refused = {"resourceType": "Consent", "status": "active", "patient": {"reference": "Patient/p1"}}
    draft = drafts(read(tmp_path, "a.json", bundle(resource, refused)))[0]
    assert said(draft) == SAID
    assert (draft.facts.topic, draft.facts.groups, draft.facts.consent) == ("pain", {"sex": "male"}, False)


def test_fhir_resources_one_a_line_are_set_aside(tmp_path: Path) -> None:
    own = json.dumps({"text": "Caller: hi"})
    refused = {"resourceType": "Consent", "status": "active", "provision": {"type": "deny"}}
    resources = [
        PATIENT,
        message("m1", "Patient/p1", "My knee hurts."),
        refused,
        {"resourceType": 5, "text": "Caller: x"},
    ]
    lines = [json.dumps(resource) for resource in resources]
    reason = "FHIR resources one a line are not read: put them into a Bundle"
    found = read(tmp_path, "a.jsonl", "\n".join([own, *lines, own]))
    assert faults(found) == [(number, reason) for number in (2, 3, 4, 5)]
    assert [item.place for item in found if isinstance(item, Draft)] == [1, 6]
    assert faults(read(tmp_path, "a.json", "\n".join(lines))) == [(0, reason)]


class Counted(dict[str, Any]):
    """A resource that counts how often anything in it is looked at."""

    looks = 0

    def get(self, key: str, default: Any = None) -> Any:
        Counted.looks += 1
        assert Counted.looks < 2_000_000, "more than 100 looks at each of 20,000 messages"
        return super().get(key, default)


@pytest.mark.parametrize("order", [1, -1], ids=["oldest first", "newest first"])
def test_a_thread_of_twenty_thousand_messages_is_read_in_linear_time(order: int) -> None:
    Counted.looks = 0
    placed = [
        (place, Counted(message(
            f"m{place}", ("Patient/p1", "Practitioner/d")[place % 2], "ok",
            inResponseTo=[Counted(reference=f"Communication/m{place - order}")],
        )))
        for place in range(1, 20_001)
    ]  # fmt: skip
    [thread] = fhir.drafts(placed, SourceRule(files="*", kind="transcript"))
    assert isinstance(thread, Draft)
    assert (thread.place, len(thread.turns)) == (1, 20_000)
    assert thread.facts.conversation == ("m0" if order == 1 else "m20001")


def test_messages_that_answer_each_other_in_a_circle_are_one_thread(tmp_path: Path) -> None:
    def answer(name: str, to: str) -> dict[str, Any]:
        return message(name, "Patient/p1", name, inResponseTo=[{"reference": f"Communication/{to}"}])

    text = bundle(answer("m1", "m2"), answer("m2", "m3"), answer("m3", "m2"), answer("m4", "m4"), answer("m5", "m1"))
    circle, alone = drafts(read(tmp_path, "a.json", text))
    assert said(circle) == [("patient", "m1 m2 m3 m5")]
    assert said(alone) == [("patient", "m4")]


def document(data: str, kind: str = "text/plain; charset=utf-8") -> dict[str, Any]:
    return {
        "resourceType": "DocumentReference", "subject": {"reference": "Patient/p1"}, "date": "2026-03-01T10:00:00Z",
        "author": [{"display": "Dr. Osei"}], "content": [{"attachment": {"contentType": kind, "data": data}}],
    }  # fmt: skip


def test_fhir_documents(tmp_path: Path) -> None:
    data = base64.b64encode(b"Seen today.").decode()
    draft = drafts(read(tmp_path, "a.json", bundle(document(data)), NOTE))[0]
    assert said(draft) == [("staff", "Seen today.")]
    assert (draft.facts.patient, draft.facts.date, draft.facts.names) == ("p1", "2026-03-01", ("Dr. Osei",))
    text = bundle(
        document("not base64!"), document(data, "application/pdf"), document("QUJD" * 1_000_000),
        document(base64.b64encode(b"%PDF\x00").decode()), document(data),
    )  # fmt: skip
    found = read(tmp_path, "b.json", text, NOTE)
    assert faults(found) == [
        (1, "an attachment that is not base64"),
        (2, "an attachment that is no plain text"),
        (3, "an attachment that is too large"),
        (4, "an attachment that is no plain text"),
    ]
    assert [item.place for item in found if isinstance(item, Draft)] == [5]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("[1, 2]", "no FHIR resource"),
        ('{"a": ' + "{" + ", ".join(f'"b": {n}' for n in range(20)) + "}}", "a key is there too often"),
        ('{"resourceType": "Bundle", "entry": [{"resource": {"resourceType"', "cut off at the end of the file"),
        ("[" * 100_000 + "]" * 100_000, "JSON nested too deeply"),
        (b"\xff\xfe{\x00}\x00", "UTF-16 or UTF-32 text"),
        (b'{"a": "\x00"}', "NUL bytes"),
        ("{" + " " * 5000 + "}", "file too large"),
    ],
)
def test_fhir_files_that_cannot_be_read(tmp_path: Path, data: str | bytes, reason: str) -> None:
    limits = Limits(file_bytes=4000) if reason == "file too large" else None
    assert [fault[1] for fault in faults(read(tmp_path, "a.json", data, limits=limits))] == [reason]


def entry(resource: dict[str, Any], url: str) -> dict[str, Any]:
    return {"fullUrl": url, "resource": resource}


HER, HIM = "urn:uuid:0b1c0000-0000-4000-8000-00000000000A", "urn:uuid:0b1c0000-0000-4000-8000-00000000000b"
HOME = "https://h.example/fhir"
NAMELESS = {key: value for key, value in PATIENT.items() if key != "id"}


@pytest.mark.parametrize(
    ("patient", "url", "reference"),
    [
        (PATIENT | {"id": HER[9:]}, HER, HER),
        (NAMELESS, HER, HER.lower()),
        (NAMELESS, f"{HOME}/Patient/77", f"{HOME}/Patient/77/_history/2"),
        (NAMELESS, f"{HOME}/Patient/77", "Patient/77"),
        (PATIENT, HER, "Patient/p1"),
        (PATIENT, HER, "Patient?identifier=http://h.example/mrn|MRN-7"),
    ],
)
def test_fhir_references_are_found_by_the_addresses_of_entries(
    tmp_path: Path, patient: dict[str, Any], url: str, reference: str
) -> None:
    doctor = {"resourceType": "Practitioner", "name": [{"family": "Osei"}]}
    asks = message("m1", reference, "My knee hurts.", sent="2026-03-01") | {"subject": {"reference": reference}}
    answers = message("m2", HIM, "Rest it.", sent="2026-03-02") | {"subject": {"reference": reference}}
    agreed = {"resourceType": "Consent", "status": "active", "patient": {"reference": reference}}
    items = [
        entry(patient, url),
        entry(doctor, HIM),
        entry({key: value for key, value in asks.items() if key != "id"}, f"{HOME}/Communication/1"),
        entry(answers | {"inResponseTo": [{"reference": f"{HOME}/Communication/1"}]}, f"{HOME}/Communication/2"),
        entry(agreed, ""),
    ]
    text = json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": items})
    draft = drafts(read(tmp_path, "a.json", text, SourceRule(files="*", kind="transcript")))[0]
    assert said(draft) == [("patient", "My knee hurts."), ("staff", "Rest it.")]
    assert (draft.facts.patient, draft.facts.consent) == ("MRN-7", True)
    assert draft.facts.names == ("Ana Maria Ruiz", "Osei")
    assert draft.facts.groups == {"sex": "female", "race": "white", "age_band": "90+"}


def test_the_same_id_at_two_servers_is_two_patients(tmp_path: Path) -> None:
    other = PATIENT | {"identifier": [{"value": "MRN-8"}]}
    items = [entry(PATIENT, "https://a.example/Patient/p1"), entry(other, "https://b.example/Patient/p1")]
    items += [entry(message(f"m{n}", "Patient/p1", "hi"), f"https://{n}.example/Communication/m{n}") for n in "ab"]
    found = drafts(read(tmp_path, "a.json", json.dumps({"resourceType": "Bundle", "entry": items})))
    assert [draft.facts.patient for draft in found] == ["MRN-7", "MRN-8"]


def test_fhir_people_who_are_in_no_entry(tmp_path: Path) -> None:
    def alone(subject: dict[str, Any], sender: dict[str, Any], **more: Any) -> Draft | Fault:
        [found] = read(
            tmp_path, "a.json", bundle(message("m1", "", "hi", **more) | {"subject": subject, "sender": sender})
        )
        return found

    gone = alone({"reference": HER, "display": "Ana Ruiz"}, {"reference": HER})
    assert isinstance(gone, Draft)
    assert (said(gone), gone.facts.patient, gone.facts.names) == ([("patient", "hi")], HER.lower(), ("Ana Ruiz",))
    by_number = alone({"identifier": {"value": "7/8"}}, {"reference": HIM, "type": "Practitioner"})
    assert isinstance(by_number, Draft)
    assert (said(by_number), by_number.facts.patient) == ([("staff", "hi")], "7/8")
    inside = alone({"reference": "#p1"}, {"reference": "#p1"}, contained=[PATIENT])
    assert isinstance(inside, Draft)
    assert (said(inside), inside.facts.patient) == ([("patient", "hi")], "MRN-7")
    no_number = alone({"reference": "#p1"}, {"reference": "#p1"}, contained=[PATIENT | {"identifier": []}])
    assert no_number.facts is not None
    assert no_number.facts.patient is None
    assert faults([alone({}, {"reference": HIM})]) == [(1, "unknown speaker")]


def typed(code: str, value: str, system: str = "") -> dict[str, Any]:
    coding = {"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": code}
    return {"value": value, "system": system} | ({"type": {"coding": [coding]}} if code else {})


@pytest.mark.parametrize(
    ("identifiers", "number"),
    [
        ([typed("SS", "S"), typed("", "V"), typed("MR", "M")], "M"),
        ([typed("SS", "S"), typed("DL", "D"), typed("PPN", "P"), typed("", "V")], "V"),
        ([typed("", "S", "http://hl7.org/fhir/sid/us-SSN"), typed("", "V")], "V"),
        ([typed("MR", ""), typed("SS", "S")], "S"),
        ([typed("SS", "S"), typed("DL", "D")], "S"),
    ],
)
def test_a_patient_is_known_by_her_record_number(
    tmp_path: Path, identifiers: list[dict[str, Any]], number: str
) -> None:
    text = bundle(PATIENT | {"identifier": identifiers}, message("m1", "Patient/p1", "hi"))
    assert drafts(read(tmp_path, "a.json", text))[0].facts.patient == number


# What a source calls our fields

AGREES = CALL.model_copy(update={"consent": True})
CUE = "00:01.000 --> 00:02.000\n<v Caller>hi\n"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv", "ID, Patient ,CONSENT,Text\nC1,P1,no,Caller: hi\n"),
        ("b.csv", "ID,Patient,CONSENT,Speaker,TEXT\nC1,P1,no,Caller,hi\n"),
        ("c.csv", "id,patient,consent,Consent,text\nC1,P1,yes,no,Caller: hi\n"),
        ("a.jsonl", {"Id": "C1", "Patient": "P1", "Consent": "no", "Turns": [{"Speaker": "Caller", "TEXT": "hi"}]}),
        (
            "b.jsonl",
            {"id": "C1", "patient": "P1", "PATIENT": "", "consent": True, "Consent": "no", "text": "Caller: hi"},
        ),
        ("c.jsonl", {"id": "C1", "patient": "", "Patient": "P1", "Consent": False, "consent": 1, "text": "Caller: hi"}),
        (
            "d.jsonl",
            '{"id": "C1", "patient": "P1", "consent": "no", "consent": "yes", "text": "P: hi", "consent": "yes"}',
        ),
        ("a.vtt", f"WEBVTT\n\nNOTE\nID: C1\nPatient: P1\nConsent: no\n\n{CUE}"),
        ("b.vtt", f"WEBVTT\n\nNOTE\nid: C1\npatient: P1\nconsent: no\nConsent: yes\nconsent: yes\n\n{CUE}"),
        ("a.txt", "ID: C1\nPATIENT: P1\nConsent: no\n\nCaller: hi\n"),
        ("b.txt", "Id: C1\nPatient: P1\nConsent: yes\nConsent: withdrawn\n\nCaller: hi\n"),
        ("c.txt", "Id: C1\nPatient: P1\n\nDepartment: X\nConsent: withdrawn\n\nCaller: hi\n"),
        ("d.txt", "CALL TRANSCRIPT\nId: C1\nPatient: P1\nConsent: withdrawn\n\nCaller: hi\n"),
        ("e.txt", "Id: C1\nPatient: P1\n\nCaller: hi\nConsent: withdrawn\n"),
    ],
)
def test_keys_are_found_however_they_are_written_and_any_no_counts(
    tmp_path: Path, name: str, data: str | dict[str, Any]
) -> None:
    found = drafts(read(tmp_path, name, data if isinstance(data, str) else json.dumps(data), AGREES))
    assert [(draft.facts.patient, draft.facts.conversation, draft.facts.consent) for draft in found] == [
        ("P1", "C1", False)
    ]
    assert said(found[0])[0][0] == "patient"


def test_a_key_written_as_in_the_rule_counts_before_others(tmp_path: Path) -> None:
    rule = SourceRule(files="*", kind="note", fields={"patient": "who.mrn", "name": "Call Name"}, groups={"sex": "sex"})
    line = {"Who": {"MRN": 12}, "text": "Seen.", "TEXT": "Not this.", "SEX": "m", "sex": "f", "call_name": "Ana"}
    draft = drafts(read(tmp_path, "a.jsonl", json.dumps(line), rule))[0]
    assert (draft.facts.patient, draft.facts.groups, draft.facts.names) == ("12", {"sex": "f"}, ("Ana",))
    assert said(draft) == [("staff", "Seen.")]
    deep = SourceRule(files="*", kind="note", fields={"consent": "who.agreed"}, consent=True)
    line = {"text": "Seen.", "who": {"agreed": True}, "Who": {"Agreed": "no"}}
    assert drafts(read(tmp_path, "b.jsonl", json.dumps(line), deep))[0].facts.consent is False


@pytest.mark.parametrize(
    "text",
    [
        "PROGRESS NOTE\nAuthor: Dr. Osei\nPatient: P3\nConsent: no\n\nSeen today.\n",
        "Patient: P3\nAuthor: Dr. Osei\nConsent: withdrawn\n\nSeen today.\n",
    ],
)
def test_a_note_refuses_below_a_line_that_is_no_header_of_ours(tmp_path: Path, text: str) -> None:
    facts = drafts(read(tmp_path, "a.txt", text, NOTE))[0].facts
    assert (facts.patient, facts.consent) == ("P3", False)
    told = "Patient: P3\n\nShe was seen today.\nConsent: obtained for the biopsy.\n"
    assert drafts(read(tmp_path, "b.txt", told, NOTE))[0].facts.consent is None


def test_fhir_extensions_are_found_however_they_are_written_and_any_no_counts(tmp_path: Path) -> None:
    items = [{"url": f"{HOME}/{key}", "valueString": value} for key, value in (("Consent", "no"), ("consent", "yes"))]
    text = bundle(message("m1", "Patient/p1", "hi", extension=items))
    assert drafts(read(tmp_path, "a.json", text))[0].facts.consent is False


# Who speaks


@pytest.mark.parametrize(
    ("label", "side", "names"),
    [
        ("Caller (daughter of Hope Winters)", "patient", ("Hope Winters",)),
        ("Ana Ruiz (daughter of Hope Winters)", "patient", ("Ana Ruiz", "Hope Winters")),
        ("Caller (Hope Winters’s daughter)", "patient", ("Hope Winters",)),
        ("Daughter of Mrs. Hope Winters", "patient", ("Hope Winters",)),
        ("Agent (Dr. Osei)", "staff", ("Osei",)),
        ("Patient (Maria de la Cruz)", "patient", ("Maria de la Cruz",)),
        ("Caller (patient)", "patient", ()),
    ],
)
def test_labels_give_names_and_not_what_somebody_is(
    tmp_path: Path, label: str, side: str, names: tuple[str, ...]
) -> None:
    draft = drafts(read(tmp_path, "a.jsonl", json.dumps({"turns": [{"speaker": label, "text": "hi"}]})))[0]
    assert (said(draft), draft.facts.names) == ([(side, "hi")], names)
    assert drafts(read(tmp_path, "a.txt", f"{label}: hi\n"))[0].facts.names == names


ANSWERED = "Agent: Good morning.\n{}\nAgent: I see.\n{}\nCaller: Bye.\n"


@pytest.mark.parametrize(
    "lines",
    [
        ("Jane: I stopped my warfarin on Monday.", "Mr Petersen: And I did not."),
        ("Jane: Stopped warfarin yesterday.", "Petersen: Restarting tomorrow."),
        ("Speaker 1: hello there", "Speaker 2: yes"),
    ],
)
def test_two_labels_that_look_like_names_are_unknown_speakers(tmp_path: Path, lines: tuple[str, str]) -> None:
    text = ANSWERED.format(*lines)
    assert faults(read(tmp_path, "a.txt", text)) == [(1, "unknown speaker")]
    assert faults(read(tmp_path, "a.jsonl", json.dumps({"text": text}))) == [(1, "unknown speaker")]
    assert faults(read(tmp_path, "a.vtt", cues(*text.strip().split("\n")))) == [(0, "unknown speaker")]


@pytest.mark.parametrize(
    "lines",
    [
        ("Note: Bring your card.", "Address: You find us in Elm Street."),
        ("Medications: I have them here.", "Medications: You said so."),
        ("Monday: We open at eight.", "Tuesday: We open at nine."),
        ("Step 1: You wash.", "Step 2: You rinse."),
        ("Metformin: twice a day", "Lisinopril: once"),
        ("Metformin: 500 mg twice a day, with your meals.", "Lisinopril: 10 mg once."),
        ("Jane: I stopped my warfarin.", "One thing: you should not."),
        ("Jane: I stopped my warfarin.", "and so on."),
        ("Visiting Hours: You come at ten.", "Home Address: You told us."),
    ],
)
def test_headings_and_lists_are_no_speakers(tmp_path: Path, lines: tuple[str, str]) -> None:
    assert len(drafts(read(tmp_path, "a.txt", ANSWERED.format(*lines)))[0].turns) == 2


def test_a_header_that_comes_again_as_a_label_is_one(tmp_path: Path) -> None:
    text = "Id: C1\nPatient: P7\n\nPatient: My knee hurts.\nAgent: Rest it.\n"
    draft = drafts(read(tmp_path, "a.txt", text))[0]
    assert (draft.facts.patient, said(draft)) == ("P7", [("patient", "My knee hurts."), ("staff", "Rest it.")])


# Encodings and facts


def test_encodings() -> None:
    assert decoded("Señor".encode()) == ("Señor", False)
    assert decoded("Señor – 50 %".encode("cp1252")) == ("Señor – 50 %", True)
    assert decoded(b"\x81") is None
    assert undone("I donâ€™t know, SeÃ±or, 100Â°F") == "I don’t know, Señor, 100°F"
    assert undone("Â¿QuÃ©?") == "¿Qué?"


@pytest.mark.parametrize("text", ["CAFÉ–bar", "château", "Â", "ESPAÑOL”", "naïve", "El Niño…", "não"])
def test_text_that_was_decoded_rightly_stays(text: str) -> None:
    assert undone(text) == text


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(min_codepoint=0xA0, max_codepoint=0xFF), min_size=1, max_size=20))
def test_what_was_encoded_twice_comes_back(text: str) -> None:
    twice = "".join(
        byte.decode("cp1252") if byte[0] not in (0x81, 0x8D, 0x8F, 0x90, 0x9D) else chr(byte[0])
        for byte in (bytes([b]) for b in text.encode())
    )
    assert undone(twice) == text


def test_cleaning_keeps_words_and_drops_what_is_no_text() -> None:
    assert cleaned("a\u00a0 b\r\n\r\n c\x07\ud800\ufeff") == ("a b\nc", True)
    for (
        hidden
    ) in "\u2066\u2069\u061c\u180e\u2061\u2063\u206a\ufff9\u200b\u200e\u202e\u00ad\u034f\u3164\ufe0f\0\x08\x7f":
        assert cleaned(f"M{hidden}aria 12{hidden}3-4{hidden}5") == ("Maria 123-45", True)
    assert cleaned("M\U000e0001a\U000e0041ria") == ("Maria", True)
    assert cleaned("e\u0301") == ("é", False)
    assert cleaned("—" * 40 + "e\u0301") == ("—" * 40 + "é", False)
    assert cleaned("e" + "\u0301\u0316" * 500_000) == ("é" + "\u0316" * 15 + "\u0301" * 14, True)


@pytest.mark.parametrize(
    ("text", "found"),
    [("2026-03-14T08:00:00Z", "2026-03-14"), ("3/4/2026", "2026-03-04"), ("20260314", "2026-03-14"), ("2026-13-01", ""),
     ("2026-03", "2026-03"), ("2026", "2026"), ("14 March", ""), ("", ""), ("20٣٤", ""), ("2026-0٣", ""),
     ("٣/٤/2026", ""), ("3/4/20٢٦", "")],
)  # fmt: skip
def test_dates_of_records(text: str, found: str) -> None:
    assert iso_date(text) == found


def test_consent_is_given_only_where_it_says_so() -> None:
    assert [yes_or_no(value) for value in (True, "Yes", 1, "granted", "sí")] == [True] * 5
    assert [yes_or_no(value) for value in (False, "no", 0, "maybe", "revoked")] == [False] * 5
    assert [yes_or_no(value) for value in (None, "", " ")] == [None] * 3


def test_age_bands() -> None:
    assert [age_band(age, "", "") for age in ("0", "17", "18", "89", "90", "131", "x", "")] == [
        "0-17", "0-17", "18-34", "80-89", "90+", "", "", ""
    ]  # fmt: skip
    assert [age_band(age, "", "") for age in ("²", "①", "٣٤", "9" * 200)] == ["", "", "18-34", ""]
    assert age_band("", "1976-07-01", "2026-06-30") == "35-49"
    assert age_band("", "1976-07-01", "2026-07-01") == "50-64"


def test_values_beside_the_words_are_clean_and_short(tmp_path: Path) -> None:
    turns = [{"speaker": "Nurse Kel\ud800ly  Ann", "text": "hi"}]
    line = {"turns": turns, "groups": {"se\ud800x": "F\udfff", "list": ["a"], "\ud800": "x", "insured": True}}
    facts = drafts(read(tmp_path, "a.jsonl", json.dumps(line)))[0].facts
    assert facts.groups == {"sex": "f", "insured": "true"}
    assert facts.names == ("Kelly Ann",)
    for long in (
        line | {"groups": {"sex": "x" * 201}},
        line | {"groups": {"x" * 201: "f"}},
        line | {"turns": [{"speaker": "Nurse " + "k" * 201, "text": "hi"}]},
        line | {"topic": " " * 3000},
    ):
        assert faults(read(tmp_path, "a.jsonl", json.dumps(long))) == [(1, "a field is too long")]


def test_a_sender_that_is_no_object_is_nobody(tmp_path: Path) -> None:
    rule = CALL.model_copy(update={"speakers": {"": "patient"}})
    text = bundle(message("m1", "", "hi") | {"sender": None})
    assert said(drafts(read(tmp_path, "a.json", text, rule))[0]) == [("patient", "hi")]


@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=400), name=st.sampled_from(sorted(FORMATS)), kind=st.sampled_from([CALL, NOTE, FAQ]))
def test_any_bytes_at_all_give_drafts_and_faults(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, name: str, kind: SourceRule
) -> None:
    heads = {"csv": b"id,speaker,text\n", "vtt": b"WEBVTT\n\n"}
    found = read(tmp_path_factory.mktemp("any"), f"a.{name}", heads.get(name, b"") + data, kind)
    places = [item.place for item in found if isinstance(item, Draft)]
    assert places == sorted(places)
    assert all(place >= 1 for place in places)
