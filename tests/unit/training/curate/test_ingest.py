"""A folder of files into records, whatever is in it; nothing is lost without a count."""

from __future__ import annotations

import csv
import io
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.contracts.site import load_site
from app.errors import ConfigurationError
from tests.cost import seconds
from tests.unit.training.curate.chain_stages import somebody_else
from training.curate.formats.consents import Refusals
from training.curate.formats.contract import FIELDS, SourceRule
from training.curate.formats.reading import Limits, SourceFile
from training.curate.ingest import NOBODYS, QUARANTINE, Ingest, Options, source_files
from training.curate.records import Record, read_records
from training.curate.shards import join_reports
from training.curate.shifting import Shift
from training.curate.stages import RECORDS, Context, StageReport

RULES = [
    SourceRule(files="faq/*", kind="faq", licence="own", consent=True),
    SourceRule(files="calls/*", kind="transcript", licence="own", fields={"conversation": "id"}),
]
SITE = load_site(Path("demo"))


def run(
    sources: Path,
    out: Path,
    shard: tuple[int, int] = (1, 1),
    rules: list[SourceRule] = RULES,
    **options: Any,
) -> StageReport:
    out.mkdir()
    chosen = Options(sources=rules, **options)
    report = Ingest().run(sources, out, Context(site=SITE, articles=sources, options=chosen, shard=shard))
    counted = sum(report.counts[name] for name in ("quarantined", "without_consent", "without_licence"))
    assert report.records_in == report.records_out + counted
    assert report.records_out == len(list(read_records(out / RECORDS)))
    assert sum(row["records"] for row in report.tables["sources"]) == report.records_out
    assert sum(row["pieces"] for row in report.tables["quarantine"]) == report.counts["quarantined"]
    return report


def quarantine(out: Path) -> list[dict[str, Any]]:
    with (out / QUARANTINE).open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def call(number: str, text: str = "hello", **more: Any) -> str:
    return json.dumps({"id": number, "consent": True, "turns": [{"speaker": "caller", "text": text}], **more}) + "\n"


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    folder = tmp_path / "sources"
    for name in ("calls", "faq"):
        (folder / name).mkdir(parents=True)
    return folder


def write(sources: Path, name: str, data: str | bytes) -> None:
    (sources / name).write_bytes(data.encode() if isinstance(data, str) else data)


def test_records_in_the_order_of_names_and_places(sources: Path, tmp_path: Path) -> None:
    write(sources, "faq/b.csv", "question,answer\nWhen?,At 8.\nWhere?,Here.\n")
    write(sources, "calls/b.jsonl", call("C2") + call("C3", patient="P1", name="Ana Ruiz"))
    write(sources, "calls/a.txt", "Id: C1\nConsent: yes\n\nCaller: hi\n")
    report = run(sources, tmp_path / "out")
    records = list(read_records(tmp_path / "out" / RECORDS))
    assert [(r.source, r.place, r.kind) for r in records] == [
        ("calls/a.txt", 1, "transcript"), ("calls/b.jsonl", 1, "transcript"), ("calls/b.jsonl", 2, "transcript"),
        ("faq/b.csv", 1, "faq"), ("faq/b.csv", 2, "faq"),
    ]  # fmt: skip
    assert (records[2].patient, records[2].conversation, records[2].names) == ("P1", "C3", ("Ana Ruiz",))
    assert len({record.id for record in records}) == 5
    assert report.counts["files"] == 3
    assert report.tables["sources"][0] == {"format": "csv", "kind": "faq", "records": 2}


def test_without_consent_or_licence_a_record_is_dropped_and_counted(sources: Path, tmp_path: Path) -> None:
    lines = [call("C1"), call("C2", consent=False), call("C3", consent="unknown")]
    lines.append(json.dumps({"id": "C4", "turns": [{"speaker": "caller", "text": "no word of consent"}]}))
    write(sources, "calls/a.jsonl", "".join(lines))
    report = run(sources, tmp_path / "out")
    assert [record.conversation for record in read_records(tmp_path / "out" / RECORDS)] == ["C1"]
    assert report.counts["without_consent"] == 3
    bare = [SourceRule(files="*", kind="transcript", consent=True)]
    (tmp_path / "bare").mkdir()
    context = Context(site=SITE, articles=sources, options=Options(sources=bare))
    assert Ingest().run(sources, tmp_path / "bare", context).counts["without_licence"] == 2


def test_mended_text_is_counted(sources: Path, tmp_path: Path) -> None:
    write(sources, "calls/a.jsonl", call("C1", "DonÃ¡ca") + call("C2", "bell\x07") + call("C3", "plain"))
    write(sources, "calls/b.txt", "Consent: yes\n\nCaller: Señor – yes\n".encode("cp1252"))
    report = run(sources, tmp_path / "out")
    texts = [record.text for record in read_records(tmp_path / "out" / RECORDS)]
    assert texts == ["Donáca", "bell", "plain", "Señor – yes"]
    assert report.counts["encoding_undone"] == 1
    assert report.counts["control_characters_removed"] == 1
    assert report.counts["encoding_repaired"] == 1


def test_hostile_files_are_set_aside_with_a_reason(sources: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.jsonl"
    secret.write_text(call("STOLEN"))
    write(sources, "calls/good.jsonl", call("C1"))
    write(sources, "calls/empty.vtt", b"")
    write(sources, "calls/blank.txt", b"\n\n")
    write(sources, "calls/photo.txt", b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    write(sources, "calls/noise.txt", bytes(range(32)) * 20)
    write(sources, "calls/packed.jsonl", b"\x1f\x8b\x08\x00")
    write(sources, "calls/wide.jsonl", "{}".encode("utf-16"))
    write(sources, "calls/deep.json", "[" * 100_000)
    write(sources, "calls/long.jsonl", b'{"text": "' + b"x" * 2_000_000 + b'"}\n' + call("C2").encode())
    write(sources, "calls/unknown.docx", b"words")
    write(sources, "elsewhere.jsonl", call("C3"))
    write(sources, ".hidden.jsonl", call("C4"))
    (sources / "calls/out.jsonl").symlink_to(secret)
    (sources / "calls/folder").symlink_to(tmp_path)
    (sources / "calls/again.jsonl").symlink_to(sources / "calls/good.jsonl")
    (sources / "calls/loop.jsonl").symlink_to(sources / "calls/loop.jsonl")
    os.mkfifo(sources / "calls/pipe.jsonl")
    report = run(sources, tmp_path / "out")
    assert [record.conversation for record in read_records(tmp_path / "out" / RECORDS)] == ["C1", "C2"]
    assert {item["source"]: item["reason"] for item in quarantine(tmp_path / "out")} == {
        "calls/again.jsonl": "a link to another source",
        "calls/blank.txt": "no records in the file",
        "calls/deep.json": "cut off at the end of the file",
        "calls/empty.vtt": "empty file",
        "calls/folder": "a link out of the sources' folder",
        "calls/long.jsonl": "line too long",
        "calls/loop.jsonl": "a link to another source",
        "calls/noise.txt": "binary file",
        "calls/out.jsonl": "a link out of the sources' folder",
        "calls/packed.jsonl": "compressed file",
        "calls/photo.txt": "binary file",
        "calls/pipe.jsonl": "no regular file",
        "calls/unknown.docx": "unknown format",
        "calls/wide.jsonl": "UTF-16 or UTF-32 text",
        "elsewhere.jsonl": "no rule for this file",
    }
    assert report.counts["quarantined"] == 15
    long = next(item for item in quarantine(tmp_path / "out") if item["source"] == "calls/long.jsonl")
    assert long["line"] == 1
    assert len(long["raw"]) <= 300


ODD_WORDS = st.one_of(
    st.text(st.characters(), max_size=20),
    st.text(st.characters(categories=["Nd", "No", "Nl", "Cs"]), max_size=8),
    st.sampled_from(["²", "20٣٤", "2026-0٣-01", "٣/٤/2026", "1900", "\ud800", "x\udfffy", "=x", "Patient/p1"]),
    st.sampled_from(["9" * 5000, "x" * 300, "e" + "\u0301" * 99, "&#" + "9" * 5000 + ";"]),
)
ODD_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([10**4000, -(10**4000), 10**400])
    | ODD_WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ODD_WORDS, inner, max_size=3),
    max_leaves=6,
)
ODD_GROUPS = st.dictionaries(ODD_WORDS, ODD_VALUES, max_size=3) | ODD_VALUES
ODD_SPEAKERS = st.one_of(st.just("caller"), ODD_WORDS.map(lambda word: f"Nurse {word}"), ODD_WORDS)
ODD_TURNS = st.lists(st.fixed_dictionaries({"speaker": ODD_SPEAKERS, "text": ODD_WORDS | st.just("hi")}), max_size=3)
ODD_LINES = st.fixed_dictionaries(
    {"turns": ODD_TURNS | ODD_VALUES},
    optional={name: ODD_VALUES for name in (*FIELDS, "sex", "other") if name != "turns"} | {"groups": ODD_GROUPS},
)
RESOURCE_KEYS = (
    "id identifier gender birthDate name communication extension subject sender sent date topic payload partOf content "
    "inResponseTo encounter author patient provision status"
).split()
INNER_KEYS = (
    "reference display text coding code value given family url valueString attachment contentString data".split()
)
ODD_INNER = st.dictionaries(st.sampled_from(INNER_KEYS), ODD_VALUES, max_size=3)
ODD_RESOURCES = st.fixed_dictionaries(
    {"resourceType": st.sampled_from(["Patient", "Consent", "Communication", "DocumentReference"])},
    optional=dict.fromkeys(RESOURCE_KEYS, st.one_of(ODD_VALUES, ODD_INNER, st.lists(ODD_INNER, max_size=2))),
)
COLUMNS = ["conversation", "speaker", "text", "patient", "date", "age", "birth_date", "name", "sex", "topic"]


def kept(name: str, data: str) -> list[Record]:
    """The records of one file; nothing is lost without a count, and each date can be moved by a later stage."""
    rule = SourceRule(files="*", kind="transcript", licence="own", consent=True, groups={"sex": "sex", "a": "other.a"})
    with TemporaryDirectory() as folder:
        sources, out = Path(folder) / "sources", Path(folder) / "out"
        sources.mkdir()
        (sources / name).write_bytes(data.encode(errors="surrogatepass"))
        report = run(sources, out, rules=[rule])
        records = list(read_records(out / RECORDS))
        assert report.counts["quarantined"] == len(quarantine(out))
    for record in records:
        Shift(3, record.date).iso(record.date)
        assert all(len(name) <= 200 for name in (*record.names, *record.groups))
    return records


@settings(max_examples=100, deadline=None)
@given(lines=st.lists(ODD_LINES, min_size=1, max_size=3))
def test_no_value_of_a_field_of_json_ends_a_run(lines: list[dict[str, Any]]) -> None:
    records = kept("a.jsonl", "\n".join([*map(json.dumps, lines), call("C1", conversation="LAST")]))
    assert records[-1].conversation == "LAST"


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(st.tuples(ODD_SPEAKERS, st.tuples(*[ODD_WORDS] * (len(COLUMNS) - 2))), min_size=1, max_size=3),
    by_conversation=st.booleans(),
)
def test_no_value_of_a_field_of_csv_ends_a_run(rows: list[tuple[str, tuple[str, ...]]], by_conversation: bool) -> None:
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(COLUMNS if by_conversation else ["number", *COLUMNS[1:]])
    for speaker, (conversation, *others) in rows:
        writer.writerow([conversation, speaker, *["hi", *others]])
    # A row that cannot be read may be one of the next call, which is then set aside.
    writer.writerow(["BETWEEN", "caller", "hi", *[""] * (len(COLUMNS) - 3)])
    writer.writerow(["LAST", "caller", "the last one", *[""] * (len(COLUMNS) - 3)])
    assert kept("a.csv", table.getvalue())[-1].text == "the last one"


@settings(max_examples=100, deadline=None)
@given(words=st.tuples(ODD_WORDS, ODD_WORDS, ODD_WORDS), speaker=ODD_SPEAKERS)
def test_no_value_of_a_field_of_texts_ends_a_run(words: tuple[str, str, str], speaker: str) -> None:
    date, age, text = words
    kept("a.txt", f"Date: {date}\nAge: {age}\n\nCaller: hi\n{speaker}: {text}\n")
    kept("a.vtt", f"WEBVTT\n\nNOTE\ndate: {date}\nage: {age}\n\n00:01.000 --> 00:02.000\n<v {speaker}>{text}\n")


@settings(max_examples=100, deadline=None)
@given(resources=st.lists(ODD_RESOURCES, min_size=1, max_size=4))
def test_no_value_of_a_field_of_fhir_ends_a_run(resources: list[dict[str, Any]]) -> None:
    last = {"resourceType": "Communication", "payload": [{"contentString": "Caller: the last one"}]}
    entries = [{"resource": resource} for resource in [*resources, last]]
    kept("a.json", json.dumps({"resourceType": "Bundle", "entry": entries}))


def test_what_cannot_be_kept_is_set_aside_and_the_rest_goes_on(sources: Path, tmp_path: Path) -> None:
    lines = [
        call("C1", age="²", date="20٣٤"),
        call("C2", groups={"sex\ud800": "f\udfff"}),
        call("C3", turns=[{"speaker": "Nurse Kel\ud800ly", "text": "hi"}]),
        call("C4", turns=[{"speaker": "Zor\ud800gon", "text": "hi"}]),
        call("C5", groups={"sex": "f" * 300}),
    ]
    write(sources, "calls/a.jsonl", "".join(lines))
    (sources / os.fsdecode(b"calls/x.\xff")).write_text("x")
    run(sources, tmp_path / "out")
    records = list(read_records(tmp_path / "out" / RECORDS))
    assert [(record.conversation, record.date, record.groups, record.names) for record in records] == [
        ("C1", "", {}, ()), ("C2", "", {"sex": "f"}, ()), ("C3", "", {}, ("Kelly",))
    ]  # fmt: skip
    assert [(item["line"], item["reason"], item["detail"]) for item in quarantine(tmp_path / "out")] == [
        (4, "unknown speaker", "Zor\\ud800gon"),
        (5, "a field is too long", "groups"),
        (0, "unknown format", ".\\udcff: name its format in ingest.sources"),
    ]


def test_a_consent_that_is_refused_one_a_line_does_not_lose_against_the_config(sources: Path, tmp_path: Path) -> None:
    who = {"reference": "Patient/p1"}
    lines = [
        {"resourceType": "Communication", "subject": who, "payload": [{"contentString": "Caller: hi"}]},
        {"resourceType": "Consent", "patient": who, "provision": {"type": "deny"}},
    ]
    write(sources, "calls/a.ndjson", "\n".join(map(json.dumps, lines)))
    report = run(sources, tmp_path / "out", rules=[RULES[1].model_copy(update={"consent": True})])
    assert report.records_out == 0
    assert report.tables["quarantine"] == [
        {"reason": "FHIR resources one a line are not read: put them into a Bundle", "pieces": 2}
    ]


def test_a_file_that_may_not_be_read_is_set_aside() -> None:
    with TemporaryDirectory() as name, somebody_else(Path(name)):
        sources, out = Path(name) / "sources", Path(name) / "out"
        (sources / "calls").mkdir(parents=True)
        write(sources, "calls/a.jsonl", call("C1"))
        write(sources, "calls/b.jsonl", call("C2"))
        (sources / "calls/a.jsonl").chmod(0)
        report = run(sources, out)
        assert [(item["source"], item["reason"]) for item in quarantine(out)] == [("calls/a.jsonl", "cannot be read")]
        assert report.records_out == 1


def test_a_folder_that_may_not_be_read_is_set_aside() -> None:
    with TemporaryDirectory() as name, somebody_else(Path(name)):
        sources, out = Path(name) / "sources", Path(name) / "out"
        for folder in ("calls/closed", "calls/listed", "calls/left", "calls/.hidden"):
            (sources / folder).mkdir(parents=True)
            write(sources, f"{folder}/a.jsonl", call("C1"))
        write(sources, "calls/b.jsonl", call("C2"))
        for folder, mode in (("closed", 0), ("listed", 0o400), ("left", 0), (".hidden", 0)):
            (sources / "calls" / folder).chmod(mode)
        report = run(sources, out, exclude=["calls/left/*"])
        assert [(item["source"], item["reason"]) for item in quarantine(out)] == [
            ("calls/closed/", "a folder that cannot be read"),
            ("calls/listed/a.jsonl", "cannot be read"),
        ]
        assert report.records_out == 1
        sources.chmod(0)
        with pytest.raises(ConfigurationError, match=r"sources, the folder of sources, cannot be read; let who"):
            list(source_files(sources, []))
        for path in (sources, *(sources / "calls" / folder for folder in ("closed", "listed", "left", ".hidden"))):
            path.chmod(0o700)


def test_names_of_any_length_are_told_apart(sources: Path, tmp_path: Path) -> None:
    deep = Path("calls", *["d" * 200] * 3)
    (sources / deep).mkdir(parents=True)
    for name in ("a.jsonl", "b.jsonl"):
        write(sources, f"{deep}/{name}", call("C1"))
    assert [name for name, _, _ in source_files(sources, [])] == [f"{deep}/a.jsonl", f"{deep}/b.jsonl"]
    assert [name for name, _, _ in source_files(sources, ["*/b.jsonl"])] == [f"{deep}/a.jsonl"]
    run(sources, tmp_path / "out")
    assert len({record.id for record in read_records(tmp_path / "out" / RECORDS)}) == 2


def test_names_that_are_no_text_are_told_apart_from_what_they_are_shown_as(sources: Path, tmp_path: Path) -> None:
    for name in (b"calls/\xff.jsonl", rb"calls/\udcff.jsonl"):
        (sources / os.fsdecode(name)).write_text(call("C1"))
    assert [name for name, _, _ in source_files(sources, [])] == [r"calls/\\udcff.jsonl", r"calls/\udcff.jsonl"]
    run(sources, tmp_path / "out")
    assert len({record.id for record in read_records(tmp_path / "out" / RECORDS)}) == 2


def test_too_many_groups_are_set_aside(sources: Path, tmp_path: Path) -> None:
    many = {f"column {number}": "x" for number in range(10_000)}
    write(sources, "calls/a.jsonl", call("C1", groups=many) + call("C2", groups=dict(list(many.items())[:50])))
    run(sources, tmp_path / "out")
    assert [(item["line"], item["reason"], item["detail"]) for item in quarantine(tmp_path / "out")] == [
        (1, "too many groups", "10000, at most 50")
    ]
    assert [len(record.groups) for record in read_records(tmp_path / "out" / RECORDS)] == [50]


def left(out: Path) -> list[tuple[str | None, str | None]]:
    """Patient and conversation of each record."""
    return [(record.patient, record.conversation) for record in read_records(out / RECORDS)]


def test_a_conversation_is_used_whole_or_not_at_all(sources: Path, tmp_path: Path) -> None:
    write(sources, "calls/a.jsonl", call("C1", patient="P1") + call("C2", patient="P1") + call("C3"))
    write(sources, "calls/b.jsonl", call("C1", consent=False, patient="P1") + call("C1") + call("C3", consent=None))
    report = run(sources, tmp_path / "out")
    assert left(tmp_path / "out") == [("P1", "C2")]
    assert report.counts["without_consent"] == 5
    assert report.tables["without_consent"] == [
        {"refused_by": "another record of the conversation", "records": 3},
        {"refused_by": "the record", "records": 2},
    ]


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("calls/a.jsonl", call("C1", consent="no", turns=[{"speaker": "Zorgon", "text": "hi"}])),
        ("calls/z.jsonl", call("C1", consent=False, groups={f"column {n}": "x" for n in range(51)})),
        ("calls/a.csv", "id,speaker,text,consent\nC1,caller,=1,no\nC1,caller,hello,yes\n"),
        ("calls/z.txt", "Id: C1\nConsent: no\n\nnobody says this\n"),
    ],
)
def test_a_refusal_in_a_record_that_is_set_aside_counts(sources: Path, tmp_path: Path, name: str, refused: str) -> None:
    write(sources, "calls/m.jsonl", call("C1") + call("C2"))
    write(sources, name, refused)
    report = run(sources, tmp_path / "out")
    assert left(tmp_path / "out") == [(None, "C2")]
    assert report.tables["without_consent"] == [{"refused_by": "another record of the conversation", "records": 1}]
    assert all(
        item.keys() <= {"source", "piece", "line", "reason", "detail", "raw"} for item in quarantine(tmp_path / "out")
    )


def test_who_is_named_in_a_record_that_is_set_aside_owns_its_conversation(sources: Path, tmp_path: Path) -> None:
    unread = [{"speaker": "Zorgon", "text": "hi"}]
    write(sources, "calls/a.jsonl", call("C1") + call("C1", patient="P1", turns=unread) + call("C2", patient="P2"))
    write(sources, "calls/b.jsonl", call("C2") + call("C2", patient="P3", turns=unread))
    run(sources, tmp_path / "out")
    assert left(tmp_path / "out") == [("P1", "C1"), ("P2", "C2")]


def test_a_record_without_a_name_is_the_patients_of_its_conversation(sources: Path, tmp_path: Path) -> None:
    write(sources, "calls/a.jsonl", call("C1", "one") + call("C2", "two"))
    write(sources, "calls/b.jsonl", call("C1", "three", patient="P1") + call("C1", "y" * 200, patient="P1") + call(""))
    run(sources, tmp_path / "out", max_record_characters=100)
    assert left(tmp_path / "out") == [("P1", "C1"), (None, "C2"), ("P1", "C1"), (None, None)]


def test_one_without_a_name_among_several_patients_is_set_aside(sources: Path, tmp_path: Path) -> None:
    write(sources, "calls/a.jsonl", call("C1") + call("C1", patient="P1") + call("C1", patient="P2"))
    run(sources, tmp_path / "out")
    assert left(tmp_path / "out") == [("P1", "C1"), ("P2", "C1")]
    assert [(item["line"], item["reason"]) for item in quarantine(tmp_path / "out")] == [(1, NOBODYS)]


def test_a_record_that_names_several_patients_is_set_aside(sources: Path, tmp_path: Path) -> None:
    head, two = "id,speaker,text,patient,consent\n", "C1,caller,hello,P1,yes\nC1,caller,secret of 8,P8,"
    write(sources, "calls/a.csv", head + two + "yes\nC2,caller,hi,P1,yes\n")
    write(sources, "calls/b.jsonl", call("C1", "whose?"))
    report = run(sources, tmp_path / "out")
    assert left(tmp_path / "out") == [("P1", "C2")]
    assert [item["reason"] for item in quarantine(tmp_path / "out")] == [NOBODYS, NOBODYS]
    write(sources, "calls/a.csv", head + two + "no\nC2,caller,hi,P1,yes\n")
    report = run(sources, tmp_path / "again")
    assert left(tmp_path / "again") == [("P1", "C2")]
    assert report.counts["without_consent"] == 2


ANA = {"resourceType": "Patient", "id": "p1", "identifier": [{"value": "MRN-1"}]}
SAYS = {"resourceType": "Communication", "payload": [{"contentString": "Caller: hi"}]}
REFUSES = {"resourceType": "Consent", "status": "active", "provision": {"type": "deny"}}
AGREES = REFUSES | {"provision": {"type": "permit"}}


def of(address: str) -> dict[str, str]:
    return {"reference": address}


def bundled(*resources: dict[str, Any], url: str = "") -> str:
    entries = [{"resource": resource} | ({"fullUrl": url} if url else {}) for resource in resources]
    return json.dumps({"resourceType": "Bundle", "entry": entries})


@pytest.mark.parametrize("name", ["0.json", "z.json"])  # read before the records, and after them
@pytest.mark.parametrize(
    "refused",
    [
        bundled(REFUSES | {"patient": of("Patient/p1")}),
        bundled(REFUSES | {"patient": of("https://h.example/fhir/Patient/p1/_history/3")}),
        bundled(REFUSES | {"patient": {"identifier": {"value": "MRN-1"}}}),
        bundled(ANA | {"id": "p9"}, REFUSES | {"patient": of("Patient/p9")}),
        json.dumps(ANA) + "\n" + json.dumps(REFUSES | {"patient": of("Patient/p1")}) + "\n",
        json.dumps(REFUSES | {"patient": of("Patient/p1"), "status": "inactive"}),
    ],
)
@pytest.mark.parametrize("lines", [True, False])
def test_a_fhir_consent_that_refuses_counts_in_every_file(
    sources: Path, tmp_path: Path, name: str, refused: str, lines: bool
) -> None:
    said = SAYS | {"subject": of("Patient/p1"), "encounter": of("Encounter/e1")}
    agreed = AGREES | {"patient": of("Patient/p1")}
    write(sources, "calls/m.json", bundled(ANA, said, agreed))
    write(sources, "calls/n.jsonl", call("C1", patient="MRN-1") + call("C1") + call("e1") + call("C2", patient="MRN-2"))
    write(sources, f"calls/{name.replace('json', 'ndjson') if lines else name}", refused)
    report = run(sources, tmp_path / "out", rules=[RULES[1].model_copy(update={"consent": True})])
    assert left(tmp_path / "out") == [("MRN-2", "C2")]
    assert {row["refused_by"]: row["records"] for row in report.tables["without_consent"]} == {
        "another record of the conversation": 2, "a FHIR Consent": 2
    }  # fmt: skip


@pytest.mark.parametrize("name", ["m.json", "z.json"])
def test_a_fhir_consent_of_any_patient_of_a_thread_counts(sources: Path, tmp_path: Path, name: str) -> None:
    root = {"partOf": [of("Communication/root")]}
    thread = [SAYS | root | {"id": f"m{n}", "subject": of(f"Patient/{who}")} for n, who in enumerate((7, 8))]
    refused = REFUSES | {"patient": of("Patient/8")}
    write(sources, "calls/m.json", bundled(*thread, *([refused] if name == "m.json" else [])))
    if name != "m.json":
        write(sources, f"calls/{name}", bundled(refused))
    write(sources, "calls/n.jsonl", call("root"))
    report = run(sources, tmp_path / "out", rules=[RULES[1].model_copy(update={"consent": True})])
    assert left(tmp_path / "out") == []
    assert report.counts["without_consent"] == 2


def test_a_fhir_consent_that_permits_counts_in_its_own_bundle_only(sources: Path, tmp_path: Path) -> None:
    write(sources, "calls/a.json", bundled(AGREES | {"patient": of("Patient/p1")}))
    write(sources, "calls/b.json", bundled(ANA, SAYS | {"subject": of("Patient/p1")}))
    assert run(sources, tmp_path / "out").counts["without_consent"] == 1


def test_patients_are_found_by_the_addresses_in_their_bundles(sources: Path, tmp_path: Path) -> None:
    write(sources, "calls/a.json", bundled(ANA, url="urn:uuid:1"))
    write(sources, "calls/b.json", bundled(REFUSES | {"patient": of("urn:uuid:1")}))
    write(sources, "calls/c.jsonl", call("C1", patient="MRN-1") + call("C2", patient="MRN-2"))
    run(sources, tmp_path / "out")
    assert left(tmp_path / "out") == [("MRN-2", "C2")]


def test_ids_of_patients_do_not_stand_for_numbers_of_others(sources: Path, tmp_path: Path) -> None:
    people = [ANA | {"id": str(n), "identifier": [{"value": str(n + 1)}]} for n in range(1, 6)]
    write(sources, "calls/a.json", bundled(*people, REFUSES | {"patient": of("Patient/2")}))
    write(sources, "calls/b.jsonl", "".join(call(f"C{n}", patient=str(n)) for n in range(1, 7)))
    run(sources, tmp_path / "out")
    assert [patient for patient, _ in left(tmp_path / "out")] == ["1", "4", "5", "6"]


def test_a_chain_of_patients_who_share_identifiers_is_followed_in_linear_time(tmp_path: Path) -> None:
    def read(patients: int) -> Refusals:
        numbers = [[{"value": f"n{n}"}, {"value": f"n{n + 1}"}] for n in range(patients)]
        people = [ANA | {"id": f"p{n}", "identifier": shared} for n, shared in enumerate(numbers)]
        path = tmp_path / "a.json"
        path.write_text(bundled(*people, REFUSES | {"patient": {"identifier": {"value": f"n{patients}"}}}))
        refusals = Refusals()
        refusals.read(SourceFile(path, path.name, Limits()), "fhir")
        return refusals

    known = read(20_000)
    assert seconds(lambda: known.numbers(), most=2) < 2
    assert known.numbers() == {f"n{n}" for n in range(20_001)} | {f"p{n}" for n in range(20_000)}


def test_a_fhir_consent_that_refuses_for_nobody_is_set_aside(sources: Path, tmp_path: Path) -> None:
    write(sources, "calls/a.json", bundled(REFUSES, AGREES))
    run(sources, tmp_path / "out")
    assert [(item["line"], item["reason"]) for item in quarantine(tmp_path / "out")] == [
        (1, "a Consent that refuses and names no patient")
    ]


def test_a_contained_patient_and_an_identifier_refuse_as_well(sources: Path, tmp_path: Path) -> None:
    inside = REFUSES | {"patient": of("#me"), "contained": [ANA | {"id": "me"}]}
    write(sources, "calls/a.json", bundled(inside, REFUSES | {"patient": of("Patient?identifier=urn:mrn|MRN-2")}))
    write(sources, "calls/b.jsonl", "".join(call(f"C{n}", patient=f"MRN-{n}") for n in (1, 2, 3)))
    run(sources, tmp_path / "out")
    assert left(tmp_path / "out") == [("MRN-3", "C3")]


def test_a_refusal_under_a_key_of_another_case_beats_the_rule(sources: Path, tmp_path: Path) -> None:
    write(sources, "calls/a.csv", "Id,Patient,Consent,Text\nC1,P1,no,Caller: hi\nC2,P2,yes,Caller: hi\n")
    run(sources, tmp_path / "out", rules=[RULES[1].model_copy(update={"consent": True})])
    assert left(tmp_path / "out") == [("P2", "C2")]


def test_records_without_a_patient_and_fields_that_no_record_has_are_told(sources: Path, tmp_path: Path) -> None:
    rule = SourceRule(
        files="calls/*", kind="transcript", licence="own", consent=True,
        fields={"conversation": "id", "consent": "agred", "patient": "MRN", "speaker": "who"},
        groups={"sex": "gender", "age_band": "age group"},
    )  # fmt: skip
    unread = SourceRule(files="other/*", kind="note", fields={"patient": "x"})
    lines = [call(f"C{n}", turns=[{"Who": "caller", "text": "hi"}]) for n in range(19)]
    lines.append(call("C19", mrn="P1", Age_Group="", turns=[{"who": "Zorgon", "text": "hi"}]))
    write(sources, "calls/a.jsonl", "".join(lines) + "broken\n")
    write(sources, "faq/b.csv", "question,answer\nWhen?,At 8.\n")
    rules = [RULES[0], rule, unread]
    whole = run(sources, tmp_path / "whole", rules=rules)
    assert whole.counts["without_patient"] == 19
    assert whole.tables["fields_never_seen"] == [
        {"rule": "calls/*", "named_under": "fields", "field": "consent", "key": "agred", "records": 20},
        {"rule": "calls/*", "named_under": "groups", "field": "sex", "key": "gender", "records": 20},
    ]
    parts = [run(sources, tmp_path / f"part{n}", rules=rules, shard=(n, 3)) for n in (1, 2, 3)]
    assert join_reports(parts).counts == whole.counts
    assert join_reports(parts).tables == whole.tables


def test_shards_know_what_stands_in_other_shards(sources: Path, tmp_path: Path) -> None:
    write(sources, "calls/a.jsonl", "".join(call(f"C{n}", patient=f"MRN-{n % 5}") for n in range(30)))
    write(sources, "calls/b.jsonl", call("C7", consent=False) + call("C8"))
    write(sources, "calls/c.json", bundled(REFUSES | {"patient": {"identifier": {"value": "MRN-1"}}}))
    whole = run(sources, tmp_path / "whole")
    parts = [run(sources, tmp_path / f"part{n}", shard=(n, 3)) for n in (1, 2, 3)]
    found = [one for n in (1, 2, 3) for one in read_records(tmp_path / f"part{n}" / RECORDS)]
    assert sorted(found, key=lambda r: (r.source, r.place)) == list(read_records(tmp_path / "whole" / RECORDS))
    assert join_reports(parts).counts == whole.counts
    assert join_reports(parts).tables == whole.tables


def test_what_is_too_much_of_a_record_is_set_aside(sources: Path, tmp_path: Path) -> None:
    turns = [{"speaker": ("caller", "agent")[n % 2], "text": "x"} for n in range(11)]
    write(sources, "calls/a.jsonl", call("C1", "y" * 200) + call("C2", turns=turns) + call("C3", "\x07"))
    run(sources, tmp_path / "out", max_turns=10, max_record_characters=100)
    assert [item["reason"] for item in quarantine(tmp_path / "out")] == [
        "record too long", "too many turns", "no text"
    ]  # fmt: skip


def test_identifying_output_is_its_owners_alone(sources: Path, tmp_path: Path) -> None:
    write(sources, "calls/a.jsonl", call("C1"))
    run(sources, tmp_path / "out")
    for name in (RECORDS, QUARANTINE):
        assert stat.S_IMODE((tmp_path / "out" / name).stat().st_mode) == 0o600


def test_a_report_holds_no_word_of_a_record(sources: Path, tmp_path: Path) -> None:
    write(
        sources, "calls/zanele-mokoena.jsonl", call("Zanele", "Zanele Mokoena", topic="Zanele", licence="Zanele") + "{"
    )
    write(sources, "calls/zanele.docx", b"Zanele")
    report = run(sources, tmp_path / "out")
    assert "zanele" not in report.model_dump_json().casefold()


def test_shards_part_conversations_and_add_up(sources: Path, tmp_path: Path) -> None:
    lines = [call(f"C{n % 20}", f"turn {n}", patient=f"P{n % 7}") for n in range(60)]
    write(sources, "calls/a.jsonl", "".join(lines) + "\n".join(["broken"] * 9) + "\n")
    write(sources, "faq/b.csv", "question,answer\n" + "".join(f"When {n}?,At {n}.\n" for n in range(20)))
    whole = run(sources, tmp_path / "whole")
    parts = [run(sources, tmp_path / f"part{n}", shard=(n, 3)) for n in (1, 2, 3)]
    found = [list(read_records(tmp_path / f"part{n}" / RECORDS)) for n in (1, 2, 3)]
    everything = sorted((record for part in found for record in part), key=lambda r: (r.source, r.place))
    assert everything == list(read_records(tmp_path / "whole" / RECORDS))
    conversations = [{r.conversation for r in part if r.conversation} for part in found]
    assert sum(map(len, conversations)) == 20
    assert min(map(len, found)) > 5
    for name, count in whole.counts.items():
        assert sum(part.counts[name] for part in parts) == count, name
    assert sum(part.records_in for part in parts) == whole.records_in


def test_links_and_order_of_names(sources: Path) -> None:
    write(sources, "calls/b.jsonl", "x")
    write(sources, "calls/a.jsonl", "x")
    write(sources, "faq/README.md", "x")
    names = [name for name, _, _ in source_files(sources, ["*.md"])]
    assert names == ["calls/a.jsonl", "calls/b.jsonl"]
    with pytest.raises(ConfigurationError, match="does not exist"):
        list(source_files(sources / "nowhere", []))


MEMORY = """
import resource, sys
from pathlib import Path
from app.contracts.site import load_site
from training.curate.ingest import Ingest, Options
from training.curate.stages import Context
sources, out = map(Path, sys.argv[1:])
options = Options.model_validate({"sources": [{"files": "*", "kind": "transcript", "licence": "x", "consent": True}]})
context = Context(site=load_site(Path("demo")), articles=sources, options=options)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
Ingest().run(sources, out, context)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_huge_line_and_a_huge_file_cost_no_memory(tmp_path: Path) -> None:
    sources, out = tmp_path / "sources", tmp_path / "out"
    sources.mkdir()
    out.mkdir()
    for name in ("line.jsonl", "file.json"):
        with (sources / name).open("wb") as file:
            file.write(b'{"text": "')
            for _ in range(150):
                file.write(b"x" * (1 << 20))
    with (sources / "rows.csv").open("wb") as file:
        file.write(b"id,text\n")
        for _ in range(40_000):
            file.write(b'C1,"Caller: ' + b"a" * 500 + b"\n")
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(sources), str(out)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 60_000, "kilobytes more than before"
    reasons = {item["source"]: item["reason"] for item in quarantine(out)}
    assert reasons["line.jsonl"] == "line too long"
    assert reasons["file.json"] == "file too large"
