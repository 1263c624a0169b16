"""Text in, vectors out: the pinned MiniLM in ONNX Runtime, float32, one thread per pass."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from app.encoder import graph, weights
from app.errors import ConfigurationError

MAX_TOKENS = 256
BATCH = 16

Offsets = list[tuple[int, int]]


class Encoder:
    """Safe under concurrent use. ``dimension`` is the length of an embedding, ``hidden_dimension`` of hidden states."""

    dimension = graph.WIDTH
    hidden_dimension = 2 * graph.WIDTH

    def __init__(self, whole: ort.InferenceSession, words: ort.InferenceSession, tokenizer: Tokenizer) -> None:
        """``whole`` is the graph for embeddings of texts, ``words`` the one for states of their tokens."""
        self._whole, self._words = whole, words
        self._tokenizer = tokenizer

    @classmethod
    def load(cls, cache_dir: Path) -> Encoder:
        """Verify the pinned weights, write the ONNX files into ``cache_dir`` if they are missing or damaged, open them.

        Raises ConfigurationError if the package is missing or altered, or the folder cannot be written.
        """
        folder = weights.model_folder()
        weights.verify(folder)
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.enable_truncation(MAX_TOKENS)
        tokenizer.enable_padding(pad_id=0, pad_token="[PAD]")
        whole, words = (_open(_cached_graph(folder, cache_dir, for_words=wanted)) for wanted in (False, True))
        return cls(whole, words, tokenizer)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors, float32 (len(texts), 384), in the order given. Each text is cut at 256 tokens."""
        result = np.zeros((len(texts), self.dimension), dtype=np.float32)
        # Texts of like length share a batch, so that little is padding.
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            encodings = self._tokenizer.encode_batch([texts[index] for index in chosen])
            result[chosen] = _run(self._whole, ["embedding"], encodings)[0]
        return result

    def knows(self, word: str) -> bool:
        """Whether the tokenizer holds this lower-case word whole: it is a common one, and no misspelling."""
        return self._tokenizer.token_to_id(word) is not None

    def hidden(self, text: str) -> tuple[Offsets, NDArray[np.float32]]:
        """Character offsets of each token in ``text``, and hidden states, float32 (tokens, 768): middle, then last.

        The states come from 8-bit products: near to those of the weights as published, and not equal to them.

        The first and the last token are the model's own marks, with offsets (0, 0). Cut at 256 tokens.
        """
        encoding = self._tokenizer.encode(text)
        middle, last = _run(self._words, ["middle", "states"], [encoding])
        return list(encoding.offsets), np.concatenate([middle[0], last[0]], axis=1)


def _run(session: ort.InferenceSession, outputs: list[str], encodings: Sequence[Encoding]) -> list[NDArray[np.float32]]:
    feed = {
        "ids": np.array([encoding.ids for encoding in encodings], dtype=np.int64),
        "mask": np.array([encoding.attention_mask for encoding in encodings], dtype=np.int64),
    }
    found: list[NDArray[np.float32]] = session.run(outputs, feed)
    return found


def _cached_graph(folder: Path, cache_dir: Path, *, for_words: bool) -> Path:
    """The ONNX file; its digest lies beside it, so that a damaged or half-written file is noticed and rebuilt."""
    what = f"{weights.WEIGHTS_SHA256}:{graph.GRAPH_VERSION}:{'words' if for_words else 'whole'}"
    name = hashlib.sha256(what.encode()).hexdigest()[:16]
    path, digest_path = cache_dir / f"{name}.onnx", cache_dir / f"{name}.sha256"
    try:
        if path.is_file() and digest_path.is_file():
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() == digest_path.read_text(encoding="ascii"):
                    return path
        data = graph.build(folder, for_words=for_words).SerializeToString()
        cache_dir.mkdir(parents=True, exist_ok=True)
        _write(path, data)
        _write(digest_path, hashlib.sha256(data).hexdigest().encode("ascii"))
    except OSError as error:
        raise ConfigurationError(
            f"The encoder's file cannot be kept in {cache_dir} ({error.strerror}); make the folder writable, "
            "with 140 MB free"
        ) from error
    return path


def _write(path: Path, data: bytes) -> None:
    """Replace ``path`` in one step: another process sees the old bytes or the new ones."""
    with NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as file:
        try:
            file.write(data)
            file.flush()
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise


def _open(path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
