from __future__ import annotations

import gzip
import json
import os
import re
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

from app.contracts.passages import Passage
from app.contracts.prompt import NOT_IN_ARTICLES, PromptLimits, render
from app.errors import ConfigurationError
from tests.unit.training.tiny import make_data
from training.demo_model.ahead import ahead
from training.demo_model.batches import IGNORED, NOWHERE, Batch, collate, encode, exercise_batches
from training.demo_model.exercises import ExerciseMaker, Reading, load_facts, load_pages, user_message, word_question
from training.demo_model.guides import ATTENTION, GUIDES, SAMPLED, watching
from training.demo_model.loop import Progressed, Schedule, answer_losses
from training.demo_model.recipe import DemoModelSettings, build, load_settings
from training.demo_model.slots import phone_number
from training.demo_model.sources import FILES, Texts, held_out, read, sentences
from training.demo_model.tokenizer import conversation, load_tokenizer, train_tokenizer
from training.sentences import numbers

TINY = DemoModelSettings(
    minutes=5,
    vocabulary=400,
    hidden=32,
    layers=2,
    heads=4,
    head_size=16,
    intermediate=64,
    guided=0.0,
    circuit=False,
    batch_tokens=2_000,
    longest=512,
    threads=1,
    max_steps=1,
    reading=0.0,
    chunk=16,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("data") / "texts")


@pytest.fixture(scope="module")
def tokenizer(data: Path) -> Tokenizer:
    return train_tokenizer(read(data).plain, vocabulary=400)


def test_every_file_is_read_with_its_credit(data: Path) -> None:
    texts = read(data)
    assert len(texts.credits) == len({credit for _, credit in FILES.values()})
    assert texts.answered
    assert texts.extracts
    assert texts.plain
    assert all(item.sentences[item.target].startswith("Sentence number 4") for item in texts.extracts)


def test_a_missing_folder_or_file_is_named(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not exist"):
        read(tmp_path / "nowhere")
    with pytest.raises(ConfigurationError, match=r"medquad\.jsonl\.gz.*sgd\.jsonl\.gz"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"no gzip", "cannot be read"),
        (gzip.compress(b'{"question": "a"\n', mtime=0), "cannot be read after line 1"),
        (gzip.compress(b'{"question": "a"}\n', mtime=0), "line 1: field missing"),
        (gzip.compress(b"[]\n", mtime=0), "not a JSON object"),
        (gzip.compress(b"", mtime=0), "is empty"),
        (gzip.compress(b'{"question": "a", "answer": "b"}\n', mtime=0)[:-9], "cannot be read"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path: Path, content: bytes, word: str) -> None:
    (tmp_path / "va_faq.jsonl.gz").write_bytes(content)
    with pytest.raises(ConfigurationError, match=word) as caught:
        read(tmp_path, ("va_faq",))
    assert "va_faq" in str(caught.value)


def test_sentences_lose_markup_and_unfit_lengths() -> None:
    found = sentences(
        "## Refills\n\nAsk for a *refill* online. Ok. " + "x" * 400 + ". See [the page](http://a.b) for more."
    )
    assert found == ("Refills Ask for a refill online.", "See the page for more.")


def test_answers_stand_word_for_word_in_their_passage_and_so_do_their_numbers(data: Path) -> None:
    maker = ExerciseMaker(read(data))
    drawn = list(maker.stream("seed", 200, passages=(1, 2, 3, 4)))
    asked = [(reading, one) for reading in drawn for one in reading.asked]
    answered = [(reading, one) for reading, one in asked if one.answer != NOT_IN_ARTICLES]
    assert 0.02 < 1 - len(answered) / len(asked) < 0.25
    for reading, one in answered:
        text, number = re.fullmatch(r"(.*) \[(\d)\]", one.answer, re.DOTALL).groups()  # type: ignore[union-attr]
        passage = reading.passages[int(number) - 1]
        assert text in passage
        assert set(numbers(text)) <= set(numbers(passage))
    assert drawn == list(maker.stream("seed", 200, passages=(1, 2, 3, 4)))
    assert drawn != list(maker.stream("other", 200, passages=(1, 2, 3, 4)))


def test_the_right_passage_is_anywhere(data: Path) -> None:
    drawn = ExerciseMaker(read(data)).stream("seed", 200, passages=(4,))
    places = [one.answer[-2] for reading in drawn for one in reading.asked if one.answer != NOT_IN_ARTICLES]
    assert all(places.count(number) > len(places) * 0.15 for number in "1234")


def test_every_slot_of_written_pages_and_desk_facts_can_be_filled(data: Path) -> None:
    texts = read(data)
    for page in load_pages():
        for seed in range(3):
            assert_filled(ExerciseMaker(texts, [page], []).draw(Random(seed)))
    for fact in load_facts():
        assert_filled(ExerciseMaker(texts, [], [fact]).draw(Random(1)))


def assert_filled(reading: Reading) -> None:
    text = " ".join([*reading.passages, *(f"{one.question} {one.answer}" for one in reading.asked)])
    assert not re.search(r"\{\w+\}", text)


def test_written_pages_are_whole(data: Path) -> None:
    """Each fact is a sentence with three questions or more; each page has questions that none of its facts answers."""
    pages = load_pages()
    assert len(pages) >= 250
    assert sum(len(page["facts"]) for page in pages) >= 1_500
    for page in pages:
        assert set(page) == {"page", "facts", "none"}, page["page"]
        assert len(page["none"]) >= 2
        assert all(len(fact["q"]) >= 3 and fact["a"][-1] in ".!" for fact in page["facts"]), page["page"]


def test_held_out_contexts_are_measured_and_never_trained_on(tmp_path: Path) -> None:
    contexts = [f"Page {n} is short. Its answer is number {n}. It ends here on page {n}." for n in range(60)]
    rows = [{"question": "Which?", "context": text, "answer": f"number {n}"} for n, text in enumerate(contexts)]
    with gzip.open(tmp_path / "xquad_en.jsonl.gz", "wt", encoding="utf-8") as out:
        out.write("".join(json.dumps(row) + "\n" for row in rows))
    kept = [" ".join(item.sentences) for item in read(tmp_path, ("xquad_en",)).extracts]
    measured = [" ".join(item.sentences) for item in read(tmp_path, ("xquad_en",), measuring=True).extracts]
    assert sorted([*kept, *measured]) == sorted(contexts)
    assert measured == [text for text in contexts if held_out(text)]
    assert measured


def test_telephone_numbers_are_fictional() -> None:
    rng = Random(1)
    assert all(re.search(r"555-01\d\d$", phone_number(rng)) for _ in range(200))


def test_questions_prefer_words_that_only_the_target_has() -> None:
    rng = Random(2)
    asked = [word_question(["Parking costs money daily."], ["Money is paid at desks."], rng).lower() for _ in range(50)]
    assert sum("money" in question for question in asked) < 15


def test_every_digit_is_a_token_of_its_own() -> None:
    tokenizer = train_tokenizer(["Call 515-555-0120 or 515-555-0120 at 12:30"] * 50, vocabulary=300)
    tokens = tokenizer.encode("Call 515-555-0120").tokens
    assert [token for token in tokens if any(sign.isdigit() for sign in token)] == list("5155550120")
    assert tokenizer.decode(tokenizer.encode("pay $1,234.50 today").ids) == "pay $1,234.50 today"


def test_batches_carry_loss_on_answers_only(data: Path) -> None:
    tokenizer = train_tokenizer(["Question: [1] what"], vocabulary=300)
    maker = ExerciseMaker(read(data))
    batch = next(exercise_batches(maker, tokenizer, "s", count=16, batch_tokens=4_000, longest=8_000, passages=(1,)))
    for row, wanted in zip(batch.tokens.tolist(), batch.labels.tolist(), strict=True):
        learnt = tokenizer.decode([label for label in wanted if label != IGNORED], skip_special_tokens=False)
        assert learnt.endswith("<|im_end|>")
        assert "Question:" not in learnt
        assert all(answer in tokenizer.decode(row) for answer in learnt.split("<|im_end|>"))


def test_the_first_words_of_a_denial_can_count_less(data: Path) -> None:
    tokenizer = train_tokenizer(["Question: [1] what"], vocabulary=300)
    rows = [encode(tokenizer, reading) for reading in ExerciseMaker(read(data)).stream("s", 40, passages=(1,))]
    row = next(row for row in rows if {one.aim == NOWHERE for one in row.branches} == {True, False})
    batch = collate([row], pad=0, early=4.0, denials=0.5)
    assert batch.weights is not None
    at = len(row.head)
    for one in row.branches:
        first = at + one.start
        assert batch.weights[0, first - 1 : first + 5].tolist() == [1.0, *[2.0 if one.aim == NOWHERE else 4.0] * 4, 1.0]
        at += len(one.ids)


def test_the_second_page_of_a_reading_often_stands_near_the_first(data: Path) -> None:
    pages = [
        {"page": f"{n}", "facts": [{"a": f"Room {n} here.", "q": [f"room {n}"]}] * 2, "none": ["cake?"]}
        for n in range(60)
    ]
    maker = ExerciseMaker(read(data), pages, [], written=1.0)
    near = 0
    for reading in maker.stream("near", 200, passages=(2,)):
        first, second = (int(re.findall(r"\d+", passage)[0]) for passage in reading.passages)
        near += 0 < (first - second) % 60 <= 2 or 0 < (second - first) % 60 <= 2
    assert 40 < near < 130


def test_no_page_is_drawn_twice_for_one_reading(data: Path) -> None:
    """What a first drawing leaves out is asked as unanswerable; a second one could show it."""
    pages = [
        {
            "page": f"{n}",
            "facts": [{"a": f"Room {n} is {way}.", "q": ["where"]} for way in ("left", "right")],
            "none": ["?"],
        }
        for n in range(9)
    ]
    maker = ExerciseMaker(read(data), pages, [], written=1.0)
    for reading in maker.stream("twice", 300, passages=(4,)):
        rooms = [line for passage in reading.lines for line in passage if line.startswith("Room")]
        assert len(rooms) == len(set(rooms))


def test_a_branch_is_computed_as_if_its_question_had_been_asked_alone(base: Path) -> None:
    """The same tokens, and the same scores for each, whatever else is asked in the row."""
    model = LlamaForCausalLM.from_pretrained(str(base), dtype=torch.float32)
    tokenizer = load_tokenizer(base)
    documents: list[tuple[str, ...]] = [
        ("The pool opens Monday.", "The garage is free for 20 minutes.", "Call 515-555-0120.")
    ]
    reading = ExerciseMaker(Texts(documents=documents), [], []).draw(Random(5), passages=2)
    row = encode(tokenizer, reading)
    batch = collate([row, row], pad=0)
    state = model.model(input_ids=batch.tokens, position_ids=batch.positions, attention_mask=batch.mask)
    scores = model.lm_head(state.last_hidden_state)[1]
    at = len(row.head)
    assert len(row.branches) == len(reading.asked) > 1
    for asked, branch in zip(reading.asked, row.branches, strict=True):
        ids = branch.ids
        alone = tokenizer.encode(conversation(user_message(reading.passages, asked.question), asked.answer)).ids[:-1]
        assert alone == row.head + ids
        wanted = model(input_ids=torch.tensor([alone])).logits[0, len(row.head) :]
        torch.testing.assert_close(scores[at : at + len(ids)], wanted, atol=1e-4, rtol=1e-4)
        at += len(ids)


def test_an_exercise_is_written_as_serving_writes_its_prompt(data: Path) -> None:
    """Training and serving render one and the same user message."""
    limits = PromptLimits(passages=4)
    for reading in ExerciseMaker(read(data)).stream("seed", 60, passages=(1, 4)):
        passages = [
            Passage(f"a#{n}", "a", 1, "", "", text, reviewed=date.min, review_by=date.max)
            for n, text in enumerate(reading.passages)
        ]
        for one in reading.asked:
            served = render(one.question, passages, site="Cedar", limits=limits)[-1].content
            assert " ".join(served.split()) == " ".join(user_message(reading.passages, one.question).split())


def test_questions_too_long_with_their_passages_are_left_out_and_nothing_left_is_an_error(data: Path) -> None:
    tokenizer = train_tokenizer(["Question: [1] what"], vocabulary=300)
    maker = ExerciseMaker(read(data))
    options: dict[str, Any] = {"count": 24, "batch_tokens": 4_000, "passages": (1,)}
    for batch in exercise_batches(maker, tokenizer, "s", longest=700, **options):
        assert int(batch.positions.max()) < 700
    with pytest.raises(ConfigurationError, match="raise `longest`"):
        next(exercise_batches(maker, tokenizer, "s", longest=20, **options))


def test_settings_of_a_run(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("minutes: 3\nworded: 0.9\n")
    assert (load_settings(path).minutes, load_settings(path, minutes=7).minutes) == (3, 7)
    assert load_settings(None).minutes == 90
    for text, word in (("", "field: value"), ("wordy: 1", "wordy"), ("minutes: [", "cannot be read")):
        path.write_text(text)
        with pytest.raises(ConfigurationError, match=word):
            load_settings(path)


def test_the_loss_equals_the_models_own(base: Path) -> None:
    model = LlamaForCausalLM.from_pretrained(str(base), dtype=torch.float32)
    tokens = torch.arange(3, 43).view(2, 20)
    labels = tokens.clone()
    labels[:, :12] = IGNORED
    batch = Batch(tokens, labels, torch.arange(20).expand_as(tokens))
    torch.testing.assert_close(answer_losses(model, batch).mean(), model(input_ids=tokens, labels=labels).loss)


def test_aims_are_the_lines_and_the_answers(data: Path) -> None:
    """Every span decodes to its sentence; a question without an answer aims at the prompt's first token."""
    tokenizer = train_tokenizer(["Question: [1] what"], vocabulary=300)
    unanswered = 0
    for reading in ExerciseMaker(read(data)).stream("aims", 20, passages=(1, 3)):
        row = encode(tokenizer, reading)
        lines = [(number, line) for number, passage in enumerate(reading.lines, start=1) for line in passage]
        for span, at, (number, line) in zip(row.lines, row.numbers, lines, strict=True):
            assert tokenizer.decode(row.head[slice(*span)]).strip() == line
            assert tokenizer.decode(row.head[at - 1 : at + 2]) == f"[{number}]"
        for asked, branch in zip(reading.asked, row.branches, strict=True):
            aimed = tokenizer.decode(row.head[slice(*branch.aim)]).strip()
            assert aimed == ("" if asked.lines is None else asked.answer.rsplit(" [", 1)[0])
            assert tokenizer.decode(branch.ids[: branch.asked]).strip() == asked.question
            unanswered += asked.lines is None
    assert unanswered


def test_a_batch_aims_its_tokens_where_the_row_says(data: Path) -> None:
    tokenizer = train_tokenizer(["Question: [1] what"], vocabulary=300)
    row = encode(tokenizer, ExerciseMaker(read(data)).draw(Random(3), passages=2))
    batch = collate([row], pad=0)
    assert batch.aims is not None
    aims = {name: aim[0].tolist() for name, aim in batch.aims.items()}
    tokens = batch.tokens[0].tolist()
    assert aims["previous"][: len(row.head)] == [[0, 0], *([at, at + 1] for at in range(len(row.head) - 1))]
    for (first, last), number in zip(row.lines, row.numbers, strict=True):
        assert aims["line"][first:last] == [[first, first + 1]] * (last - first)
        assert aims["gather"][first:last] == [[first, at + 1] for at in range(first, last)]
        assert aims["passage"][first:last] == [[number, number + 1]] * (last - first)
    at, copied = len(row.head), 0
    for branch in row.branches:
        answer, end = at + branch.start, at + len(branch.ids)
        assert aims["gather"][at + branch.asked : answer] == [[at, at + branch.asked]] * (branch.start - branch.asked)
        assert aims["line"][at:answer] == [[at, at + 1]] * branch.start
        assert aims["line"][answer:end] == [[answer, answer + 1]] * (end - answer)
        assert aims["answer"][answer - 3 : answer] == [list(branch.aim)] * 3
        assert aims["answer"][answer] == [0, 0]
        opening = [0, 0] if branch.aim == NOWHERE else [branch.aim[0], branch.aim[0] + 1]
        assert aims["open"][answer - 1] == opening
        sources = [(place, aims["copy"][place][0]) for place in range(answer - 1, end) if aims["copy"][place][1]]
        within = [(place, source) for place, source in sources if source < branch.aim[1] - 1]
        assert all(tokens[place + 1] == tokens[source] for place, source in within)
        assert not sources or branch.aim != NOWHERE
        copied += len(within)
        at = end
    assert copied > 50


def test_a_guides_loss_is_the_attention_that_misses_its_aim(base: Path) -> None:
    model = LlamaForCausalLM.from_pretrained(str(base), dtype=torch.float32, attn_implementation="eager")
    reading = ExerciseMaker(Texts(documents=[("The pool opens Monday.", "Call 515-555-0120.")]), [], []).draw(
        Random(5), questions=4
    )
    batch = collate([encode(load_tokenizer(base), reading)], pad=0)
    assert batch.mask is not None
    assert batch.aims is not None
    assert int((batch.tokens != 0).sum()) <= SAMPLED
    low = torch.zeros(batch.mask.shape).masked_fill(~batch.mask, torch.finfo(torch.float32).min)
    inputs = {"input_ids": batch.tokens, "position_ids": batch.positions}
    chances = model.model(**inputs, attention_mask=low, output_attentions=True).attentions
    model.set_attn_implementation(ATTENTION)
    with watching(model, batch.aims) as watch:
        model.model(**inputs, attention_mask=batch.mask)
    for name, aim in batch.aims.items():
        guide = GUIDES[name]
        there = chances[guide.layer(2)][0, guide.head]
        spans = [(at, first, last) for at, (first, last) in enumerate(aim[0].tolist()) if last]
        if guide.spread:
            missed = [-(there[at, first:last] * (last - first)).log().mean() for at, first, last in spans]
        else:
            missed = [-there[at, first:last].sum().log() for at, first, last in spans]
        torch.testing.assert_close(watch.losses[name], torch.stack(missed).mean(), atol=1e-4, rtol=1e-4)


def test_guided_heads_learn_where_to_look(data: Path, tmp_path: Path) -> None:
    settings = TINY.model_copy(update={"guided": 1.0, "max_steps": 80, "learning_rate": 1e-2})
    build(data, tmp_path / "model", settings, show=False)
    rows = [json.loads(line) for line in (tmp_path / "model" / "run" / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["guides"].keys() == GUIDES.keys()
    assert rows[-1]["guides"]["line"] < rows[0]["guides"]["line"] - 0.3
    assert AutoModelForCausalLM.from_pretrained(str(tmp_path / "model")).config.model_type == "llama"


def test_schedule() -> None:
    schedule = Schedule(seconds=100, reading=0.4, learning_rate=1.0, warmup_steps=10, decay_from=0.5)
    assert schedule.rate(Progressed(seconds=10, step=4)) == pytest.approx(0.5)
    assert schedule.rate(Progressed(seconds=40, step=50)) == 1.0
    assert schedule.rate(Progressed(seconds=75, step=50)) == pytest.approx(0.5)
    assert schedule.rate(Progressed(seconds=100, step=50)) == pytest.approx(0.02)
    assert [schedule.phase(Progressed(seconds=at)) for at in (39, 41)] == ["reading", "answering"]


def test_a_model_is_built_and_loads_with_template_and_digits(data: Path, tmp_path: Path) -> None:
    progress = build(data, tmp_path / "model", TINY, show=False)
    assert progress.tokens > 0
    tokenizer = AutoTokenizer.from_pretrained(str(tmp_path / "model"))
    text = tokenizer.apply_chat_template(
        [{"role": "system", "content": "x"}, {"role": "user", "content": "hi"}], tokenize=False
    )
    assert text == "<|im_start|>user\nhi<|im_end|>\n"
    assert tokenizer.tokenize("515") == ["5", "1", "5"]
    model = AutoModelForCausalLM.from_pretrained(str(tmp_path / "model"))
    assert model.dtype == torch.bfloat16
    record = json.loads((tmp_path / "model" / "training.json").read_text())
    assert record["credits"]
    assert record["steps"] == progress.step


def test_a_stopped_build_goes_on_and_ends_where_an_unbroken_one_does(data: Path, tmp_path: Path) -> None:
    """Nothing is held back here: where a run stops it is looked at, and so may find another state the best."""
    settings = TINY.model_copy(update={"minutes": 500.0, "learning_rate": 1e-3, "held_back": ()})
    first = build(data, tmp_path / "stopped", settings, show=False)
    twice = settings.model_copy(update={"max_steps": first.step + 1})
    build(data, tmp_path / "whole", twice, show=False)
    resumed = build(data, tmp_path / "stopped", twice, show=False)
    assert resumed.step > first.step
    assert resumed.chunk == 2
    left, right = (load_state(tmp_path / name) for name in ("stopped", "whole"))
    assert left.keys() == right.keys()
    for name, tensor in left.items():
        assert torch.equal(tensor, right[name]), name


def test_batches_made_by_other_processes_are_the_same(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TOKENIZERS_PARALLELISM", raising=False)
    settings = TINY.model_copy(update={"minutes": 500.0, "max_steps": 3, "reading": 0.5, "longest": 64})
    build(data, tmp_path / "alone", settings, show=False)
    build(data, tmp_path / "helped", settings.model_copy(update={"workers": 2}), show=False)
    left, right = (load_state(tmp_path / name) for name in ("alone", "helped"))
    for name, tensor in left.items():
        assert torch.equal(tensor, right[name]), name
    assert "TOKENIZERS_PARALLELISM" not in os.environ


def test_a_system_that_cannot_fork_is_told_to_use_no_workers() -> None:
    with pytest.raises(ConfigurationError, match="write workers: 0"), ahead(lambda *_: [], 2, methods=["spawn"]):
        pass


def test_an_error_in_another_process_ends_the_run(data: Path, tmp_path: Path) -> None:
    settings = TINY.model_copy(update={"workers": 1, "longest": 64, "passages": (4,)})
    with pytest.raises(ConfigurationError, match="raise `longest`"):
        build(data, tmp_path / "model", settings, show=False)


def test_the_state_that_did_best_is_written_not_the_last(data: Path, tmp_path: Path) -> None:
    model, run = tmp_path / "model", tmp_path / "model" / "run"
    progress = build(data, model, TINY, show=False)
    state = torch.load(run / "checkpoint.pt", weights_only=True)
    state["progress"]["best"] = dict.fromkeys(progress.check, 1.0)
    torch.save(state, run / "checkpoint.pt")
    torch.save([torch.full_like(one, 0.5) for one in torch.load(run / "best.pt", weights_only=True)], run / "best.pt")
    build(data, model, TINY.model_copy(update={"max_steps": progress.step + 1}), show=False)
    assert all((weight == 0.5).all() for weight in load_state(model).values())
    assert set(json.loads((model / "training.json").read_text())["check"].values()) == {1.0}


def test_the_best_state_of_another_run_is_not_taken(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "model" / "run"
    build(data, tmp_path / "model", TINY, show=False)
    torch.save([torch.full_like(one, 0.5) for one in torch.load(run / "best.pt", weights_only=True)], run / "best.pt")
    for held_back in ((), ("tests2",)):
        (run / "checkpoint.pt").unlink()
        build(data, tmp_path / "model", TINY.model_copy(update={"held_back": held_back}), show=False)
        assert not any((weight == 0.5).all() for weight in load_state(tmp_path / "model").values())


def test_a_hospital_is_held_back_and_looked_at(data: Path, tmp_path: Path) -> None:
    progress = build(data, tmp_path / "model", TINY, show=False)
    assert set(progress.check) == {
        f"{name} {what}" for name in ("one passage", "four passages") for what in ("loss", "right")
    }
    assert json.loads((tmp_path / "model" / "training.json").read_text())["check"] == progress.check
    with pytest.raises(ConfigurationError, match="no hospital 'tests9'"):
        build(data, tmp_path / "other", TINY.model_copy(update={"held_back": ("tests9",)}), show=False)


def test_a_device_that_is_not_there_is_refused_first(tmp_path: Path) -> None:
    for name in ("cuda:9", "gpu"):
        with pytest.raises(ConfigurationError, match=r"device: .* cannot be used"):
            build(tmp_path / "nowhere", tmp_path / "model", TINY.model_copy(update={"device": name}), show=False)


def test_a_batch_survives_its_packing(data: Path, tokenizer: Tokenizer) -> None:
    options: dict[str, Any] = {"count": 12, "batch_tokens": 4_000, "longest": 8_000, "passages": (2,), "early": 3.0}
    batch = next(exercise_batches(ExerciseMaker(read(data)), tokenizer, "s", **options))
    again = batch.to("cpu")
    assert batch.mask is not None
    assert again.mask is not None
    assert torch.equal(batch.mask, again.mask)
    assert batch.aims is not None
    assert again.aims is not None
    pairs = [(batch.aims[name], again.aims[name]) for name in batch.aims]
    pairs += [(getattr(batch, name), getattr(again, name)) for name in ("tokens", "labels", "positions", "weights")]
    for left, right in pairs:
        assert torch.equal(left, right)
        assert left.dtype == right.dtype


def test_blurring_changes_questions_alone(data: Path, tokenizer: Tokenizer) -> None:
    maker = ExerciseMaker(read(data))
    options: dict[str, Any] = {"count": 40, "batch_tokens": 4_000, "longest": 8_000, "passages": (1,)}
    plain, blurred = (list(exercise_batches(maker, tokenizer, "s", blurred=share, **options)) for share in (0.0, 0.5))
    changed = asked = 0
    for left, right in zip(plain, blurred, strict=True):
        assert torch.equal(left.labels, right.labels)
        assert left.branches is not None
        differ = left.tokens != right.tokens
        assert not (differ & (left.branches <= 0)).any()
        assert not (differ & (left.labels != IGNORED)).any()
        changed += int(differ.sum())
        asked += int(((left.branches > 0) & (left.labels == IGNORED)).sum())
    assert 0.2 < changed / asked < 0.5


def load_state(folder: Path) -> dict[str, torch.Tensor]:
    return dict(AutoModelForCausalLM.from_pretrained(str(folder)).state_dict())


def test_a_build_from_nothing_reads_first(data: Path, tmp_path: Path) -> None:
    build(data, tmp_path / "model", TINY.model_copy(update={"reading": 0.9, "longest": 64}), show=False)
    rows = [json.loads(line) for line in (tmp_path / "model" / "run" / "metrics.jsonl").read_text().splitlines()]
    assert rows[0]["phase"] == "reading"


def test_an_earlier_model_can_be_continued_with_split_digits(data: Path, base: Path, tmp_path: Path) -> None:
    build(data, tmp_path / "next", TINY, start_from=base, show=False)
    assert json.loads((tmp_path / "next" / "training.json").read_text())["continued"]
    assert load_tokenizer(tmp_path / "next").encode("0120").tokens == list("0120")
