from __future__ import annotations

import json
import shutil
from pathlib import Path
from random import Random

import pytest
import yaml

from app.contracts.site import load_site
from app.errors import ConfigurationError
from tests.unit.training.curate.edited_pairs import EDITS, Pair, call, edited, make, pairs
from training.curate.copies import compare, parts
from training.curate.deduplicate import CLUSTERS, Deduplicate, Found, Member, Options, find
from training.curate.ingest import Ingest
from training.curate.ingest import Options as IngestOptions
from training.curate.records import Kind, Record, Turn, read_records, record_line
from training.curate.signatures import Signature, sign
from training.curate.stages import RECORDS, Context
from training.curate.statements import Names
from training.curate.words import words

DEMO = Path("demo")
ANSWER = "Take 2 tablets of ibuprofen on Monday with food, and call 515-555-0120 if the pain does not go away."
QUESTION = "How many of the pain pills may I have after my knee operation?"


@pytest.fixture(scope="module")
def names() -> Names:
    return Names.load(load_site(DEMO))


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    articles = tmp_path_factory.mktemp("articles")
    shutil.copy(DEMO / "articles" / "acetaminophen-safety.md", articles)
    return Context(site=load_site(DEMO), articles=articles, options=Options())


def faq(answer: str = ANSWER, question: str = QUESTION, kind: Kind = "faq", **fields: object) -> Record:
    turns = [Turn(speaker="patient", text=question), Turn(speaker="staff", text=answer)]
    return make(kind, turns, Random(f"{answer}{question}{fields}"), **fields)


def signed(records: list[Record]) -> list[Signature]:
    vocabulary = frozenset(words(f"{ANSWER} {QUESTION}"))
    return [sign(record, vocabulary) for record in records]


def found_in(records: list[Record], names: Names) -> Found:
    return find(signed(records), records.__getitem__, names, Options())


def copies(records: list[Record], names: Names) -> dict[str, str]:
    return {member.record: member.copy_of for member in found_in(records, names).members if member.copy_of}


def write(records: list[Record], folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / RECORDS).write_text("".join(map(record_line, records)), encoding="utf-8")
    return folder


def run(source: Path, out: Path, context: Context) -> dict[str, bytes]:
    out.mkdir()
    Deduplicate().run(source, out, context)
    return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


def test_two_records_of_one_id_are_refused(tmp_path: Path, context: Context) -> None:
    one = faq()
    source = write([one, one], tmp_path / "in")
    with pytest.raises(ConfigurationError, match=f"two records have the id {one.id}; remove its folder"):
        run(source, tmp_path / "out", context)


@pytest.mark.parametrize("side", ["development", "held_out"])
def test_edited_copies_are_found_and_look_alikes_stay(side: str, names: Names) -> None:
    """Goal: >= 95 % of copies with 10 to 20 % of their words edited, <= 1 % false. The held-out kinds of edit, articles
    and phrases were not looked at while the thresholds were chosen."""
    made = pairs(side, 120, seed=11)

    def merged(pair: Pair) -> bool:
        return bool(copies([pair.first, pair.second], names))

    same, other = [pair for pair in made if pair.same], [pair for pair in made if not pair.same]
    missed = [pair.how for pair in same if not merged(pair)]
    wrong = [pair.how for pair in other if merged(pair)]
    assert len(missed) <= 0.05 * len(same), missed
    assert len(wrong) <= 0.01 * len(other), wrong


@pytest.mark.parametrize(
    ("what", "answer"),
    [
        ("figures", ANSWER.replace("2 tablets", "3 tablets")),
        ("figures", ANSWER.replace("0120", "0121")),
        ("figures", ANSWER.replace("Monday", "Friday")),
        ("figures", ANSWER.replace("2 tablets", "2 hours")),
        ("drugs", ANSWER.replace("ibuprofen", "naproxen")),
        ("drugs", ANSWER.replace("ibuprofen", "Advil")),
        ("drugs", ANSWER.replace("with food", "with warfarin")),
        ("negations", ANSWER.replace("Take", "Do not take")),
        ("negations", ANSWER.replace("does not", "does")),
        ("sides", ANSWER.replace("Take", "For the left knee take")),
        ("places", ANSWER.replace("Take", "Cardiology says: take")),
    ],
)
def test_other_statements_are_no_copies_but_one_cluster(what: str, answer: str, names: Names) -> None:
    first = {"sides": "For the right knee take", "places": "Imaging says: take"}.get(what, "Take")
    found = found_in([faq(ANSWER.replace("Take", first)), faq(answer)], names)
    assert found.reasons == {what: 1}
    assert [member.relation for member in found.members] == ["kin", "kin"]
    assert len({member.cluster for member in found.members}) == 1


@pytest.mark.parametrize(
    "answer",
    [
        ANSWER.replace("ibuprofen", "ibuprofin"),
        ANSWER.replace("ibuprofen", "ibuprofeno"),
        ANSWER.replace("2 tablets", "two tablets"),
        ANSWER.replace("does not", "doesn't"),
        ANSWER.replace("515-555-0120", "(515) 555-0120"),
        ANSWER.replace("on Monday ", ""),
    ],
)
def test_the_same_statement_in_other_words_is_a_copy(answer: str, names: Names) -> None:
    assert len(copies([faq(), faq(answer)], names)) == 1


def test_a_lost_negation_among_many_edits_is_an_edit_save_in_a_faq(names: Names) -> None:
    text = (
        "I called on the first day because my leg felt warm and the nurse did not ring me back until the evening, so I "
        "went to bed early and hoped that it would be better when the sun came up, which it was, more or less"
    )
    hasty = text.replace("did not", "did").replace("called", "phoned").replace("warm", "hot")
    for word in ("because ", "felt ", "early ", "better ", "which ", "evening"):
        hasty = hasty.replace(word, "")
    alone = text.replace("did not", "did")
    cases: list[tuple[Kind, str, int]] = [("transcript", hasty, 1), ("transcript", alone, 0), ("faq", hasty, 0)]
    for kind, changed, copied in cases:
        one, other = (make(kind, [Turn(speaker="patient", text=said)], Random(said)) for said in (text, changed))
        assert len(copies([one, other], names)) == copied


def test_the_demo_sources_copies_are_found_and_nothing_else(tmp_path: Path, names: Names) -> None:
    """Family a was at hand when a rule for "w/o" was added; family b was only counted."""
    settings = yaml.safe_load((DEMO / "curate.yaml").read_text(encoding="utf-8"))["ingest"]
    context = Context(load_site(DEMO), DEMO / "articles", IngestOptions(**settings))
    Ingest().run(DEMO / "transcripts", tmp_path, context)
    records = list(read_records(tmp_path / RECORDS))
    at = {f"{item.source}:{item.place}": item.id for item in records}
    found = copies(records, names)
    key = [json.loads(line) for line in (DEMO / "transcripts" / "key.jsonl").read_text(encoding="utf-8").splitlines()]
    for family in "ab":
        labelled = [
            {at[f"{line['source']}:{line['place']}"], at[line["note"]]}
            for line in key
            if line["defect"] == "near_duplicate" and line["family"] == family
            if f"{line['source']}:{line['place']}" in at and line["note"] in at
        ]
        merged = [pair for pair in labelled if any({name, found.get(name)} == pair for name in pair)]
        assert len(labelled) >= 40
        assert len(merged) >= 0.95 * len(labelled)
    pairs_in_key = [{at.get(f"{line['source']}:{line['place']}"), at.get(line["note"])} for line in key]
    assert sum({name, kept} not in pairs_in_key for name, kept in found.items()) <= 0.01 * len(records)


def test_the_same_answer_to_another_question_is_no_copy(names: Names) -> None:
    other = faq(question="Which medicine helps against a sore throat when you have a cold in winter?")
    assert not copies([faq(), other], names)


def test_the_same_sentences_in_quite_another_order_are_no_copy(names: Names) -> None:
    sentences = [
        "The lab sent your results late.", "Somebody will phone you about parking.", "Our clinic moved upstairs.",
        "Bring the blue folder along.", "Nurses have seen worse scars.", "Your son may wait outside.",
    ]  # fmt: skip
    texts = [" ".join(order) for order in (sentences, sentences[1:] + sentences[:1], sentences[::-1])]
    first, moved, reversed_ = (
        make("note", [Turn(speaker="staff", text=text)], Random(number)) for number, text in enumerate(texts)
    )
    assert copies([first, moved], names)
    assert not copies([first, reversed_], names)


def test_exact_copies_differ_in_case_marks_and_pseudonym_numbers_only(names: Names) -> None:
    one = faq(question="Hi, <PERSON_1> here. Don’t I need a ride?")
    same = faq(question="hi <PERSON_3> here dont I need a ride")
    members = found_in([one, same], names).members
    assert sorted(member.relation for member in members) == ["best", "exact"]


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (faq(resolved=True), faq(resolved=None)),
        (faq(resolved=None), faq(ANSWER + " Bye now.", resolved=False)),
        (faq(), faq(ANSWER.replace("tablets of", "tablts off"))),
        (faq(), faq(ANSWER.replace("with food, ", ""))),
    ],
)
def test_the_best_copy_stays(better: Record, worse: Record, names: Names) -> None:
    for order in ([better, worse], [worse, better]):
        assert copies(order, names) == {worse.id: better.id}


def test_every_dropped_record_was_compared_with_the_one_that_stays(names: Names) -> None:
    rng = Random(4)
    chain = [call("development", rng)]
    for _ in range(8):
        chain.append(edited(chain[-1], EDITS["development"]["replaced"], 0.18, rng))
    dropped = copies(chain, names)
    by_id = {record.id: record for record in chain}
    assert dropped
    assert len(dropped) < len(chain) - 1
    for copy, kept in dropped.items():
        assert kept not in dropped
        likeness = compare(parts(by_id[copy], names), parts(by_id[kept], names), 0.76, names)
        assert likeness.share >= 0.76
        assert likeness.even


def test_an_exact_copy_of_a_near_copy_points_at_what_stays(names: Names) -> None:
    best, near = faq(resolved=True), faq(ANSWER.replace("with food", "with some food"))
    again = near.model_copy(update={"id": "zz", "place": 7})
    assert set(copies([again, near, best], names).values()) == {best.id}


def corpus(count: int, seed: int = 3) -> list[Record]:
    rng = Random(seed)
    records: list[Record] = []
    while len(records) < count:
        records.append(call("development", rng))
        if rng.random() < 0.4:
            records.append(edited(records[-1], EDITS["development"]["mixed"], 0.15, rng))
    return records


def test_the_order_of_records_decides_nothing(names: Names) -> None:
    records = corpus(30)
    shuffled = records[:]
    Random(1).shuffle(shuffled)
    assert found_in(records, names) == found_in(shuffled, names)


def test_the_stage_writes_the_same_bytes_with_two_workers_and_counts_everything(
    tmp_path: Path, context: Context
) -> None:
    source = write(corpus(40), tmp_path / "in")
    one = run(source, tmp_path / "one", context)
    two = run(source, tmp_path / "two", Context(context.site, context.articles, Options(), workers=2))
    assert one == two
    (tmp_path / "again").mkdir()
    report = Deduplicate().run(source, tmp_path / "again", context)
    dropped = report.counts["exact_copies_dropped"] + report.counts["near_copies_dropped"]
    assert report.records_in == len(list(read_records(source / RECORDS)))
    assert report.records_out == report.records_in - dropped == len(one[RECORDS].splitlines())
    assert dropped > 5
    members = [Member.model_validate_json(line) for line in one[CLUSTERS].splitlines()]
    assert sum(bool(member.copy_of) for member in members) == dropped
    assert all(member.patient for member in members if member.relation == "best")


def test_no_records_are_no_fault(tmp_path: Path, context: Context) -> None:
    assert run(write([], tmp_path / "in"), tmp_path / "out", context)[CLUSTERS] == b""
