"""Stage 1 of a turn: one clean form of what the patient typed, and the form in which rules are matched.

``normalise`` keeps the words as a person would read them. ``match_form`` is for matching only: lower case without
accents, contractions opened, disguises (leet, spaced letters, stretched letters) undone. Rules pass through
``match_form`` too, so that rule and text always meet in the same form.
"""

from __future__ import annotations

import re
import unicodedata

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
_CONTRACTION = re.compile(r"\b(?:" + "|".join(sorted(_CONTRACTIONS, key=len, reverse=True)) + r")\b")
_LEET = str.maketrans(
    {"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "@": "a", "$": "s", "!": "i", "*": ""}
)
_LEET_INSIDE = re.compile(r"(?<=[a-z])[0134578@$!*]+(?=[a-z])")
_SPACED = re.compile(r"\b(?:[a-z][ .\-_*]{1,2}){3,}[a-z]\b")
_SUFFIXES = ((r"'m\b", " am"), (r"'ve\b", " have"), (r"'re\b", " are"), (r"'ll\b", " will"), (r"'d\b", " would"))


def match_form(text: str) -> str:
    """Return the form in which rules are matched; see the module. Total: never raises, ``""`` for ``""``."""
    form = unicodedata.normalize("NFKD", text.casefold())
    form = "".join(c for c in form if not unicodedata.combining(c))
    form = re.sub("[‘’ʼ`´′]", "'", form)
    form = re.sub("[‐‑‒–—―]", "-", form)
    form = re.sub(r"(?<=[a-z])n't\b", "nt", form)
    for pattern, opened in _SUFFIXES:
        form = re.sub(pattern, opened, form)
    form = re.sub(r"'s\b", "", form).replace("'", "")
    form = _SPACED.sub(lambda m: re.sub(r"[^a-z]", "", m.group()), form)
    form = _LEET_INSIDE.sub(lambda m: m.group().translate(_LEET), form)
    form = re.sub(r"(\w)\1{2,}", _shrink, form)
    form = _CONTRACTION.sub(lambda m: _CONTRACTIONS[m.group()], form)
    return re.sub(r"(\d)([a-z])", r"\1 \2", form)


def _shrink(match: re.Match[str]) -> str:
    return match.group() if match.group(1).isdigit() else match.group(1) * 2
