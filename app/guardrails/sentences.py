"""Where sentences end, decided only when the text that follows is known: so chunk borders change nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass

_END = re.compile(r"[.!?]+|\n")
_TAIL = re.compile(r"(?:[\"'”’)]|\s|\[\d{1,2}\])*")
_OPEN_MARK = re.compile(r"\[\d{0,2}$")
_MARK = re.compile(r"\s*\[(\d{1,2})\]")
_BEFORE = re.compile(r"([A-Za-z.]+)$")
_ABBREVIATIONS = {
    "dr",
    "mr",
    "mrs",
    "ms",
    "st",
    "e.g",
    "i.e",
    "vs",
    "no",
    "approx",
    "dept",
    "ext",
    "jr",
    "sr",
    "mt",
    "ave",
    "u.s",
    "fig",
    "blvd",
    "rd",
    "bldg",
    "rm",
    "mon",
    "tue",
    "wed",
    "thu",
    "fri",
    "sat",
    "sun",
    "inc",
}
_MERIDIEM = {"a.m", "p.m", "am", "pm"}
_STAYS = re.compile(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun|Jan|Feb|Mar|Apr|May|June?|July?|Aug|Sep|Oct|Nov|Dec|Central|Eastern|Pacific|Mountain|CT|CST|CDT|EST|EDT)"
)
_WORD = re.compile(r"[A-Za-z]+")


@dataclass(frozen=True, slots=True)
class Piece:
    """One sentence without citation marks; ``cited`` are the numbers that stood in or after it."""

    text: str
    cited: tuple[int, ...]


def take(buffer: str, *, last: bool) -> tuple[list[Piece], str]:
    """Split off every sentence whose end is certain; return them and the rest. ``last``: no more text will come."""
    pieces: list[Piece] = []
    start = 0
    search = 0
    while True:
        match = _END.search(buffer, search)
        if match is None:
            break
        end = _boundary(buffer, start, match, last)
        if end is None:
            break
        if end > 0:
            pieces.append(_piece(buffer[start:end]))
            start = end
        search = max(match.end(), start)
    rest = buffer[start:]
    if last and rest.strip():
        pieces.append(_piece(rest))
        rest = ""
    return [p for p in pieces if p.text or p.cited], rest


def split(text: str) -> list[str]:
    """The sentences of a whole text."""
    return [piece.text for piece in take(text, last=True)[0] if piece.text]


def _piece(raw: str) -> Piece:
    cited = tuple(int(n) for n in _MARK.findall(raw))
    return Piece(re.sub(r"\s+", " ", _MARK.sub("", raw)).strip(), cited)


def _boundary(buffer: str, start: int, match: re.Match[str], last: bool) -> int | None:
    """End of the sentence, 0 if it goes on, None if more text is needed to know."""
    tail = _TAIL.match(buffer, match.end())
    after = tail.end() if tail else match.end()
    if not last and (after >= len(buffer) or _OPEN_MARK.search(buffer[after:])):
        return None
    if match.group() == "\n" or after >= len(buffer):
        return after
    if after == match.end():
        return 0
    between = buffer[match.end() : after]
    if "\n" in between:
        return after
    if match.group().endswith("."):
        before = _BEFORE.search(buffer[start : match.start()])
        word = before.group(1).lower().lstrip(".") if before else ""
        if word in _ABBREVIATIONS or re.fullmatch(r"\s*(?:[-*•]\s*)?\d{1,2}", buffer[start : match.start()]):
            return 0
        if word in _MERIDIEM:
            following = _WORD.match(buffer, after)
            if following and not last and following.end() >= len(buffer):
                return None
            if following is None or _STAYS.match(following.group()) or following.group()[0].islower():
                return 0 if not re.search(r"\[\d{1,2}\]", between) else after
        if buffer[after].islower() and not re.search(r"\[\d{1,2}\]", between):
            return 0
    return after
