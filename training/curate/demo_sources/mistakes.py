"""Mistakes put into right texts: wrong figures, contradictory answers, copies edited a little."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from random import Random

from rapidfuzz.distance import Levenshtein

from app.contracts.site import Site
from training.curate.demo_sources.calls import DOSE
from training.curate.demo_sources.drafts import Draft, Label
from training.curate.demo_sources.marks import MARK_END, inside, mark, marked, outside, unmark
from training.curate.demo_sources.phrases import phrases
from training.wording import with_typos

_PHONE = re.compile(r"\b515-555-01\d\d\b")
_HOUR = re.compile(r"\b(\d{1,2})(:\d\d)? (a\.m\.|p\.m\.)|\bMonday to Friday\b|\bclosed on Sunday\b")
_WORDS = "one two three four five six seven eight nine ten".split()
_NUMBER = re.compile(
    r"\$\d+\b|\b(?:\d+|" + "|".join(_WORDS) + r")(?= (?:percent|business days|days|hours|minutes|weeks|months|miles|"
    r"visitors|calendar days|years|two-step|support people|shots|doses|pounds)\b)"
)
_PATTERNS = {"wrong_phone": _PHONE, "wrong_hours": _HOUR, "wrong_dose": DOSE, "wrong_number": _NUMBER}


def spoil(draft: Draft, defect: str, site: Site, rng: Random) -> bool:
    """Put one wrong figure of a class into what staff said; False where there is none to change."""
    pattern = _PATTERNS[defect]
    turns = [place for place, (side, text) in enumerate(draft.turns) if side == "staff" and _free(pattern, text)]
    if not turns:
        return False
    place = rng.choice(turns)
    side, text = draft.turns[place]
    target = rng.randrange(len(_free(pattern, text)))
    count = -1

    def change(match: re.Match[str]) -> str:
        nonlocal count
        count += 1
        right = match.group(0)
        return mark(defect, _CHANGES[defect](right, site, draft.family, rng), right) if count == target else right

    draft.turns[place] = (side, outside(text, lambda part: pattern.sub(change, part)))
    return True


def _free(pattern: re.Pattern[str], text: str) -> list[str]:
    found: list[str] = []

    def keep(part: str) -> str:
        found.extend(match.group(0) for match in pattern.finditer(part))
        return part

    outside(text, keep)
    return found


def _phone(right: str, site: Site, family: str, rng: Random) -> str:
    known = sorted({one.phone for one in site.departments} | {one.phone for one in site.contacts.values() if one.phone})
    if family == "b":
        return rng.choice([phone for phone in known if phone != right and phone.startswith("515")])
    while True:
        wrong = right[:10] + f"{rng.randint(0, 99):02d}" if rng.random() < 0.5 else right[:-1] + str(rng.randint(0, 9))
        if wrong not in known:
            return wrong


def _hours(right: str, site: Site, family: str, rng: Random) -> str:
    if right == "Monday to Friday":
        return rng.choice(("Monday to Saturday", "Monday to Thursday", "every day"))
    if right == "closed on Sunday":
        return "open on Sunday"
    found = _HOUR.fullmatch(right)
    assert found is not None
    hour = (int(found.group(1)) + rng.choice((-2, -1, 1, 2, 3)) - 1) % 12 + 1
    half = found.group(2) or rng.choice(("", "", ":30"))
    return f"{hour}{half} {found.group(3)}"


def _dose(right: str, site: Site, family: str, rng: Random) -> str:
    value, unit = right.split(" ", 1)
    number = int(value.replace(",", ""))
    if unit in _UNITS and rng.random() < 0.2:
        return f"{value} {_UNITS[unit]}"
    step = 1000 if number >= 1000 else 5 if number < 50 else 20
    return f"{rng.choice((number * 2, number * 10, number + step, number // 2)):,} {unit}"


_UNITS = {"grams": "milligrams", "milligrams": "grams", "ounces": "cups"}


def _number(right: str, site: Site, family: str, rng: Random) -> str:
    if right in _WORDS:
        return rng.choice([word for word in _WORDS[1:] if word != right])
    sign, value = ("$", right[1:]) if right.startswith("$") else ("", right)
    number = int(value)
    return sign + str(
        rng.choice([n for n in (number * 2, number + 5, number + 10, max(1, number // 2), number + 1) if n != number])
    )


_CHANGES: dict[str, Callable[[str, Site, str, Random], str]] = {
    "wrong_phone": _phone, "wrong_hours": _hours, "wrong_dose": _dose, "wrong_number": _number,
}  # fmt: skip


def copy_of(draft: Draft, rng: Random, *, edited: bool = True) -> Draft | None:
    """The same record as it came through another system: 10 to 20 % of its words edited, or none; marks are kept.

    None where so many words cannot be edited, because most of them must stay.
    """
    turns, share, rate = list(draft.turns), 0.0, rng.uniform(0.13, 0.2)
    for _ in range(8 if edited else 0):
        change = partial(_edited, rate=rate, draft=draft, rng=rng)
        turns = [(side, outside(text, change).strip() or text) for side, text in draft.turns]
        share = edited_share(draft.turns, turns)
        if 0.10 <= share <= 0.20:
            break
        rate *= 1.3 if share < 0.10 else 0.8
    if edited and not 0.10 <= share <= 0.20:
        return None
    labels = [label for label in draft.labels if not label.wrong]
    labels.append(Label("near_duplicate", other=draft, edited=round(share, 2)))
    return Draft(
        draft.kind, draft.family, draft.topic, draft.date, turns, draft.person, draft.department, draft.language,
        draft.resolved, draft.consent, labels=labels,
    )  # fmt: skip


def edited_share(before: Sequence[tuple[str, str]], after: Sequence[tuple[str, str]]) -> float:
    """Words inserted, deleted or replaced, as a share of the words before."""
    first, second = (" ".join(unmark(text)[0] for _, text in turns).split() for turns in (before, after))
    return Levenshtein.distance(first, second) / len(first)


def _edited(text: str, *, rate: float, draft: Draft, rng: Random) -> str:
    """Some words of a text heard, typed or left out otherwise; medicines and figures stay."""
    words = phrases("rewording")
    put_in = words["put_in"]["es" if draft.language == "es" else _PUT_IN[draft.kind]]
    medicines = {name.lower() for name in phrases("drugs")}
    found = []
    for word in re.split(r"( |\n)", text):
        bare = word.strip(" \n.,?!:;").lower()
        if not bare or bare in medicines or any(sign.isdigit() for sign in bare) or rng.random() >= rate:
            found.append(word)
        elif bare in words["swaps"]:
            found.append(_like(word, bare, words["swaps"][bare]))
        elif bare in words["left_out"]:
            found.append("")
        elif rng.random() < 0.45 and len(bare) > 3 and word.islower() and word.isalpha():
            found.append(with_typos(word, rng, 1.0))
        elif word[-1].isalnum() and (draft.kind == "transcript" or bare in words["put_in_after"]):
            found.append(f"{word} {rng.choice(put_in)}")
        else:
            found.append(word if word[-1].isalnum() or len(word) == 1 else word[:-1])
    return re.sub(r"  +", " ", "".join(found))


_PUT_IN = {"transcript": "call", "note": "note", "faq": "faq"}


def _like(word: str, bare: str, other: str) -> str:
    """``other`` in the place of ``bare``, with its capital and its marks."""
    start = word.lower().index(bare)
    written = other[0].upper() + other[1:] if word[start].isupper() else other
    return word[:start] + written + word[start + len(bare) :]


_ODD = re.compile(r"\w*(?:[^\x00-\x7f]|')[\w']*")
"""A word with a letter beyond ASCII or an apostrophe: what a wrong decoding shows."""


def garble(draft: Draft) -> bool:
    """Make every turn look like UTF-8 read as Windows-1252 (apostrophes were typographic); False if nothing shows."""
    turns = [(side, marked(outside(text, _garbled_words), _mojibake)) for side, text in draft.turns]
    if turns == draft.turns or any(label.wrong for label in draft.labels):
        return False
    draft.turns = turns
    return True


def _garbled_words(text: str) -> str:
    def change(match: re.Match[str]) -> str:
        right = match.group(0)
        wrong = _mojibake(right.replace("'", "\u2019"))
        return mark("encoding", wrong, right, "mojibake") if wrong != right else right

    return _ODD.sub(change, text)


def _mojibake(text: str) -> str:
    letters = []
    for byte in text.encode():
        try:
            letters.append(bytes([byte]).decode("cp1252"))
        except UnicodeDecodeError:
            letters.append(chr(byte))
    return "".join(letters)


def cut(draft: Draft, rng: Random) -> bool:
    """End a call in the middle of a word, as a recording ends that was stopped; False if no place is fit for it."""
    places = []
    for turn in range(max(2, len(draft.turns) // 2), len(draft.turns) - 1):
        text = draft.turns[turn][1]
        start = text.rfind(MARK_END) + 1
        places += [(turn, start + word.start(), word.group(0)) for word in re.finditer(r"\w{4,}", text[start:])]
    if not places:
        return False
    turn, start, word = rng.choice(places)
    side, text = draft.turns[turn]
    text = text[: start + rng.randint(2, len(word) - 1)]
    draft.turns = [*draft.turns[:turn], (side, text)]
    draft.labels = [label for label in draft.labels if label.turn is None or label.turn < turn]
    draft.labels.append(Label("truncated", turn, unmark(text)[0][-12:].strip(), note="stopped"))
    return True


def as_recognised(draft: Draft, sides: tuple[str, ...]) -> None:
    """Write what the given sides said as a speech recogniser does: small letters, no marks."""

    def flat(text: str) -> str:
        return re.sub(r"(?<!\d)[.?!,](?!\d)|[.?!](?=\s|$)", "", text)

    draft.turns = [
        (side, inside(outside(text, flat), str.lower).strip() if side in sides else text) for side, text in draft.turns
    ]
