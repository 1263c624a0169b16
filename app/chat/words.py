"""Words of English and Spanish as the rules of a conversation compare them: folded, without endings of plurals."""

from __future__ import annotations

import re
import unicodedata

_STOP = frozenset(
    """a about after all am an and any are as at be been before but by can could did do does for from get getting
    give go going got had has have he her here hes him his how i if im in into is it its ive just know like
    long made make many may me mean meant more much my need no not of ok okay on one ones only or other our
    out own please she shes should so some take taking than thank thanks that the their them then there they
    thing think this those time times to too up us use using want was we were what when where which who whom
    why will with without would yes you your

    al algo ante antes aqui asi como con cual cuales cuando cuanta cuantas cuanto cuantos de debo del desde
    donde e el ella ellas ellos en esa ese eso esta estan este esto estoy favor fue gracias ha hacer hay he la
    las le les lo los mas me mi mis mucha mucho muy necesito ni no nos o para pero por porque puede pueden
    puedo que quien quiero refiero se ser si sin sobre su sus tambien te tengo tiene tu un una unas uno unos y
    ya yo

    appointment article exam examination expect find good guide help hospital information kind learn option
    prepare preparing procedure ready safe safely scan test understand cita estudio examen informacion opcion
    preparar prepararme procedimiento prueba""".split()
)
"""Words that say nothing of the topic: function words, and what most questions and titles have."""

_SAME = {
    "adolescente": "teen", "adulto": "adult", "bebe": "baby", "catarata": "cataract",
    "children": "child", "cirugia": "surgery", "contraste": "contrast", "corazon": "heart", "covid19": "covid",
    "daughter": "child", "dye": "contrast", "embarazada": "pregnancy", "embarazo": "pregnancy", "gripe": "flu",
    "hijo": "child", "hija": "child", "infant": "baby", "kid": "child", "maternidad": "maternity",
    "medicamento": "medicine", "medication": "medicine", "medicina": "medicine", "newborn": "baby", "nino": "child",
    "nina": "child", "ojo": "eye", "operacion": "surgery", "operation": "surgery", "parto": "birth",
    "pregnant": "pregnancy", "receta": "prescription", "resonancia": "mri", "rodilla": "knee", "shot": "vaccine",
    "son": "child", "teenager": "teen", "telefono": "phone", "toddler": "child", "tomografia": "ct",
    "ultrasonido": "ultrasound", "vacuna": "vaccine", "vesicula": "gallbladder",
}  # fmt: skip
"""Words by which patients tell neighbouring articles apart, Spanish and lay ones by the word of titles."""


def fold(text: str) -> list[str]:
    """The words of a text in lower case without accents and marks: ``¿Y niños?`` gives ``y``, ``ninos``."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))
    return re.findall(r"[a-z0-9]+", plain.replace("'", "").replace("’", ""))


def stem(word: str) -> str:
    """A folded word without the ending of a plural; words of one meaning become one."""
    if word.endswith("ies") and len(word) > 4:
        word = f"{word[:-3]}y"
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 3:
        word = word[:-1]
    return _SAME.get(word, word)


def content(text: str) -> frozenset[str]:
    """The words of a text that say what it is about."""
    return frozenset(stem(word) for word in fold(text) if word not in _STOP and stem(word) not in _STOP)
