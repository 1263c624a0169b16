"""The search encoder is the pinned weights plus the change in the file, and refuses files that do not fit."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from app.encoder import weights
from app.encoder.delta import CARD_FILE, DELTA_FILE, FOLDER, Delta
from app.encoder.encoder import Encoder, SearchEncoder
from app.encoder.graph import WIDTH
from app.encoder.text import TOKEN_WIDTH, Text, pack, unpack
from app.errors import ConfigurationError

TEXTS = ["Should I stop eating before my colonoscopy?", "parking", "", "Where can I park on Sundays? " * 20]
QUERY, DENSE = "encoder.layer.0.attention.self.query.weight", "encoder.layer.5.output.dense.weight"
STRENGTH = 2.0

Tensors = dict[str, NDArray[np.float16]]


def tensors() -> Tensors:
    """Random factors for two weights, and a random map to tokens."""
    rng = np.random.default_rng(3)
    sizes = {f"{QUERY}.A": (2, 384), f"{QUERY}.B": (384, 2), f"{DENSE}.A": (2, 1536), f"{DENSE}.B": (384, 2)}
    made = {name: rng.normal(scale=0.05, size=size).astype(np.float16) for name, size in sizes.items()}
    made["tokens.weight"] = rng.normal(scale=0.1, size=(TOKEN_WIDTH, WIDTH)).astype(np.float16)
    made["tokens.scale"] = rng.normal(scale=0.1, size=WIDTH + 1).astype(np.float16)
    return made


def written(folder: Path, change: Callable[[Tensors], object] = lambda made: None) -> Path:
    """A folder with the files of a search encoder, ``change`` applied to its tensors."""
    made = tensors()
    change(made)
    folder.mkdir(exist_ok=True)
    save_file(made, folder / DELTA_FILE)
    (folder / CARD_FILE).write_text(json.dumps({"strength": STRENGTH}))
    return folder


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("encoder")


@pytest.fixture(scope="module")
def tuned(cache_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> SearchEncoder:
    return SearchEncoder.load(cache_dir, Delta.load(written(tmp_path_factory.mktemp("delta"))))


@pytest.fixture(scope="module")
def shipped(encoder_folder: Path) -> SearchEncoder:
    return SearchEncoder.load(encoder_folder)


def test_it_gives_what_torch_gives_with_the_changed_weights(tuned: SearchEncoder) -> None:
    torch = pytest.importorskip("torch", reason="LOUD: torch is not installed, the encoder was NOT compared with it")
    transformers = pytest.importorskip("transformers", reason="LOUD: transformers is not installed")
    folder = weights.model_folder()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = transformers.AutoModel.from_pretrained(folder)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    made = {name: torch.from_numpy(value.astype(np.float32)) for name, value in tensors().items()}
    state = model.state_dict()
    for name in (QUERY, DENSE):
        state[name] += STRENGTH * made[f"{name}.B"] @ made[f"{name}.A"]
    model.load_state_dict(state)
    for text, read in zip(TEXTS, tuned.read(TEXTS), strict=True):
        with torch.no_grad():
            states = model(**tokenizer(text, truncation=True, max_length=256, return_tensors="pt")).last_hidden_state[0]
        expected = torch.nn.functional.normalize(states.mean(0), dim=-1).numpy()
        assert np.abs(read.vector - expected).max() < 1e-4
        inner = states[1:-1]
        tokens = torch.nn.functional.normalize(inner @ made["tokens.weight"].T, dim=-1).numpy()
        says = torch.nn.functional.softplus(inner @ made["tokens.scale"][:-1] + made["tokens.scale"][-1]).numpy()
        assert read.tokens.shape == (len(inner), TOKEN_WIDTH)
        assert np.abs(read.tokens - tokens).max(initial=0) < 1e-3
        assert np.abs(read.weights - says).max(initial=0) < 1e-3


def test_a_text_is_read_alike_alone_and_beside_longer_ones(shipped: SearchEncoder) -> None:
    alone: list[Text] = [shipped.read([text])[0] for text in TEXTS]
    for one, other in zip(alone, shipped.read(TEXTS), strict=True):
        for name in ("vector", "tokens", "weights"):
            assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-4)
    assert np.array([one.vector for one in alone]) == pytest.approx(shipped.embed(TEXTS), abs=1e-4)


def test_vectors_of_other_weights_have_another_identity(
    tuned: SearchEncoder, shipped: SearchEncoder, cache_dir: Path, tmp_path: Path
) -> None:
    again = SearchEncoder.load(cache_dir, Delta.load(written(tmp_path)))
    assert again.identity == tuned.identity != shipped.identity


def test_the_shipped_change_is_one_for_search_alone(encoder: Encoder, shipped: SearchEncoder) -> None:
    question, passage = "how do i get the tube out of my arm", "PICC line removal. A nurse removes the PICC line."
    other = "Parking. The garage is free for the first hour."
    plain, tuned = encoder.embed([question, passage, other]), shipped.embed([question, passage, other])
    assert tuned[0] @ tuned[1] - tuned[0] @ tuned[2] > plain[0] @ plain[1] - plain[0] @ plain[2]


def drop(name: str) -> Callable[[Tensors], object]:
    return lambda made: made.pop(name)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (drop(f"{QUERY}.B"), "factors A and B"),
        (drop("tokens.weight"), "tokens.weight"),
        (lambda made: made.update({"tokens.weight": made["tokens.weight"][:2]}), "another shape"),
        (lambda made: made.update({"tokens.scale": made["tokens.scale"][1:]}), "another shape"),
        (lambda made: [made.pop(name) for name in list(made) if name.startswith("encoder")], "factors A and B"),
    ],
)
def test_a_file_with_something_missing_or_misshapen_is_refused(
    tmp_path: Path, change: Callable[[Tensors], object], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Delta.load(written(tmp_path, change))


@pytest.mark.parametrize("name", [DELTA_FILE, CARD_FILE])
def test_a_missing_or_damaged_file_is_refused(tmp_path: Path, name: str) -> None:
    path = written(tmp_path) / name
    path.write_bytes(path.read_bytes()[:10])
    with pytest.raises(ConfigurationError, match="cannot be read"):
        Delta.load(tmp_path)
    path.unlink()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        Delta.load(tmp_path)


@pytest.mark.parametrize("name", ["no.such.weight", "embeddings.LayerNorm.weight"])
def test_factors_that_fit_no_weight_are_refused(tmp_path: Path, cache_dir: Path, name: str) -> None:
    def rename(made: Tensors) -> None:
        for part in "AB":
            made[f"{name}.{part}"] = made.pop(f"{QUERY}.{part}")

    with pytest.raises(ConfigurationError, match="do not fit"):
        SearchEncoder.load(cache_dir, Delta.load(written(tmp_path, rename)))


def text(tokens: list[list[float]], weights: list[float]) -> Text:
    wide = np.zeros((len(tokens), TOKEN_WIDTH), dtype=np.float32)
    wide[:, :2] = np.array(tokens).reshape(-1, 2)
    return Text(np.zeros(WIDTH, dtype=np.float32), wide, np.array(weights, dtype=np.float32))


def test_each_token_takes_its_nearest_and_counts_by_its_weight() -> None:
    asked = text([[1, 0], [0, 1]], [3, 1])
    assert asked.likeness(text([[0.6, 0.8], [1, 0]], [1, 1]).tokens) == pytest.approx((3 * 1 + 1 * 0.8) / 4)
    assert asked.likeness(text([], []).tokens) == 0
    assert text([], []).likeness(asked.tokens) == 0
    assert text([[1, 0]], [0]).likeness(asked.tokens) == 0


def test_packed_tokens_are_nearly_the_same(shipped: SearchEncoder) -> None:
    for read in shipped.read(TEXTS):
        again = unpack(pack(read.tokens))
        assert again.shape == read.tokens.shape
        assert np.abs(again - read.tokens).max(initial=0) < 0.005
    with pytest.raises(ValueError, match="reshape"):
        unpack(b"abc")


def test_the_card_says_what_it_was_made_of() -> None:
    card = json.loads((FOLDER / CARD_FILE).read_text())
    assert card["base"] == weights.WEIGHTS_SHA256
    assert card["pairs"] > 1_000
    assert sum(value.size for value in load_file(FOLDER / DELTA_FILE).values()) < 1_000_000


def test_the_rounded_graph_gives_nearly_the_same_vectors_under_another_identity(
    shipped: SearchEncoder, encoder_folder: Path
) -> None:
    rounded = SearchEncoder.load(encoder_folder, rounded=True)
    for text in TEXTS:
        assert (shipped.embed([text]) * rounded.embed([text])).sum() > 0.98
    assert rounded.identity != shipped.identity
