"""The ONNX graph gives what the reference implementation gives, and the cache heals itself."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from app.encoder import weights
from app.encoder.delta import (
    TURNS_CARD,
    TURNS_FILE,
    TURNS_FOLDER,
    WORDS_CARD,
    WORDS_FILE,
    WORDS_FOLDER,
    TurnDelta,
    WordDelta,
)  # fmt: skip
from app.encoder.encoder import MAX_TOKENS, Encoder, TurnEncoder
from app.errors import ConfigurationError

TEXTS = [
    "Should I stop eating before my colonoscopy?",
    "",
    "naïve café, 120/80 mmHg — “ok”",
    "Where can I park? " * 200,
]


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("encoder")


@pytest.fixture(scope="module")
def encoder(cache_dir: Path) -> Encoder:
    return Encoder.load(cache_dir)


def test_embeddings_equal_the_torch_reference(encoder: Encoder) -> None:
    torch = pytest.importorskip("torch", reason="LOUD: torch is not installed, the encoder was NOT compared with it")
    transformers = pytest.importorskip("transformers", reason="LOUD: transformers is not installed")
    folder = weights.model_folder()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = transformers.AutoModel.from_pretrained(folder)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    batch = tokenizer(TEXTS, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
    with torch.no_grad():
        states = model(**batch).last_hidden_state
    mask = batch["attention_mask"][..., None].float()
    expected = torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=-1).numpy()
    assert np.abs(encoder.embed(TEXTS) - expected).max() < 1e-4


def test_embeddings_are_unit_vectors_in_the_order_given(encoder: Encoder) -> None:
    texts = [f"{'word ' * (40 - number)} number {number}" for number in range(40)]
    together = encoder.embed(texts)
    assert together.dtype == np.float32
    assert together.shape == (40, 384)
    assert np.allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-5)
    for number in (0, 17, 39):
        assert np.abs(together[number] - encoder.embed([texts[number]])[0]).max() < 1e-4
    assert encoder.embed([]).shape == (0, 384)


def test_likeness_follows_meaning(encoder: Encoder) -> None:
    question, near, far = encoder.embed(
        ["What time can I visit my mother?", "Visiting hours are 8 a.m. to 8 p.m.", "Take the tablet with food."]
    )
    assert question @ near > question @ far + 0.2


def test_hidden_gives_offsets_into_the_text(encoder: Encoder) -> None:
    text = "My knee hurts"
    offsets, states = encoder.hidden(text)
    assert [text[start:end] for start, end in offsets] == ["", "My", "knee", "hurts", ""]
    assert states.shape == (5, Encoder.hidden_dimension)
    assert len(encoder.hidden("a " * 1000)[0]) == MAX_TOKENS


def test_a_damaged_cache_file_is_rebuilt(cache_dir: Path, encoder: Encoder) -> None:
    expected, states = encoder.embed(TEXTS), encoder.hidden(TEXTS[0])[1]
    files = sorted(cache_dir.glob("*.onnx"))
    assert len(files) == 2
    for file in files:
        size = file.stat().st_size
        data = bytearray(file.read_bytes())
        data[size // 2] ^= 0xFF
        file.write_bytes(bytes(data))
        assert np.array_equal(Encoder.load(cache_dir).embed(TEXTS), expected)
        file.write_bytes(b"")
        assert np.array_equal(Encoder.load(cache_dir).hidden(TEXTS[0])[1], states)
        assert file.stat().st_size == size
    assert {path.suffix for path in cache_dir.iterdir()} == {".onnx", ".sha256"}


def test_a_cache_folder_that_cannot_be_made_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigurationError, match="make the folder writable"):
        Encoder.load(tmp_path / "file" / "cache")


def test_other_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"tokenizer\.json"):
        weights.verify(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ConfigurationError, match="no readable"):
        weights.verify(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    with pytest.raises(ConfigurationError, match="instead of the pinned"):
        weights.verify(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"layers": None}, "layers must be a number from 2 to 6"),
        ({"layers": 7}, "layers must be"),
        ({"layers": True}, "layers must be"),
        ({"strength": None}, "strength must be a number"),
        ({"strength": float("nan")}, "strength must be a number"),
        ({"file_sha256": "0" * 64}, "not the file that its card names"),
    ],
)
def test_a_change_that_its_card_does_not_fit_is_refused(tmp_path: Path, change: dict[str, object], said: str) -> None:
    (tmp_path / WORDS_FILE).write_bytes((WORDS_FOLDER / WORDS_FILE).read_bytes())
    card = json.loads((WORDS_FOLDER / WORDS_CARD).read_text(encoding="utf-8"))
    (tmp_path / WORDS_CARD).write_text(json.dumps(card | change))
    with pytest.raises(ConfigurationError, match=said):
        WordDelta.load(tmp_path)


@pytest.mark.parametrize(("content", "said"), [("[]", "must hold an object"), ("{", "cannot be read")])
def test_a_change_with_a_broken_card_is_refused(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / WORDS_FILE).write_bytes((WORDS_FOLDER / WORDS_FILE).read_bytes())
    (tmp_path / WORDS_CARD).write_text(content)
    with pytest.raises(ConfigurationError, match=said):
        WordDelta.load(tmp_path)


def test_the_shipped_reader_is_over_the_pinned_weights() -> None:
    card = json.loads((WORDS_FOLDER / WORDS_CARD).read_text(encoding="utf-8"))
    assert card["base"] == weights.WEIGHTS_SHA256
    assert WordDelta.load().layers == card["layers"]


def test_the_shipped_reader_of_turns_is_over_the_pinned_weights() -> None:
    card = json.loads((TURNS_FOLDER / TURNS_CARD).read_text(encoding="utf-8"))
    assert card["base"] == weights.WEIGHTS_SHA256
    assert sum(card["messages"].values()) > 10_000


@pytest.mark.parametrize("file", [TURNS_CARD, TURNS_FILE])
def test_the_change_for_turns_is_refused_where_a_file_is_another(tmp_path: Path, file: str) -> None:
    for name in (TURNS_CARD, TURNS_FILE):
        (tmp_path / name).write_bytes((TURNS_FOLDER / name).read_bytes())
    assert TurnDelta.load(tmp_path).sha256 == TurnDelta.load().sha256, "the copy is whole"
    data = bytearray((tmp_path / file).read_bytes())
    data[len(data) // 2] ^= 0x80
    (tmp_path / file).write_bytes(bytes(data))
    with pytest.raises(ConfigurationError, match=r"not the file that its card names|cannot be read"):
        TurnDelta.load(tmp_path)


def test_turns_are_read_otherwise_than_texts(cache_dir: Path, encoder: Encoder, turn_encoder: TurnEncoder) -> None:
    turns, texts = turn_encoder.embed(TEXTS), encoder.embed(TEXTS)
    assert np.abs(np.linalg.norm(turns, axis=1) - 1).max() < 1e-3
    assert (turns * texts).sum(axis=1).max() < 0.999
    again = TurnEncoder.load(cache_dir / "turns")
    assert again.identity == turn_encoder.identity == TurnDelta.load().sha256
    assert np.array_equal(again.embed(TEXTS), turns)


def test_loading_imports_no_torch(cache_dir: Path, encoder: Encoder) -> None:
    program = (
        "import sys; from pathlib import Path; from app.encoder.encoder import Encoder; "
        f"Encoder.load(Path({str(cache_dir)!r})).embed(['x']); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
