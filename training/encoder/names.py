"""Train the learned name recognizer from invented messages: the encoder's first blocks, and a small network over them.

    bedside-train encoder names --out DIR

The encoder's blocks are changed a little (LoRA, :mod:`training.encoder.words`); the network (two convolutions, see
:mod:`app.redaction.recognizers.head`) learns with them which words are identifiers of which class. Each epoch draws new
messages; some are joined to longer texts, as the turns of a call are. What is written are two safetensors files
(float16) with their cards. Thresholds are chosen with :mod:`training.encoder.names_measure` and given by option.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from rich.progress import track
from safetensors.torch import save

from app.encoder.delta import WordDelta
from app.redaction.lexicon import Lexicon
from app.redaction.recognizers import features
from app.redaction.recognizers.head import CARD_FILE, NOTHING, REACH, WEIGHTS_FILE, Card, card_text
from training.encoder.lora import Ids
from training.encoder.names_data import Example, Sizes, examples, joined
from training.encoder.words import WordReader

CLASSES = (NOTHING, "PERSON", "ADDRESS", "CITY", "ZIP", "ORGANIZATION", "DATE", "ACCOUNT", "PHONE")
THRESHOLDS = {
    "PERSON": 0.35, "ADDRESS": 0.7, "CITY": 0.7, "ZIP": 0.9, "ORGANIZATION": 0.9,
    "DATE": 0.95, "ACCOUNT": 0.95, "PHONE": 0.95,
}  # fmt: skip
"""A lower one finds no more of its class on held-out messages; of people it always finds more."""
BESIDE = 0.4
_NEAR = 1_500
"""Items among which those of like length are looked for."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Of one run. ``pieces``: of a batch; ``hidden_flags``: share of words whose name-list flags are hidden.

    ``layers`` blocks of the encoder are run, changed by factors of ``rank`` that learn at ``reader_rate``.
    """

    epochs: int = 4
    pieces: int = 1_400
    layers: int = 3
    rank: int = 32
    reader_rate: float = 6e-4
    narrow: int = 128
    shape_width: int = 48
    letter_width: int = 16
    inner: int = 128
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    dropout: float = 0.15
    hidden_flags: float = 0.25
    identifier_weight: float = 1.0
    seed: int = 7


@dataclass(frozen=True, slots=True)
class Item:
    """One example as the network sees it; ``wanted``: the class of each piece, -1 where it has no say."""

    ids: Ids
    shapes: NDArray[np.float16]
    owners: NDArray[np.int64]
    letters: list[list[int]]
    wanted: NDArray[np.int64]


Encode = Callable[[str], tuple[Ids, list[tuple[int, int]]]]
Read = Callable[[Sequence[Ids]], list[torch.Tensor]]


def train(out: Path, sizes: Sizes, settings: Settings, thresholds: dict[str, float] = THRESHOLDS) -> Path:
    """Train, and write weights, factors and cards into ``out``; returns the weights' path."""
    torch.manual_seed(settings.seed)
    encoder, reader = WordReader(settings.layers, settings.rank), features.Reader(Lexicon.load())
    figures: dict[str, object] = {"sizes": asdict(sizes), "settings": asdict(settings)}

    def items(epoch: int) -> list[Item]:
        made = joined(examples("train", replace(sizes, seed=sizes.seed + epoch)), Random(sizes.seed + epoch))
        figures["examples"] = len(made)
        return [item(one, encoder.encode, reader) for one in made]

    network, loss = fit(items, encoder, settings)
    figures["last_loss"] = round(loss, 4)
    encoder.write(out, figures)
    return write(network, out, thresholds, figures, WordDelta.load(out).sha256)


def item(example: Example, encode: Encode, reader: features.Reader) -> Item:
    """Features, pieces and wanted classes of one example. What stands after the encoder's 256th piece is left out."""
    words = features.split(example.text)
    page = reader.read(example.text, words)
    ids, offsets = encode(example.text)
    owners = features.owners(words, offsets)
    shapes = np.zeros((len(owners), features.WIDTH + features.PIECE_WIDTH), dtype=np.float16)
    for at, owner in enumerate(owners):
        if owner >= 0:
            shapes[at, : features.WIDTH] = page.shapes[owner]
    shapes[:, features.WIDTH :] = features.pieces(example.text, offsets, owners)
    classes = [_class_of(word.start, word.end, example) for word in words]
    wanted = [classes[owner] if owner >= 0 else -1 for owner in owners]
    return Item(ids, shapes, np.array(owners), page.letters, np.array(wanted))


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
        self.states = torch.nn.Linear(WordReader.width, settings.narrow)
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


def batch_of(items: Sequence[Item], read: Read, hidden_flags: float, rng: np.random.Generator) -> Batch:
    """The items as one batch, their states from ``read``; the name-list flags of a share of the words are hidden."""
    gap = REACH - 1
    states: list[torch.Tensor] = []
    shapes, owners, wanted, real = [], [], [], []
    letters: list[int] = []
    starts: list[int] = []
    for one, found in zip(items, read([one.ids for one in items]), strict=True):
        first = len(starts)
        for buckets in one.letters:
            starts.append(len(letters))
            letters.extend(buckets)
        count = len(one.owners)
        rows = one.shapes.astype(np.float32)
        hidden = np.append(rng.random(len(one.letters)) < hidden_flags, False)[one.owners]
        rows[hidden, features.NAME_FLAGS] = 0
        states += [found, found.new_zeros(gap, found.shape[1])]
        shapes += [rows, np.zeros((gap, rows.shape[1]), dtype=np.float32)]
        owners += [np.where(one.owners >= 0, one.owners + first, -1), np.full(gap, -1)]
        wanted += [one.wanted, np.full(gap, -1)]
        real += [np.ones((count, 1), dtype=np.float32), np.zeros((gap, 1), dtype=np.float32)]
    whole = [torch.from_numpy(np.concatenate(parts)) for parts in (shapes, owners, real, wanted)]
    begins = torch.tensor(starts)
    return Batch(torch.cat(states), whole[0], whole[1], torch.tensor(letters), begins, whole[2], whole[3])


def fit(items: Callable[[int], list[Item]], reader: torch.nn.Module, settings: Settings) -> tuple[Network, float]:
    """The trained network, ready to be written, and the mean loss of the last epoch; ``reader``, which gives the states
    of pieces, is trained with it. ``items`` are asked for by epoch.
    """
    torch.manual_seed(settings.seed)
    network = Network(settings)
    tuned = [one for one in reader.parameters() if one.requires_grad]
    groups = [
        {"params": network.parameters(), "lr": settings.learning_rate, "weight_decay": settings.weight_decay},
        *([{"params": tuned, "lr": settings.reader_rate, "weight_decay": settings.weight_decay / 2}] if tuned else []),
    ]
    optimizer = torch.optim.AdamW(groups)
    made = items(0)
    # Epochs differ a little in size: a tenth more steps than the first one's, and the rate stays at its end.
    steps = int(1.1 * settings.epochs * len(_batches(made, settings, 0))) + 1
    rates = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [group["lr"] for group in optimizer.param_groups], total_steps=steps, pct_start=0.08
    )
    weights = torch.ones(len(CLASSES))
    weights[1:] = settings.identifier_weight
    rng = np.random.default_rng(settings.seed)
    losses: list[float] = []
    done = 0
    for epoch in range(settings.epochs):
        losses = []
        made = made if epoch == 0 else items(epoch)
        for chosen in track(_batches(made, settings, epoch), description=f"epoch {epoch + 1}"):
            batch = batch_of([made[index] for index in chosen], reader, settings.hidden_flags, rng)
            loss = functional.cross_entropy(network(batch), batch.wanted, weights, ignore_index=-1)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_([*network.parameters(), *tuned], 1.0)
            optimizer.step()
            done += 1
            if done < steps:
                rates.step()
            losses.append(float(loss.detach()))
    reader.eval()
    return network.eval(), sum(losses) / len(losses)


def _batches(items: Sequence[Item], settings: Settings, epoch: int) -> list[list[int]]:
    """Places of items in batches of texts of like length, at most ``settings.pieces`` pieces with their padding (or one
    text), in another order each epoch.
    """
    rng = Random(settings.seed + epoch)
    order = list(range(len(items)))
    rng.shuffle(order)
    batches: list[list[int]] = []
    for start in range(0, len(order), _NEAR):
        batch: list[int] = []
        for index in sorted(order[start : start + _NEAR], key=lambda one: len(items[one].ids)):
            if batch and (len(batch) + 1) * len(items[index].ids) > settings.pieces:
                batches.append(batch)
                batch = []
            batch.append(index)
        batches.append(batch)
    rng.shuffle(batches)
    return batches


def write(network: Network, out: Path, thresholds: dict[str, float], figures: dict[str, object], base: str) -> Path:
    """Write weights and card as :class:`app.redaction.recognizers.head.Head` reads them; ``base`` is the SHA-256 of the
    reader's change.
    """
    tensors = {"letters": network.letters.weight.detach()}
    for name in ("states", "shapes", "outer"):
        layer = getattr(network, name)
        tensors |= {f"{name}.kernel": layer.weight.detach().T, f"{name}.bias": layer.bias.detach()}
    for name in ("first", "second"):
        layer = getattr(network, name)
        kernel = layer.weight.detach().permute(2, 1, 0).flatten(0, 1)
        tensors |= {f"{name}.kernel": kernel, f"{name}.bias": layer.bias.detach()}
    content = save({name: value.half().contiguous() for name, value in tensors.items()})
    card = Card(sha256=hashlib.sha256(content).hexdigest(), base=base, features=features.VERSION,
                classes=list(CLASSES), thresholds=thresholds, beside=BESIDE)  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    (out / WEIGHTS_FILE).write_bytes(content)
    (out / CARD_FILE).write_text(card_text(card, figures), encoding="utf-8")
    return out / WEIGHTS_FILE
