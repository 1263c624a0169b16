"""Words and patterns around people's names, English and Spanish."""

from __future__ import annotations

import regex

RELATIONS = frozenset(
    "husband wife son daughter mother mom mum mama father dad papa sister brother aunt uncle cousin niece nephew "
    "grandmother grandma grandfather grandpa grandson granddaughter partner boyfriend girlfriend fiance fiancé "
    "fiancee fiancée friend neighbor neighbour roommate caregiver carer baby child kid boss coworker spouse stepson "
    "stepdaughter stepmother stepfather surgeon dentist therapist midwife pcp cardiologist oncologist pediatrician "
    "ob counselor abuela abuelo nana twin twins attorney lawyer guardian aide dog helper nanny sitter babysitter "
    "husb hubby wifey mommy daddy granny gran grampa gramma stepdad stepmom godmother godfather godson goddaughter "
    "ex landlord esposo esposa marido mujer hijo hija hijito hijita mamá papá amá apá madre padre hermano hermana "
    "hermanito hermanita tía tia tío tio primo prima sobrino sobrina nieto nieta suegro suegra cuñado cuñada yerno "
    "nuera novio novia niño niña nene nena bebé bebe abuelito abuelita bisabuela bisabuelo vecino vecina amigo amiga "
    "comadre compadre jefe jefa madrina padrino cuidadora cuidador mother-in-law father-in-law brother-in-law "
    "sister-in-law son-in-law daughter-in-law".split()
)
SOFT_TITLES = frozenset(
    "coach officer chaplain deacon elder captain capt sergeant sgt lieutenant lt tech technician cna rn np principal "
    "counselor trainer rep operator receptionist volunteer janitor driver aide intern resident doctora enfermera "
    "enfermero don doña señorita srta maestra maestro profe profesor profesora licenciado licenciada lic pastora "
    "hermano hermana tía cousin aunt auntie uncle grandma grandpa tío tia tio abuela abuelo comadre compadre".split()
)
"""Titles and relations that need a capital after them, and no owner before."""
ORDINARY_ES = frozenset(
    "a al algo alguien allá allí ante antes aquí así aún aunque ay ayer ayuda bien buen buena buenas buenos cada "
    "casa casi cita como con contra cosa cual cuando cuándo cuánto de del desde después día días dios dijo dice dio "
    "donde dónde dos durante e el él ella ellos en entonces entre era es esa ese eso esta está estaba están estar "
    "este esto estoy fue fueron gracias ha hace hasta hay he hola hoy hospital ir la las le les lo los luego mal "
    "mañana más me médica médico medicina mi mis mismo muchas mucho muy nada ni no nos nuestra nuestro o otra otro "
    "para pero poco por porque puede puedo que qué quien quién quiere quiero recibió recién se según ser si sí sin "
    "sobre solo son soy su sufre sus también tan tanto te tengo tenía tiene tienen toda todo todos tomó tome toma "
    "trae tu tuvo un una uno unos usa va vamos vino vive vivo voy y ya yo católica católico cristiana cristiano "
    "testigo diabética diabético alérgica alérgico mexicana mexicano embarazada mayor menor nueva nuevo operada "
    "operado necesita necesito llama llamó duele dolor fiebre urgencias clínica enfermera doctor doctora señor "
    "señora paciente cumple cumplió nació habla anda quedó salió reza trabaja padece".split()
)
PLACE_WORDS = frozenset("san santa santo saint st fort port mount lake los las".split())
HUMAN_AFTER = regex.compile(
    r"""\b(?: (?:tell|ask(?:ed)?(?:\sfor)?|page|thank|attn:?|attention:?|(?-i:patient|pt|client|resident|pcp)
           |speak\s(?:to|with)
           |put(?=\s\p{L}+\sdown)
           |talk(?:ed|ing)?\s(?:to|with)|spoke\s(?:to|with)|lady,?|name|calls?\s(?:her|him|me)
           |soy|somos|habla|se\sllama|su\snombre\ses|a\snombre\sde|de\sparte\sde|paciente|pregunten?\spor|d[íi]gale\sa|dile\sa|gracias\sa
           |le\shabla|nombre|llamada) [\s:,]{1,3}
         | (?:hi|hello|hey|hola|hi\sagain|good\s(?:morning|evening|afternoon)|buenas|buenos\sd[íi]as)[,!.]?\s
           (?:its|it's|this\sis|soy|i'm|im|i\sam)\s
      )(?P<v>)(?-i:\p{Lu})""",
    regex.VERBOSE | regex.IGNORECASE,
)
"""What a person's name, with a capital, follows."""
LLAMO = regex.compile(
    r"\b(?:me\sllamo|mi\snombre\ses|se\sllama|su\snombre\ses|nombre(?:\scompleto)?\s?:|paciente\s?:|"
    r"a\snombre\sde)\s+(?P<v>)\p{L}",
    regex.IGNORECASE,
)
HERE = regex.compile(
    r"(?:^|[.!?\n]\s?|\b(?:hi|hey|hello|hola|its|it's|this\sis|"
    r"yes)[,!]?\s)(?P<v>)(?-i:\p{Lu})[\p{L}'\-]++(?:\s(?-i:\p{Lu})[\p{L}'.\-]*+){0,2}(?=\s(?:here|aqu[íi]|otra\svez|"
    r"speaking|calling)\b)",
    regex.IGNORECASE,
)
CLOSING = regex.compile(
    r"(?:\b(?:best|regards|thanks|thanx|thank\syou|thx|ty|tysm|sincerely|cheers|take\scare(?:\snow)?|love|blessings|"
    r"god\sbless|respectfully|gratefully|warmly|yours|truly|bye|signed|so\smuch|again|advance|gracias|saludos|"
    r"atentamente|bendiciones|cordialmente|abrazos?|muchas\sgracias)[\s,.!\-~\u2014]{1,4}|[\n][\s\-~]{0,3}|"
    r"\s[\-~]{1,2}\s?)(?P<v>)(?P<n>\p{L}[\p{L}'\-]*+\.?(?:\s\p{L}[\p{L}'\-]*+\.?){0,3})[\s.!]{0,3}\Z",
    regex.IGNORECASE,
)
"""The last words of a message after a closing formula, a line break or a dash."""
IDENTITY = regex.compile(
    r"(?<![\p{L}\d'\-])(?P<v>\p{Lu}[\p{L}'\-]++(?:,?\s\p{Lu}[\p{L}'.\-]*+){1,3}+)(?=[\s,(:;\-]{1,3}"
    r"(?:\d{1,2}[/\-.]\d{1,2}[/\-.]\d{2,4}|\d{4}-\d\d-\d\d|(?i:dob|d\.o\.b|mrn|born|nac|medicare|ssn|member|id|birth|"
    r"rx|acct|account|claim|phone|tel|age|policy|record|chart|room|fecha|exp)\b|\(?\d{3}\)?[\s.\-]\d{3}))"
)
"""A name at the head of a line of particulars."""
NUMBERED = regex.compile(
    r"^[ \t]*\d{1,2}[.)][ \t]*(?P<v>\p{Lu}[\p{L}'\-]++(?:[ ]\p{Lu}[\p{L}'.\-]*+){1,3})[ \t]*$", regex.MULTILINE
)
LETTERS = regex.compile(r"(?<![\w\-])(?P<v>\p{L}(?:-\p{L}){3,15})(?![\w\-])")
LETTERS_SAID = regex.compile(
    r"\b(?:spell(?:ed|ing|s)?|deletre\p{L}*)\b[^\n.]{0,25}?[\s:,](?P<v>\p{L}(?:[\s,.]{1,2}\p{L}){2,15})(?!\p{L})",
    regex.IGNORECASE,
)
NO_PERSON = frozenset(
    "god jesus lord allah spanish english mexican american medicare medicaid mychart covid flu monday tuesday "
    "wednesday thursday friday saturday sunday january february march april june july august september october "
    "november december hospital clinic advocate portal services relations access experience line hotline navigator "
    "coordinator education advocacy transport center department guest security volunteer endoscopy orthopedics "
    "financial instead later asap depression anxiety pediatrics emergency housekeeping dietary nutrition switchboard "
    "lost".split()
)
WORDS_TOO = frozenset(
    "luz blanca dan domingo molly paz sol rosa mar alba dolores mercedes salvador cruz reyes consuelo milagros".split()
)
"""Listed given names that are words or drugs in small letters."""
VERBS = frozenset("has had is was needs takes got fell and who wants said says just feels".split())
OWNERS = frozenset("my his her their our your and mi mis tu su nuestra nuestro".split())
GREETINGS = frozenset(
    "hi hello hey dear hola thanks thx regards sincerely cheers respectfully cordially signed".split()
)
CONTACT = frozenset("named called with see saw ask contact tell to for by from of".split())
PARTICLES = frozenset(
    "al bin binti da das de del della den der di dos du el ibn la las le los mac san st ten ter van von y".split()
)
