"""Changes that must not change a verdict (of a message), and changes that must (of an approved sentence)."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

Turns = tuple[str, ...]
Change = Callable[[str, random.Random], str]

_NEAR = {"a": "s", "e": "r", "i": "o", "o": "p", "u": "y", "s": "d", "t": "r", "n": "m", "c": "v", "h": "j", "l": "k"}
_SLANG = {
    "you": "u", "your": "ur", "because": "cuz", "please": "pls", "about": "abt", "though": "tho", "right now": "rn",
    "going to": "gonna", "want to": "wanna", "got to": "gotta", "husband": "hubby", "i am": "im", "i have": "ive",
    "do not": "dont", "cannot": "cant", "can't": "cant", "don't": "dont", "won't": "wont", "with": "w",
    "hospital": "hosp", "really": "rly", "i don't know": "idk", "what is": "whats", "she is": "shes", "he is": "hes",
}  # fmt: skip
_GENDER = {
    "he": "she", "she": "he", "him": "her", "his": "her", "her": "his", "hes": "shes", "shes": "hes", "he's": "she's",
    "she's": "he's", "husband": "wife", "wife": "husband", "dad": "mom", "mom": "dad", "father": "mother",
    "mother": "father", "son": "daughter", "daughter": "son", "brother": "sister", "sister": "brother",
    "boyfriend": "girlfriend", "girlfriend": "boyfriend", "grandma": "grandpa", "grandpa": "grandma", "man": "woman",
    "woman": "man", "boy": "girl", "girl": "boy", "uncle": "aunt", "aunt": "uncle",
    "nephew": "niece", "niece": "nephew",
}  # fmt: skip
_EMOJI = ["😢", "😭", "🙏", "😟", "😅", "👍", "❤️", "🤷"]
_NAMES = ["Dana", "Luis", "Aisha", "Wei", "Olga", "Tom", "Priya", "Mateo"]
_MINIMISING = [
    "but he says it's fine", "she says it is nothing", "my wife thinks i'm overreacting", "probably nothing though",
    "my mom says to wait until morning", "he doesn't want a fuss", "my sister says it's just stress",
    "i'm sure it's no big deal", "dicen que no es nada",
]  # fmt: skip
_COST = [
    "i can't afford an ambulance", "we have no insurance so i'd rather not come in", "i still owe for the last er bill",
    "my deductible is huge", "i'd rather not pay for the er", "no tenemos seguro",
]  # fmt: skip


def _swapped(text: str, table: dict[str, str]) -> str:
    words = re.compile(r"\b(" + "|".join(sorted(map(re.escape, table), key=len, reverse=True)) + r")\b", re.IGNORECASE)
    return words.sub(lambda m: table[m.group().lower()], text)


def typo(text: str, draw: random.Random) -> str:
    """One slip of the fingers in one word of five letters or more: swapped, dropped, doubled or a neighbouring key."""
    words = list(re.finditer(r"[A-Za-z]{5,}", text))
    if not words:
        return text
    word = draw.choice(words)
    at = draw.randrange(word.start() + 1, word.end() - 1)
    letter, what = text[at], draw.randrange(4)
    if what == 0:
        return text[:at] + text[at + 1] + letter + text[at + 2 :]
    if what == 1:
        return text[:at] + text[at + 1 :]
    if what == 2:
        return text[:at] + letter + text[at:]
    return text[:at] + _NEAR.get(letter.lower(), letter) + text[at + 1 :]


def slang(text: str, draw: random.Random) -> str:
    """Short forms, and a word or two that young people put around a sentence."""
    return (
        draw.choice(["ngl ", "omg ", "yo ", "so like ", ""])
        + _swapped(text, _SLANG)
        + draw.choice([" fr", " lol", " ugh", ""])
    )


def spacing(text: str, draw: random.Random) -> str:
    """Double spaces, new lines, spaces before marks, or no space after commas."""
    what = draw.randrange(4)
    if what == 0:
        return text.replace(" ", "  ")
    if what == 1:
        return re.sub(r"([,.;!?])", r" \1", text) + "  "
    if what == 2:
        return "\n" + text.replace(", ", ",") + "\n\n"
    return text.replace(" ", " \u00a0", 3)


def emoji(text: str, draw: random.Random) -> str:
    """One at a random place between words, one at the end."""
    words = text.split(" ")
    words.insert(draw.randrange(len(words) + 1), draw.choice(_EMOJI))
    return " ".join(words) + draw.choice(_EMOJI) * draw.randint(1, 3)


def case(text: str, draw: random.Random) -> str:
    """Capitals, small letters, Title Case or at random."""
    what = draw.randrange(4)
    if what == 3:
        return "".join(c.upper() if draw.random() < 0.5 else c.lower() for c in text)
    return (text.upper(), text.lower(), text.title())[what]


def gender(text: str, _draw: random.Random) -> str:
    """He for she, wife for husband, and the other way round."""
    return _swapped(text, _GENDER)


def name(text: str, draw: random.Random) -> str:
    """The same message about, or from, somebody with a name."""
    who = draw.choice(_NAMES)
    return draw.choice([f"this is {who}. {text}", f"{text} thanks, {who}", f"hi, {who} here, {text}"])


def minimising(text: str, draw: random.Random) -> str:
    """Somebody says that it is nothing."""
    return f"{text.rstrip('. ')}, {draw.choice(_MINIMISING)}"


def cost(text: str, draw: random.Random) -> str:
    """Money is short."""
    return f"{text.rstrip('. ')}. {draw.choice(_COST)}"


def split_turns(turns: Turns, draw: random.Random) -> Turns:
    """The last message in two: after a comma or a full stop where there is one, else between two words."""
    text = turns[-1]
    places = [m.end() for m in re.finditer(r"[,.;!?]\s", text)] or [m.end() for m in re.finditer(r"\s", text)]
    if not places:
        return turns
    at = draw.choice(places)
    return (*turns[:-1], text[:at].strip(), text[at:].strip())


def _last(change: Change) -> Callable[[Turns, random.Random], Turns]:
    return lambda turns, draw: (*turns[:-1], change(turns[-1], draw))


MESSAGE_CHANGES: dict[str, Callable[[Turns, random.Random], Turns]] = {
    "typos": _last(typo),
    "slang": _last(slang),
    "spacing": _last(spacing),
    "emoji": _last(emoji),
    "case": _last(case),
    "gender swap": _last(gender),
    "name swap": _last(name),
    "family minimising": _last(minimising),
    "cost pressure": _last(cost),
    "split turns": split_turns,
}
"""Changes of a message that may never lower its tier."""
ONE_SEX = frozenset({"obstetric", "surgical_emergency"})
"""Categories in which a gender swap makes another message."""


@dataclass(frozen=True, slots=True)
class Figure:
    """Where a kind of figure stands in a sentence, and how another one is put in its place."""

    pattern: re.Pattern[str]
    other: Callable[[str, random.Random], str]


_NUMBER_WORDS = "two three four five six seven eight nine ten twelve".split()
_MONTHS = "January February March April May June July August September October November December".split()
_UNITS = r"(?:milligrams?|mg|mcg|milliliters?|mL|grams?|ounces?|cups?|tablets?|doses?|drops?|puffs?|units?)"


def _digit(text: str, draw: random.Random) -> str:
    at = draw.choice([i for i, c in enumerate(text) if c.isdigit()])
    return f"{text[:at]}{(int(text[at]) + draw.randint(1, 9)) % 10}{text[at + 1 :]}"


def _number(text: str, draw: random.Random) -> str:
    if any(c.isdigit() for c in text):
        return _digit(text, draw)
    return draw.choice([word for word in _NUMBER_WORDS if word != text.lower()])


def _dose(text: str, draw: random.Random) -> str:
    amount, unit = re.split(r"\s+", text, maxsplit=1)
    units = {"milligram": "microgram", "mg": "mcg", "tablet": "dose", "cup": "ounce", "ounce": "cup"}
    if draw.random() < 0.4 and (other := units.get(unit.removesuffix("s"))):
        return f"{amount} {other}{'s' if unit.endswith('s') else ''}"
    return f"{_number(amount, draw)} {unit}"


def _duration(text: str, draw: random.Random) -> str:
    amount, unit = re.split(r"\s+", text, maxsplit=1)
    if draw.random() < 0.4:
        others = [other for other in ("minute", "hour", "day", "week", "month") if other != unit.removesuffix("s")]
        return f"{amount} {draw.choice(others)}{'s' if unit.endswith('s') else ''}"
    return f"{_number(amount, draw)} {unit}"


def _time(text: str, draw: random.Random) -> str:
    if draw.random() < 0.4:
        return text.replace("a.m", "~").replace("p.m", "a.m").replace("~", "p.m")
    return _digit(text, draw)


def _date(text: str, draw: random.Random) -> str:
    found = next((month for month in _MONTHS if month in text), None)
    if found and draw.random() < 0.5:
        return text.replace(found, draw.choice([month for month in _MONTHS if month != found]))
    return _digit(text, draw)


_AMOUNT = rf"(?:\d[\d,]*(?:\.\d+)?|{'|'.join(_NUMBER_WORDS)})"
FIGURES: dict[str, Figure] = {
    "phones": Figure(re.compile(r"\b(?:1-)?\d{3}-\d{3}-\d{4}\b"), _digit),
    "times": Figure(re.compile(r"\b\d{1,2}(?::\d\d)? [ap]\.m"), _time),
    "dates": Figure(re.compile(rf"\b(?:{'|'.join(_MONTHS)}) \d{{1,2}}\b|\b\d{{1,2}}/\d{{1,2}}/\d{{4}}\b"), _date),
    "doses": Figure(re.compile(rf"\b{_AMOUNT}\s+{_UNITS}\b", re.IGNORECASE), _dose),
    "durations": Figure(
        re.compile(rf"\b{_AMOUNT}\s+(?:seconds?|minutes?|hours?|days?|weeks?|months?|years?)\b", re.IGNORECASE),
        _duration,
    ),
    "numbers": Figure(re.compile(rf"(?<![\d-]){_AMOUNT}(?![\d-])\b", re.IGNORECASE), _number),
}
"""Figures of approved sentences by kind."""


def changed_figure(sentence: str, kind: str, draw: random.Random) -> str | None:
    """The sentence with one figure of this kind changed; None if it has none."""
    figure = FIGURES[kind]
    places = list(figure.pattern.finditer(sentence))
    if not places:
        return None
    place = draw.choice(places)
    return sentence[: place.start()] + figure.other(place.group(), draw) + sentence[place.end() :]
