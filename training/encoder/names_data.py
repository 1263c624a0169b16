"""Training messages of the learned name recognizer: frames, calm frames, and messages by other hands, in many styles.

An example is a text and the identifiers in it. About half of the examples hold none: medicines, eponyms, lab values,
brands, months and words that are names too. Nothing of a blind or development set is ever read here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from app.redaction.lexicon import Lexicon
from training.encoder.names_forms import Forms, Segment
from training.encoder.names_lists import FOLDER, FRAME_FAMILIES, Lists, held_out
from training.encoder.names_messages import marked, read_found, read_messages, with_identifiers

FOUND = "found.txt"
_JOINED = 0.12
_LONGEST = 900
"""Characters of a joined text: the service reads no longer ones at once."""
_TYPO_LETTERS = "abcdefghijklmnoprstuvw"


@dataclass(frozen=True, slots=True)
class Example:
    """A message, its identifiers (type, start, end) from left to right, and where it comes from."""

    text: str
    spans: tuple[tuple[str, int, int], ...]
    source: str


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many examples of each kind are made. ``rewritten``: copies of each message with identifiers put in."""

    framed: int = 9_000
    calm: int = 9_000
    rewritten: int = 1
    seed: int = 7


def examples(side: str, sizes: Sizes, folder: Path = FOLDER) -> list[Example]:
    """Examples of one side of the split, "train" or "held_out", drawn from the seed.

    Raises ConfigurationError that names a broken list.
    """
    rng = Random(f"{sizes.seed} {side}")
    lexicon = Lexicon.load()
    lists = Lists.load(side, folder)
    forms = Forms(lists, lexicon)
    found = read_found(folder / FOUND)
    made = [_framed(lists, forms, rng) for _ in range(sizes.framed)]
    made += [_calm(lists, forms, rng) for _ in range(sizes.calm)]
    for author, text in read_messages():
        if held_out(text) != (side == "held_out"):
            continue
        pieces = marked(text, found)
        made.append(_example(pieces, f"message {author}"))
        if rng.random() < 0.5:
            made.append(_example(styled(pieces, rng), f"message {author}"))
        for _ in range(sizes.rewritten):
            put = with_identifiers(pieces, forms, rng)
            made.append(_example(styled(put, rng), f"rewritten {author}"))
    return made


def joined(made: Sequence[Example], rng: Random) -> list[Example]:
    """The examples in another order, some of them joined to longer texts of several lines."""
    order = list(made)
    rng.shuffle(order)
    result, at = [], 0
    while at < len(order):
        size = rng.choice((2, 3, 4, 6, 8)) if rng.random() < _JOINED else 1
        part, at = order[at : at + size], at + size
        glue = rng.choice(("\n", "\n\x01\n", "\n\n"))
        text, spans = part[0].text, list(part[0].spans)
        for one in part[1:]:
            if len(text) + len(glue) + len(one.text) > _LONGEST:
                break
            text += glue
            spans += [(kind, start + len(text), end + len(text)) for kind, start, end in one.spans]
            text += one.text
        result.append(Example(text, tuple(spans), part[0].source))
    return result


def _framed(lists: Lists, forms: Forms, rng: Random) -> Example:
    """One to three sentences, at least one of them with identifiers."""
    family = rng.choices(FRAME_FAMILIES, (22, 18, 25, 14, 8, 13))[0]
    pieces = forms.fill(rng.choice(lists.frames[family]), rng)
    while rng.random() < 0.4 and len(pieces) < 16:
        other = rng.choice(lists.frames[family]) if rng.random() < 0.5 else _calm_frame(lists, rng, family == "es")
        glue = rng.choice((" ", ". ", ", ", "\n", " and ", "; ", " - ", "? ", ".", "... "))
        added = forms.fill(other, rng)
        pieces = [*pieces, (glue, ""), *added] if rng.random() < 0.5 else [*added, (glue, ""), *pieces]
    return _example(styled(pieces, rng), f"frame {family}")


def _calm(lists: Lists, forms: Forms, rng: Random) -> Example:
    spanish = rng.random() < 0.17
    pieces = forms.fill(_calm_frame(lists, rng, spanish), rng)
    while rng.random() < 0.4 and len(pieces) < 16:
        glue = rng.choice((" ", ". ", ", ", "\n", " and ", "? ", "; "))
        pieces = [*pieces, (glue, ""), *forms.fill(_calm_frame(lists, rng, spanish), rng)]
    return _example(styled(pieces, rng), "calm")


def _calm_frame(lists: Lists, rng: Random, spanish: bool) -> str:
    family = "es" if spanish else rng.choices(("words", "clinical", "service"), (40, 44, 16))[0]
    return rng.choice(lists.calm[family])


def styled(pieces: Sequence[Segment], rng: Random) -> list[Segment]:
    """The pieces as one of many patients would type them: in small letters, shouted, with slips, or as they are."""
    draw = rng.random()
    if draw < 0.36:
        pieces = _each(pieces, str.lower)
    elif draw < 0.46:
        pieces = [(text if kind else text.lower(), kind) for text, kind in pieces]
    elif draw < 0.50:
        pieces = _each(pieces, str.upper)
    elif draw < 0.62:
        pieces = [
            (_sentence_case(text, first=at == 0) if not kind else text, kind) for at, (text, kind) in enumerate(pieces)
        ]
    elif draw < 0.65:
        pieces = [(text if kind else text.title(), kind) for text, kind in pieces]
    if rng.random() < 0.12:
        pieces = [(text if kind else _slips(text, rng), kind) for text, kind in pieces]
    if rng.random() < 0.1:
        pieces = _each(pieces, lambda text: text.translate(_PLAIN))
    return list(pieces)


_PLAIN = str.maketrans("áéíóúñüÁÉÍÓÚÑçşğıöäåøłńśźżęąčřžšćđ", "aeiounuAEIOUNcsgioaaolnszzeacrzscd")


def _each(pieces: Sequence[Segment], change: Callable[[str], str]) -> list[Segment]:
    return [(change(text), kind) for text, kind in pieces]


def _sentence_case(text: str, *, first: bool) -> str:
    return text[:1].upper() + text[1:] if first else text


def _slips(text: str, rng: Random) -> str:
    """One letter doubled, dropped or swapped in some words."""
    words = text.split(" ")
    for at, word in enumerate(words):
        if len(word) > 4 and word.isalpha() and rng.random() < 0.15:
            place = rng.randrange(1, len(word) - 1)
            words[at] = rng.choice((word[:place] + word[place + 1 :], word[:place] + word[place] + word[place:],
                                    word[:place] + rng.choice(_TYPO_LETTERS) + word[place + 1 :]))  # fmt: skip
    return " ".join(words)


def _example(pieces: Sequence[Segment], source: str) -> Example:
    """Text and spans of pieces. Lower case can change a text's length, so offsets are counted on what is there."""
    text, spans = "", []
    for piece, kind in pieces:
        if kind:
            spans.append((kind, len(text), len(text) + len(piece)))
        text += piece
    return Example(text, tuple(spans), source)
