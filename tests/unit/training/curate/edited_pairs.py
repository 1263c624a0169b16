"""Calls, notes and FAQ entries to measure deduplication on: edited copies, and pairs that only look alike.

Development and held-out differ in the kinds of edit, in the articles and in the phrases of the calls. An edit changes a
given share of a record's words and leaves what is stated alone: numbers, weekdays, drugs and negations stay as they are
(an editor who changes a dose has written another answer).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

import yaml

from training.curate.druglist import DrugList
from training.curate.records import Kind, Record, Turn, record_id
from training.finetune.dialogues import Section, read_sections

DEMO = Path("demo")
_KEPT = re.compile(
    r"\d|<|^(?:no|not|never|none|nothing|without|cannot|nor|neither|[ap]\.m)$|n't$|(?:mon|tues|wednes|thurs|fri|satur|sun)day|"
    r"^(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|noon|midnight|twenty|thirty|forty|fifty)$",
    re.IGNORECASE,
)

_DETAILS = {
    "development": """
        I fell off a ladder in {m} and it still bothers me when I walk to the bus.|My {r} drives me because
        I gave up the car last winter.|I work nights at the cannery so mornings are hard for me.|We live
        about an hour out, past the old mill.|I tried the website but the page kept loading and then it
        logged me out.|Someone at the desk told my {r} something else last week.|I have a new puppy and I
        don't want to leave it alone all day.|The letter you sent got wet in the rain and I can't read half
        of it.|I am the one who looks after my {r} now.|My hearing is bad so please speak up a little.|I had
        this once before, back in {m}, and it went fine.|I'm calling from my break at work so I only have a
        moment.|My {r} says I worry too much but I'd rather ask.|It started after we came back from the
        lake.|I was in the choir for years and now I get out of breath.|I lost the folder with all my papers
        when we moved house.|My neighbor had the same thing and waited too long.|I would ask my {r} but she
        is away until {m}.|I'm a school bus driver so I need to be sure.|There was a lot of noise when the
        nurse explained it.
        """,
    "held_out": """
        We just got the harvest in, so {m} is the first time I can come.|I'm writing a list for my {r} who
        will stay with me.|Last time the elevator was broken and I had to turn around.|My glasses broke, so
        I had my {r} read the sheet to me.|I was born in this hospital, believe it or not.|The pharmacy
        across the street closed down in {m}.|I clean offices in the evening and I am tired of guessing.|My
        {r} has the same doctor and hears different things.|I sat in the waiting room for ages and then
        nobody called me.|We are expecting guests, so I'd like to plan.|It's the knee I hurt when I played
        ball in high school.|I don't own a computer and never will.|The weather has been so bad that I
        postponed everything.|I keep a notebook and I want to write this down properly.|My {r} passed in {m}
        and I do all of this on my own now.|I've been a patient of yours since the old building.|Somebody
        left me a message but hung up before the end.|I am at the farm and the line may drop.
        """,
}
_GREETINGS = {
    "development": (
        "Thank you for calling Cedar Valley Health, this is <PERSON_1> speaking, how may I help you today?",
        "Cedar Valley patient support, <PERSON_1> here. What can I do for you?",
    ),
    "held_out": (
        "Good morning, you have reached Cedar Valley Health. My name is <PERSON_1>. How can I be of help?",
        "Cedar Valley, this is the support desk, <PERSON_1> on the line. Who am I talking to?",
    ),
}
_CLOSINGS = {
    "development": ("Is there anything else I can help you with? Have a good day.", "You're welcome. Take care now."),
    "held_out": ("Happy to help. Please call again if something comes up.", "That's what we're here for. Goodbye."),
}
_NUMBER = re.compile(r"[A-Z][a-z]+ \d+|1-800[\d-]*|<\w+>|\b(\d+)")
"""A number that means something by itself (group 1), not the day of a date, which is no statement in a call."""
_MONTHS = "January March April June August October".split()
_RELATIONS = "daughter sister neighbor aunt wife niece".split()
_FILLERS = "um well okay so actually like just really".split()
_NEAR_KEYS = dict(zip("qwertyuiopasdfghjklzxcvbnm", "wertyuiopoasdfghjkklzxcvbnn", strict=False))


@cache
def _drugs() -> frozenset[str]:
    return frozenset(DrugList.load().drug_of)


def _stated(word: str) -> bool:
    """Whether an editor leaves this word alone."""
    plain = word.strip(".,;:?!\"'()")
    return not plain or bool(_KEPT.search(plain)) or plain.lower() in _drugs()


@dataclass(frozen=True, slots=True)
class Pair:
    """``same`` says whether the second is an edited copy of the first; ``how`` names the edit or the difference."""

    first: Record
    second: Record
    same: bool
    how: str


@cache
def _demo() -> tuple[dict[str, list[Section]], dict[str, list[str]]]:
    sections: dict[str, list[Section]] = {}
    for section in read_sections(DEMO / "articles"):
        sections.setdefault(section.article_id, []).append(section)
    asked = yaml.safe_load((DEMO / "dialogues" / "questions.yaml").read_text(encoding="utf-8"))
    questions = {article: [str(q) for lines in anchors.values() for q in lines] for article, anchors in asked.items()}
    return sections, {article: lines for article, lines in questions.items() if len(lines) >= 6}


def articles(side: str) -> list[str]:
    """The articles of a side: every third one is held out."""
    return [a for number, a in enumerate(sorted(_demo()[1])) if (number % 3 == 0) == (side == "held_out")]


def make(kind: Kind, turns: list[Turn], rng: Random, **fields: object) -> Record:
    """A record with a random place."""
    place = rng.randrange(1, 10**9)
    return Record.model_validate(
        {
            "id": record_id("made", place, turns),
            "kind": kind,
            "source": "made",
            "place": place,
            "turns": turns,
            **fields,
        }
    )


def call(side: str, rng: Random, article: str = "", questions: list[str] | None = None) -> Record:
    """A call about one article: two questions with details of the caller's life, answered with its sentences."""
    sections, asked = _demo()
    article = article or rng.choice(articles(side))
    questions = questions or rng.sample(asked[article], 2)
    turns = [Turn(speaker="staff", text=rng.choice(_GREETINGS[side]))]
    for question in questions:
        turns.append(Turn(speaker="patient", text=f"{question[:1].upper()}{question[1:]}? {detail(side, rng)}"))
        said = rng.choice(sections[article]).sentences
        at = rng.randrange(len(said))
        turns.append(Turn(speaker="staff", text=" ".join(said[at : at + 3])))
    turns.append(Turn(speaker="patient", text=f"Okay, thank you. {detail(side, rng)}"))
    turns.append(Turn(speaker="staff", text=rng.choice(_CLOSINGS[side])))
    return make("transcript", turns, rng, topic=article, patient=f"p{rng.randrange(10**9)}")


def detail(side: str, rng: Random) -> str:
    """A sentence or two of a caller's life."""
    lines = [" ".join(line.split()) for line in _DETAILS[side].split("|")]
    return " ".join(
        line.format(m=rng.choice(_MONTHS), r=rng.choice(_RELATIONS)) for line in rng.sample(lines, rng.randint(1, 3))
    )


def note(side: str, rng: Random) -> Record:
    """A clinician's note: what was said in the call and what was advised."""
    said = rng.choice(_demo()[0][rng.choice(articles(side))]).sentences
    text = f"Caller reports: {detail(side, rng)} {detail(side, rng)} Advised: {' '.join(said[:2])}"
    return make("note", [Turn(speaker="staff", text=text)], rng)


def faq(side: str, rng: Random, article: str = "", question: str = "") -> Record:
    """A question of a patient and two sentences of the article."""
    sections, asked = _demo()
    article = article or rng.choice(articles(side))
    said = rng.choice(sections[article]).sentences
    question = question or rng.choice(asked[article])
    turns = [Turn(speaker="patient", text=question + "?"), Turn(speaker="staff", text=" ".join(said[:2]))]
    return make("faq", turns, rng, topic=article)


Edit = Callable[[list[str], list[int], Random], None]
"""Change the words at the given places, in the list itself ('' drops a word)."""

_CLOSE = {
    "the": "this", "a": "one's", "and": "plus", "to": "for", "of": "from", "is": "remains", "you": "you all",
    "your": "the", "can": "may", "call": "phone", "for": "about", "my": "our", "in": "at", "with": "and", "have": "got",
    "get": "receive", "me": "us", "need": "require", "want": "wish", "help": "assist", "before": "ahead of", "after":
    "following", "ask": "check with", "keep": "hold", "take": "have", "bring": "carry", "start": "begin", "go": "head",
    "tell": "let know", "doctor": "physician", "medicine": "medication", "if": "when", "are": "stay", "it": "that",
}  # fmt: skip


def _replace(words: list[str], places: list[int], rng: Random) -> None:
    stock = "garden table music yellow window river paper quickly morning basket winter lamp story bridge apple".split()
    for at in places:
        words[at] = _CLOSE.get(words[at].lower(), rng.choice(stock))


def _drop(words: list[str], places: list[int], rng: Random) -> None:
    for at in places:
        words[at] = ""


def _swap(words: list[str], places: list[int], rng: Random) -> None:
    for at in places[::2]:
        if at + 1 < len(words) and not _stated(words[at + 1]):
            words[at], words[at + 1] = words[at + 1], words[at]


def _typo(words: list[str], places: list[int], rng: Random) -> None:
    for at in places:
        word = words[at].rstrip(".,;:?!")
        if len(word) > 3:
            i = rng.randrange(1, len(word) - 1)
            slips = (word[:i] + word[i + 1 :], word[:i] + word[i] + word[i:], _swapped(word, i))
            words[at] = rng.choice(slips) + words[at][len(word) :]


def _swapped(word: str, i: int) -> str:
    return word[:i] + word[i + 1] + word[i] + word[i + 2 :]


def _mixed(words: list[str], places: list[int], rng: Random) -> None:
    for at in places:
        rng.choice((_replace, _drop, _typo))(words, [at], rng)


def _near_key(words: list[str], places: list[int], rng: Random) -> None:
    for at in places:
        i = rng.randrange(len(words[at]))
        letter = _NEAR_KEYS.get(words[at][i].lower(), words[at][i])
        words[at] = words[at][:i] + letter + words[at][i + 1 :]


def _filler(words: list[str], places: list[int], rng: Random) -> None:
    for at in places:
        words[at] = f"{rng.choice(_FILLERS)} {words[at]}"


def _inflect(words: list[str], places: list[int], rng: Random) -> None:
    for at in places:
        word = words[at]
        words[at] = word[:-1] if word.endswith("s") else word + rng.choice(("s", "ed", "ing"))


def _join(words: list[str], places: list[int], rng: Random) -> None:
    for at in places[::2]:
        if at + 1 < len(words) and not _stated(words[at + 1]):
            words[at], words[at + 1] = words[at] + words[at + 1].lower(), ""


def _move(words: list[str], places: list[int], rng: Random) -> None:
    """Cut a stretch as long as the edit and put it elsewhere."""
    length = len(places)
    at = rng.randrange(max(1, len(words) - length))
    piece, rest = words[at : at + length], words[:at] + words[at + length :]
    to = rng.randrange(len(rest) + 1)
    words[:] = rest[:to] + piece + rest[to:]


EDITS: dict[str, dict[str, Edit]] = {
    "development": {"replaced": _replace, "dropped": _drop, "swapped": _swap, "typos": _typo, "mixed": _mixed},
    "held_out": {
        "near_keys": _near_key, "fillers": _filler, "inflected": _inflect, "joined": _join, "moved": _move,
    },
}  # fmt: skip


def edited(record: Record, edit: Edit, share: float, rng: Random) -> Record:
    """A copy with ``share`` of all its words edited, in another file, in lower case now and then."""
    split = [turn.text.split() for turn in record.turns]
    free = [
        (t, w) for t, ws in enumerate(split) for w, word in enumerate(ws) if not _KEPT.search(word.strip('.,;:?!"'))
    ]
    chosen = rng.sample(free, min(len(free), round(share * sum(map(len, split)))))
    for number, words in enumerate(split):
        edit(words, sorted(w for t, w in chosen if t == number), rng)
    texts = [" ".join(word for word in words if word) or "..." for words in split]
    if rng.random() < 0.3:
        texts = [text.lower().replace(",", "") for text in texts]
    turns = list(record.with_turns(texts).turns)
    return make(record.kind, turns, rng, topic=record.topic)


def other_statement(record: Record, rng: Random) -> Record | None:
    """The same record with one number or negation changed, or None if it has neither: another statement, no copy."""
    texts = [turn.text for turn in record.turns]
    for at in rng.sample(range(len(texts)), len(texts)):
        number = next((m for m in _NUMBER.finditer(texts[at]) if m[1]), None)
        changed = number and f"{texts[at][: number.start(1)]}{int(number[1]) + 7}{texts[at][number.end(1) :]}"
        if not changed:
            changed = re.sub(r"\b(is|are|can|may|should|do)\b", r"\1 not", texts[at], count=1)
        if changed != texts[at]:
            texts[at] = changed
            return make(record.kind, list(record.with_turns(texts).turns), rng, topic=record.topic)
    return None


def pairs(side: str, count: int, seed: int = 1) -> list[Pair]:
    """``count`` edited pairs (10 to 20 % of the words) and as many that only look alike."""
    rng = Random(f"{side} {seed}")
    made: list[Pair] = []
    edits = EDITS[side]
    for number in range(count):
        how, edit = list(edits.items())[number % len(edits)]
        first = (call, call, note, faq)[number % 4](side, rng)
        made.append(Pair(first, edited(first, edit, rng.uniform(0.1, 0.2), rng), True, f"{first.kind} {how}"))
    while len(made) < 2 * count:
        if pair := _alike(side, len(made), rng):
            made.append(pair)
    return made


def _alike(side: str, number: int, rng: Random) -> Pair | None:
    article = rng.choice(articles(side))
    match number % 4:
        case 0:
            return Pair(call(side, rng, article), call(side, rng, article), False, "transcript same topic")
        case 1:
            questions = rng.sample(_demo()[1][article], 2)
            first, second = call(side, rng, article, questions), call(side, rng, article, questions)
            return Pair(first, second, False, "transcript same questions")
        case 2:
            two = rng.sample(_demo()[1][article], 2)
            first, second = (faq(side, rng, article, question) for question in two)
            return Pair(first, second, False, "faq same topic")
        case _:
            first = (call, note, faq)[number // 4 % 3](side, rng)
            other = other_statement(first, rng)
            return Pair(first, other, False, f"{first.kind} other statement") if other else None
