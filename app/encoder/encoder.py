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
    """Safe under concurrent use. ``dimension`` is the length of an embedding."""

    dimension = graph.WIDTH

    def __init__(self, session: ort.InferenceSession, tokenizer: Tokenizer) -> None:
        self._session = session
        self._tokenizer = tokenizer

    @classmethod
    def load(cls, cache_dir: Path) -> Encoder:
        """Verify the pinned weights, write the ONNX file into ``cache_dir`` if it is missing or damaged, open it.

        Raises ConfigurationError if the package is missing or altered, or the folder cannot be written.
        """
        folder = weights.model_folder()
        weights.verify(folder)
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.enable_truncation(MAX_TOKENS)
        tokenizer.enable_padding(pad_id=0, pad_token="[PAD]")
        return cls(_open(_cached_graph(folder, cache_dir)), tokenizer)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors, float32 (len(texts), 384), in the order given. Each text is cut at 256 tokens."""
        result = np.zeros((len(texts), self.dimension), dtype=np.float32)
        # Texts of like length share a batch, so that little is padding.
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            encodings = self._tokenizer.encode_batch([texts[index] for index in chosen])
            result[chosen] = self._run("embedding", encodings)
        return result

    def knows(self, word: str) -> bool:
        """Whether the tokenizer holds this lower-case word whole: it is a common one, and no misspelling."""
        return self._tokenizer.token_to_id(word) is not None

    def hidden(self, text: str) -> tuple[Offsets, NDArray[np.float32]]:
        """Character offsets of each token in ``text``, and the last hidden states, float32 (tokens, 384).

        The first and the last token are the model's own marks, with offsets (0, 0). Cut at 256 tokens.
        """
        encoding = self._tokenizer.encode(text)
        return list(encoding.offsets), self._run("states", [encoding])[0]

    def _run(self, output: str, encodings: Sequence[Encoding]) -> NDArray[np.float32]:
        feed = {
            "ids": np.array([encoding.ids for encoding in encodings], dtype=np.int64),
            "mask": np.array([encoding.attention_mask for encoding in encodings], dtype=np.int64),
        }
        found: NDArray[np.float32] = self._session.run([output], feed)[0]
        return found


def _cached_graph(folder: Path, cache_dir: Path) -> Path:
    """The ONNX file; its digest lies beside it, so that a damaged or half-written file is noticed and rebuilt."""
    name = hashlib.sha256(f"{weights.WEIGHTS_SHA256}:{graph.GRAPH_VERSION}".encode()).hexdigest()[:16]
    path, digest_path = cache_dir / f"{name}.onnx", cache_dir / f"{name}.sha256"
    try:
        if path.is_file() and digest_path.is_file():
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() == digest_path.read_text(encoding="ascii"):
                    return path
        data = graph.build(folder).SerializeToString()
        cache_dir.mkdir(parents=True, exist_ok=True)
        _write(path, data)
        _write(digest_path, hashlib.sha256(data).hexdigest().encode("ascii"))
    except OSError as error:
        raise ConfigurationError(
            f"The encoder's file cannot be kept in {cache_dir} ({error.strerror}); make the folder writable, "
            "with 100 MB free"
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
