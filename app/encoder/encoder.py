"""Text in, vectors out: the pinned MiniLM in ONNX Runtime, float32, one thread per pass."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from app.encoder import graph, weights
from app.encoder.delta import Change, Delta, TurnDelta, WordDelta
from app.encoder.sessions import open_session
from app.encoder.text import Text
from app.errors import ConfigurationError
from app.files import replace_file

MAX_TOKENS = 256
BATCH = 16
_ROUNDED = ":rounded"

Offsets = list[tuple[int, int]]


class Embedding:
    """Unit vectors of whole texts, from one graph. Safe under concurrent use. ``dimension`` is their length."""

    dimension = graph.WIDTH

    def __init__(self, whole: ort.InferenceSession, tokenizer: Tokenizer) -> None:
        self._whole, self._tokenizer = whole, tokenizer

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors, float32 (len(texts), 384), in the order given. Each text is cut at 256 tokens."""
        result = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for chosen, encodings in self._batches(texts):
            result[chosen] = _run(self._whole, ["embedding"], encodings)[0]
        return result

    def _batches(self, texts: Sequence[str]) -> Iterator[tuple[list[int], list[Encoding]]]:
        """Places and encodings of texts of like length together, so that little is padding."""
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            yield chosen, self._tokenizer.encode_batch([texts[index] for index in chosen])

    def knows(self, word: str) -> bool:
        """Whether the tokenizer holds this lower-case word whole: it is a common one, and no misspelling."""
        return self._tokenizer.token_to_id(word) is not None


class Encoder(Embedding):
    """The pinned weights, as published for whole texts, and changed by :class:`WordDelta` for their words.

    ``hidden_dimension`` is the length of hidden states.
    """

    hidden_dimension = 2 * graph.WIDTH

    def __init__(self, whole: ort.InferenceSession, words: ort.InferenceSession, tokenizer: Tokenizer) -> None:
        """``whole`` is the graph for embeddings of texts, ``words`` the one for states of their tokens."""
        super().__init__(whole, tokenizer)
        self._words = words

    @classmethod
    def load(cls, cache_dir: Path, words: WordDelta | None = None) -> Encoder:
        """Verify the pinned weights, write the ONNX files into ``cache_dir`` if they are missing or damaged, open them.
        ``words`` is the shipped change unless given.

        Raises ConfigurationError if the package is missing or altered, or the folder cannot be written.
        """
        folder = weights.model_folder()
        weights.verify(folder)
        whole, reader = (
            open_session(cached_graph(folder, cache_dir, wanted)) for wanted in (None, words or WordDelta.load())
        )
        return cls(whole, reader, open_tokenizer(folder))

    def hidden(self, text: str) -> tuple[Offsets, NDArray[np.float32]]:
        """Character offsets of each token in ``text``, and hidden states, float32 (tokens, 768): middle, then last.

        The states come from 8-bit products: near to those of the weights in full, and not equal to them.

        The first and the last token are the model's own marks, with offsets (0, 0). Cut at 256 tokens.
        """
        encoding = self._tokenizer.encode(text)
        middle, last = _run(self._words, ["middle", "states"], [encoding])
        return list(encoding.offsets), np.concatenate([middle[0], last[0]], axis=1)


class TurnEncoder(Embedding):
    """The pinned weights tuned for triage: emergencies lie apart from what only sounds like them.

    Its vectors are compared with nothing; the layers of a policy bundle read them, whose ``base`` must be ``identity``.
    """

    def __init__(self, whole: ort.InferenceSession, tokenizer: Tokenizer, identity: str) -> None:
        super().__init__(whole, tokenizer)
        self.identity = identity

    @classmethod
    def load(cls, cache_dir: Path, change: TurnDelta | None = None) -> TurnEncoder:
        """As :meth:`Encoder.load`; ``change`` is the shipped one unless given. Raises ConfigurationError."""
        folder = weights.model_folder()
        weights.verify(folder)
        change = change or TurnDelta.load()
        whole = open_session(cached_graph(folder, cache_dir, change))
        return cls(whole, open_tokenizer(folder), change.sha256)


class SearchEncoder(Embedding):
    """The pinned weights tuned for search: a question lies near the passage that answers it.

    ``identity`` names weights and change: vectors of another identity must not be compared with these.
    """

    def __init__(self, whole: ort.InferenceSession, tokenizer: Tokenizer, identity: str) -> None:
        super().__init__(whole, tokenizer)
        self.identity = identity

    @classmethod
    def load(cls, cache_dir: Path, delta: Delta | None = None, *, rounded: bool = False) -> SearchEncoder:
        """As :meth:`Encoder.load`; ``delta`` is the shipped one unless given. With ``rounded`` a pass multiplies in
        8-bit integers, in half the time, and gives vectors near to the others. Raises ConfigurationError.
        """
        folder = weights.model_folder()
        weights.verify(folder)
        delta = delta or Delta.load()
        whole = open_session(cached_graph(folder, cache_dir, delta, rounded=rounded))
        named = f"{weights.WEIGHTS_SHA256}:{delta.sha256}{_ROUNDED if rounded else ''}"
        identity = hashlib.sha256(named.encode()).hexdigest()
        return cls(whole, open_tokenizer(folder), identity)

    def read(self, texts: Sequence[str]) -> list[Text]:
        """What the encoder makes of each text, in the order given. Each text is cut at 256 tokens."""
        result: dict[int, Text] = {}
        for chosen, encodings in self._batches(texts):
            vectors, tokens, says = _run(self._whole, ["embedding", "tokens", "weights"], encodings)
            for row, (index, encoding) in enumerate(zip(chosen, encodings, strict=True)):
                own = np.flatnonzero(np.array(encoding.special_tokens_mask) == 0)
                result[index] = Text(vectors[row], tokens[row, own], says[row, own])
        return [result[index] for index in range(len(texts))]


def open_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of the pinned weights; it cuts a text at 256 tokens."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.enable_padding(pad_id=0, pad_token="[PAD]")
    return tokenizer


def _run(session: ort.InferenceSession, outputs: list[str], encodings: Sequence[Encoding]) -> list[NDArray[np.float32]]:
    feed = {
        "ids": np.array([encoding.ids for encoding in encodings], dtype=np.int64),
        "mask": np.array([encoding.attention_mask for encoding in encodings], dtype=np.int64),
    }
    found: list[NDArray[np.float32]] = session.run(outputs, feed)
    return found


def cached_graph(folder: Path, cache_dir: Path, change: Change | None = None, *, rounded: bool = False) -> Path:
    """The ONNX file; its digest lies beside it, so that a damaged or half-written file is noticed and rebuilt."""
    kind = change.sha256 if change else "whole"
    what = f"{weights.WEIGHTS_SHA256}:{graph.GRAPH_VERSION}:{kind}{_ROUNDED if rounded else ''}"
    name = hashlib.sha256(what.encode()).hexdigest()[:16]
    path, digest_path = cache_dir / f"{name}.onnx", cache_dir / f"{name}.sha256"
    try:
        if path.is_file() and digest_path.is_file():
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() == digest_path.read_text(encoding="ascii"):
                    return path
        data = graph.build(folder, change, rounded=rounded).SerializeToString()
        cache_dir.mkdir(parents=True, exist_ok=True)
        replace_file(path, data)
        replace_file(digest_path, hashlib.sha256(data).hexdigest().encode("ascii"))
    except OSError as error:
        raise ConfigurationError(
            f"The encoder's file cannot be kept in {cache_dir} ({error.strerror}); make the folder writable, "
            "with 350 MB free"
        ) from error
    return path
