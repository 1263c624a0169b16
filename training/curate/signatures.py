"""Signatures: what of a record stays in memory while copies are looked for, about a kilobyte each.

They are made record by record, in all processes; copies are then found over all of them together.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rensa import RMinHash

from app.redaction.lexicon import Lexicon
from training.curate.records import Record, read_records
from training.curate.streams import mapped
from training.curate.words import words
from training.finetune.dialogues import read_sections

SLOTS = 129
BAND = 3
"""Slots of a band. Two records meet if one of the 43 bands is equal: likely (97 %) from a Jaccard similarity of 0.43 of
their word pairs, which copies with 20 % of their words edited have; rare (0.1 %) at 0.03, which other calls have."""
FLOOR = 0.3
"""Pairs whose similarity, by all slots, is estimated below this are no candidates: 0.43 less three standard errors."""
CROWD = 100
"""Of records that share a band, so many (the best) are compared with each of the others."""
_SEED = 42
_CHUNK = 1 << 14

Ranks = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Signature:
    """``exact`` is equal for records of the same words by the same speakers. ``sound`` is how much of a record reads
    well: its known words less twice the unknown ones. ``sketch`` is its MinHash over pairs of words.
    """

    id: str
    exact: str
    sound: int
    resolved: bool | None
    patient: str | None
    conversation: str | None
    sketch: bytes

    @property
    def rank(self) -> tuple[int, int, str]:
        """Smallest for the copy to be kept: resolved, then unknown, then not; that reads best; by id."""
        return ({True: 0, None: 1, False: 2}[self.resolved], -self.sound, self.id)


def sign(record: Record, vocabulary: frozenset[str]) -> Signature:
    """The signature of one record."""
    said = [(turn.speaker, words(turn.text)) for turn in record.turns]
    whole = [word for _, part in said for word in part]
    known = sum(word in vocabulary or not word.isalpha() for word in whole)
    content = json.dumps([[speaker, *part] for speaker, part in said], ensure_ascii=False)
    return Signature(
        record.id,
        hashlib.blake2b(content.encode(), digest_size=12).hexdigest(),
        known - 2 * (len(whole) - known),
        record.resolved,
        record.patient,
        record.conversation,
        sketch(record),
    )


def sketch(record: Record) -> bytes:
    """The MinHash of a record over pairs of words, :data:`SLOTS` little-endian numbers of 32 bits.

    A call is sketched by the patient's words: staff read the same sentences of the same articles to everyone, and calls
    that share only these are not worth a comparison. Notes and FAQ entries are sketched whole.
    """
    said = [(turn.speaker, words(turn.text)) for turn in record.turns]
    patient = [word for speaker, part in said for word in part if speaker == "patient"]
    whole = [word for _, part in said for word in part]
    made = RMinHash(num_perm=SLOTS, seed=_SEED)
    made.update(_pairs(patient if patient and record.kind == "transcript" else whole))
    return np.array(made.digest(), dtype="<u4").tobytes()


def _pairs(said: list[str]) -> list[str]:
    return [f"{one} {other}" for one, other in zip(["", *said], [*said, ""], strict=True)]


def reading_vocabulary(articles: Path) -> frozenset[str]:
    """Words that are spelt right: the approved articles' and the redactor's list of everyday ones."""
    lexicon = Lexicon.load()
    written = {word for section in read_sections(articles) for line in section.sentences for word in words(line)}
    return frozenset(written | lexicon.ordinary | lexicon.given | lexicon.surnames)


def signatures(records: Path, articles: Path, workers: int) -> Iterator[Signature]:
    """The signatures of a file of records, in its order."""
    yield from mapped(read_records(records), partial(_signer, articles), workers)


def _signer(articles: Path) -> partial[Signature]:
    return partial(sign, vocabulary=reading_vocabulary(articles))


def candidates(ranked: list[Signature]) -> Iterator[tuple[int, int]]:
    """Pairs (better, worse) of places in ``ranked`` (by :attr:`Signature.rank`) that may be copies, sorted by the worse
    one and then the better.
    """
    if not ranked:
        return
    sketches = np.frombuffer(b"".join(item.sketch for item in ranked), dtype="<u4").reshape(len(ranked), SLOTS)
    found = np.empty(0, dtype=np.int64)
    for band in range(0, SLOTS, BAND):
        met = [_likely(pairs, sketches) for pairs in _meetings(sketches[:, band : band + BAND])]
        found = np.unique(np.concatenate([found, *met]))
    for code in found:
        worse, better = divmod(int(code), len(ranked))
        yield better, worse


def _meetings(band: npt.NDArray[np.uint32]) -> Iterator[tuple[Ranks, Ranks]]:
    """Pairs of rows that are equal in this band: each with the first :data:`CROWD` of its group."""
    key = np.zeros(len(band), dtype=np.uint64)
    for slot in range(band.shape[1]):
        key = (key ^ band[:, slot]) * np.uint64(0x9E3779B97F4A7C15)
        key ^= key >> np.uint64(29)
    order = np.argsort(key, kind="stable")
    starts = np.concatenate([[True], key[order][1:] != key[order][:-1]])
    first = np.maximum.accumulate(np.where(starts, np.arange(len(order)), 0))
    place = np.arange(len(order)) - first
    for lead in range(min(CROWD, int(place.max()))):
        later = np.flatnonzero(place > lead)
        yield order[first[later] + lead], order[later]


def _likely(pairs: tuple[Ranks, Ranks], sketches: npt.NDArray[np.uint32]) -> Ranks:
    """The pairs (coded) that are similar by their whole sketches."""
    kept = []
    for at in range(0, len(pairs[0]), _CHUNK):
        better, worse = pairs[0][at : at + _CHUNK], pairs[1][at : at + _CHUNK]
        alike = (sketches[better] == sketches[worse]).mean(axis=1) >= FLOOR
        kept.append(worse[alike] * len(sketches) + better[alike])
    return np.concatenate(kept) if kept else np.empty(0, dtype=np.int64)
