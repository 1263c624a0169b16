"""Which language a message is written in, English or Spanish, by common words: so that a safety text can answer in it.

Deterministic and quick. It need not be sure: where a message has no common word of either language, or as many of
both, it says so.
"""

from __future__ import annotations

import re
import unicodedata

_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
_SPANISH_SIGNS = re.compile(r"[ñ¿¡]", re.IGNORECASE)

# Words of both languages (no, me, a, he, has, son, come, sin, mama, hospital) are in neither list.
_ENGLISH = frozenset(
    """
    the i i'm im i've ive my mine myself is isn't are aren't was were am be been being and or of to in on at it it's
    its you your you're she she's her hers herself his him himself they they're their them we our this that these
    there an with have haven't having had do does doesn't did didn't don't dont can can't cant cannot could won't
    wont will would not for from but if when what where who how why because about after before out up down off into
    over all any some someone somebody anyone please now help want wants wanna need needs think thinks feel feels
    feeling felt get gets getting got going go gone took take taken taking keeps just like really very too so still
    chest pain breathe breathing breath blood bleeding bleed baby mom mum mother dad father wife husband daughter
    child kid boyfriend girlfriend friend old year years kill killing killed die dying died dead hurt hurts hurting
    hit hits hitting beat beats beating touch touches pills swallowed drank overdose passed fainted unconscious
    awake wake seizure stroke heart attack arm face head stomach life live suicide suicidal alone afraid scared
    threatened
    """.split()
)
_SPANISH = frozenset(
    """
    el la los las un una unos unas de del al y que en mi mis tu tus su sus ella ellos ellas nosotros usted ustedes
    es esta estan estoy estas estamos estaba soy eres era fue ser estar hay tengo tiene tienen tenia tuve tuvo si se
    te le les lo nos por para con pero cuando donde como quien porque pues desde hasta muy mucho mucha mas algo
    alguien nada nadie ahora aqui hoy ayer ayuda ayudeme ayudenme ayudame auxilio socorro favor puedo puede pueden
    podia quiero quiere quieren necesito necesita hace hago hizo dice dijo creo siento siente duele duelen dolor
    pecho respira respirar respiro respirando aire sangre sangra sangrar sangrando bebe nino nina hijo hija madre
    padre esposo esposa marido mujer novio novia abuela abuelo amigo amiga pega pego golpea golpeo golpes mata mato
    matar matarme matarlo morir morirme muere muero muriendo murio muerto muerta suicidar suicidarme suicidio vida
    vivir tomo tome tomar pastillas trago veneno cabeza corazon brazo cara emergencia urgente desmayo desmayado
    desmayada inconsciente despierta ahoga ahogando ahogo convulsion convulsiona convulsiones ataque derrame infarto
    abusa abuso toca amenaza amenazo miedo solo sola anos casa
    """.split()
)


def languages(text: str) -> tuple[str, ...]:
    """``("en",)``, ``("es",)``, both with the stronger one first where a message mixes them, or ``()`` if unknown."""
    words = _WORD.findall(_plain(text))
    english = sum(word in _ENGLISH for word in words)
    spanish = sum(word in _SPANISH for word in words) + 2 * bool(_SPANISH_SIGNS.search(text))
    if not english and not spanish:
        return ()
    first, second = ("es", "en") if spanish > english else ("en", "es")
    mixed = 2 * min(english, spanish) >= max(english, spanish)
    return (first, second) if mixed else (first,)


def language_of(text: str, otherwise: str) -> str:
    """The one language that a fixed text is written in; ``otherwise`` for one that mixes both or tells none."""
    found = languages(text)
    return found[0] if len(found) == 1 else otherwise


def _plain(text: str) -> str:
    """Lower case, straight apostrophes, no accents: patients leave them out."""
    folded = unicodedata.normalize("NFD", text.casefold().replace("\u2019", "'"))
    return "".join(character for character in folded if not unicodedata.combining(character))
