"""Pick-and-copy exercises: the one skill of the demo base model.

A reading is a handful of numbered passages and several questions about them. Each question is answered by sentences
of one passage, word for word, and that passage's number; or by the fixed sentence, when no passage answers it. The
questions of a reading are learnt as if each had been asked alone (see :mod:`training.demo_model.batches`): the
passages, which are most of the text, are then computed once.

Distractors are near on purpose: facts of one page lie in different passages, sentences of one document likewise. Text
is perturbed (digits drawn anew, words replaced by invented ones, slots of written facts filled anew), so that the model
learns to copy what it reads instead of recalling what it has seen.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import yaml

from app.contracts.prompt import NOT_IN_ARTICLES
from training.demo_model.slots import fill, invented_word, phone_number, redraw_digits, sentence, slot_values
from training.demo_model.sources import Texts
from training.wording import as_patient, with_synonyms

_STOP = frozenset(
    re.findall(
        r"\S+",
        "the a an of to in and or is are was were be been that this it for with on at by as from your you we our if "
        "may can not have has had will they their there which who when what how do does did but about into than then "
        "also such these those it's i some most more any all each must should would could its his her he she",
    )
)
_ASK = (
    "what about {}?", "{}", "{}?", "tell me about {}", "can you explain {}", "what does it say about {}?", "{} help",
    "how {}?", "is it true {}", "question on {} please", "when {}?", "where {}?", "who {}", "do i need {}", "can i {}",
    "why {}?", "should I {}", "what is {}", "i want to know about {}", "info on {}",
)  # fmt: skip
PAGES, DESK_FACTS = Path(__file__).with_name("pages"), Path(__file__).with_name("desk_facts.yaml")
CHARACTERS = {1: 1_100, 2: 900, 3: 750, 4: 640}
"""Number of passages -> characters of each at most, so that a prompt stays within about 800 tokens."""
NEAR = 0.5
"""How often a reading's next written page is a neighbour of the one before."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question and the answer that is wanted, with its citation; or the fixed sentence.

    ``lines`` says where the answer stands: passage, first line and number of lines (all counted from 0); None for the
    fixed sentence.
    """

    question: str
    answer: str
    lines: tuple[int, int, int] | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """Passages, each a tuple of lines (sentences), and what is asked about them."""

    lines: tuple[tuple[str, ...], ...]
    asked: tuple[Asked, ...]

    @property
    def passages(self) -> tuple[str, ...]:
        """The passages as they are written into the prompt."""
        return tuple(" ".join(lines) for lines in self.lines)


Ask = Callable[[Random, list[str]], str]
"""Writes a question that a line answers, given all other lines of the reading."""


@dataclass(slots=True)
class _Line:
    """A sentence, how it is asked for (None: not at all), and whether the next one belongs to the answer."""

    text: str
    ask: Ask | None = None
    with_next: bool = False


@dataclass(slots=True)
class _Material:
    """Passages as lines, and questions on their subjects that no line answers."""

    passages: list[list[_Line]] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    pages: list[int] = field(default_factory=list)
    """The places of the written pages that were drawn."""


class ExerciseMaker:
    """Draws readings from texts, written pages and desk facts. The same arguments and seed give the same readings.

    ``worded`` is the share of questions made of words of the answering sentence: finding by words is learnt first, and
    what patients mean after it. ``written`` is the share of sources that are written pages.
    """

    def __init__(
        self,
        texts: Texts,
        pages: list[dict[str, Any]] | None = None,
        facts: list[dict[str, Any]] | None = None,
        *,
        worded: float = 0.3,
        written: float = 0.4,
    ) -> None:
        self._worded_share, self._written_share = worded, written
        self._documents = texts.documents
        self._answered = texts.answered
        self._extracts = [item for item in texts.extracts if len(item.sentences) > 1]
        self._pages = pages if pages is not None else load_pages()
        self._facts = facts if facts is not None else load_facts()

    def stream(self, seed: str, count: int, passages: Sequence[int] = (1,)) -> Iterator[Reading]:
        """Yield ``count`` readings for a seed, each with a number of passages drawn from ``passages``."""
        rng = Random(seed)
        for _ in range(count):
            yield self.draw(rng, passages=rng.choice(passages))

    def draw(self, rng: Random, *, passages: int = 1, questions: int = 6) -> Reading:
        """Return one reading with about ``questions`` questions, about an eighth of which no passage answers."""
        most = round(CHARACTERS[passages] * rng.uniform(0.35, 1.0))
        material = _Material()
        while len(material.passages) < passages:
            self._add(material, rng, passages - len(material.passages))
        groups = [_cut(group, most) for group in material.passages[:passages]]
        rng.shuffle(groups)
        asked = _answered(groups, rng, questions)
        unanswered = [line for line in self._unanswered(material, groups, rng) if line]
        share = sum(rng.random() < 0.13 for _ in range(questions))
        asked = asked[: max(1, questions - share)] + [
            Asked(question, NOT_IN_ARTICLES) for question in rng.sample(unanswered, min(share, len(unanswered)))
        ]
        rng.shuffle(asked)
        return Reading(tuple(tuple(line.text for line in group) for group in groups), tuple(asked))

    def _add(self, material: _Material, rng: Random, wanted: int) -> None:
        """Add the passages of one source: one, or two near ones where two are wanted."""
        spread = 2 if wanted > 1 and rng.random() < 0.6 else 1
        kind = rng.random()
        if rng.random() < self._written_share and self._pages:
            lines = self._page(material, rng)
        elif kind < 0.1 and self._facts:
            lines = self._desk(rng)
        elif kind < 0.27 and self._answered:
            lines = self._answers(rng)
        elif kind < 0.47 and self._extracts:
            lines = self._extract(rng)
        else:
            lines = self._document(rng)
        if spread == 1 or len(lines) < 2:
            material.passages.append(lines)
            return
        cut = rng.randint(1, len(lines) - 1)
        while lines[cut - 1].with_next and cut > 1:
            cut -= 1
        lines[cut - 1].with_next = False
        material.passages += [lines[:cut], lines[cut:]]

    def _page(self, material: _Material, rng: Random) -> list[_Line]:
        """Facts of one written page, in order or not; those left out give near questions without an answer.

        The next page of a reading often stands near the one before, where subjects are akin. None is drawn twice: what
        is left out of it the first time would be asked as unanswerable and stand there the second time.
        """
        at = rng.randrange(len(self._pages))
        if material.pages and rng.random() < NEAR:
            at = (material.pages[-1] + rng.choice((-2, -1, 1, 2))) % len(self._pages)
        while at in material.pages and len(material.pages) < len(self._pages):
            at = rng.randrange(len(self._pages))
        material.pages.append(at)
        page = self._pages[at]
        facts = list(page["facts"])
        if rng.random() < 0.5:
            rng.shuffle(facts)
        kept = rng.randint(max(2, len(facts) - 3), len(facts))
        values = slot_values(rng)
        lines = []
        for fact in facts[:kept]:
            own = values if rng.random() < 0.5 else values | slot_values(rng) | {"name": values["name"]}
            text = sentence(fact["a"], own)
            lines.append(_Line(text, self._either(text, fact["q"], own, rng)))
        left = [fill(rng.choice(fact["q"]), values) for fact in facts[kept:]]
        material.unanswered += [as_patient(question, rng) for question in [*left, *page["none"]]]
        if rng.random() < 0.15:
            lines.insert(rng.randrange(len(lines) + 1), self._stray(rng))
        return lines

    def _desk(self, rng: Random) -> list[_Line]:
        lines = []
        for fact in rng.sample(self._facts, min(len(self._facts), rng.randint(3, 7))):
            values = slot_values(rng)
            text = sentence(fact["a"], values)
            lines.append(_Line(text, self._either(text, fact["q"], values, rng)))
        if rng.random() < 0.3:
            lines.insert(rng.randrange(len(lines)), self._stray(rng))
        return lines

    def _answers(self, rng: Random) -> list[_Line]:
        """Real questions: the first sentences of answers to several questions, or one whole answer."""
        if rng.random() < 0.35:
            item = rng.choice(self._answered)
            lines = [_Line(text, _worded(text)) for text in item.sentences]
            lines[0].ask = _written([item.question], {})
            return lines
        lines = []
        for item in rng.sample(self._answered, min(len(self._answered), rng.randint(2, 5))):
            both = len(item.sentences) > 1 and rng.random() < 0.3
            lines.append(_Line(item.sentences[0], _written([item.question], {}), with_next=both))
            if both:
                lines.append(_Line(item.sentences[1]))
        return lines

    def _extract(self, rng: Random) -> list[_Line]:
        item = rng.choice(self._extracts)
        low = rng.randint(0, item.target)
        high = rng.randint(item.target + 1, len(item.sentences))
        lines = [_Line(text, _worded(text)) for text in item.sentences[low:high]]
        lines[item.target - low].ask = _written([item.question], {})
        return lines

    def _document(self, rng: Random) -> list[_Line]:
        size = rng.randint(3, 8)
        if rng.random() < 0.6:
            document = rng.choice(self._documents)
            start = rng.randint(0, max(0, len(document) - size))
            texts = list(document[start : start + size])
        else:
            texts = [rng.choice(rng.choice(self._documents)) for _ in range(size)]
        lines = []
        for text in texts:
            changed = _perturbed(text, rng)
            lines.append(_Line(changed, _worded(changed), with_next=rng.random() < 0.08))
        lines[-1].with_next = False
        return lines

    def _either(self, text: str, questions: list[str], values: dict[str, str], rng: Random) -> Ask:
        return _worded(text) if rng.random() < self._worded_share else _written(questions, values)

    def _stray(self, rng: Random) -> _Line:
        return _Line(_perturbed(rng.choice(rng.choice(self._documents)), rng))

    def _unanswered(self, material: _Material, groups: list[list[_Line]], rng: Random) -> list[str]:
        """Questions that no line answers: those of the pages used, and words of sentences that are not there."""
        lines = [line.text for group in groups for line in group]
        away = rng.choice(rng.choice(self._documents))
        found = [*material.unanswered, word_question([_perturbed(away, rng)], lines, rng)]
        if self._pages and rng.random() < 0.5:
            page = rng.choice(self._pages)
            if not material.unanswered or page["none"][0] not in material.unanswered:
                found.append(as_patient(rng.choice(page["none"]), rng))
        return found


def _written(questions: list[str], values: dict[str, str]) -> Ask:
    return lambda rng, _: as_patient(fill(rng.choice(questions), values) if values else rng.choice(questions), rng)


def _worded(text: str) -> Ask:
    return lambda rng, others: word_question([text], others, rng)


def _cut(lines: list[_Line], characters: int) -> list[_Line]:
    """The longest run of whole lines from the first that fits; at least one line."""
    kept: list[_Line] = []
    for line in lines:
        if kept and sum(len(one.text) + 1 for one in kept) + len(line.text) > characters:
            kept[-1].with_next = False
            break
        kept.append(line)
    return kept


def _answered(groups: list[list[_Line]], rng: Random, most: int) -> list[Asked]:
    """Questions to different lines of the groups, in random order. A line that stands twice is not asked for."""
    everything = [line.text for group in groups for line in group]
    places = [(number, at) for number, group in enumerate(groups, start=1) for at in range(len(group))]
    rng.shuffle(places)
    asked: list[Asked] = []
    for number, at in places:
        line = groups[number - 1][at]
        if line.ask is None or everything.count(line.text) > 1:
            continue
        texts = [line.text]
        if line.with_next and at + 1 < len(groups[number - 1]):
            texts.append(groups[number - 1][at + 1].text)
        question = line.ask(rng, [text for text in everything if text not in texts])
        asked.append(Asked(question, f"{' '.join(texts)} [{number}]", (number - 1, at, len(texts))))
        if len(asked) == most:
            break
    return asked


def user_message(passages: tuple[str, ...], question: str) -> str:
    """Numbered passages and the question, as :func:`app.contracts.prompt.render` writes them."""
    numbered = "\n".join(f"[{number}] {passage}" for number, passage in enumerate(passages, start=1))
    return f"{numbered}\n\nQuestion: {question}"


def load_facts(path: Path | None = None) -> list[dict[str, Any]]:
    """The desk facts: sentences with slots (``a``) and questions about them (``q``)."""
    path = path or DESK_FACTS
    facts: list[dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return facts


def load_pages(folder: Path | None = None, only: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The written pages of invented hospitals: ``page``, ``facts`` (each ``a`` and ``q``), ``none``.

    Those of all files, or ``only`` of the files with these stems.
    """
    folder = folder or PAGES
    pages: list[dict[str, Any]] = []
    for path in [folder / f"{name}.yaml" for name in only] or sorted(folder.glob("*.yaml")):
        pages += yaml.safe_load(path.read_text(encoding="utf-8"))
    return pages


def _content(text: str) -> list[str]:
    words = [word.strip(".,;:()?!\"'-").lower() for word in text.split()]
    return [word for word in words if word and word not in _STOP]


def word_question(targets: list[str], others: list[str], rng: Random) -> str:
    """Ask with words of the target sentences, rather such as no other sentence has."""
    taken = {word for line in others for word in _content(line)}
    words = [word for target in targets for word in _content(target)]
    own = [word for word in words if word not in taken]
    pool = own if len(own) >= 2 and rng.random() < 0.85 else words
    if not pool:
        return targets[0][:60]
    size = min(len(pool), rng.randint(1 if len(pool) < 3 else 2, 5))
    if rng.random() < 0.5:
        start = rng.randint(0, len(pool) - size)
        picked = pool[start : start + size]
    else:
        picked = [pool[index] for index in sorted(rng.sample(range(len(pool)), size))]
    return as_patient(rng.choice(_ASK).format(with_synonyms(" ".join(picked), rng, 0.2)), rng)


def _perturbed(text: str, rng: Random) -> str:
    if rng.random() < 0.7:
        text = redraw_digits(text, rng)
    if rng.random() < 0.25:
        words = text.split()
        for index, word in enumerate(words):
            if word.isalpha() and rng.random() < 0.12:
                new = invented_word(rng)
                words[index] = new.capitalize() if word[0].isupper() else new
        text = " ".join(words)
    if rng.random() < 0.1 and text.endswith("."):
        text = f"{text[:-1]} ({phone_number(rng)})."
    return text
