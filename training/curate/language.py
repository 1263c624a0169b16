"""Which language a text is in, English or Spanish, by its function words.

Function words are the most frequent of any text and the least borrowed: a Spanish sentence keeps its "que" and "para"
with English names of drugs and departments in it. Words of both languages (no, me, a, he, has, son) are in no list.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Literal

from app.guardrails.sentences import split

Language = Literal["en", "es", "mixed", ""]

LEAST_SHARE = 0.03
"""A text is mixed where the rarer language has so large a share of the words that tell."""
LEAST_WORDS = 2.5
"""And so many of them. Few are enough: nobody strays into another language's function words."""
WEAK = 0.4
"""What a word counts that also stands in names of people and places ("de la", "Los", "El")."""

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_TOKEN = re.compile(r"<[A-Z_]+(?:_\d+)?>|\by/?o\b|(?<=\d)\s?yo\b", re.IGNORECASE)
_ACCENTS = str.maketrans("áéíóúü", "aeiouu")
_SPANISH_SIGN = re.compile(r"[ñ¿¡]", re.IGNORECASE)

_IN_NAMES = frozenset("el la los las de del y o u un mi se al lo en te nos una sin bueno claro hora solo".split())
_ENGLISH = frozenset(
    """
    the an of to and in is it its it's i i'm i'll i've i'd you you're you'll you've your he's she she's her his him
    we we're we'll our they they're their them this that that's these those there there's here are was were be been
    being am isn't aren't wasn't weren't do does did don't doesn't didn't have had haven't hasn't hadn't can can't
    cannot could couldn't will won't would wouldn't should shouldn't may might must not with without for from by at
    on into onto out off up down over under about after before between through during until while because if then
    than when where what what's which who whom whose why how but or nor so as some any all both each every much many
    more most other such only own same too very just also again still yet please thank thanks yes hello hi let let's
    get got need want know think call take make my mine myself yourself one two day days time morning afternoon
    today tomorrow
    """.split()
)
_SPANISH = frozenset(
    """
    el la los las un una unos unas del de al que en y o u pero porque pues si con para por desde hasta entre sobre sin
    segun cuando donde como quien cual cuanto cuanta cuantos cuantas este esta estos estas ese esa esos esas esto eso
    aquel aquella mi mis tu tus su sus nuestro nuestra nuestros nuestras yo ella ellos ellas usted ustedes nosotros le
    les lo nos se te es soy eres era eran fue fueron ser estar estoy esta estan estaba hay tengo tiene tienen tenemos
    tenia tuve hace hacer hago puedo puede pueden podemos podria quiero quiere necesito necesita debe deben voy va van
    muy mas menos tan tanto mucho mucha muchos muchas poco algo alguien nada nadie todo toda todos todas otro otra otros
    otras mismo misma cada ya aqui ahi alli ahora hoy ayer manana antes despues tambien tampoco solo siempre nunca
    perdon disculpe senorita cita fiebre dolor medicina pastillas hija hijo esposo esposa suegra abuela doctora gente
    gracias favor hola buenos buenas dias tardes noches senor senora bueno claro dia hora horas
    """.split()
)


@lru_cache(maxsize=20_000)
def shares(text: str) -> tuple[float, float]:
    """How many words of the text tell that it is English, and how many that it is Spanish."""
    plain = _TOKEN.sub(" ", text).lower().replace("’", "'")
    words = [word.translate(_ACCENTS).replace("ñ", "n") for word in _WORD.findall(plain)]
    english = sum(word in _ENGLISH for word in words)
    spanish = sum(WEAK if word in _IN_NAMES else 1.0 for word in words if word in _SPANISH)
    return english, spanish + 0.5 * len(_SPANISH_SIGN.findall(plain))


def detect(text: str) -> Language:
    """The language of one text, such as a turn; "" where no word tells."""
    return _judged([text])


def detect_turns(turns: Iterable[str]) -> Language:
    """The language of a whole record, sentence by sentence."""
    return _judged(sentence for turn in turns for sentence in split(turn))


def _judged(pieces: Iterable[str]) -> Language:
    english = spanish = 0.0
    for piece in pieces:
        more_english, more_spanish = shares(piece)
        english, spanish = english + more_english, spanish + more_spanish
    if not english and not spanish:
        return ""
    rarer = min(english, spanish)
    if rarer >= LEAST_WORDS and rarer >= LEAST_SHARE * (english + spanish):
        return "mixed"
    return "es" if spanish > english else "en"
