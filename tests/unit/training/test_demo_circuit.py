"""A fresh demo model begins with its circuit in place, and with meanings learnt from the encoder."""

from pathlib import Path

import torch
import yaml
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from training import demo_model
from training.demo_model.batches import collate, encode
from training.demo_model.circuit import install, meaning_size
from training.demo_model.exercises import ExerciseMaker
from training.demo_model.guides import ATTENTION, watching
from training.demo_model.meanings import Meanings, learn_meanings
from training.demo_model.recipe import DemoModelSettings, fresh_model, meanings
from training.demo_model.sources import Texts
from training.demo_model.tokenizer import conversation, train_tokenizer

SETTINGS = DemoModelSettings(hidden=128, layers=8, heads=4, head_size=64, intermediate=64, vocabulary=1_200)
SENTENCES = (
    "Free parking is behind the north entrance.",
    "The cafeteria serves breakfast from early morning.",
    "Wash your hands before every injection.",
    "Bring your insurance card to reception.",
)
PLACES = (
    "The laboratory is on level two beside the elevators.",
    "Ask a volunteer for a wheelchair at the door.",
    "Your doctor reads the scan within three days.",
    "Take the morning tablet with plenty of water.",
)
PAGES = Path(demo_model.__file__).with_name("pages") / "campus.yaml"


def _guides(model: LlamaForCausalLM, maker: ExerciseMaker, tokenizer: Tokenizer) -> dict[str, float]:
    model.set_attn_implementation(ATTENTION)
    rows = [encode(tokenizer, reading) for reading in maker.stream("circuit", 3, passages=(2,))]
    batch = collate(rows, pad=0)
    assert batch.aims is not None
    with torch.no_grad(), watching(model, batch.aims) as watch:
        model.model(input_ids=batch.tokens, position_ids=batch.positions, attention_mask=batch.mask)
    return {name: float(loss) for name, loss in watch.losses.items()}


def test_installed_heads_see_the_token_before_and_their_sentence() -> None:
    """Without any training: one by places alone, the other through what an earlier head wrote."""
    maker = ExerciseMaker(Texts(documents=[SENTENCES, PLACES]), [], [])
    texts = [line for reading in maker.stream("words", 60) for passage in reading.lines for line in passage]
    tokenizer = train_tokenizer([conversation(text, text) for text in texts], vocabulary=1_200)
    torch.manual_seed(1)
    before = _guides(fresh_model(SETTINGS, tokenizer).float(), maker, tokenizer)
    model = fresh_model(SETTINGS, tokenizer)
    words = torch.randn(tokenizer.get_vocab_size(), meaning_size(SETTINGS.hidden))
    install(model, tokenizer, words, torch.zeros(words.shape[1]), seed=1)
    after = _guides(model.float(), maker, tokenizer)
    assert after["previous"] < 0.5
    assert after["gather"] < before["gather"]


def test_meanings_bring_a_question_to_the_sentence_that_answers_it(tmp_path: Path) -> None:
    """Sums of token vectors choose the sentence far better than by lot, and come out the same each time."""
    pages = yaml.safe_load(PAGES.read_text(encoding="utf-8"))[:8]
    maker = ExerciseMaker(Texts(documents=[SENTENCES]), pages, [], worded=0.3)
    asked = [fact["q"][0] for page in pages for fact in page["facts"]]
    facts = [fact["a"] for page in pages for fact in page["facts"]]
    tokenizer = train_tokenizer([*asked, *facts], vocabulary=900)
    first, again = (learn_meanings(maker, tokenizer, tmp_path, size=32, seed=3, readings=50) for _ in range(2))
    torch.testing.assert_close(first.vectors, again.vectors, rtol=0, atol=0)
    questions, sentences = (
        torch.stack([first.vectors[tokenizer.encode(f" {text}").ids].sum(0) for text in texts])
        for texts in (asked, facts)
    )
    near = torch.nn.functional.cosine_similarity(questions[:, None], sentences[None], dim=-1)
    right = (near.argmax(-1) == torch.arange(len(facts))).float().mean()
    assert right > 4 / len(facts)


def test_kept_meanings_are_taken_only_for_the_same_run(tmp_path: Path) -> None:
    learnt: list[int] = []

    def learn(maker: ExerciseMaker, tokenizer: Tokenizer, cache: Path, *, size: int, seed: int) -> Meanings:
        learnt.append(seed)
        return Meanings(torch.full((3, size), float(seed)), torch.zeros(size))

    maker, tokenizer = ExerciseMaker(Texts(), [], []), train_tokenizer(["park here"] * 9, vocabulary=300)
    for seed in (1, 1, 2):
        found = meanings(maker, tokenizer, tmp_path, learn=learn, size=2, seed=seed)
        assert found.vectors.tolist() == [[seed, seed]] * 3
    meanings(maker, tokenizer, tmp_path, learn=learn, size=3, seed=2)
    meanings(maker, train_tokenizer(["come home"] * 9, vocabulary=300), tmp_path, learn=learn, size=3, seed=2)
    assert learnt == [1, 2, 2, 2]
