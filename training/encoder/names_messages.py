"""Messages by other hands as training data of the learned name recognizer: as they are, and with identifiers put in.

The messages of ``messages/`` were written for triage by five authors and hold hardly any identifier; those they do hold
stand in ``names/found.txt``. As they are they teach what is none. With a relative named, a nurse called by a name, a
date for a weekday they show identifiers between words that no frame of ours has.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from random import Random

import regex

from app.errors import ConfigurationError
from training.encoder.names_forms import Forms, Segment

MESSAGES = Path(__file__).with_name("messages")
TURN = " // "

_RELATIVES = (
    "husband wife son daughter mother mom mum mama father dad papa sister brother aunt uncle cousin niece nephew "
    "grandmother grandma grandfather grandpa grandson granddaughter partner boyfriend girlfriend friend neighbor "
    "roommate baby toddler roomie coworker boss nana stepson stepdad kid twin"
).split()
_PARIENTES = (
    "esposo esposa hijo hija mamá papá abuela abuelo abuelita hermano hermana tía tío niño niña bebé vecina nieto"
).split()
_DOES = "is has was got can cant took fell wont keeps says said needs had just hit ate cut lost went came felt".split()
_HELPERS = "nurse doctor doc surgeon midwife therapist pharmacist dentist pa np".split()
_DAYS = "monday tuesday wednesday thursday friday saturday sunday yesterday tomorrow today".split()


def _any(words: Iterable[str]) -> str:
    return f"(?:{'|'.join(words)})"


_RELATIVE = regex.compile(rf"\b(?:my|our|his|her)\s{_any(_RELATIVES)}\b(?!'|s\b)", regex.IGNORECASE)
_PARIENTE = regex.compile(rf"\b(?:mi|su)\s{_any(_PARIENTES)}\b", regex.IGNORECASE)
_SUBJECT = regex.compile(
    rf"(?:^|(?<=[.!?,]\s|//\s|and\s|but\s))(?:he|she)\b(?=\s(?:{_any(_DOES)}|\w+s|\w+ed)\b)", regex.IGNORECASE
)
_OBJECT = regex.compile(r"\b(?<=(?:give|gave|take|took|call|tell|told|with|from|bring|help|for)\s)(?:him|them)\b")
_NURSE = regex.compile(rf"\b(?:the|my|our|a)\s{_any(_HELPERS)}\b(?!')", regex.IGNORECASE)
_DAY = regex.compile(rf"\b(?:on\s|since\s|until\s|by\s)?{_any([*_DAYS, 'last night'])}\b", regex.IGNORECASE)
_DIA = regex.compile(r"\b(?:el\s)(?:lunes|martes|miércoles|jueves|viernes|sábado|domingo)\b", regex.IGNORECASE)
_PLACE = regex.compile(r"\b(?:the|your)\s(?:hospital|clinic|er|nursing home|pharmacy|urgent care)\b", regex.IGNORECASE)
_WORK = regex.compile(r"\bat\s(?:work|school|daycare|church)\b", regex.IGNORECASE)

_FIRST = (
    "hi this is {name}, ", "hi its {given}, ", "{name} here. ", "this is {full}. ", "{full}, dob {dob}. ",
    "i'm {name} from {town}. ",
    "{given} again, ", "hello, {full} writing, ", "im {given} {surname}, ", "{full} {phone}. ", "for {full}: ",
    "re {full}: ",
    "hi {given}, ", "hey {given} ", "dear dr {surname}, ", "good morning {given}. ", "{surname}, {given}. ",
    "my name is {full}. ",
    "patient {full}. ", "{full}: ", "{given}: ", "{town} here, ", "{id} ", "{given}'s mom here. ", "{zip}, ",
    "I'm {full} and ",
)  # fmt: skip
_LAST = (
    " - {given}", " thanks, {given}", " thank you. {full}", ". {full}", " {full}", " {full} {dob}",
    " my number is {phone}",
    " call {given} {phone}", ". we're in {town}", " (i live in {town})", " im at {street}", " dr {surname} knows",
    " {surname} knows me",
    " ask {given}", " -{given}", " its {date} today", " dob {dob}", " {id}", " my id is {id}", " sincerely, {full}",
    " signed {full}",
    " at {facility}", " i work at {employer}", " since {date}", ", {towns}", ". {street}, {towns} {zip}",
    " tell {given}", " cc {full}",
    " {given} {surname}", ", {given}", " for {given}", " love, {given}",
)  # fmt: skip
_PRIMERO = (
    "soy {full}, ",
    "hola, soy {given}. ",
    "me llamo {full}. ",
    "buenas, habla {given}, ",
    "doctora {surname}, ",
    "{full}. ",
)
_ULTIMO = (
    " gracias, {given}",
    " atte. {full}",
    ". {full}",
    " vivo en {town}",
    " mi tel es {phone}",
    " nací el {fecha}",
    " - {given}",
)
_SPANISH = regex.compile(r"[áéíóúñ¿¡]|\b(?:el|la|los|mi|me|que|una?|por|para|con|está|tengo|de)\b", regex.IGNORECASE)


def read_messages(folder: Path = MESSAGES) -> list[tuple[str, str]]:
    """Author and text of all messages; turns are joined by a line break."""
    found = []
    for path in sorted(folder.glob("*.txt")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.strip() and not line.startswith("#"):
                found.append((path.stem, line.partition(" | ")[2].strip().replace(TURN, "\n")))
    return found


def read_found(path: Path) -> dict[str, list[tuple[str, str]]]:
    """Identifiers that stand in the messages: text around each with its type, as ``TYPE | words [identifier] words``.

    By the words without brackets: (before, identifier with type) so that :func:`marked` finds them again.
    """
    found: dict[str, list[tuple[str, str]]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        kind, bar, marked_text = line.partition(" | ")
        match = regex.fullmatch(r"(.*?)\[(.+?)\](.*)", marked_text)
        if not bar or match is None:
            raise ConfigurationError(f"{path.name}, line {number}: must read `TYPE | words [identifier] words`")
        before, value, after = match.groups()
        found.setdefault(f"{before}{value}{after}", []).append((before, f"{kind}|{value}"))
    return found


def marked(text: str, found: dict[str, list[tuple[str, str]]]) -> list[Segment]:
    """A message in pieces, with the identifiers of ``found`` in it typed."""
    spans = []
    for around, values in found.items():
        at = text.find(around)
        while at >= 0:
            for before, typed in values:
                kind, _, value = typed.partition("|")
                spans.append((at + len(before), at + len(before) + len(value), kind))
            at = text.find(around, at + 1)
    pieces: list[Segment] = []
    last = 0
    for start, end, kind in sorted(set(spans)):
        if start < last:
            continue
        pieces += [(text[last:start], ""), (text[start:end], kind)]
        last = end
    return [piece for piece in [*pieces, (text[last:], "")] if piece[0]]


def with_identifiers(pieces: Iterable[Segment], forms: Forms, rng: Random) -> list[Segment]:
    """The message with one to three identifiers put into its own words, before or after them."""
    found = list(pieces)
    whole = "".join(text for text, _ in found)
    spanish = len(_SPANISH.findall(whole)) > max(2, len(whole.split()) // 6)
    rules = _SPANISH_RULES if spanish else _RULES
    for pattern, frames in rng.sample(rules, k=len(rules)):
        if rng.random() < 0.6:
            found = _put(found, pattern, rng.choice(frames), forms, rng)
    changed = len([1 for _, kind in found if kind])
    if rng.random() < (0.25 if changed else 0.9):
        found = [*forms.fill(rng.choice(_PRIMERO if spanish else _FIRST), rng), *found]
    if rng.random() < (0.25 if changed else 0.5):
        found = [*found, *forms.fill(rng.choice(_ULTIMO if spanish else _LAST), rng)]
    return found


def _put(pieces: list[Segment], pattern: regex.Pattern[str], frame: str, forms: Forms, rng: Random) -> list[Segment]:
    """Replace one match of the pattern in calm text by the frame; ``@`` in the frame is what stood there."""
    result: list[Segment] = []
    done = False
    for text, kind in pieces:
        match = None if kind or done else pattern.search(text)
        if match is None:
            result.append((text, kind))
            continue
        done = True
        filled = forms.fill(frame.replace("@", match.group()), rng)
        result += [(text[: match.start()], ""), *filled, (text[match.end() :], "")]
    return [piece for piece in result if piece[0]]


_Rule = tuple[regex.Pattern[str], tuple[str, ...]]
_RULES: list[_Rule] = [
    (
        _RELATIVE,
        (
            "@ {given}",
            "@ {given}",
            "@, {given},",
            "{given}",
            "{given}",
            "@ {full}",
            "@ ({given})",
            "{full}",
            "{given} (@)",
        ),
    ),
    (_SUBJECT, ("{given}", "{given}", "{full}", "mr {surname}", "Mrs. {surname}")),
    (_OBJECT, ("{given}", "{given}", "ms {surname}", "{full}")),
    (
        _NURSE,
        (
            "@ {given}",
            "nurse {given}",
            "dr {surname}",
            "Dr. {surname}",
            "{surname}",
            "dr {full}",
            "@, {given}",
            "{full}",
            "{given}",
        ),
    ),
    (_DAY, ("on {date}", "{date}", "{date}", "@ {date}", "@ ({date})", "@ with {surname}")),
    (_PLACE, ("{facility}", "{facility}", "@ in {town}", "@ ({facility})", "{facility} in {town}")),
    (_WORK, ("at {employer}", "at {school}", "at {employer} in {town}")),
]
_SPANISH_RULES: list[_Rule] = [
    (_PARIENTE, ("@ {given}", "@ {given}", "{given}", "@ {full}", "{given}")),
    (_DIA, ("el {fecha}", "el {fecha}", "@ {fecha}")),
]
