"""Bytes to text, and text that was decoded wrongly before it came here."""

from __future__ import annotations

import re
import unicodedata

import regex

INVISIBLE = r"[[\p{Cc}\p{Cf}\p{Cs}\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}]--[\t\n]]"
"""A set of ``regex``: controls, format characters such as marks of direction, and all that is shown as nothing. Inside
a name or a number they hide it from whatever looks for it.
"""
_NOT_TEXT = regex.compile(INVISIBLE, regex.V1)
_SPACES = re.compile(r"[^\S\n]+")
_MOST_MARKS = 30
"""Marks on one letter, as in UAX #15, Stream-Safe Text Format: putting n of them in order takes n * n steps."""
_MANY_MARKS = re.compile(rf"[^\w\x00-\x7f]{{{_MOST_MARKS + 1},}}")
_TAIL = (
    "[\u0080-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013\u2014\u2018-\u201a\u201c-\u201e"
    "\u2020-\u2022\u2026\u2030\u2039\u203a\u20ac\u2122]"
)
_TWICE = re.compile(f"[\u00c2\u00c3]{_TAIL}|[\u00e2\u00ef]{_TAIL}{{2}}|\u00f0{_TAIL}{{3}}")
"""UTF-8 that was read as Windows-1252: the lead bytes of Latin letters, punctuation, ligatures and pictures, which are
rare letters of their own in English and Spanish, and the bytes that follow them, each as a character.
"""


def decoded(data: bytes) -> tuple[str, bool] | None:
    """The text, and whether it was Windows-1252; None if it is neither that nor UTF-8."""
    try:
        return data.decode("utf-8"), False
    except UnicodeDecodeError:
        pass
    try:
        return data.decode("cp1252"), True
    except UnicodeDecodeError:
        return None


def undone(text: str) -> str:
    """The text with what was encoded twice put right: "donâ€™t" becomes "don’t". Other text is left as it is."""
    return text if text.isascii() else _TWICE.sub(_once, text)


def _once(match: re.Match[str]) -> str:
    try:
        return b"".join(map(_byte, match.group())).decode("utf-8")
    except (UnicodeEncodeError, UnicodeDecodeError):
        return match.group()


def _byte(character: str) -> bytes:
    # The five bytes that Windows-1252 leaves undefined come through as control characters of the same number.
    return character.encode("latin-1" if "\x80" <= character <= "\x9f" else "cp1252")


def cleaned(text: str) -> tuple[str, bool]:
    """Composed characters, single plain spaces, no empty lines, control or invisible characters or lone surrogates, at
    most 30 marks on a letter; and whether such characters or marks were removed.
    """
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    readable = _MANY_MARKS.sub(_fewer_marks, _NOT_TEXT.sub("", plain))
    lines = (_SPACES.sub(" ", line).strip() for line in unicodedata.normalize("NFC", readable).split("\n"))
    return "\n".join(line for line in lines if line), readable != plain


def _fewer_marks(match: re.Match[str]) -> str:
    kept: list[str] = []
    marks = 0
    for character in match.group():
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks <= _MOST_MARKS:
            kept.append(character)
    return "".join(kept)
