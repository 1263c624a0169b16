"""The reranker reads question and passage together, and refuses files that do not fit."""

from __future__ import annotations

import hashlib
import json
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer

from app.encoder import weights
from app.encoder.delta import RERANK_CARD, RERANK_FILE, RERANK_FOLDER, RerankDelta
from app.encoder.encoder import open_tokenizer
from app.encoder.graph import WIDTH
from app.encoder.reranker import MOST_ASKED, MOST_TOKENS, Reranker, pair_ids
from app.errors import ConfigurationError

QUESTION = "can i eat before the scan of my belly"
PASSAGES = [
    "Abdominal ultrasound. Food and drink. Eat and drink nothing for 7 hours before the scan.",
    "Parking. What it costs. The garage costs $2 an hour.",
    "Visiting hours. Wards. " + "Visitors may come until 8 p.m. " * 60,
]
QUERY, DENSE = "encoder.layer.0.attention.self.query.weight", "encoder.layer.1.output.dense.weight"
LAYERS, STRENGTH = 2, 2.0


def written(folder: Path, **card: object) -> Path:
    """A folder with the files of a reranker of two blocks, its factors random."""
    rng = np.random.default_rng(5)
    sizes = {f"{QUERY}.A": (2, 384), f"{QUERY}.B": (384, 2), f"{DENSE}.A": (2, 1536), f"{DENSE}.B": (384, 2)}
    made = {name: rng.normal(scale=0.05, size=size).astype(np.float16) for name, size in sizes.items()}
    made["judge"] = rng.normal(scale=0.1, size=2 * WIDTH + 1).astype(np.float16)
    folder.mkdir(exist_ok=True)
    save_file(made, folder / RERANK_FILE)
    digest = hashlib.sha256((folder / RERANK_FILE).read_bytes()).hexdigest()
    told = {"strength": STRENGTH, "layers": LAYERS, "file_sha256": digest, **card}
    (folder / RERANK_CARD).write_text(json.dumps(told))
    return folder


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("encoder")


def test_it_gives_what_torch_gives_with_the_changed_weights(
    cache_dir: Path, tmp_path: Path, tokenizer: Tokenizer
) -> None:
    torch = pytest.importorskip("torch", reason="LOUD: torch is not installed, the reranker was NOT compared with it")
    transformers = pytest.importorskip("transformers", reason="LOUD: transformers is not installed")
    change = RerankDelta.load(written(tmp_path / "files"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = transformers.AutoModel.from_pretrained(weights.model_folder())
    model.encoder.layer = model.encoder.layer[:LAYERS]
    state = model.state_dict()
    for name, (down, up) in change.factors.items():
        state[name] += STRENGTH * torch.from_numpy(up @ down)
    model.load_state_dict(state)
    expected = []
    for ids in pair_ids(tokenizer, QUESTION, PASSAGES):
        with torch.no_grad():
            states = model(input_ids=torch.tensor([ids])).last_hidden_state[0].numpy()
        expected.append(np.concatenate([states[0], states.mean(0)]) @ change.judge[:-1] + change.judge[-1])
    whole = Reranker.load(cache_dir, change, rounded=False).judge(QUESTION, PASSAGES)
    assert whole == pytest.approx(np.array(expected), abs=1e-3)
    rounded = Reranker.load(cache_dir, change).judge(QUESTION, PASSAGES)
    assert rounded == pytest.approx(whole, abs=0.15)
    assert not np.array_equal(rounded, whole)


def test_the_shipped_one_tells_an_answer_from_what_is_none(reranker: Reranker) -> None:
    logits = reranker.judge(QUESTION, PASSAGES)
    assert logits.argmax() == 0
    assert logits[0] > logits[1] + 1
    assert reranker.judge(QUESTION, []).shape == (0,)


def test_a_pair_is_judged_alike_alone_beside_others_and_at_the_same_time(reranker: Reranker) -> None:
    together = reranker.judge(QUESTION, PASSAGES)
    alone = [reranker.judge(QUESTION, [passage])[0] for passage in PASSAGES]
    assert together == pytest.approx(np.array(alone), abs=0.6)  # 8-bit steps hang on what is read beside
    with ThreadPoolExecutor(4) as pool:
        found: list[NDArray[np.float32]] = list(pool.map(lambda _: reranker.judge(QUESTION, PASSAGES), range(8)))
    assert all(np.array_equal(one, together) for one in found)


@given(st.text(max_size=900), st.text(max_size=2_000))
def test_no_text_is_too_long_or_too_odd(tokenizer: Tokenizer, question: str, passage: str) -> None:
    begin, end = tokenizer.encode("").ids
    (ids,) = pair_ids(tokenizer, question, [passage])
    assert 3 <= len(ids) <= MOST_TOKENS
    assert (ids[0], ids[-1]) == (begin, end)
    assert ids.index(end) <= MOST_ASKED + 1


def test_of_a_long_question_beginning_and_end_are_read(tokenizer: Tokenizer) -> None:
    (ids,) = pair_ids(tokenizer, "zebra " + "word " * 200 + "lion", ["passage"])
    assert (ids[1], ids[MOST_ASKED]) == (tokenizer.token_to_id("zebra"), tokenizer.token_to_id("lion"))


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """One that neither cuts nor pads."""
    tokenizer = open_tokenizer(weights.model_folder())
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def test_the_shipped_change_is_over_the_pinned_weights() -> None:
    card = json.loads((RERANK_FOLDER / RERANK_CARD).read_text(encoding="utf-8"))
    assert card["base"] == weights.WEIGHTS_SHA256
    change = RerankDelta.load()
    assert change.applied(load_file(weights.model_folder() / "model.safetensors"))
    assert change.judge.shape == (2 * WIDTH + 1,)


@pytest.mark.parametrize(
    ("card", "said"),
    [
        ({"layers": 1}, "layers must be"),
        ({"layers": "4"}, "layers must be"),
        ({"strength": None}, "strength must be"),
        ({"file_sha256": "0" * 64}, "not the file that its card names"),
    ],
)
def test_a_faulty_card_is_refused(tmp_path: Path, card: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        RerankDelta.load(written(tmp_path / "files", **card))


def test_files_without_the_layer_are_refused(tmp_path: Path) -> None:
    folder = written(tmp_path / "files")
    tensors = load_file(folder / RERANK_FILE)
    del tensors["judge"]
    save_file(tensors, folder / RERANK_FILE)
    card = json.loads((folder / RERANK_CARD).read_text())
    card["file_sha256"] = hashlib.sha256((folder / RERANK_FILE).read_bytes()).hexdigest()
    (folder / RERANK_CARD).write_text(json.dumps(card))
    with pytest.raises(ConfigurationError, match="no layer that judges a pair"):
        RerankDelta.load(folder)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        RerankDelta.load(tmp_path / "nowhere")
