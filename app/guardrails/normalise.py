"""Stage 1 of a turn: one clean form of what the patient typed, and the form in which rules are matched.

``normalise`` keeps the words as a person would read them. ``match_form`` is for matching only: lower case without
accents, contractions opened, disguises (invisible characters, look-alikes, leet, spaced and stretched letters) undone.
Rules pass through ``match_form`` too, so that rule and text always meet in the same form.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from app.errors import InvalidContent, MessageEmpty, MessageTooLong

_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff]"
)
_CONTROL = re.compile("[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_LOOKALIKE = dict(
    zip(
        "аеорсухіјѕԁһԛԝгтнкмвАВЕКМНОРСТХУІЈЅαοενιρτυκχωΑΒΕΖΗΙΚΜΝΟΡΤΥΧıɡƖ",
        "aeopcyxijsdhqwrthkmbABEKMHOPCTXYIJSaoevirtukxwABEZHIKMNOPTYXigl",
        strict=True,
    )
)
_WORD = re.compile(r"\w+")


def normalise(text: str, max_characters: int = 4000) -> str:
    """Return ``text`` in NFKC without zero-width, bidirectional and control characters, look-alike letters folded.

    Spanish accents stay. Letters of other scripts are folded only in words that imitate Latin ones.
    Raises InvalidContent (binary or broken encoding), MessageTooLong, MessageEmpty.
    """
    if len(text) > 4 * max_characters:
        raise MessageTooLong(f"Please write at most {max_characters} characters; this message is longer.")
    if "\x00" in text or any(0xD800 <= ord(c) <= 0xDFFF for c in text):
        raise InvalidContent("This message holds characters that are not text. Please type your question in words.")
    odd = len(_CONTROL.findall(text)) + text.count("\ufffd")
    if odd > max(2, len(text) // 20):
        raise InvalidContent("This message holds characters that are not text. Please type your question in words.")
    clean = unicodedata.normalize("NFKC", text)
    clean = _CONTROL.sub(" ", _INVISIBLE.sub("", clean)).replace("\r\n", "\n").replace("\r", "\n")
    clean = clean.replace("\u2028", "\n").replace("\u2029", "\n").replace("\ufffd", " ")
    clean = _fold_lookalikes(clean)
    clean = re.sub(r"[^\S\n]+", " ", clean)
    clean = re.sub(r" ?\n ?", "\n", clean)
    clean = re.sub(r"\n{3,}", "\n\n", clean).strip()
    if not clean:
        raise MessageEmpty("The message is empty. Please type your question.")
    if len(clean) > max_characters:
        raise MessageTooLong(f"Please write at most {max_characters} characters; this message is longer.")
    return clean


def _fold_lookalikes(text: str) -> str:
    foreign = sum(1 for c in text if c in _LOOKALIKE)
    if not foreign:
        return text
    latin = sum(1 for c in text if c.isascii() and c.isalpha())
    other = sum(
        1 for c in text if c.isalpha() and not c.isascii() and unicodedata.name(c, "").startswith(("CYR", "GREEK"))
    )

    def fold(match: re.Match[str]) -> str:
        word = match.group()
        mixed = any(c.isascii() and c.isalpha() for c in word)
        imitates = all(c in _LOOKALIKE or not c.isalpha() for c in word)
        if mixed or (imitates and latin > other):
            return "".join(_LOOKALIKE.get(c, c) for c in word)
        return word

    return _WORD.sub(fold, text)


_CONTRACTIONS = {
    "cannot": "cant",
    "can not": "cant",
    "could not": "cant",
    "couldnt": "cant",
    "wont": "wont",
    "will not": "wont",
    "isnt": "is not",
    "arent": "are not",
    "wasnt": "was not",
    "werent": "were not",
    "dont": "do not",
    "doesnt": "does not",
    "didnt": "did not",
    "havent": "have not",
    "hasnt": "has not",
    "hadnt": "had not",
    "aint": "is not",
    "wouldnt": "would not",
    "shouldnt": "should not",
    "im": "i am",
    "ive": "i have",
    "hes": "he",
    "shes": "she",
    "theyre": "they are",
    "youre": "you are",
    "weve": "we have",
    "theyve": "they have",
    "thats": "that is",
    "whats": "what is",
    "wheres": "where is",
    "gonna": "going to",
    "gunna": "going to",
    "wanna": "want to",
    "gotta": "got to",
    "dunno": "do not know",
    "idk": "do not know",
    "u": "you",
    "ur": "your",
    "bc": "because",
    "cuz": "because",
    "coz": "because",
    "pls": "please",
    "plz": "please",
    "rn": "right now",
    "tho": "though",
    "w": "with",
    "wo": "without",
    "abt": "about",
    "hubby": "husband",
    "hosp": "hospital",
    "meds": "medicines",
    "xq": "porque",
    "q": "que",
    "unable to": "cant",
    "not able to": "cant",
}
DENIALS = {
    short: whole
    for short, whole in _CONTRACTIONS.items()
    if len(short) > 4 and " " not in short and "n" in short and whole.endswith(("cant", " not"))
}
"""Short forms of denials with what they become: "havnt" and "acnnot" must be mended to them, not past them."""
_CONTRACTION = re.compile(r"\b(?:" + "|".join(sorted(_CONTRACTIONS, key=len, reverse=True)) + r")\b")
_LEET = str.maketrans(
    {"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "@": "a", "$": "s", "!": "i", "*": ""}
)
_LEET_WORD = re.compile(r"(?=\w{4})[a-z]+[013457]+[a-z]\w*")
_LEET_HEAVY = 3
"""So many different words with digits inside make a message that is written in leet throughout."""
_LEET_DIGITS = str.maketrans("013457", "oieast")
_LEET_SMALL = {"15", "17", "70", "50"}
"""Numbers that are "is", "it", "to" and "so" in such a message."""
Change = str | Callable[[re.Match[str]], str]


def _shrink(match: re.Match[str]) -> str:
    return match.group() if match.group(1).isdigit() else match.group(1) * 2


_CHANGES: tuple[tuple[re.Pattern[str], Change], ...] = (
    (re.compile("[‘’ʼ`´′]"), "'"),
    (re.compile(r"(?<!\w)'([4-9]\d)(?![\w'])"), r"19\1"),
    (re.compile("[‐‑‒–—―]"), "-"),
    (re.compile(r"(?<=[a-z])n't\b"), "nt"),
    (re.compile(r"'m\b"), " am"),
    (re.compile(r"'ve\b"), " have"),
    (re.compile(r"'re\b"), " are"),
    (re.compile(r"'ll\b"), " will"),
    (re.compile(r"'d\b"), " would"),
    (re.compile(r"'s\b"), ""),
    (re.compile("'"), ""),
    (re.compile(r"\b(?:[a-z][ .\-_*]{1,2}){3,}[a-z]\b"), lambda m: re.sub(r"[^a-z]", "", m.group())),
    (re.compile(r"(?<=[a-z])[0134578@$!*]+(?=[a-z])"), lambda m: m.group().translate(_LEET)),
    (re.compile(r"(\w)\1{2,}"), _shrink),
    (_CONTRACTION, lambda m: _CONTRACTIONS[m.group()]),
    (re.compile(r"(\d)([a-z])"), r"\1 \2"),
)
"""What is done to the folded text, in order: apostrophes, years ("'86"), short forms, disguises, units at numbers."""


def match_form(text: str) -> str:
    """Return the form in which rules are matched; see the module. Total: never raises, ``""`` for ``""``."""
    form = _unleet(_folded(text if text.isascii() else _fold_lookalikes(_INVISIBLE.sub("", text))))
    for pattern, change in _CHANGES:
        form = pattern.sub(change, form)
    return form


def aligned_form(text: str) -> tuple[str, list[tuple[int, int]]]:
    """``match_form(text)``, and for each of its characters the range of ``text`` that it was made of.

    Slow beside :func:`match_form`: it is for people who want to see where a rule matched.
    """
    seen = [i for i, letter in enumerate(text) if not _INVISIBLE.match(letter)]
    plain = _fold_lookalikes("".join(text[i] for i in seen))
    letters = [(form, (i, i + 1)) for i, letter in zip(seen, plain, strict=True) for form in _folded(letter)]
    form, places = _unleet("".join(letter for letter, _ in letters)), [place for _, place in letters]
    for pattern, change in _CHANGES:
        pieces: list[str] = []
        moved: list[tuple[int, int]] = []
        done = 0
        for match in pattern.finditer(form):
            made = match.expand(change) if isinstance(change, str) else change(match)
            pieces += [form[done : match.start()], made]
            moved += places[done : match.start()] + _stretched(match.group(), places[match.start() : match.end()], made)
            done = match.end()
        form, places = "".join([*pieces, form[done:]]), moved + places[done:]
    return form, places


def _folded(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))


def _unleet(form: str) -> str:
    """Digits as letters in every word of a message in leet; other messages as they are. Keeps the length."""
    if len(set(_LEET_WORD.findall(form))) < _LEET_HEAVY:
        return form

    def letters(match: re.Match[str]) -> str:
        word = match.group()
        return word.translate(_LEET_DIGITS) if word in _LEET_SMALL or not word.isdigit() else word

    return _WORD.sub(letters, form)


def _stretched(before: str, places: list[tuple[int, int]], after: str) -> list[tuple[int, int]]:
    """The ranges of ``after``'s characters: those at both ends that stayed keep theirs, the middle shares the rest."""
    shorter = min(len(before), len(after))
    head = next((i for i in range(shorter) if before[i] != after[i]), shorter)
    rest = shorter - head
    tail = next((i for i in range(rest) if before[-1 - i] != after[-1 - i]), rest)
    begin = places[head][0] if head < len(places) else places[-1][1]
    end = places[-tail - 1][1] if tail < len(places) else begin
    return [*places[:head], *[(begin, max(begin, end))] * (len(after) - head - tail), *places[len(places) - tail :]]
