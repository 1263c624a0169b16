"""Train the learned name recognizer: a small network over the encoder's frozen states, from invented messages.

    bedside-train encoder names --out DIR

The encoder reads each message once; the network (two convolutions, see :mod:`app.redaction.recognizers.head`) learns
which words are identifiers of which class. What is written is a safetensors file (float16) and a card with its hash,
classes, thresholds, data and settings. Thresholds are chosen with :mod:`training.encoder.names_measure` and given by
option.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from rich.progress import track
from safetensors.torch import save

from app.encoder.encoder import Encoder
from app.encoder.weights import WEIGHTS_SHA256
from app.redaction.lexicon import Lexicon
from app.redaction.recognizers import features
from app.redaction.recognizers.head import CARD_FILE, NOTHING, REACH, WEIGHTS_FILE, Card, card_text
from app.redaction.recognizers.learned import States
from training.encoder.names_data import Example, Sizes, examples

CLASSES = (NOTHING, "PERSON", "ADDRESS", "CITY", "ZIP", "ORGANIZATION", "DATE", "ACCOUNT", "PHONE")
THRESHOLDS = {
    "PERSON": 0.5, "ADDRESS": 0.7, "CITY": 0.7, "ZIP": 0.9, "ORGANIZATION": 0.9,
    "DATE": 0.95, "ACCOUNT": 0.95, "PHONE": 0.95,
}  # fmt: skip
"""A lower one finds no more of its class on held-out messages; of people it always finds more."""
BESIDE = 0.4


@dataclass(frozen=True, slots=True)
class Settings:
    """Of one run. ``pieces``: of a batch; ``hidden_flags``: share of words whose name-list flags are hidden."""

    epochs: int = 5
    pieces: int = 3_000
    narrow: int = 96
    shape_width: int = 48
    letter_width: int = 16
    inner: int = 96
    learning_rate: float = 3e-3
    weight_decay: float = 0.02
    dropout: float = 0.15
    hidden_flags: float = 0.25
    identifier_weight: float = 1.0
    seed: int = 7


@dataclass(frozen=True, slots=True)
class Item:
    """One example as the network sees it; ``wanted``: the class of each piece, -1 where it has no say."""

    states: NDArray[np.float16]
    shapes: NDArray[np.float16]
    owners: NDArray[np.int64]
    letters: list[list[int]]
    wanted: NDArray[np.int64]


def train(out: Path, cache: Path, sizes: Sizes, settings: Settings, thresholds: dict[str, float] = THRESHOLDS) -> Path:
    """Make the examples, embed and train; writes weights and card into ``out`` and returns the weights' path."""
    made = examples("train", sizes)
    encoder, reader = Encoder.load(cache), features.Reader(Lexicon.load())
    items = [item(one, encoder, reader) for one in track(made, description="embedding")]
    network, loss = fit(items, settings)
    figures = {"examples": len(made), "sizes": asdict(sizes), "settings": asdict(settings), "last_loss": round(loss, 4)}
    return write(network, out, thresholds, figures)


def item(example: Example, encoder: States, reader: features.Reader) -> Item:
    """Features, states and wanted classes of one example. What stands after the encoder's 256th piece is left out."""
    words = features.split(example.text)
    page = reader.read(example.text, words)
    offsets, states = encoder.hidden(example.text)
    owners = features.owners(words, offsets)
    shapes = np.zeros((len(owners), features.WIDTH + features.PIECE_WIDTH), dtype=np.float16)
    for at, owner in enumerate(owners):
        if owner >= 0:
            shapes[at, : features.WIDTH] = page.shapes[owner]
    shapes[:, features.WIDTH :] = features.pieces(example.text, offsets, owners)
    classes = [_class_of(word.start, word.end, example) for word in words]
    wanted = [classes[owner] if owner >= 0 else -1 for owner in owners]
    return Item(states.astype(np.float16), shapes, np.array(owners), page.letters, np.array(wanted))


def _class_of(start: int, end: int, example: Example) -> int:
    for kind, first, last in example.spans:
        if start < last and first < end:
            return CLASSES.index(kind)
    return 0


class Network(torch.nn.Module):
    """The network of :mod:`app.redaction.recognizers.head`, in torch."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        width = settings.narrow + settings.shape_width + settings.letter_width
        self.states = torch.nn.Linear(Encoder.hidden_dimension, settings.narrow)
        self.shapes = torch.nn.Linear(features.WIDTH + features.PIECE_WIDTH, settings.shape_width)
        self.letters = torch.nn.EmbeddingBag(features.BUCKETS, settings.letter_width, mode="mean")
        self.first = torch.nn.Conv1d(width, settings.inner, REACH, padding=REACH // 2)
        self.second = torch.nn.Conv1d(settings.inner, settings.inner, REACH, padding=REACH // 2)
        self.outer = torch.nn.Linear(2 * settings.inner, len(CLASSES))
        self.dropout = torch.nn.Dropout(settings.dropout)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits (pieces, classes). Rows between two texts stay zero, as beyond the edges of one text."""
        words = self.letters(batch.letters, batch.starts)
        words = torch.cat([words, words.new_zeros(1, words.shape[1])])[batch.owners]
        joined = torch.cat([self.states(batch.states), self.shapes(batch.shapes), words], dim=1)
        joined = self.dropout(torch.relu(joined)) * batch.real
        first = self._read(self.first, joined) * batch.real
        second = self._read(self.second, self.dropout(first))
        result: torch.Tensor = self.outer(self.dropout(torch.cat([second, first], dim=1)))
        return result

    @staticmethod
    def _read(layer: torch.nn.Conv1d, values: torch.Tensor) -> torch.Tensor:
        return torch.relu(layer(values.T[None])[0].T)


@dataclass(frozen=True, slots=True)
class Batch:
    """Several texts behind one another, with rows of zeros (``real`` 0) between them."""

    states: torch.Tensor
    shapes: torch.Tensor
    owners: torch.Tensor
    letters: torch.Tensor
    starts: torch.Tensor
    real: torch.Tensor
    wanted: torch.Tensor


def batch_of(items: Sequence[Item], hidden_flags: float, rng: np.random.Generator) -> Batch:
    """The items as one batch; the name-list flags of a share of the words are hidden."""
    gap = REACH - 1
    states, shapes, owners, wanted, real = [], [], [], [], []
    letters: list[int] = []
    starts: list[int] = []
    for one in items:
        first = len(starts)
        for buckets in one.letters:
            starts.append(len(letters))
            letters.extend(buckets)
        count = len(one.owners)
        rows = one.shapes.astype(np.float32)
        hidden = np.append(rng.random(len(one.letters)) < hidden_flags, False)[one.owners]
        rows[hidden, features.NAME_FLAGS] = 0
        states += [one.states.astype(np.float32), np.zeros((gap, one.states.shape[1]), dtype=np.float32)]
        shapes += [rows, np.zeros((gap, rows.shape[1]), dtype=np.float32)]
        owners += [np.where(one.owners >= 0, one.owners + first, -1), np.full(gap, -1)]
        wanted += [one.wanted, np.full(gap, -1)]
        real += [np.ones((count, 1), dtype=np.float32), np.zeros((gap, 1), dtype=np.float32)]
    whole = [torch.from_numpy(np.concatenate(parts)) for parts in (states, shapes, owners, real, wanted)]
    return Batch(whole[0], whole[1], whole[2], torch.tensor(letters), torch.tensor(starts), whole[3], whole[4])


def fit(items: Sequence[Item], settings: Settings) -> tuple[Network, float]:
    """The trained network, ready to be written, and the mean loss of the last epoch."""
    torch.manual_seed(settings.seed)
    network = Network(settings)
    optimizer = torch.optim.AdamW(network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    batches = max(2, sum(len(one.owners) for one in items) // settings.pieces)
    rates = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, total_steps=settings.epochs * (batches + 2), pct_start=0.15
    )
    weights = torch.ones(len(CLASSES))
    weights[1:] = settings.identifier_weight
    rng = np.random.default_rng(settings.seed)
    losses: list[float] = []
    for epoch in range(settings.epochs):
        losses = []
        for chosen in track(list(_batches(items, settings, epoch, batches)), description=f"epoch {epoch + 1}"):
            batch = batch_of(chosen, settings.hidden_flags, rng)
            loss = functional.cross_entropy(network(batch), batch.wanted, weights, ignore_index=-1)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            rates.step()
            losses.append(float(loss.item()))
    return network.eval(), sum(losses) / len(losses)


def _batches(items: Sequence[Item], settings: Settings, epoch: int, most: int) -> Iterator[list[Item]]:
    """Batches of about ``settings.pieces`` pieces, in another order each epoch; at most two more than ``most``."""
    order = list(range(len(items)))
    Random(settings.seed + epoch).shuffle(order)
    size = -(-len(order) // (most + 1))
    for at in range(0, len(order), size):
        yield [items[index] for index in order[at : at + size]]


def write(network: Network, out: Path, thresholds: dict[str, float], figures: dict[str, object]) -> Path:
    """Write weights and card as :class:`app.redaction.recognizers.head.Head` reads them."""
    tensors = {"letters": network.letters.weight.detach()}
    for name in ("states", "shapes", "outer"):
        layer = getattr(network, name)
        tensors |= {f"{name}.kernel": layer.weight.detach().T, f"{name}.bias": layer.bias.detach()}
    for name in ("first", "second"):
        layer = getattr(network, name)
        kernel = layer.weight.detach().permute(2, 1, 0).flatten(0, 1)
        tensors |= {f"{name}.kernel": kernel, f"{name}.bias": layer.bias.detach()}
    content = save({name: value.half().contiguous() for name, value in tensors.items()})
    card = Card(sha256=hashlib.sha256(content).hexdigest(), base=WEIGHTS_SHA256, features=features.VERSION,
                classes=list(CLASSES), thresholds=thresholds, beside=BESIDE)  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    (out / WEIGHTS_FILE).write_bytes(content)
    (out / CARD_FILE).write_text(card_text(card, figures), encoding="utf-8")
    return out / WEIGHTS_FILE
