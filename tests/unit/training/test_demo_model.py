from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from random import Random

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

from app.contracts.prompt import NOT_IN_ARTICLES
from app.errors import ConfigurationError
from tests.unit.training.tiny import make_data
from training.demo_model.batches import IGNORED, exercise_batches
from training.demo_model.exercises import ExerciseMaker, load_facts, phone_number, word_question
from training.demo_model.loop import Progressed, Schedule, answer_loss
from training.demo_model.recipe import DemoModelSettings, build
from training.demo_model.sources import FILES, read, sentences
from training.demo_model.tokenizer import load_tokenizer, train_tokenizer
from training.finetune.sentences import numbers

TINY = DemoModelSettings(
    minutes=5,
    vocabulary=400,
    hidden=32,
    layers=2,
    heads=2,
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
        (gzip.compress(b'{"question": "a"\n'), "cannot be read after line 1"),
        (gzip.compress(b'{"question": "a"}\n'), "line 1: field missing"),
        (gzip.compress(b"[]\n"), "not a JSON object"),
        (gzip.compress(b""), "is empty"),
        (gzip.compress(b'{"question": "a", "answer": "b"}\n')[:-9], "cannot be read"),
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


def test_answers_stand_word_for_word_in_the_prompt_and_so_do_their_numbers(data: Path) -> None:
    maker = ExerciseMaker(read(data))
    drawn = list(maker.stream("seed", 300, passages=(1, 2, 3)))
    answered = [item for item in drawn if item.answer != NOT_IN_ARTICLES]
    assert 0 < len(drawn) - len(answered) < 60
    for item in answered:
        text, number = re.fullmatch(r"(.*) \[(\d)\]", item.answer, re.DOTALL).groups()  # type: ignore[union-attr]
        passage = next(line for line in item.prompt.split("\n") if line.startswith(f"[{number}]"))
        assert text in passage
        assert set(numbers(text)) <= set(numbers(passage))
    assert drawn == list(maker.stream("seed", 300, passages=(1, 2, 3)))
    assert drawn != list(maker.stream("other", 300, passages=(1, 2, 3)))


def test_every_slot_of_the_desk_facts_can_be_filled(data: Path) -> None:
    texts = read(data)
    for fact in load_facts():
        maker = ExerciseMaker(texts, [fact])
        for seed in range(30):
            item = maker.draw(Random(seed))
            assert not re.search(r"\{\w+\}", item.prompt + item.answer)


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
    tokens, labels = next(
        exercise_batches(maker, tokenizer, "s", count=16, batch_tokens=4_000, longest=1_024, passages=(1,))
    )
    for row, wanted in zip(tokens.tolist(), labels.tolist(), strict=True):
        learnt = tokenizer.decode([label for label in wanted if label != IGNORED], skip_special_tokens=False)
        assert learnt.endswith("<|im_end|>\n")
        assert "Question:" not in learnt
        assert learnt.removesuffix("<|im_end|>\n") in tokenizer.decode(row)


def test_the_loss_equals_the_models_own(base: Path) -> None:
    model = LlamaForCausalLM.from_pretrained(str(base), dtype=torch.float32)
    tokens = torch.arange(3, 43).view(2, 20)
    labels = tokens.clone()
    labels[:, :12] = IGNORED
    torch.testing.assert_close(answer_loss(model, tokens, labels), model(input_ids=tokens, labels=labels).loss)


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
    settings = TINY.model_copy(update={"minutes": 500.0, "learning_rate": 1e-3})
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
