"""Numbers told in pieces over the turns of a call: "One two three." – "Mhm." – "Four five." – "Six seven eight nine."

No piece is an identifier by itself, so nothing that reads one turn finds it. What makes them one is that the same side
goes on with them while the other side only listens, and what was asked for before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import regex

from app.redaction.recognizers.measures import UNIT

Ranges = list[tuple[int, int]]

_LEAST, _LEAST_ASKED, _LEAST_SHORT = 7, 6, 4
"""Digits of all pieces together: unasked, asked for a number, asked for the last four, a ZIP or a PIN."""
_BEFORE = 8
"""Turns before the first piece in which the question may stand."""
_BETWEEN = 4
"""Turns without a digit between two pieces, at most."""
_AFTER = 3
"""Turns behind the last piece in which two digits are a repetition of a piece."""
_GRAM = 4
"""So many digits in a row, told in pieces, are taken out wherever else they stand."""
_SHORT_WORDS = 7
_TOKEN_DIGITS = 4
"""What a pseudonym of a number counts for: the rest of it is already gone."""

_UNITS = "zero one two three four five six seven eight nine".split()
_TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_UNITS_ES = "cero uno dos tres cuatro cinco seis siete ocho nueve".split()
_TEENS_ES = "diez once doce trece catorce quince dieciséis diecisiete dieciocho diecinueve".split()
_TENS_ES = "veinte treinta cuarenta cincuenta sesenta setenta ochenta noventa".split()
_SPOKEN: dict[str, str] = {
    **{word: str(value) for words in (_UNITS, _UNITS_ES) for value, word in enumerate(words)},
    **{word: str(10 + value) for words in (_TEENS, _TEENS_ES) for value, word in enumerate(words)},
    **{word: str(20 + 10 * value) for words in (_TENS, _TENS_ES) for value, word in enumerate(words)},
    **{
        f"veinti{word}": str(20 + value)
        for value, word in enumerate("uno dós trés cuatro cinco séis siete ocho nueve".split(), start=1)
    },
    **{"oh": "0", "o": "0", "nought": "0", "niner": "9", "fourty": "40", "dieciseis": "16"},
    **{"veintidos": "22", "veintitres": "23", "veintiseis": "26"},
}
_TIMES = {"double": 2, "doble": 2, "triple": 3}
_ROUND = {"hundred": "00", "thousand": "000", "mil": "000"}
_WORD = rf"(?:{'|'.join(sorted({*_SPOKEN, *_TIMES, *_ROUND}, key=len, reverse=True))})"
_ITEM = rf"(?:{_WORD}\b|\d++)"
_JOIN = r"(?:and|then|next|dash|hyphen|minus|slash|space|uh|um|er|okay|y|luego|guion|guión|after|that|that's|it's)\b"
_GAP = rf"(?:[ \t\-–—/]{{1,3}}+|,\s{{0,2}}+|\.(?=\d)|…\s?|\.\.\.\s?)(?:{_JOIN}[\s,]{{1,3}}+){{0,4}}+"
_STRETCH = regex.compile(
    rf"(?<![\w$£€]|\w[\-.:/])(?!(?:o|once)\b){_ITEM}(?:{_GAP}{_ITEM})*+(?![\w%:/]|\s?%|[.,]\d)", regex.I
)
_TOKEN = regex.compile(r"<(?:PHONE|SSN|MRN|MEMBER_ID|MBI|ACCOUNT|CARD|LICENSE|DATE|ZIP|ADDRESS)_\d+>")
_PARTS = regex.compile(rf"(?P<item>{_WORD}\b|\d++)|(?P<between>[^\w]++|\w++)", regex.I)

_LEAD = regex.compile(
    r"(?:\A|[.?!,;:…\-–—]\s?|\b(?:is|are|it's|its|es|was|says|with|in)\s)(?:[\s,.\-…\"“]|\b(?:uh|um|er|ah|oh|hm+|mhm|so|"
    r"well|yes|yeah|yep|no|ok|okay|sure|right|alright|all|good|then|and|next|now|it|it's|its|is|are|that|that's|that'd|"
    r"be|thats|there's|was|my|the|a|number|numbers|social|security|ssn|phone|cell|mobile|area|code|record|chart|mrn|"
    r"member|account|card|policy|group|id|date|of|birth|birthday|starts?|begins?|ends?|ending|goes|with|in|first|last|"
    r"middle|final|part|(?:two|three|four|five|\d)(?=\s(?:digits?|numbers?|are|is)\b)|digits?|let|me|see|here|we|go|"
    r"after|before|followed|by|again|sorry|please|i|said|have|got|just|like|you|know|es|el|la|mi|número|numero|y|luego|"
    r"después|sí|bueno)\b(?!['’]))*+\Z",
    regex.IGNORECASE,
)
_LEAD_LENGTH = 80
_FOLLOW = regex.compile(
    r"\s*+(?:\Z|[.,;?!…\n]|[\-–—]{1,2}(?!\w)|[\"”)]|(?:then|and\sthen|is\s(?:the|my)|are\s(?:the|my)|that's|and\sthat|uh|um|"
    r"okay|ok|right|yeah|got\sit|for\s(?:the|my)\s(?:first|last|area|social|phone)|and\sthe\s(?:rest|last|next))\b)",
    regex.IGNORECASE,
)
_FIGURE = regex.compile(
    r"\d{1,3}(?:,\d{3})++|\d++[.,]\d{1,2}|\d{2,3}\s?[\-–/]\s?\d{2,3}|\d{2,3}\s?/\s?\d{1,3}\.\d{1,2}|.*\b(?:hundred|thousand|mil)\b.*",
    regex.I | regex.S,
)
"""A price, a laboratory value, a range, a dose of two drugs (125/31.25), a round number: no piece unless a number was
asked for.
"""
_YEAR = regex.compile(r"(?:19|20)\d\d")
_OVER = regex.compile(r"\s?(?:over|out\sof|point|o'?clock|in\sthe|at\snight|street|avenue|road|drive|lane)\b", regex.I)

_SMALL_ASK = regex.compile(r"\blast\s(?:four|4)\b|\bzip\b|\bpin\b|\b(?:security|access|verification)\scode\b", regex.I)
_ASK = regex.compile(
    r"\b(?:ssn|social(?:\ssecurity)?(?!\s(?:work|distanc|life|media))|mrn|dob|birth\s?day|birth\s?date|date\sof\sbirth|"
    r"born|(?:medical\s|patient\s)?(?:record|chart|member(?:ship)?|subscriber|account|policy|group|claim|case|reference|"
    r"confirmation|prescription|rx|insurance|card|licen[cs]e|passport|routing|patient|medicare|medicaid|serial|phone|"
    r"telephone|cell|mobile|fax|callback|call-back|contact|invoice|order|tracking|badge|employee|id|chart's)\s?"
    r"(?:id\s?)?(?:\#|numbers?|no\b|digits)|(?:your|my|the|that|a)\s(?:chart|record|medical\srecord|member\sid|"
    r"(?:credit|debit|insurance|medicare|medicaid)\scard|card|account|phone|cell|mobile|fax|mbi|id)\b|area\scode|"
    r"(?:reach|call|text)\s(?:you|me|her|him)\s(?:back\s)?(?:at|on)|seguro\ssocial|fecha\sde\snacimiento|"
    r"número\sde\s\w+)",
    regex.IGNORECASE,
)
_ZIP = regex.compile(r"\bzip\b", regex.IGNORECASE)
_REST = regex.compile(
    r"\b(?:rest|remaining|next|last|again|repeat\w*|continue|middle|other|more|go\s(?:on|ahead)|second|final)\b",
    regex.I,
)
"""Words of a question that asks for more of the same number."""
_OH = regex.compile(
    r"[\W_]*+(?:oh[\W_]*+\Z|(?:(?:then|and|okay|uh|um|next|it's)[\W_]++)++oh(?:[\W_]*+\Z|[.…?]))", regex.IGNORECASE
)
"""The digit; "Oh." before other words is none."""
_WEAK_ASK = regex.compile(r"\b(?:your|my|the|a|that|what|which|whole|full)\snumber\b|\bdigits\b", regex.IGNORECASE)
_OTHER = regex.compile(
    r"\b(?:how\s(?:many|much|old|often|long|far|tall|high|late|early)|what\s(?:time|day|year)|when|ages?|years?\sold|"
    r"sugars?|glucose|readings?|pressures?|pulse|heart\srate|weigh\w*|temp\w*|fever|dos(?:e|es|age)|strength|milli\w+|"
    r"mg|mcg|units|oxygen|sats?|scores?|scale|pain|levels?|results?|labs?|count(?:s|ing)?|price|costs?|copay|pay|"
    r"charges?|dollars?|bill\w*|balance|appointments?|available|openings?|slots?|hours|open|close[sd]?|o'?clock|"
    r"mornings?|afternoons?|evenings?|noon|floor|rooms?|suite|bus|parking|extension|tablets?|pills?|insulin|visits?|"
    r"surger\w+|steps|carbs|calories|ounces|oz|exercises?|breath\w*)\b",
    regex.IGNORECASE,
)
"""What makes the numbers after it measurements, times, prices or counts."""
_WORDS = regex.compile(r"[\p{L}\d'’<>_]++")


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A run of number words or digits in one turn. ``piece`` if its place lets it be a part of a number; a pseudonym
    has no digits and counts for some.
    """

    turn: int
    start: int
    end: int
    digits: str
    piece: bool
    figure: bool = False

    @property
    def size(self) -> int:
        return len(self.digits) or _TOKEN_DIGITS


@dataclass(slots=True)
class _Run:
    """Pieces of one speaker that may be one number; ``least`` digits make it one."""

    speaker: str
    least: int
    pieces: list[_Stretch] = field(default_factory=list)
    told: str = ""

    def add(self, pieces: Iterable[_Stretch]) -> None:
        """Those that may be a part of it: what looks like a figure only where a number was asked for."""
        for piece in pieces:
            if self.least < _LEAST or not piece.figure:
                self.pieces.append(piece)
                self.told += piece.digits

    def is_number(self) -> bool:
        told = [piece for piece in self.pieces if piece.digits]
        if not told or len({piece.turn for piece in self.pieces}) < 2:
            return False
        if sum(piece.size for piece in self.pieces) < self.least:
            return False
        if self.least == _LEAST:
            return sum(piece.size > 1 for piece in self.pieces) > 1 and not all(map(_is_year, told))
        return self.least == _LEAST_ASKED or sum(piece.size > 1 for piece in self.pieces) > 1


def told_in_pieces(turns: Sequence[tuple[str, str]]) -> list[Ranges]:
    """The ranges of characters to be taken out of each turn, left to right and apart; ``turns`` are (speaker, text).

    Taken out are the pieces of a number of at least seven digits, or of six after one was asked for (four: the last
    four, a ZIP, a PIN), which one speaker tells in two or more turns while the other only listens or repeats; and where
    they are read back, in words or digits. Pseudonyms of numbers count as pieces. Measurements, times, prices, dates
    and counts stay. It does not know which numbers are the hospital's own. Raises nothing.
    """
    stretches = [list(_stretches(index, text)) for index, (_, text) in enumerate(turns)]
    taken: list[set[tuple[int, int]]] = [set() for _ in turns]
    grams: set[str] = set()
    pieces: set[str] = set()
    for run in _runs(turns, stretches):
        if not run.is_number():
            continue
        grams.update(_grams(run.told))
        pieces.update(piece.digits for piece in run.pieces if len(piece.digits) > 2)
        for piece in run.pieces:
            if piece.digits:
                taken[piece.turn].add((piece.start, piece.end))
        for stretch in _near(run, stretches):
            text = turns[stretch.turn][1]
            alone = len(stretch.digits) > 1 or stretch.piece
            if stretch.digits and alone and stretch.digits in run.told and not _is_measure(text, stretch):
                taken[stretch.turn].add((stretch.start, stretch.end))
    for stretch in (one for found in stretches if grams or pieces for one in found):
        known = stretch.digits in pieces or not grams.isdisjoint(_grams(stretch.digits))
        if known and not _is_measure(turns[stretch.turn][1], stretch):
            taken[stretch.turn].add((stretch.start, stretch.end))
    return [sorted(ranges) for ranges in taken]


def _runs(turns: Sequence[tuple[str, str]], stretches: Sequence[Sequence[_Stretch]]) -> Iterator[_Run]:
    """Pieces that follow one another without anything but listening between."""
    run: _Run | None = None
    silent = 0
    for index, (speaker, text) in enumerate(turns):
        pieces = [one for one in stretches[index] if one.piece]
        silent = 0 if run and speaker == run.speaker and pieces else silent + 1
        if run and silent <= _BETWEEN and _goes_on(run, speaker, text, stretches[index]):
            if speaker == run.speaker:
                run.add(pieces)
            continue
        if run:
            yield run
        run = None
        least = _least(turns[max(0, index - _BEFORE) : index], text[: pieces[0].start]) if pieces else 0
        if least:
            run, silent = _Run(speaker, least), 0
            run.add(pieces)
    if run:
        yield run


def _goes_on(run: _Run, speaker: str, text: str, stretches: Sequence[_Stretch]) -> bool:
    """Whether a turn tells the next piece, or says nothing of its own."""
    if speaker != run.speaker:
        return _listens(text, stretches, run)
    first = next((one.start for one in stretches if one.piece), None)
    return _is_short(text) if first is None else _asked(text[:first]) != 0


def _listens(text: str, stretches: Sequence[_Stretch], run: _Run) -> bool:
    """Whether a turn of the other side says nothing of its own: a few words, or digits, as told or misheard."""
    if stretches:
        if all(one.digits in run.told for one in stretches):
            return len(_WORDS.findall(text)) < 4 * _SHORT_WORDS
        misheard = all(one.piece for one in stretches)
        return misheard and _is_short(text)
    return _is_short(text) and not _asks_for_another(text)


def _asks_for_another(text: str) -> bool:
    return bool(_ASK.search(text) or _ZIP.search(text)) and not _REST.search(text)


def _is_short(text: str) -> bool:
    return len(text) < 12 * _SHORT_WORDS and len(_WORDS.findall(text)) <= _SHORT_WORDS and not _OTHER.search(text)


def _least(before: Sequence[tuple[str, str]], lead: str) -> int:
    """How many digits make pieces a number by the last question before them, ``lead`` in their own turn; 0: none do."""
    for text in (lead, *(text for _, text in reversed(before))):
        if (least := _asked(text)) is not None:
            return least
    return _LEAST


def _asked(text: str) -> int | None:
    """What a turn asks for: the least digits of a number, 0 for a measurement, a time, a price; None for neither."""
    if _SMALL_ASK.search(text):
        return _LEAST_SHORT
    if _ASK.search(text):
        return _LEAST_ASKED
    if _OTHER.search(text):
        return 0
    return _LEAST_ASKED if _WEAK_ASK.search(text) else None


def _near(run: _Run, stretches: Sequence[Sequence[_Stretch]]) -> Iterator[_Stretch]:
    first, last = run.pieces[0].turn, run.pieces[-1].turn
    for found in stretches[first : last + 1 + _AFTER]:
        yield from found


def _stretches(turn: int, text: str) -> Iterator[_Stretch]:
    for match in _TOKEN.finditer(text):
        yield _Stretch(turn, *match.span(), "", _is_placed(text, *match.span()))
    for match in _STRETCH.finditer(text):
        digits = _digits(match.group())
        start, end = match.span()
        whole = len(digits) in (10, 11)
        said = match.group().lower() == "oh" and not _OH.match(text)
        yield _Stretch(
            turn, start, end, digits, bool(digits) and not whole and not said and _is_placed(text, start, end),
            figure=bool(_FIGURE.fullmatch(match.group())),
        )  # fmt: skip


def _is_placed(text: str, start: int, end: int) -> bool:
    """Whether only joining words stand before it in its sentence, and a pause, an end or such a word behind it."""
    cut = max(0, start - _LEAD_LENGTH)
    before = text[cut:start]
    led = _LEAD.search(before) if cut == 0 else _LEAD.search(f"x{before}")
    return bool(led) and bool(_FOLLOW.match(text, end)) and not UNIT.match(text, end)


def _is_measure(text: str, stretch: _Stretch) -> bool:
    return bool(UNIT.match(text, stretch.end) or _OVER.match(text, stretch.end))


def _is_year(piece: _Stretch) -> bool:
    return bool(_YEAR.fullmatch(piece.digits))


def _grams(digits: str) -> Iterable[str]:
    return (digits[at : at + _GRAM] for at in range(len(digits) - _GRAM + 1))


def _digits(said: str) -> str:
    """The digits that words and digits say: "forty-four" is 44, "double five" 55, "one hundred and five" 105."""
    digits: list[str] = []
    times, open_tens, hundred = 1, False, False
    for match in _PARTS.finditer(said.lower()):
        item = match["item"]
        if not item:
            open_tens = open_tens and match["between"] in (" ", "-", "y")
            continue
        if item in _TIMES:
            times = _TIMES[item]
            continue
        if item in _ROUND:
            digits.append(_ROUND[item])
            hundred, open_tens = item == "hundred", False
            continue
        value = item if item.isdigit() else _SPOKEN[item]
        if hundred and len(value) < 3:
            digits[-1] = "0" if len(value) == 1 else ""
        if open_tens and len(value) == 1 and value != "0":
            digits[-1] = digits[-1][:-1] + value
        else:
            digits.append(value * times)
        times, hundred = 1, False
        open_tens = not item.isdigit() and len(value) == 2 and value.endswith("0") and value != "10"
    return "".join(digits)
