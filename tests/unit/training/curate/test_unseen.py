"""The calls that the stage *check* has never seen: unchanged, well-formed, and counted as the report says."""

from __future__ import annotations

import hashlib

from tests.bench_curate import OFF_TOPIC, UNSEEN, Group, check_report, groups, labelled_report, left, read
from training.curate.records import Record, Turn

SHA256 = "4ef3bcb9a3c0d4aa2c13099e898cee4606e8290b93b8d8cce5992b1eee476906"


def test_the_set_is_as_its_author_wrote_it() -> None:
    files = sorted(UNSEEN.glob("*.jsonl"))
    assert [path.stem for path in files] == ["calls", "groups", "key", "off_topic"]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
    assert digest == SHA256, "a changed set measures something else; write a new one beside it"


def test_every_label_stands_in_a_turn_of_the_staff() -> None:
    calls = {call["id"]: call for name in ("calls", "off_topic") for call in read(UNSEEN / f"{name}.jsonl")}
    for label in read(UNSEEN / "key.jsonl"):
        if label["defect"] == OFF_TOPIC:
            continue
        turn = calls[label["id"]]["turns"][label["turn"]]
        assert turn["speaker"] == "staff"
        assert turn["text"].count(label["wrong"]) == 1


def test_what_is_counted() -> None:
    kinds = [
        {"id": name, "group": group} for name, group in zip("abcdef", ("figure",) * 3 + ("clean",) * 2, strict=False)
    ]
    kinds += [{"id": "x", "group": OFF_TOPIC}, {"id": "y", "group": OFF_TOPIC}]
    key = [{"id": name, "turn": 1, "defect": "wrong_number"} for name in "abc"]
    key += [{"id": name, "turn": None, "defect": OFF_TOPIC} for name in "xy"]
    told = {
        "a": {("wrong_dose", 1)},  # found, though of another kind
        "b": {("wrong_number", 3)},  # doubted, in another turn
        "d": {("contradiction", 1)},  # doubted for nothing
        "e": {("tone", 1), (OFF_TOPIC, -1)},
        "x": {(OFF_TOPIC, -1)},
        "y": {("wrong_phone", 1)},
    }
    found = groups(kinds, key, told)
    assert found == [
        Group("clean", calls=2, labelled=0, found=0, alarmed=1, off_topic=1),
        Group("figure", calls=3, labelled=3, found=1, alarmed=1, off_topic=0),
        Group(OFF_TOPIC, calls=2, labelled=2, found=1, alarmed=1, off_topic=1),
    ]
    text = check_report(found)
    assert "Of 3 wrong figures and contradictions 1 were found, 33.3%" in text
    assert "of the 4 calls that were doubted, 25% rightly" in text


def test_an_identifier_is_left_where_its_words_still_stand_in_its_turn() -> None:
    texts = ("This is <PERSON_1>, call me at 319-555-0100.", "Thank you, DANA.", "Danas are welcome, <PERSON_1>.")
    record = Record(
        id="1", kind="transcript", source="a", place=1, turns=tuple(Turn(speaker="staff", text=text) for text in texts)
    )
    label = {"source": "a", "place": 1, "defect": "identifier"}
    key = [
        label | {"turn": 0, "wrong": "Dana", "note": "PERSON"},
        label | {"turn": 0, "wrong": "319-555-0100", "note": "PHONE"},
        label | {"turn": 1, "wrong": "Dana", "note": "PERSON"},  # in other case
        label | {"turn": 2, "wrong": "Dana", "note": "PERSON"},  # part of another word
        label | {"turn": 0, "wrong": "call", "defect": "wrong_number", "note": ""},
        label | {"place": 2, "turn": 0, "wrong": "Dana", "note": "PERSON"},  # a record that was quarantined
    ]
    found = left(key, {("a", 1): record})
    assert (found.messages, found.touched) == (3, 2)
    assert dict(found.labelled) == {"PERSON": 3, "PHONE": 1}
    assert dict(found.left) == {"PHONE": 1, "PERSON": 1}
    text = labelled_report(found, [])
    assert "2 of 3 messages, 66.67%" in text
    assert "SSN 0 of 0, PHONE 1 of 1" in text
