"""Words before a colon that are somebody's label, and words that are the heading of a list or of a remark."""

from __future__ import annotations

import re

_HEADINGS = frozenset(
    """
    note notes nota notas remark comment comments important importante remember recuerde reminder recordatorio warning
    caution tip hint example ejemplo summary resumen update answer response question reason razón purpose goal result
    results outcome background context update ps
    medication medications medicine medicines medicamento medicamentos meds drug drugs prescription prescriptions dose
    dosage dosis allergy allergies alergias symptom symptoms síntomas diagnosis diagnóstico history problem problems
    vitals bp pulse weight height temperature assessment plan subjective objective findings impression treatment
    procedure procedures test tests labs effects instructions instrucciones directions steps preparation precautions
    address dirección phone teléfono telephone tel fax email mail website web site url link contact contacto location
    ubicación place lugar where when date fecha dates day time hora times hours horario horas duration name nombre names
    number número numbers id mrn dob birthday age edad sex gender language idioma zip code código extension ext
    department departamento unit floor piso room rooms building entrance exit parking estacionamiento directions bus
    cost costs costo price prices fee fees charge charges total copay insurance seguro payment payments billing
    options option opción step paso part item items list section chapter point topic subject re tema line choice
    also además first second third finally next then else otherwise plus yes no and or but so well ok okay
    breakfast lunch dinner snack desayuno almuerzo cena morning noon afternoon evening night mañana tarde noche weekday
    weekdays weekend weekends holiday holidays today tomorrow tonight yesterday hoy ayer
    monday tuesday wednesday thursday friday saturday sunday mondays tuesdays wednesdays thursdays fridays saturdays
    sundays mon tue tues wed thu thur thurs fri sat sun lunes martes miércoles jueves viernes sábado domingo
    january february march july august september october november december feb mar apr jul aug
    sep sept oct nov dec enero febrero marzo mayo junio agosto septiembre octubre noviembre diciembre
    adults adult children child kids seniors visitors visiting
    """.split()
)
"""As the last word of a label, or as its first before a number; case aside. English and Spanish."""
# Not April, May, June, Abril and Julio, which are names as well.
_NUMBER = re.compile(r"#?\d+(?:st|nd|rd|th)?|[A-Za-z]|one|two|three|four|five|uno|dos|tres", re.IGNORECASE)
_INSIDE = frozenset("de la del los las y of the van von der den da di do dos bin al el".split())
"""Words of a name that need no capital."""
_MOST_WORDS = 3
_FEW_WORDS = 6
_SAYS = frozenset(
    """
    i i'm i've i'd i'll im me my mine we we're us our you you're your yours he she they it's that's yes yeah yep no nope
    ok okay sure hi hello hey bye goodbye thanks thank please sorry well oh um uh what why how can could would
    yo mi me mis nosotros usted ustedes su tú tu sí hola gracias adiós bueno claro qué cómo puedo puede
    """.split()
)
"""Words of somebody who speaks, not of a list."""


def heads(label: str) -> bool:
    """Whether a label is the heading of what follows it ("Current Medications", "Step 2")."""
    words = [word.strip(".,'’()-") for word in label.casefold().split()]
    return words[-1] in _HEADINGS or (words[0] in _HEADINGS and _NUMBER.fullmatch(words[-1]) is not None)


def names_somebody(label: str, words: str) -> bool:
    """Whether a label that is no heading looks like somebody's, by itself and by the words after it: one to three words
    with capitals or numbers, before what is no item of a list.
    """
    parts = [part for part in label.split() if part not in _INSIDE]
    if not 1 <= len(parts) <= _MOST_WORDS or not all(part[0].isupper() or part[0].isdigit() for part in parts):
        return False
    said = words.replace("’", "'").casefold().split()
    if not said or said[0][0].isdigit():
        return False
    speaks = any(word.strip('.,;:!?¡¿"') in _SAYS for word in said[: 5 * _FEW_WORDS])
    listed = not words[0].isupper() and len(said) <= _FEW_WORDS and not words.endswith((".", "?", "!"))
    return speaks or not listed
