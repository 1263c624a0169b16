"""From curated records to dialogues that fine-tuning reads, and to a version that names itself by its content."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from app.contracts.prompt import NOT_IN_ARTICLES
from app.contracts.site import Site, load_site
from app.errors import ConfigurationError
from training.curate.dataset import (
    FILES,
    HUGGINGFACE,
    Provenance,
    StageEntry,
    find_versions,
    fingerprint,
    read_manifest,
    write_version,
)
from training.curate.exchanges import exchanges, leans, may_lean, without_courtesy
from training.curate.publish import SIDES, Dialogues, Options, Publish, article_side, article_votes, record_of
from training.curate.records import Record, Speaker, Turn, record_id, record_line
from training.curate.stages import RECORDS, Context, StageReport
from training.curate.support import Bounds, Found, Support, terms
from training.finetune.config import load_config
from training.finetune.data import Dialogue, dataset_versions, load_dialogues
from training.finetune.dialogues import held_out

ARTICLES = Path("demo/articles")
SECRET = b"a secret of the hospital"
Said = tuple[Speaker, str]

# Article, question, and what the staff says in words of its own; written by hand for this test.
PARAPHRASES = [
    ("icu-visiting", "icu visiting hours", "The ICU is open to visitors 9 in the morning to 8 at night, every day."),
    ("prior-authorization", "how long do i have to appeal", "With most private plans you've got 180 days to appeal."),
    ("prepare-abdominal-ultrasound", "is ultrasound radiation", "No radiation at all with the abdominal ultrasound."),
    ("transfer-a-prescription", "does it cost to transfer my meds", "No, it's free to transfer a prescription."),
    ("payment-plans", "is there interest", "No interest, and there's no credit check or set-up fee on a payment plan."),
    (
        "parking-and-rates",
        "is er parking free",
        "Emergency patients park in the East Entrance lot free up to 24 hours.",
    ),
]
WRONG = [
    ("icu visiting hours", "The ICU is open to visitors 9 in the morning to 6 at night, every day."),
    ("how do i call security", "If it isn't an emergency, Security is at 515-555-0188."),
    ("how long do i have to appeal", "With most private plans you've got 60 days to appeal."),
    ("no food before a tee", "No solid food for four hours before the TEE, unless your letter says something else."),
]
ELSEWHERE = [
    ("did you get my fax", "I do see a fax from this morning, it has been put in your chart for the doctor."),
    ("what did my x ray show", "The doctor will call you about that tomorrow, I can't read results over the phone."),
    ("is dr lee in today", "Dr. Lee is out until Thursday, I can leave her a message that you called."),
]


@pytest.fixture(scope="module")
def support() -> Support:
    return Support.load(ARTICLES, ignored="Cedar Valley Health")


@pytest.fixture(scope="module")
def site() -> Site:
    return load_site(Path("demo"))


def record(*said: Said, place: int = 1, side: str = "train", **fields: Any) -> Record:
    turns = tuple(Turn(speaker=speaker, text=text) for speaker, text in said)
    values = {
        "id": record_id("calls/a.jsonl", place, turns),
        "kind": "transcript",
        "source": "calls/a.jsonl",
        "place": place,
        "patient": f"{place:020x}",
        "licence": "internal",
        "turns": turns,
        "side": side,
    }
    return Record.model_validate({**values, **fields})


def call(question: str, answer: str, **fields: Any) -> Record:
    return record(("staff", "Hello, how can I help?"), ("patient", question), ("staff", answer), **fields)


def asked(*said: Said) -> list[str]:
    return [exchange.question for exchange in exchanges(record(*said))]


def made(support: Support, one: Record, **options: object) -> list[Dialogue]:
    return Dialogues(support, Options.model_validate({"articles": "shared", **options}), 7)(one).dialogues


# --- which passage says it


@pytest.mark.parametrize(("article", "question", "said"), PARAPHRASES)
def test_a_paraphrase_finds_its_passage(support: Support, article: str, question: str, said: str) -> None:
    found = support.find(question, said)
    assert isinstance(found, Found)
    assert found.section.article_id == article
    assert 1 <= len(found.places) <= 3


@pytest.mark.parametrize(("question", "said"), WRONG)
def test_a_wrong_number_is_no_support(support: Support, question: str, said: str) -> None:
    assert not isinstance(support.find(question, said), Found)


def test_a_wrong_number_beside_the_right_words_is_the_reason(support: Support) -> None:
    said = "ICU visiting hours are 9 a.m. to 6 p.m. every day."
    assert support.find("icu visiting hours", said) == "numbers_differ"
    assert isinstance(support.find("icu visiting hours", said.replace("6", "8")), Found)


@pytest.mark.parametrize(("question", "said"), ELSEWHERE)
def test_what_no_article_says_is_not_linked(support: Support, question: str, said: str) -> None:
    assert isinstance(support.find(question, said), str)


def test_the_opposite_is_no_support(support: Support) -> None:
    article = "Do not shake a dry powder inhaler, and do not breathe out into a dry powder inhaler."
    assert isinstance(support.find("do i shake my powder inhaler", article), Found)
    opposite = "Shake a dry powder inhaler and breathe out into the dry powder inhaler."
    assert support.find("do i shake my powder inhaler", opposite) == "says_the_opposite"


def test_what_an_evaluation_set_asks_gives_no_dialogue(support: Support, tmp_path: Path) -> None:
    _, question, said = PARAPHRASES[0]
    one = call(question, said)
    assert made(support, one)
    items = {"items": [{"id": "a", "turns": ["hello", f"{question.upper()}!"]}]}
    (tmp_path / "items.yaml").write_text(yaml.safe_dump(items), encoding="utf-8")
    kept_out = Dialogues(support, Options(articles="shared", keep_out=(tmp_path,)), 7)(one)
    assert kept_out.dialogues == []
    assert kept_out.counts["left_out_question_of_an_evaluation_set"] == 1
    (tmp_path / "items.yaml").write_text("items: [{id: a}]", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="holds no evaluation items: KeyError"):
        Dialogues(support, Options(keep_out=(tmp_path,)), 7)
    with pytest.raises(ConfigurationError, match=r"mend publish\.keep_out"):
        Dialogues(support, Options(keep_out=(tmp_path / "none",)), 7)


@pytest.mark.parametrize("who", ["my child", "my two year old", "my 8 month old", "a toddler", "my daughter"])
def test_a_dose_for_adults_is_no_answer_about_a_child(support: Support, who: str) -> None:
    said = "Adults should not take more than 4,000 milligrams of acetaminophen in 24 hours from all products together."
    question = "how much acetaminophen can {} take in 24 hours"
    assert isinstance(support.find(question.format("i"), said), Found)
    assert support.find(question.format(who), said) == "other_patient"


def test_only_the_sentences_that_were_said_are_taken(support: Support) -> None:
    said = "You go up the stairs with the good leg first, then bring up the crutches and the sore leg."
    found = support.find("how do i go up stairs on crutches", said)
    assert isinstance(found, Found)
    assert [found.section.sentences[place] for place in found.places] == [
        "Go up the stairs with the good leg first, and then bring up the crutches and the sore leg."
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [("8 a.m.", "8 AM"), ("4,000 mg", "4000 mg"), ("515-555-0120", "(515) 555 0120"), ("ten days", "10 days")],
)
def test_numbers_are_compared_in_one_form(one: str, other: str) -> None:
    assert terms(one) == terms(other)


def test_pseudonyms_are_no_terms() -> None:
    assert terms("<PERSON_1> has called <DATE_2>") == {"call"}


# --- questions that stand alone


def test_greetings_names_and_thanks_are_left_out() -> None:
    text = "Hi there. My name is <PERSON_1>. Okay, that helps. One more thing. Where is the pharmacy?"
    assert without_courtesy(text) == "Where is the pharmacy?"
    assert without_courtesy("Sure, it's <DATE_1>.", asked_who=True) == ""


def test_a_pseudonym_inside_a_question_stays() -> None:
    assert asked(
        ("patient", "Can <PERSON_1> visit me in the ICU?"), ("staff", "The ICU is open 9 to 8 every day.")
    ) == ["Can <PERSON_1> visit me in the ICU?"]


def test_a_reply_to_a_question_of_the_staff_is_joined_to_the_question() -> None:
    found = asked(
        ("patient", "I have to get my pills refilled."),
        ("staff", "Which ones?"),
        ("patient", "The blood pressure ones."),
        ("staff", "A prescription with refills left is ready within one business day."),
    )
    assert found == ["I have to get my pills refilled. The blood pressure ones."]


def test_saying_who_one_is_does_not_change_the_question() -> None:
    found = asked(
        ("patient", "What can I eat before a CT scan?"),
        ("staff", "May I have your date of birth?"),
        ("patient", "March the third, nineteen eighty."),
        ("staff", "Stop eating four hours before a CT scan with contrast."),
    )
    assert found == ["What can I eat before a CT scan?"]


def test_a_follow_up_takes_the_question_before_it_along() -> None:
    found = asked(
        ("patient", "When is the gift shop open?"),
        ("staff", "The gift shop is open 9 to 5 Monday to Friday."),
        ("patient", "And on Sunday?"),
        ("staff", "On Sunday the gift shop is open noon to 4."),
    )
    assert found == ["When is the gift shop open?", "When is the gift shop open? And on Sunday?"]


def test_a_question_that_points_at_nothing_is_left_out() -> None:
    assert asked(("patient", "Is it open then?"), ("staff", "The gift shop is open 9 to 5 every day.")) == [""]


def test_remarks_and_small_talk_are_no_exchange() -> None:
    found = asked(
        ("patient", "Where is the pharmacy?"),
        ("staff", "One moment please. Cedar Valley Pharmacy is in the lobby of the Main Building."),
        ("patient", "It's snowing like crazy out here."),
        ("staff", "Stay safe on those roads."),
        ("patient", "Thank you so much."),
        ("staff", "You're welcome, have a good day."),
    )
    assert found == ["Where is the pharmacy?"]


def test_a_remark_does_not_become_part_of_the_question() -> None:
    found = asked(
        ("patient", "Where is the pharmacy?"),
        ("staff", "Cedar Valley Pharmacy is in the lobby of the Main Building."),
        ("patient", "It's snowing like crazy."),
        ("staff", "The plow cleared the Cedar Garage roof this morning."),
    )
    assert found == ["Where is the pharmacy?", "Where is the pharmacy?"]


def test_a_note_has_no_exchange_and_a_faq_entry_one() -> None:
    assert asked(("staff", "Patient was told to stop eating four hours before the scan.")) == []
    assert asked(("patient", "ICU visiting hours"), ("staff", "ICU visiting hours are 9 a.m. to 8 p.m.")) == [
        "ICU visiting hours"
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("And on Sunday?", True), ("Is it free?", True), ("Where is the pharmacy?", False), ("Is there TV there?", True)],
)
def test_leaning(text: str, expected: bool) -> None:
    assert leans(text) is expected


@pytest.mark.parametrize(
    "text", ["And on Sunday?", "  or Monday", "android app", "parking?", "also, where is it", "¿y?"]
)
def test_follow_ups_are_told_as_in_service(text: str) -> None:
    from app.chat import search

    assert may_lean(text) is search.may_lean(text)


@given(st.lists(st.tuples(st.sampled_from(["patient", "staff"]), st.text(max_size=80)), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_any_turns_give_questions_on_one_line_within_the_limit(said: list[Said]) -> None:
    for exchange in exchanges(record(*said)):
        assert len(exchange.question) <= 600
        assert "\n" not in exchange.question
        assert exchange.said


# --- dialogues


def test_the_wanted_answer_is_the_articles_and_cites_it(support: Support) -> None:
    [dialogue] = made(support, call("icu visiting hours", "Sure. It's 9 a.m. to 8 p.m. every day in the ICU."))
    assert dialogue.answer.startswith("ICU visiting hours are 9 a.m. to 8 p.m. every day. The ICU is in")
    assert dialogue.answer.removesuffix(" [1]") in dialogue.passages[0]
    assert (dialogue.article_id, dialogue.kind, dialogue.origin) == ("icu-visiting", "answer", "curated")


def test_an_exchange_without_support_is_counted(support: Support) -> None:
    result = Dialogues(support, Options(articles="shared"), 7)(call(*WRONG[0]))
    assert result.dialogues == []
    assert (result.counts["exchanges"], result.counts["left_out_numbers_differ"]) == (1, 1)
    assert result.line


def test_none_where_no_article_answers_and_the_staff_said_so(support: Support) -> None:
    said = "I'm sorry, I don't have any information about that."
    [dialogue] = made(support, call("can i bring my trampoline named polly", said))
    assert (dialogue.kind, dialogue.answer) == ("none", NOT_IN_ARTICLES)
    assert dialogue.passages[0]
    # An article does answer this: whoever said so was wrong.
    result = Dialogues(support, Options(articles="shared"), 7)(call("is there interest on a payment plan", said))
    assert result.dialogues == []
    assert result.counts["left_out_article_may_answer"] == 1


def test_a_follow_up_about_another_article_is_left_out(support: Support) -> None:
    said = (
        ("patient", "icu visiting hours"),
        ("staff", "ICU visiting hours are 9 a.m. to 8 p.m. every day."),
        ("patient", "And parking?"),
        ("staff", "The first 30 minutes in the Cedar Garage are free."),
    )
    result = Dialogues(support, Options(articles="shared"), 7)(record(*said))
    assert [dialogue.article_id for dialogue in result.dialogues] == ["icu-visiting"]
    assert result.counts["left_out_leaning_question"] == 1


def test_what_may_not_be_published_is_dropped_whole(support: Support) -> None:
    work = Dialogues(support, Options(licences=("internal",)), 7)
    refused, foreign = call(*PARAPHRASES[0][1:], consent=False), call(*PARAPHRASES[0][1:], licence="unknown")
    assert (work(refused).line, dict(work(refused).counts)) == ("", {"dropped_no_consent": 1})
    assert (work(foreign).line, dict(work(foreign).counts)) == ("", {"dropped_licence": 1})


def test_records_in_another_language_are_kept_without_dialogues(support: Support) -> None:
    result = Dialogues(support, Options(), 7)(call(*PARAPHRASES[0][1:], language="es"))
    assert result.line
    assert result.dialogues == []


def test_articles_apart_leaves_out_what_lies_on_another_side(support: Support) -> None:
    side = article_side("icu-visiting")
    other = "held_out" if side != "held_out" else "train"
    work = Dialogues(support, Options(), 7)
    assert len(work(call(*PARAPHRASES[0][1:], side=side)).dialogues) == 1
    assert work(call(*PARAPHRASES[0][1:], side=other)).counts["left_out_article_on_another_side"] == 1


def test_votes_count_the_sides_of_a_records_articles(site: Site, tmp_path: Path) -> None:
    one = call(*PARAPHRASES[0][1:], side="", weight=3.0)
    (tmp_path / RECORDS).write_text(record_line(one) + record_line(call(*ELSEWHERE[0], side="")), encoding="utf-8")
    votes = list(article_votes(tmp_path / RECORDS, Context(site=site, articles=ARTICLES)))
    assert votes == [{article_side("icu-visiting"): 1}, {}]


def test_sides_of_articles_agree_with_the_demo_dialogues() -> None:
    names = [path.stem for path in ARTICLES.glob("*.md")]
    assert {name for name in names if article_side(name) == "held_out"} == {name for name in names if held_out(name)}
    shares = {side: sum(article_side(name) == side for name in names) / len(names) for side in SIDES}
    assert 0.05 < shares["validation"] < 0.16
    assert shares["train"] > 0.7


def test_weights_become_copies_on_the_training_side_only(support: Support) -> None:
    one = call(*PARAPHRASES[0][1:], weight=3.0)
    assert [d.id.count("-") for d in made(support, one)] == [1, 2, 2]
    assert len({d.id for d in made(support, one)}) == 3
    assert len(made(support, one.model_copy(update={"side": "held_out"}))) == 1
    assert len(made(support, one, repeat=False)) == 1
    half = [call(*PARAPHRASES[0][1:], place=place, weight=0.5) for place in range(1, 201)]
    kept = sum(len(made(support, one)) for one in half)
    assert 70 < kept < 130


def test_a_dialogue_names_its_record(support: Support) -> None:
    one = call(*PARAPHRASES[0][1:], weight=2.0)
    assert {record_of(dialogue.id) for dialogue in made(support, one)} == {one.id}


def test_a_record_without_a_side_is_refused(support: Support) -> None:
    with pytest.raises(ConfigurationError, match="run the stage split before publish"):
        Dialogues(support, Options(), 7)(call(*PARAPHRASES[0][1:], side=""))


# --- the stage


def corpus() -> list[Record]:
    sides = ("train", "train", "train", "train", "validation", "held_out")
    return [
        *(
            call(q, a, place=n, side=side)
            for n, ((_, q, a), side) in enumerate(zip(PARAPHRASES, sides, strict=True), 1)
        ),
        call(*ELSEWHERE[0], place=20),
        call(*PARAPHRASES[0][1:], place=21, consent=False),
        record(("staff", "Seen today, doing well."), place=22, kind="note"),
    ]


def run(folder: Path, site: Site, records: Sequence[Record] | None = None, **changes: Any) -> StageReport:
    source, out = folder / "source", folder / "out"
    source.mkdir(parents=True)
    out.mkdir()
    lines = [record_line(one) for one in records or corpus()]
    (source / RECORDS).write_text("".join(lines), encoding="utf-8")
    given: dict[str, Any] = {"options": Options(articles="shared"), "secret": SECRET, **changes}
    context = Context(site=site, articles=ARTICLES, **given)
    return Publish().run(source, out, context)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, site: Site) -> tuple[Path, StageReport]:
    folder = tmp_path_factory.mktemp("published")
    return folder / "out", run(folder, site)


def test_nothing_is_lost_silently(published: tuple[Path, StageReport]) -> None:
    out, report = published
    dropped = sum(count for name, count in report.counts.items() if name.startswith("dropped_"))
    assert report.records_in == report.records_out + dropped == 9
    assert len((out / RECORDS).read_text(encoding="utf-8").splitlines()) == report.records_out
    left = sum(count for name, count in report.counts.items() if name.startswith("left_out_"))
    assert report.counts["exchanges"] == left + report.counts["dialogues_answer"]
    assert {row["side"]: row["answer"] for row in report.tables["sides"]} == {
        "train": 4,
        "validation": 1,
        "held_out": 1,
    }


def test_workers_and_runs_give_the_same_bytes(published: tuple[Path, StageReport], site: Site, tmp_path: Path) -> None:
    report = run(tmp_path, site, workers=2)
    assert report == published[1]
    for name in FILES:
        assert (tmp_path / "out" / name).read_bytes() == (published[0] / name).read_bytes()


# --- versions by content

PROVENANCE = Provenance(
    site="Cedar Valley Health",
    sources={"calls/a.jsonl": "0" * 64},
    decisions={"0123456789abcdef": "accept"},
    secret_fingerprint=fingerprint(SECRET),
)


@pytest.fixture(scope="module")
def version(published: tuple[Path, StageReport], tmp_path_factory: pytest.TempPathFactory) -> Path:
    stages = [StageEntry.of(published[1], Options(articles="shared"))]
    return write_version(published[0], tmp_path_factory.mktemp("v"), PROVENANCE.model_copy(update={"stages": stages}))


def test_the_manifest_tells_where_it_all_came_from(version: Path) -> None:
    manifest = read_manifest(version, verify=True)
    assert version.name == manifest.version[:16]
    assert manifest.counts == {
        "dialogues_answer": 6, "dialogues_held_out": 1, "dialogues_train": 4, "dialogues_validation": 1, "records": 8,
        "records_held_out": 1, "records_train": 6, "records_validation": 1,
    }  # fmt: skip
    assert manifest.licences == {"internal": 8}
    assert manifest.consent == {"given": 8}
    assert manifest.stages[0].options["articles"] == "shared"
    assert manifest.stages[0].counts["dropped_no_consent"] == 1
    assert SECRET.decode() not in (version / "manifest.json").read_text(encoding="utf-8")


def test_the_same_content_is_the_same_version_byte_for_byte(
    published: tuple[Path, StageReport], version: Path, tmp_path: Path
) -> None:
    stages = [StageEntry.of(published[1], Options(articles="shared"))]
    again = write_version(published[0], tmp_path, PROVENANCE.model_copy(update={"stages": stages}))
    assert again.name == version.name
    files = sorted(path.relative_to(version) for path in version.rglob("*") if path.is_file())
    assert {str(path) for path in files} >= {*FILES, "manifest.json", f"{HUGGINGFACE}/data/train.parquet"}
    for path in files:
        assert (again / path).read_bytes() == (version / path).read_bytes(), path
    assert [path.name for path in tmp_path.iterdir()] == [again.name]


@pytest.mark.parametrize("changed", [{"parent": "f" * 64}, {"seed": 8}, {"decisions": {}}, {"sources": {}}])
def test_other_provenance_is_another_version(
    published: tuple[Path, StageReport], tmp_path: Path, changed: dict[str, object]
) -> None:
    one = write_version(published[0], tmp_path, PROVENANCE)
    other = write_version(published[0], tmp_path, PROVENANCE.model_copy(update=changed))
    assert set(find_versions(tmp_path).values()) == {one, other}
    assert len({one, other}) == 2


def test_a_changed_file_is_noticed_and_written_anew(published: tuple[Path, StageReport], tmp_path: Path) -> None:
    folder = write_version(published[0], tmp_path, PROVENANCE)
    whole = (folder / "train.jsonl").read_bytes()
    (folder / "train.jsonl").write_bytes(whole[:-10])
    with pytest.raises(ConfigurationError, match=r"train\.jsonl is missing or was changed"):
        read_manifest(folder, verify=True)
    assert write_version(published[0], tmp_path, PROVENANCE) == folder
    assert (folder / "train.jsonl").read_bytes() == whole


def test_a_changed_manifest_is_refused(published: tuple[Path, StageReport], tmp_path: Path) -> None:
    folder = write_version(published[0], tmp_path, PROVENANCE)
    path = folder / "manifest.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"accept"', '"reject"'), encoding="utf-8")
    with pytest.raises(ConfigurationError, match="its version is not the hash of its fields"):
        read_manifest(folder)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_datasets_loads_it_with_the_messages_that_a_model_is_given(version: Path, tmp_path: Path) -> None:
    from datasets import load_dataset

    loaded = load_dataset(str(version / HUGGINGFACE), cache_dir=str(tmp_path))
    assert {name: len(split) for name, split in loaded.items()} == {"train": 4, "validation": 1, "held_out": 1}
    row, wanted = loaded["train"][0], load_dialogues(version / "train.jsonl")[0]
    assert (row["id"], row["passages"], row["record"]) == (wanted.id, wanted.passages, record_of(wanted.id))
    assert [message["role"] for message in row["messages"]] == ["system", "user", "assistant"]
    assert row["messages"][1]["content"].endswith(f"Question: {wanted.question}")
    assert row["messages"][2]["content"] == wanted.answer


def test_fine_tuning_takes_the_files_and_knows_the_version(version: Path, tmp_path: Path) -> None:
    fields = yaml.safe_load(Path("demo/adapters/support.yaml").read_text(encoding="utf-8"))
    fields |= {"train": str(version / "train.jsonl"), "held_out": str(version / "held_out.jsonl")}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(fields), encoding="utf-8")
    config = load_config(tmp_path / "c.yaml")
    assert len(load_dialogues(config.train)) == 4
    assert dataset_versions([config.train, config.held_out]) == [read_manifest(version).version]


def test_fine_tuning_refuses_a_file_that_is_not_the_versions(version: Path, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes((version / "manifest.json").read_bytes())
    (tmp_path / "train.jsonl").write_text("{}\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="was changed after its dataset version was written"):
        dataset_versions([tmp_path / "train.jsonl"])
    (tmp_path / "manifest.json").write_text(json.dumps({"name": "an adapter's"}), encoding="utf-8")
    assert dataset_versions([tmp_path / "train.jsonl"]) == []


def test_bounds_are_checked() -> None:
    with pytest.raises(ValueError, match="sentences"):
        Bounds(sentences=4)
