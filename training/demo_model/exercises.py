"""Pick-and-copy exercises: the one skill of the demo base model.

An exercise is a prompt in the served format (numbered passages, blank line, question) and the answer: the sentences
of a passage that fit, word for word, and the passage's number. Text is perturbed (digits drawn anew, words replaced
by invented ones), so that the model learns to copy what it reads instead of recalling what it has seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import yaml

from app.contracts.prompt import NOT_IN_ARTICLES
from training.demo_model.sources import Texts
from training.wording import as_patient, with_synonyms

_SYLLABLES = tuple(consonant + vowel for consonant in "bdfghklmnprstvwz" for vowel in "aeiou")
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
_PLACES = ("level {n} of the {name} Building", "the ground floor by the {name} entrance", "floor {n}, room {n}{n}{n}",
           "the first floor of {name} Hall", "level {n}, across from the {name} elevators")  # fmt: skip
_DESKS = ("the billing office", "the {name} clinic", "the pharmacy", "the nurse line", "medical records", "the lab",
          "the help desk", "the surgery center", "patient support", "the {name} desk", "the imaging department",
          "the front desk", "guest services", "the heart clinic", "the scheduling team")  # fmt: skip
_DAYS = (
    "Monday to Friday",
    "every day",
    "Monday to Saturday",
    "weekdays",
    "Saturday and Sunday",
    "Tuesday to Thursday",
)
_FOODS = ("nuts", "seeds", "red meat", "dairy", "popcorn", "raw fruit", "corn", "beans", "cheese", "salad")
_THINGS = (
    "your date of birth",
    "your record number",
    "strong pain tablets",
    "the email that we have for you",
    "opioids",
)
_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Exercise:
    """The user's message in the served format, and the assistant's answer."""

    prompt: str
    answer: str


def user_message(passages: list[str], question: str) -> str:
    """Numbered passages and the question, as :func:`app.contracts.prompt.render` writes them."""
    numbered = "\n".join(f"[{number}] {passage}" for number, passage in enumerate(passages, start=1))
    return f"{numbered}\n\nQuestion: {question}"


def invented_word(rng: Random) -> str:
    """A pronounceable word that no text holds."""
    return "".join(rng.choice(_SYLLABLES) for _ in range(rng.randint(2, 4)))


def redraw_digits(text: str, rng: Random) -> str:
    """Draw every digit anew, so that a number can only be right by being copied."""
    return re.sub(r"\d", lambda _: str(rng.randint(0, 9)), text)


def phone_number(rng: Random) -> str:
    """A number in the range that is kept for fiction, in one of the usual forms; now and then toll-free or short."""
    last = f"555-{rng.randint(100, 199):04d}"
    area = f"{rng.randint(201, 989)}"
    return rng.choice(
        (f"{area}-{last}",) * 6 + (f"({area}) {last}", last, f"1-8{rng.randint(0, 8)}{rng.randint(0, 9)}-{last}")
    )


class ExerciseMaker:
    """Draws exercises from texts. The same texts and the same ``rng`` state give the same exercises."""

    def __init__(self, texts: Texts, facts: list[dict[str, Any]] | None = None, *, max_characters: int = 1_000) -> None:
        self._documents = texts.documents
        self._answered = texts.answered
        self._extracts = [item for item in texts.extracts if len(item.sentences) > 1]
        self._facts = facts if facts is not None else load_facts()
        self._max = max_characters

    def draw(self, rng: Random, *, passages: int = 1) -> Exercise:
        """Return one exercise with ``passages`` passages, of which one holds the answer (or, in 7 %, none)."""
        kind = rng.random()
        if kind < 0.40:
            lines, target, question = self._from_document(rng)
        elif kind < 0.72 or not self._answered:
            lines, target, question = self._from_desk(rng)
        elif kind < 0.92 or not self._extracts:
            lines, target, question = self._from_answers(rng)
        else:
            lines, target, question = self._from_extract(rng)
        answers = [lines[index] for index in target]
        if rng.random() < 0.07:
            lines, _, _ = self._from_document(rng)
            answers = []
        groups = [lines]
        for _ in range(passages - 1):
            groups.append(self._from_document(rng)[0][:4])
        at = rng.randrange(len(groups))
        groups[0], groups[at] = groups[at], groups[0]
        prompt = user_message([" ".join(group) for group in groups], question)
        return Exercise(prompt, f"{' '.join(answers)} [{at + 1}]" if answers else NOT_IN_ARTICLES)

    def stream(self, seed: str, count: int, *, passages: tuple[int, ...] = (1,)) -> Iterator[Exercise]:
        """Yield ``count`` exercises for a seed."""
        rng = Random(seed)
        for _ in range(count):
            yield self.draw(rng, passages=rng.choice(passages))

    def _cut(self, lines: list[str]) -> list[str]:
        kept: list[str] = []
        for line in lines:
            if kept and sum(map(len, kept)) + len(line) > self._max:
                break
            kept.append(line)
        return kept

    def _from_document(self, rng: Random) -> tuple[list[str], list[int], str]:
        size = rng.randint(3, 9)
        if rng.random() < 0.6:
            document = rng.choice(self._documents)
            start = rng.randint(0, max(0, len(document) - size))
            lines = list(document[start : start + size])
        else:
            lines = [rng.choice(rng.choice(self._documents)) for _ in range(size)]
        lines = self._cut([_perturbed(line, rng) for line in lines])
        at = rng.randrange(len(lines))
        target = [at, at + 1] if at + 1 < len(lines) and rng.random() < 0.12 else [at]
        others = [line for index, line in enumerate(lines) if index not in target]
        return lines, target, word_question([lines[index] for index in target], others, rng)

    def _from_desk(self, rng: Random) -> tuple[list[str], list[int], str]:
        picked = rng.sample(self._facts, min(len(self._facts), rng.randint(3, 8)))
        slots = [_slots(rng) for _ in picked]
        lines = [_fill(fact["a"], values) for fact, values in zip(picked, slots, strict=True)]
        lines = [line[:1].upper() + line[1:] for line in lines]
        if rng.random() < 0.35:
            lines.insert(rng.randrange(len(lines)), _perturbed(rng.choice(rng.choice(self._documents)), rng))
        lines = self._cut(lines)
        candidates = [index for index, fact in enumerate(picked) if index < len(lines)]
        chosen = rng.choice(candidates)
        answer = _fill(picked[chosen]["a"], slots[chosen])
        answer = answer[:1].upper() + answer[1:]
        if answer not in lines:
            return self._from_document(rng)
        question = _fill(rng.choice(picked[chosen]["q"]), slots[chosen])
        return lines, [lines.index(answer)], as_patient(question, rng)

    def _from_answers(self, rng: Random) -> tuple[list[str], list[int], str]:
        picked = rng.sample(self._answered, min(len(self._answered), rng.randint(3, 6)))
        lines = self._cut([rng.choice(item.sentences[:2]) for item in picked])
        at = rng.randrange(len(lines))
        return lines, [at], as_patient(picked[at].question, rng)

    def _from_extract(self, rng: Random) -> tuple[list[str], list[int], str]:
        item = rng.choice(self._extracts)
        low = rng.randint(0, item.target)
        high = rng.randint(item.target + 1, len(item.sentences))
        lines = list(item.sentences[low:high])
        if sum(map(len, lines)) > self._max:
            lines, low = [item.sentences[item.target]], item.target
        return lines, [item.target - low], as_patient(item.question, rng)


def load_facts(path: Path | None = None) -> list[dict[str, Any]]:
    """The desk facts: sentences with slots (``a``) and questions about them (``q``)."""
    path = path or Path(__file__).with_name("desk_facts.yaml")
    facts: list[dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return facts


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


def _slots(rng: Random) -> dict[str, str]:
    def clock(half: str) -> str:
        return f"{rng.randint(1, 12)}{rng.choice(('', '', ':30', ':15', ':45'))} {half}"

    named = (invented_word(rng).capitalize(), "East", "West", "Main", "Oak", "Pine", "Cedar", "Lake")
    base = {"name": rng.choice(named), "n": str(rng.randint(1, 30)), "n2": str(rng.randint(1, 12))}
    numbered = {"name": base["name"], "n": str(rng.randint(1, 9))}
    return base | {
        "phone": phone_number(rng),
        "time": clock("a.m."),
        "time2": clock("p.m."),
        "days": rng.choice(_DAYS),
        "place": _fill(rng.choice(_PLACES), numbered),
        "desk": _fill(rng.choice(_DESKS), numbered),
        "money": f"${rng.randint(1, 400)}" + rng.choice(("", "", f".{rng.randint(10, 99)}", ",000")),
        "minutes": str(rng.choice((5, 10, 15, 20, 30, 40, 45, 60, 90, rng.randint(2, 99)))),
        "food": rng.choice(_FOODS),
        "thing": rng.choice(_THINGS),
    }


def _fill(text: str, values: dict[str, str]) -> str:
    return _SLOT.sub(lambda match: values[match.group(1)], text)
