"""Token batches for the demo model: readings whose questions share their passages, and plain text in windows.

A reading becomes one row: the passages once, then a branch for each question with its answer. A branch sees the
passages and itself, and its positions go on where the passages end, so that every question is computed exactly as
if it had been asked alone in the served format. Six questions over one reading cost about a third of six prompts.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, fields
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer

from app.errors import ConfigurationError
from training.demo_model.exercises import Reading, user_message
from training.demo_model.guides import GUIDES
from training.demo_model.readings import Readings
from training.demo_model.tokenizer import END, PAD, SPECIAL, START, conversation

IGNORED = -100
EARLY = 4
"""The first tokens of an answer: they decide which sentence is copied, the others only copy it."""

NOWHERE = (0, 1)
"""What a question aims at that nothing answers: the prompt's first token."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows for one step.

    ``tokens``, ``labels`` and ``positions`` are ``[rows, length]``; a label :data:`IGNORED` carries no loss.
    ``branches`` ``[rows, length]`` says to which question a token belongs (0: to the passages, -1: padding); None where
    attention is plainly causal. ``weights`` ``[rows, length]`` says how much a label counts (None: all alike).

    For the guides of :mod:`training.demo_model.guides`: ``aims`` has spans ``[rows, length, 2]`` (first place and the
    one after the last; both 0: none) by the guide's name.
    """

    tokens: torch.Tensor
    labels: torch.Tensor
    positions: torch.Tensor
    branches: torch.Tensor | None = None
    weights: torch.Tensor | None = None
    aims: dict[str, torch.Tensor] | None = None

    @property
    def mask(self) -> torch.Tensor | None:
        """``[rows, 1, length, length]``, true where a token (third axis) may look at another (fourth)."""
        if self.branches is None:
            return None
        width = self.branches.shape[1]
        keys, queries = self.branches[:, None, :], self.branches[:, :, None]
        causal = torch.ones(width, width, dtype=torch.bool, device=self.branches.device).tril()
        return (((keys == 0) | (keys == queries)) & causal)[:, None]

    def packed(self) -> dict[str, Any]:
        """The same as small arrays, to be sent to another process."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        aims = found.pop("aims")
        return {name: None if value is None else _small(value) for name, value in found.items()} | {
            "aims": None if aims is None else {name: _small(value) for name, value in aims.items()}
        }

    @classmethod
    def unpacked(cls, arrays: dict[str, Any], device: torch.device | str) -> Batch:
        """What :meth:`packed` gave, as tensors of a device."""

        def tensor(value: npt.NDArray[Any]) -> torch.Tensor:
            found = torch.from_numpy(value).to(device)
            return found if value.dtype == np.float32 else found.long()

        aims = arrays["aims"]
        plain: dict[str, Any] = {
            name: None if value is None else tensor(value) for name, value in arrays.items() if name != "aims"
        }
        return cls(**plain, aims=None if aims is None else {name: tensor(value) for name, value in aims.items()})

    def to(self, device: torch.device | str) -> Batch:
        """The same on a device."""
        return Batch.unpacked(self.packed(), device)


def _small(value: torch.Tensor) -> npt.NDArray[Any]:
    """Numbers of tokens and places fit into 32 bits."""
    found: npt.NDArray[Any] = value.numpy()
    return found if value.is_floating_point() else found.astype(np.int32)


@dataclass(frozen=True, slots=True)
class Branch:
    """A question with its answer: ids, the tokens of the question itself, where the answer begins, and the answer's
    span in the passages.

    The span of a question that nothing answers is :data:`NOWHERE`.
    """

    ids: list[int]
    asked: int
    start: int
    aim: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Row:
    """A reading as tokens: the passages' ids, the spans of their lines, the place of the number of each line's passage,
    and a branch for each question.
    """

    head: list[int]
    lines: list[tuple[int, int]]
    numbers: list[int]
    branches: list[Branch]

    def __len__(self) -> int:
        return len(self.head) + sum(len(branch.ids) for branch in self.branches)


def encode(tokenizer: Tokenizer, reading: Reading) -> Row:
    """Tokens of a reading. Head and branch together are the tokens of the whole served conversation."""
    text = conversation(user_message(reading.passages, "")).split("Question:")[0] + "Question:"
    head = tokenizer.encode(text)
    spans = _line_spans(text, reading, head.offsets)
    branches = []
    for asked in reading.asked:
        question = f" {asked.question}{END}\n{START}assistant\n"
        start = len(tokenizer.encode(question).ids)
        aim = NOWHERE
        if asked.lines is not None:
            passage, first, count = asked.lines
            aim = (spans[passage][first][0], spans[passage][first + count - 1][1])
        size = len(tokenizer.encode(f" {asked.question}").ids)
        branches.append(Branch(tokenizer.encode(f"{question} {asked.answer}{END}").ids, size, start, aim))
    numbers = [_number_before(head.tokens, passage[0][0]) for passage in spans for _ in passage]
    return Row(head.ids, [span for passage in spans for span in passage], numbers, branches)


def _number_before(tokens: list[str], start: int) -> int:
    """The place of the digit in the ``[n]`` that stands before a passage."""
    return next(at for at in reversed(range(start)) if tokens[at].isdigit())


def _line_spans(text: str, reading: Reading, offsets: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """Token spans of the lines of each passage. A token belongs to the line in which it ends."""
    ends = [end for _, end in offsets]
    spans: list[list[tuple[int, int]]] = []
    at = 0
    for lines in reading.lines:
        spans.append([])
        for line in lines:
            at = text.index(line, at)
            spans[-1].append((bisect_right(ends, at), bisect_left(ends, at + len(line)) + 1))
            at += len(line)
    return spans


def collate(rows: list[Row], pad: int, *, early: float = 1.0, denials: float = 1.0) -> Batch:
    """Put rows into one batch, padded on the right to a multiple of 64: oneDNN builds new kernels for each width.

    The first tokens of each answer count ``early`` times, and ``denials`` times that where nothing answers.
    """
    width = -(-max(len(row) for row in rows) // 64) * 64
    tokens = torch.full((len(rows), width), pad)
    labels = torch.full((len(rows), width), IGNORED)
    positions = torch.zeros((len(rows), width), dtype=torch.long)
    branch = torch.full((len(rows), width), -1)
    weights = torch.ones((len(rows), width))
    aims = {guide: torch.zeros((len(rows), width, 2), dtype=torch.long) for guide in GUIDES}
    for index, row in enumerate(rows):
        at = len(row.head)
        tokens[index, :at] = torch.tensor(row.head)
        positions[index, :at] = torch.arange(at)
        branch[index, :at] = 0
        aims["previous"][index, 1:at] = _each(range(at - 1))
        for (first, last), number in zip(row.lines, row.numbers, strict=True):
            _aim_line(aims, index, first, last)
            aims["passage"][index, first:last] = torch.tensor((number, number + 1))
        for number, one in enumerate(row.branches, start=1):
            end = at + len(one.ids)
            answer = at + one.start
            tokens[index, at:end] = torch.tensor(one.ids)
            labels[index, answer:end] = torch.tensor(one.ids[one.start :])
            weights[index, answer : answer + EARLY] = early * (denials if one.aim == NOWHERE else 1.0)
            positions[index, at:end] = torch.arange(len(row.head), len(row.head) + len(one.ids))
            branch[index, at:end] = number
            _aim_line(aims, index, at, at + one.asked)
            _aim_line(aims, index, answer, end)
            aims["line"][index, at + one.asked : answer] = torch.tensor((at, at + 1))
            aims["gather"][index, at + one.asked : answer] = torch.tensor((at, at + one.asked))
            aims["previous"][index, at + 1 : end] = _each(range(at, end - 1))
            aims["answer"][index, answer - 3 : answer] = torch.tensor(one.aim)
            if one.aim != NOWHERE:
                aims["open"][index, answer - 1] = torch.tensor((one.aim[0], one.aim[0] + 1))
            for place, source in enumerate(_sources(row.head, one)):
                aims["copy"][index, answer - 1 + place] = torch.tensor((source, source + 1))
            at = end
    return Batch(tokens, labels, positions, branch, weights, aims)


def alone(row: Row, *, early: float = 1.0) -> Batch:
    """One row as :func:`collate` makes it, without padding, branches and aims: its parts are attended to one by one."""
    tokens, labels, positions = list(row.head), [IGNORED] * len(row.head), list(range(len(row.head)))
    weights = [1.0] * len(row.head)
    for one in row.branches:
        answer = one.ids[one.start :]
        tokens += one.ids
        labels += [IGNORED] * one.start + answer
        positions += range(len(row.head), len(row.head) + len(one.ids))
        weights += [1.0] * one.start + [early] * len(answer[:EARLY]) + [1.0] * len(answer[EARLY:])
    return Batch(
        torch.tensor([tokens]), torch.tensor([labels]), torch.tensor([positions]), None, torch.tensor([weights])
    )


def _aim_line(aims: dict[str, torch.Tensor], index: int, first: int, last: int) -> None:
    """Its words look at the first token of a line, and at all of the line so far."""
    aims["line"][index, first:last] = torch.tensor((first, first + 1))
    aims["gather"][index, first:last] = torch.tensor([(first, at + 1) for at in range(first, last)])


def _each(places: range) -> torch.Tensor:
    return torch.tensor([(at, at + 1) for at in places])


def _sources(head: list[int], one: Branch) -> list[int]:
    """For the prompt's last token and each token of the answer: the place in the passages where the next one stands, as
    long as both run alike; after that the span's last token, from which the passage's number comes.
    """
    first, last = one.aim
    answer = one.ids[one.start :]
    if one.aim == NOWHERE:
        return []
    if head[first] != answer[0] and head[first - 1] == answer[0]:
        first -= 1  # The blank before the sentence is a token of its own.
    alike = 0
    while first + alike < last and alike < len(answer) and head[first + alike] == answer[alike]:
        alike += 1
    whole = first + alike == last
    return [*range(first, first + alike), *([last - 1] * 3 if whole else [])]


def exercise_batches(
    maker: Readings,
    tokenizer: Tokenizer,
    seed: str,
    *,
    count: int,
    batch_tokens: int,
    longest: int,
    passages: tuple[int, ...],
    early: float = 1.0,
    denials: float = 1.0,
    blurred: float = 0.0,
) -> Iterator[Batch]:
    """One chunk of ``count`` readings, sorted by length, in batches of about ``batch_tokens``, in random order.

    Loss falls on the answers and their end marks only. Questions that asked alone would have over ``longest`` tokens
    with their passages and answer are left out. ``blurred`` is the share of a question's tokens that are replaced by
    any others, so that a question cannot be learnt by heart; ``early`` and ``denials`` are those of :func:`collate`.
    Raises ConfigurationError when nothing is left.
    """
    rng = Random(f"{seed}-blurred")
    rows = [
        _blurred(_fitting(encode(tokenizer, reading), longest), rng, blurred, tokenizer.get_vocab_size())
        for reading in maker.stream(seed, count, passages=passages)
    ]
    rows = sorted((row for row in rows if row.branches), key=len)
    if not rows:
        raise ConfigurationError(f"No exercise fits into {longest} tokens; raise `longest` (up to 1024).")
    groups: list[list[Row]] = []
    for row in rows:
        if groups and (len(groups[-1]) + 1) * -(-len(row) // 64) * 64 <= batch_tokens:
            groups[-1].append(row)
        else:
            groups.append([row])
    Random(seed).shuffle(groups)
    pad = tokenizer.token_to_id(PAD) or 0
    for group in groups:
        yield collate(group, pad, early=early, denials=denials)


def _fitting(row: Row, longest: int) -> Row:
    kept = [branch for branch in row.branches if len(row.head) + len(branch.ids) <= longest]
    return Row(row.head, row.lines, row.numbers, kept)


def _blurred(row: Row, rng: Random, share: float, vocabulary: int) -> Row:
    if not share:
        return row
    branches = []
    for one in row.branches:
        ids = [
            rng.randrange(len(SPECIAL), vocabulary) if at < one.asked and rng.random() < share else token
            for at, token in enumerate(one.ids)
        ]
        branches.append(Branch(ids, one.asked, one.start, one.aim))
    return Row(row.head, row.lines, row.numbers, branches)


def reading_batches(
    maker: Readings,
    plain: list[str],
    tokenizer: Tokenizer,
    seed: str,
    *,
    count: int,
    batch_tokens: int,
    longest: int,
    passages: tuple[int, ...],
) -> Iterator[Batch]:
    """One chunk for the first phase: a third plain text, two thirds exercises, loss on every token."""
    rng = Random(seed)
    half = max(2, count // 4)
    texts = [
        conversation(user_message(item.passages, asked.question), asked.answer)
        for item in maker.stream(seed, half, passages=passages)
        for asked in item.asked[:1]
    ]
    texts += [rng.choice(plain)[:1_200] + SPECIAL[2] for _ in range(half // 2)] if plain else []
    rng.shuffle(texts)
    ids = [token for encoded in tokenizer.encode_batch_fast(texts) for token in encoded.ids]
    width = min(512, longest)
    rows = max(1, batch_tokens // width)
    windows = torch.tensor(ids[: len(ids) // width * width]).view(-1, width)
    for start in range(0, len(windows), rows):
        tokens = windows[start : start + rows]
        yield Batch(tokens, tokens.clone(), torch.arange(width).expand_as(tokens))
