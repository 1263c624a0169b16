"""Build the demo adapter's dialogues from the hospital's articles and from questions that people wrote.

An answer begins with the sentence that was asked for and goes on with what else the passage says, as far as it stays
short: a patient finds the answer first, and what belongs to it is not lost.

Four kinds: an article's own headings as questions; written questions, each tied to the sentence that answers it;
pick-and-copy exercises over article sentences; and, held out only, questions of one article over a passage of another,
for which the fixed sentence is right. Training on those taught a small model to deny whatever shares few words with the
passage, as lay wording does; the search's bounds stop most such questions before the model is asked. On the training
side wording, order and digits vary, so that the sentence is found by what it says and numbers are copied, not
remembered. Whole articles are held out, chosen by a hash of their id.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from app.contracts.prompt import NOT_IN_ARTICLES, escape
from app.errors import ConfigurationError
from app.knowledge.articles import read_folder
from app.knowledge.passages import split
from training.config_file import read_fields
from training.demo_model.exercises import word_question
from training.demo_model.slots import redraw_digits
from training.finetune.data import Dialogue, save_dialogues
from training.sentences import split_sentences
from training.wording import as_patient

HELD_OUT_SHARE = 0.15
_LEAD_CHARACTERS = 220
_LONGEST_ANSWER = 420
"""Characters up to which an answer goes on after the sentences that were asked for."""
_EMERGENCY_NUMBERS = ("911", "988", "1-800-222-1222")


@dataclass(frozen=True, slots=True)
class Section:
    """One passage of an article: what the retriever returns, in sentences."""

    article_id: str
    topic: str
    heading: str
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with its section and the places (indices) of the sentences that answer it."""

    question: str
    section: Section
    target: tuple[int, ...]
    origin: str


@dataclass(frozen=True, slots=True)
class Counts:
    """How many dialogues and articles a build used."""

    train: int
    held_out: int
    articles: int


def build(articles: Path, written: Path, out: Path, *, seed: int = 7) -> Counts:
    """Write ``train.jsonl`` and ``held_out.jsonl`` into ``out``.

    Raises ConfigurationError for a broken article or file, an unknown article id in ``written``, an anchor that stands
    in no sentence or in several, or where nothing can be written.
    """
    sections = read_sections(articles)
    asked = [*_headings(sections), *_written(sections, written)]
    train = [item for item in asked if not held_out(item.section.article_id)]
    held = [item for item in asked if held_out(item.section.article_id)]
    training = _training_side(train, sections, Random(f"{seed}-train"))
    evaluation = _held_out_side(held, Random(f"{seed}-held-out"))
    save_dialogues(_numbered(training, "train"), out / "train.jsonl")
    save_dialogues(_numbered(evaluation, "held-out"), out / "held_out.jsonl")
    return Counts(len(training), len(evaluation), len({section.article_id for section in sections}))


def held_out(article_id: str) -> bool:
    """Whether an article is kept for measuring: a fixed property of its id."""
    return hashlib.sha256(article_id.encode()).digest()[0] < HELD_OUT_SHARE * 256


def read_sections(folder: Path) -> list[Section]:
    """All passages of all articles, split as the service splits them. Raises ConfigurationError for a broken one."""
    sources, faults = read_folder(folder)
    if faults:
        raise ConfigurationError(faults[0])
    sections = []
    for source in sources:
        for piece in split(source.markdown):
            found = tuple(split_sentences(escape(piece.text)))
            sections.append(Section(source.head.id, source.head.topic, piece.heading, found))
    if not sections:
        raise ConfigurationError(f"{folder} holds no article")
    return sections


def _headings(sections: list[Section]) -> Iterator[Asked]:
    seen = set()
    for section in sections:
        key = (section.article_id, section.heading)
        if section.heading and key not in seen:
            seen.add(key)
            yield Asked(section.heading, section, _lead(section), "heading")


def _lead(section: Section) -> tuple[int, ...]:
    """The opening of a section: its first sentence, and the next ones while they stay short (three at most)."""
    taken, length = [0], len(section.sentences[0])
    announces = section.sentences[0].endswith(":") or " these " in section.sentences[0]
    for index in range(1, min(3, len(section.sentences))):
        length += len(section.sentences[index])
        if length > _LEAD_CHARACTERS and not announces:
            break
        if index == 2 and not announces:
            break
        taken.append(index)
    return tuple(taken)


def _written(sections: list[Section], path: Path) -> Iterator[Asked]:
    for article_id, anchors in read_fields(path).items():
        own = [section for section in sections if section.article_id == article_id]
        if not own:
            raise ConfigurationError(f"{path}: there is no article {article_id}")
        if not isinstance(anchors, dict) or not all(isinstance(questions, list) for questions in anchors.values()):
            raise ConfigurationError(f"{path}: {article_id}: write `words of a sentence: [question, question]` lines")
        for anchor, questions in anchors.items():
            section, target = _find(own, str(anchor), f"{path}: {article_id}")
            for question in questions:
                yield Asked(str(question), section, target, "written")


def _find(sections: list[Section], anchor: str, where: str) -> tuple[Section, tuple[int, ...]]:
    parts = [part.strip() for part in anchor.split(" + ")]
    hits = [
        (section, index)
        for section in sections
        for index, sentence in enumerate(section.sentences)
        if parts[0].lower() in sentence.lower()
    ]
    if len(hits) != 1:
        raise ConfigurationError(f"{where}: {parts[0]!r} stands in {len(hits)} sentences; it must be in exactly one")
    section, first = hits[0]
    target = [first]
    for part in parts[1:]:
        more = [index for index, sentence in enumerate(section.sentences) if part.lower() in sentence.lower()]
        if len(more) != 1:
            raise ConfigurationError(f"{where}: {part!r} must stand in exactly one sentence of the same section")
        target.append(more[0])
    return section, tuple(sorted(target))


def _training_side(asked: list[Asked], sections: list[Section], rng: Random) -> list[Dialogue]:
    pool = [section for section in sections if not held_out(section.article_id)]
    made = []
    for item in asked:
        made.append(_dialogue(item, list(item.section.sentences), item.target, item.question))
        for _ in range(2 if item.origin == "written" else 1):
            made.append(_varied(item, pool, rng))
    for section in pool:
        made.append(_exercise(section, pool, rng))
    rng.shuffle(made)
    return made


def _held_out_side(asked: list[Asked], rng: Random) -> list[Dialogue]:
    pool = list({id(item.section): item.section for item in asked}.values())
    made = []
    for item in asked:
        question = item.question if item.origin == "written" else as_patient(item.question, rng)
        made.append(_dialogue(item, list(item.section.sentences), item.target, question))
    made += [_none(item, pool, rng) for item in rng.sample(asked, len(asked) // 4)]
    return made


def _varied(item: Asked, pool: list[Section], rng: Random) -> Dialogue:
    """The same question in other wording, over a passage with other sentences around, other order, other digits."""
    lines = list(item.section.sentences)
    target = [lines[index] for index in item.target]
    others = [line for index, line in enumerate(lines) if index not in item.target]
    if rng.random() < 0.5:
        foreign = [rng.choice(rng.choice(pool).sentences) for _ in range(rng.randint(1, 3))]
        others = rng.sample(others, rng.randint(0, len(others))) + [line for line in foreign if line not in lines]
    if item.origin == "written" and rng.random() < 0.5:
        rng.shuffle(others)
        at = rng.randint(0, len(others))
    else:
        at = min(item.target[0], len(others))
    lines = others[:at] + target + others[at:]
    places = tuple(range(at, at + len(target)))
    if rng.random() < 0.6:
        lines = [_other_digits(line, rng) for line in lines]
    return _dialogue(item, lines, places, as_patient(item.question, rng))


def _exercise(section: Section, pool: list[Section], rng: Random) -> Dialogue:
    lines = list(section.sentences)
    lines += [rng.choice(rng.choice(pool).sentences) for _ in range(rng.randint(0, 3))]
    lines = [_other_digits(line, rng) for line in dict.fromkeys(lines)]
    rng.shuffle(lines)
    at = rng.randrange(len(lines))
    question = word_question([lines[at]], lines[:at] + lines[at + 1 :], rng)
    return _dialogue(Asked(question, section, (at,), "exercise"), lines, (at,), question)


def _none(item: Asked, pool: list[Section], rng: Random) -> Dialogue:
    """A question over a passage of an article on another topic."""
    foreign = [section for section in pool if section.topic != item.section.topic]
    section = rng.choice(foreign or pool)
    question = item.question if item.origin == "written" else as_patient(item.question, rng)
    return Dialogue(
        id="",
        article_id=section.article_id,
        passages=[_passage(list(section.sentences))],
        question=question,
        answer=NOT_IN_ARTICLES,
        kind="none",
        origin="written" if item.origin == "written" else "heading",
    )


def _dialogue(item: Asked, lines: list[str], target: tuple[int, ...], question: str) -> Dialogue:
    return Dialogue.model_validate(
        {
            "id": "",
            "article_id": item.section.article_id,
            "passages": [_passage(lines)],
            "question": question,
            "answer": " ".join(whole_answer(lines, target)) + " [1]",
            "kind": "answer",
            "origin": item.origin,
        }
    )


def whole_answer(lines: Sequence[str], target: Sequence[int]) -> list[str]:
    """The sentences asked for, then the others in their order while there is room; nothing is said twice."""
    said = list(dict.fromkeys(lines[index] for index in target))
    for line in lines:
        if line in said:
            continue
        if sum(map(len, said)) + len(line) > _LONGEST_ANSWER:
            break
        said.append(line)
    return said


def _passage(lines: list[str]) -> str:
    return " ".join(lines)


def _other_digits(line: str, rng: Random) -> str:
    """Draw digits anew, but never those of emergency numbers: these are learnt as they are."""
    if any(number in line for number in _EMERGENCY_NUMBERS):
        return line
    return redraw_digits(line, rng)


def _numbered(dialogues: list[Dialogue], side: str) -> Iterator[Dialogue]:
    for number, item in enumerate(dialogues, start=1):
        yield item.model_copy(update={"id": f"{side}-{number:04d}"})
