from __future__ import annotations

import json
import shutil
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from app.contracts.site import Site, load_site
from app.errors import ConfigurationError
from training.curate.components import Components
from training.curate.deduplicate import CLUSTERS, Member
from training.curate.grams import ROW, Spill, gram_hashes, known, word_hashes
from training.curate.overlap import Reader, spelled
from training.curate.publish import SIDES, article_side
from training.curate.records import Record, read_records, record_line
from training.curate.split import Options, Split, _require_apart, keys, side_of
from training.curate.stages import RECORDS, Context, StageReport
from training.curate.words import words

DEMO = Path("demo")
QUOTE = "Adults should not take more than 4,000 milligrams of acetaminophen in 24 hours from all products together."


@cache
def _site() -> Site:
    return load_site(DEMO)


@pytest.fixture(scope="module")
def articles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("articles")
    shutil.copy(DEMO / "articles" / "acetaminophen-safety.md", folder)
    assert QUOTE in (folder / "acetaminophen-safety.md").read_text(encoding="utf-8")
    return folder


def record(name: str, *turns: tuple[str, str], **fields: object) -> Record:
    said = [{"speaker": speaker, "text": text} for speaker, text in turns or [("patient", f"words of {name}")]]
    return Record.model_validate({"id": name, "kind": "transcript", "source": "s", "place": 1, "turns": said, **fields})


def split(
    records: Sequence[Record],
    articles: Path,
    options: Options | None = None,
    members: Sequence[Member] = (),
    *,
    seed: int = 7,
    workers: int = 1,
) -> tuple[dict[str, Record], StageReport]:
    with TemporaryDirectory() as folder:
        source, out = Path(folder) / "in", Path(folder) / "out"
        source.mkdir()
        out.mkdir()
        (source / RECORDS).write_text("".join(map(record_line, records)), encoding="utf-8")
        (source / CLUSTERS).write_text("".join(f"{json.dumps(m.model_dump())}\n" for m in members))
        context = Context(_site(), articles, options or Options(articles="shared"), seed=seed, workers=workers)
        report = Split().run(source, out, context)
        assert [path.name for path in out.iterdir()] == [RECORDS]
        return {item.id: item for item in read_records(out / RECORDS)}, report


def sides(found: dict[str, Record]) -> dict[str, str]:
    return {name: item.side for name, item in found.items()}


def runs(item: Record, length: int, speaker: str = "") -> set[tuple[str, ...]]:
    """All runs of a record, or of what one side of it says, the plain way."""
    turns = [words(turn.text) for turn in item.turns if speaker in ("", turn.speaker)]
    return {tuple(turn[at : at + length]) for turn in turns for at in range(len(turn) - length + 1)}


names = st.sampled_from("abcdefghijklmnopqrstuvwxyz")
maybe = st.none() | names
text = st.lists(st.sampled_from("red green blue one two three".split()), min_size=1, max_size=9).map(" ".join)
drafts = st.lists(st.tuples(maybe, maybe, maybe, maybe, st.lists(text, min_size=1, max_size=3)), max_size=25)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drafts=drafts, standard=st.sampled_from([2, 3, 10**9]), seed=st.integers(0, 5))
def test_nothing_lies_on_two_sides(
    articles: Path,
    drafts: list[tuple[str | None, str | None, str | None, str | None, list[str]]],
    standard: int,
    seed: int,
) -> None:
    records, members = [], []
    for number, (patient, conversation, cluster, origin, said) in enumerate(drafts):
        turns = [("staff" if at % 2 else "patient", line) for at, line in enumerate(said)]
        records.append(
            record(
                f"r{number}", *turns, patient=patient, conversation=conversation, origin=f"r{origin}" if origin else ""
            )
        )
        if cluster:
            members.append(Member(cluster=cluster, record=f"r{number}", relation="kin", patient=patient))
    options = Options(run=5, standard=standard, validation=0.3, held_out=0.3, largest=1, articles="shared")
    found, report = split(records, articles, options, members, seed=seed)
    assert report.records_in == len(records)
    assert report.records_out == len(found) == len(records) - report.counts["dropped_for_words_of_another_side"]
    tied: defaultdict[str, set[str]] = defaultdict(set)
    for item in found.values():
        for key in keys(item):
            tied[key].add(item.side)
    for member in members:
        if member.record in found:
            tied[f"cluster {member.cluster}"].add(found[member.record].side)
    assert all(len(on) == 1 for on in tied.values())
    asked_on: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
    for item in found.values():
        for run in runs(item, 5, "patient"):
            asked_on[run].add(item.side)
    assert all(len(on) == 1 for on in asked_on.values())
    if standard == 10**9:
        assert len(found) == len(records), "what is joined needs no leaving out"
        said_on: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
        for item in found.values():
            for run in runs(item, 5):
                said_on[run].add(item.side)
        assert all(len(on) == 1 for on in said_on.values())


@given(st.lists(st.tuples(names, names), max_size=40), st.randoms(use_true_random=False))
def test_components_do_not_depend_on_the_order_of_joining(pairs: list[tuple[str, str]], rng: Random) -> None:
    one, other = Components(), Components()
    for pair in pairs:
        one.join(*pair)
    shuffled = [pair[::-1] for pair in pairs]
    rng.shuffle(shuffled)
    for pair in shuffled:
        other.join(*pair)
    for member in one:
        assert one.smallest(member) == other.smallest(member) <= member
    for first, second in pairs:
        assert one.smallest(first) == one.smallest(second)


@given(st.lists(st.sampled_from("abc"), max_size=12), st.lists(st.sampled_from("abc"), max_size=12))
def test_runs_have_equal_numbers_if_their_words_are_equal(first: list[str], second: list[str]) -> None:
    numbers: dict[int, tuple[str, ...]] = {}
    for said in (first, second):
        for at, number in enumerate(gram_hashes(word_hashes(said), 3)):
            assert numbers.setdefault(int(number), tuple(said[at : at + 3])) == tuple(said[at : at + 3])
    assert len(set(numbers.values())) == len(numbers)


def _corpus(count: int, first: int = 0) -> list[Record]:
    rng = Random(1)
    return [
        record(
            f"r{n}", ("patient", f"my question number {n} is about thing{n}"), patient=f"p{rng.randrange(10**9):09}-{n}"
        )
        for n in range(first, first + count)
    ]


SHARES = Options(validation=0.15, held_out=0.1, articles="shared")


def test_shares_come_near_their_targets_and_the_seed_moves_the_sides(articles: Path) -> None:
    records = _corpus(1500)
    found, report = split(records, articles, SHARES)
    shares = Counter(item.side for item in found.values())
    assert shares["held_out"] == pytest.approx(150, abs=40)
    assert shares["validation"] == pytest.approx(225, abs=45)
    assert {row["side"]: row["records"] for row in report.tables["sides"]} == dict(shares)
    other, _ = split(records, articles, SHARES, seed=8)
    assert sides(other) != sides(found)


def test_added_data_moves_nothing_that_it_is_not_tied_to(articles: Path) -> None:
    records = _corpus(300)
    records += [
        record(f"f{n}", ("patient", f"what of thing {n}"), ("staff", f"it is so {n}"), kind="faq") for n in range(99)
    ]
    before, _ = split(records, articles)
    more = [record(f"n{n}", patient=item.patient) for n, item in enumerate(records[:200])]
    moved = [item.model_copy(update={"id": f"x{item.id}", "place": item.place + 5}) for item in records[300:]]
    after, _ = split([*_corpus(100, first=300), *more, *moved, *records[:300]], articles)
    assert all(after[item.id].side == before[item.id].side for item in records[:300])
    assert all(after[f"x{item.id}"].side == before[item.id].side for item in records[300:])
    assert all(after[f"n{n}"].side == before[item.id].side for n, item in enumerate(records[:200]))


def test_a_quotation_from_an_article_ties_nobody(articles: Path) -> None:
    """Two calls in which staff read out the same sentence, each after words of its own."""
    reader = Reader(articles, 13)
    quoting = [record(name, ("staff", f"{name} says hello. {QUOTE} Thank you {name}.")) for name in ("ann", "bob")]
    assert not np.intersect1d(reader.runs(quoting[0]), reader.runs(quoting[1])).size
    asked = [record(name, ("patient", f"{name} asks. {QUOTE}")) for name in ("ann", "bob")]
    assert np.intersect1d(reader.runs(asked[0]), reader.runs(asked[1])).size


OWN = "so the blue car was parked beside the old mill when my brother in law came home"


def test_a_shared_run_ties_two_calls_and_many_make_a_standard_sentence(articles: Path) -> None:
    options = Options(validation=0.3, held_out=0.3, articles="shared")
    pairs = [[record(f"{m}{n}", ("patient", f"{m}{n} {OWN} {n}"), patient=f"{m}{n}") for m in "ab"] for n in range(30)]
    for pair in pairs[-8:]:
        found, report = split(pair, articles, options)
        assert len(set(sides(found).values())) == 1
        assert report.counts["joined_by_shared_runs"] == 1
    assert report.examples[0]["words"] in f"{OWN} 29"
    everyone = [item for pair in pairs for item in pair]
    found, report = split(everyone, articles, options)
    assert report.counts["standard_runs_not_counted"] == len(words(OWN)) - 12
    assert report.counts["joined_by_shared_runs"] == 30
    assert set(sides(found).values()) == {"train"}, "patients of other sides say what was trained on"
    assert report.counts["dropped_for_words_of_another_side"] == len(everyone) - len(found) > 0


def test_staff_may_say_a_standard_sentence_on_every_side(articles: Path) -> None:
    options = Options(validation=0.3, held_out=0.3, articles="shared")
    everyone = [
        record(f"n{n}", ("patient", f"n{n} asks"), ("staff", f"n{n} {OWN} {n}"), patient=f"n{n}") for n in range(30)
    ]
    found, report = split(everyone, articles, options)
    assert set(sides(found).values()) == set(SIDES)
    assert report.counts["dropped_for_words_of_another_side"] == 0


def test_a_copy_that_was_left_out_still_ties_its_patient(articles: Path) -> None:
    options = Options(validation=0.3, held_out=0.3, articles="shared")
    for n in range(8):
        kept, other = record("kept", patient=f"p{n}"), record("other", patient=f"q{n}")
        members = [
            Member(cluster="c", record="kept", relation="best", patient=f"p{n}"),
            Member(cluster="c", record="gone", relation="near", copy_of="kept", patient=f"q{n}"),
        ]
        found, _ = split([kept, other], articles, options, members)
        assert found["kept"].side == found["other"].side


def test_a_counterfactual_copy_stays_with_its_source(articles: Path) -> None:
    options = Options(validation=0.3, held_out=0.3, articles="shared")
    for n in range(8):
        copy = record("copy", ("patient", "something else"), origin="source")
        found, _ = split([record("source", patient=f"p{n}"), copy], articles, options)
        assert found["source"].side == found["copy"].side


def test_a_component_too_large_for_chance_is_training_data(articles: Path) -> None:
    seeds = range(8)
    family = [record(f"f{n}", conversation="c1") for n in range(30)]
    records = [*family, *_corpus(100)]
    options = Options(validation=0.4, held_out=0.4, largest=0.2, articles="shared")
    reports = [split(records, articles, options, seed=seed) for seed in seeds]
    assert all(found["f0"].side == "train" for found, _ in reports)
    assert all(report.counts["kept_in_training_for_their_size"] == 30 for _, report in reports)
    free = options.model_copy(update={"largest": 1.0})
    assert any(split(records, articles, free, seed=seed)[0]["f0"].side != "train" for seed in seeds)


def test_a_component_follows_the_article_that_it_asks_about(articles: Path) -> None:
    """Publish gives this article to the held-out side, so whoever asks about it is to lie there."""
    assert article_side("acetaminophen-safety") == "held_out"
    asking = [
        record(f"a{n}", ("patient", "How much acetaminophen may adults take in a day?"), ("staff", QUOTE), kind="faq")
        for n in range(12)
    ]
    asking = [item.model_copy(update={"patient": f"p{number}"}) for number, item in enumerate(asking)]
    found, report = split([*asking, *_corpus(20)], articles, Options(articles="apart"))
    assert {found[item.id].side for item in asking} == {"held_out"}
    assert {found[f"r{n}"].side for n in range(20)} > {"train"}
    assert report.counts["dialogues_about_articles_of_another_side"] == 0
    shared, _ = split([*asking, *_corpus(20)], articles, Options(articles="shared"))
    assert {shared[item.id].side for item in asking} > {"train"}
    assert sides(shared) | {item.id: "held_out" for item in asking} == sides(found)


def test_two_workers_write_the_same(articles: Path) -> None:
    records = [record(f"{n}", ("patient", f"{OWN} {n}"), ("staff", f"{QUOTE} {n // 2} {OWN[:40]}")) for n in range(90)]
    one, two = split(records, articles), split(records, articles, workers=2)
    assert one == two


def test_groups_are_counted_by_side(articles: Path) -> None:
    records = [record(f"{n}", groups={"sex": "female"} if n else {}, topic="visits", language="en") for n in range(9)]
    found, report = split(records, articles)
    rows = {(row["dimension"], row["group"]): row for row in report.tables["by_group"]}
    assert {key[0] for key in rows} == {"kind", "topic", "language", "sex"}
    sex = rows["sex", "female"]
    assert [sex[side] for side in SIDES] == [
        sum(item.side == side and bool(item.groups) for item in found.values()) for side in SIDES
    ]


def test_without_clusters_nothing_is_split(tmp_path: Path, articles: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / RECORDS).write_text("")
    context = Context(_site(), articles, Options())
    with pytest.raises(ConfigurationError, match="run the stage deduplicate first"):
        Split().run(tmp_path / "in", tmp_path, context)
    (tmp_path / "5-deduplicate").mkdir()
    (tmp_path / "5-deduplicate" / CLUSTERS).write_text("{}\n")
    with pytest.raises(ConfigurationError, match="no member of a cluster"):
        Split().run(tmp_path / "in", tmp_path, context)


def test_the_last_look_finds_a_run_on_two_sides(tmp_path: Path) -> None:
    rows = np.array([(11, 0), (11, 1), (12, 1)], dtype=ROW)
    before = np.arange(2, dtype=np.int64)
    with Spill(tmp_path / "runs") as spilt:
        spilt.add(rows)
        _require_apart(spilt, before, np.zeros(2, dtype=np.int64), Options())
        with pytest.raises(AssertionError, match="1 runs"):
            _require_apart(spilt, before, np.array([0, 2], dtype=np.int64), Options())
    assert not (tmp_path / "runs").exists()


def test_options_leave_something_to_train_on() -> None:
    with pytest.raises(ValidationError, match="nothing to train on"):
        Options(validation=0.5, held_out=0.5)


def test_a_run_is_spelled_from_its_record() -> None:
    item = record("a", ("patient", "short"), ("staff", OWN))
    number = int(gram_hashes(word_hashes(words(OWN)), 13)[2])
    assert spelled(item, number, 13) == " ".join(words(OWN)[2:15])
    assert spelled(item, 1, 13) == ""
    assert known(np.array([3], dtype=np.uint64), np.array([], dtype=np.uint64)).tolist() == [False]


def test_the_side_is_a_function_of_the_name() -> None:
    drawn = Counter(side_of(f"name {n}", 7, Options(validation=0, held_out=0.5)) for n in range(1000))
    assert drawn["validation"] == 0
    assert drawn["held_out"] == pytest.approx(500, abs=60)
