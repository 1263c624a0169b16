"""Facilities, employers, schools, shelters and congregations, by the last word of their names or by what stands before.

A name needs a word of its own: "Children's Hospital", "Pain Clinic" and "Human Services" are kept, and so are products,
shops and insurers (``words/brands.txt``).
"""

from __future__ import annotations

from collections.abc import Callable

import regex

from app.redaction.lexicon import Lexicon
from app.redaction.recognizers.rules import Match, Rule, compile_rule

_FACILITY = (
    r"(?:Home\s(?:Care|Health)|Hospital|Clinic|Manor|Radiology|Imaging|Dialysis|Medical(?:\s(?:Center|Group|"
    r"Associates|Clinic|Plaza))?|Health(?:care)?(?:\s(?:Center|System|Clinic|Services|Partners))?|Hospice|"
    r"Rehab(?:ilitation)?(?:\s(?:Center|Hospital))?|Nursing(?:\s(?:Home|Center|Facility))?|Care\s(?:Home|Center)|"
    r"Urgent\sCare|Family\s(?:Practice|Medicine|Care)|Pediatrics?|Orthop(?:a?e)dics?|Ortho|Cardiology|Oncology|"
    r"Dermatology|Dental|Dentistry|Pharmacy|Surgery\sCenter|Surgical\sCenter|(?:Assisted|Senior|Independent)\sLiving|"
    r"Retirement(?:\s(?:Home|Community|Village))?|Villa|Lodge|Infirmary|Sanatorium|Wellness(?:\sCenter)?|"
    r"Physical\sTherapy|Therapy|Eye\s(?:Center|Care|Clinic)|Women's\sCenter|Birth(?:ing)?\sCenter|"
    r"Behavioral(?:\sHealth)?|Recovery(?:\sCenter)?|Laboratory|Diagnostics|Memorial|General|Group\sHome|"
    r"Skilled\sNursing|Convalescent|Terrace|Gardens|Place|Village|House|Home|Haven|Center|Hogar)"
)
_EMPLOYER = (
    r"(?:Foods|Logistics|Chemicals?|Farms?|Industries|Trucking|Transport|Construction|Roofing|Plumbing|Electric|"
    r"Motors|Auto(?:\s(?:Body|Repair|Parts|Glass))?|Motel|Hotel|Inn|Resort|Casino|Bakery|Diner|Grill|Caf[eé]|"
    r"Restaurant|Brewery|Brewing|Lumber|Steel|Mills?|Paper|Plastics|Packing|Poultry|Meats?|Seafood|Cannery|Warehouse|"
    r"Landscaping|Cleaners|Laundry|Laundromat|Salon|Barbershop|Barbers|Bank|Credit\sUnion|Realty|Builders|"
    r"Contractors|Contracting|Manufacturing|Foundry|Dairy|Ranch|Orchards?|Vineyards?|Winery|Airlines|Freight|Transit|"
    r"Shipping|Mining|Quarry|Drilling|Energy|Solar|Textiles?|Furniture|Hardware|Nursery|Daycare|Day\sCare|Childcare|"
    r"Elementary(?:\sSchool)?|Primary(?:\sSchool)?|Middle(?:\sSchool)?|(?:Junior|Jr\.?)\sHigh(?:\sSchool)?|"
    r"High(?:\sSchool)?|Preschool|Pre-?K|Kindergarten|Montessori|Academy|Schools?|University|College|Seminary|Church|"
    r"Chapel|Temple|Mosque|Masjid|Synagogue|Parish|Cathedral|Ministry|Ministries|Fellowship|Congregation|Baptist|"
    r"Lutheran|Methodist|Tabernacle|Gurdwara|Shul|Shelter|Mission|Library|Museum|Police\sDepartment|Fire\sDepartment|"
    r"Inc|LLC|Corp|Corporation|Company|Co\.|Ltd|GmbH|Partners|Associates|Solutions|Systems|Technologies|Staffing|"
    r"Enterprises|Bros\.?|Brothers|&\sSons?|Products|Supply|Machine|Tool|Tools|Works|Metals?|Welding|Insulation|"
    r"Glass|Printing|Press|Studios?|Consulting|Security|Co-?op|Cooperative|Growers|Packers|Grain|Propane|Concrete|"
    r"Paving|Towing|Tires?|Storage|Catering|Tavern|Janitorial|Pest\sControl|Distribution|Distributors)"
)
_SPANISH = (
    r"(?:Hospital|Cl[íi]nica|Centro(?:\s(?:M[ée]dico|de\sSalud))?|Farmacia|Consultorio|Casa|Residencia|Asilo|Hogar|"
    r"Escuela|Primaria|Secundaria|Prepa(?:ratoria)?|Colegio|Kinder|Iglesia|Parroquia|Templo|Capilla|Lavander[íi]a|"
    r"Panader[íi]a|Restaurante|Taquer[íi]a|Carnicer[íi]a|Tienda|F[áa]brica|Empacadora|Rancho|Taller|Constructora|"
    r"Universidad|Albergue|Guarder[íi]a)"
)
_OWN = r"[A-Z][\p{L}\d'&\-]*+\.?"
_LINK = r"(?:of|and|the|de|del|la|las|los|el|at|on|&|St\.|y)"
_NO_START = (
    r"(?!(?:Ask|Call|The|Visit|See|At|From|To|In|My|Is|Contact|Use|Go|Please|If|When|Your|Our|And|But|Or|So|What|"
    r"Where|Why|How|Who|Which|Does|Do|Did|Can|Could|Will|Would|Hi|Hello|Hey|Dear|Has|Have|Had|Are|Was|Were|This|That|"
    r"It|Its|It's|I|I'm|We|They|He|She|Not|No|Yes|For|With|About|After|Before|Main|Need|Get|Tell|Also|Then|Now|Just|"
    r"El|La|Los|Las|Un|Una|En|De|Mi|Su)\b)"
)
_NAME = (
    rf"{_NO_START}{_OWN}(?:\s(?:{_OWN}|{_LINK})){{0,4}}(?<![.])(?<!\s(?:of|de|la|el|at|on|&|y))"
    r"(?<!\s(?:and|the|del|los|las|for))"
)

GENERIC = frozenset(
    "women's womens men's children's childrens behavioral mental public home heart spine sleep pain wound infusion "
    "cancer breast eye foot ankle hand hip knee bone joint lung kidney liver skin allergy asthma diabetes stroke "
    "urgent emergency primary internal family sports travel vein vascular weight memory fertility maternity prenatal "
    "birth birthing dental walk-in same-day specialty outpatient inpatient pre-op surgery surgical day coumadin "
    "anticoagulation methadone retail community county city state university regional national general hospital "
    "medical health care clinic center centre nursing skilled assisted senior living retirement group main north "
    "south east west blood sperm milk food human social protective support customer patient financial spiritual "
    "pastoral guest visitor gift child adult veterans veteran va military army navy private local big small new old "
    "good best first second third high low middle junior free charter grade summer sunday night nursing medical law "
    "grad graduate trade music art dance bible catholic christian baptist lutheran methodist jewish my our your "
    "their his her the a an this that any some physical occupational speech respiratory radiation laser hormone gene "
    "talk group light water massage hydro aqua compression cold heat shock play animal pet insurance workers "
    "compensation crisis suicide poison call contact help information test testing vaccine vaccination covid flu "
    "imaging radiology laboratory lab labs in-home long term short rest convalescent tiny mobile nursing halfway "
    "recovery sober safe warm birthing burn trauma transplant maternal substance abuse travelers traveler's cardiac "
    "pulmonary endoscopy entrance american global world federal bariatric metabolic nutrition wellness fitness youth "
    "teen student employee occupational lupus headache movement voice swallow".split()
)
_WORDS = regex.compile(r"[\p{L}][\p{L}'\-]*+")
_NOT_AFTER = regex.compile(
    r"\s(?:diet|website|site|article|recipe|brand|sausage|dressing|cookies?|bread|milk|cheese|bacon)\b", regex.I
)


def organization_rules(lexicon: Lexicon) -> list[Rule]:
    """ORGANIZATION."""
    own, any_own = _own(lexicon), _own(lexicon, whole=True)
    work = (
        r"(?:(?:i|he|she|husband|wife|we|they|dad|mom|son|daughter|brother|sister)\s+(?:also\s+|still\s+|now\s+|"
        r"used\s+to\s+)?(?:works?(?:ed)?|teach(?:es)?|drives?|cooks?|cleans?|clean(?:ed)?|weld(?:s|ed)?|serves?|"
        r"bartends?|volunteers?|interns?|clerks?|guards?)|works?|worked|working|employed|hired|fired|laid\s+off|"
        r"retired|groceries|shifts?|job|nurse|teacher|driver|cook|cashier|janitor|welder|mechanic|custodian|bus|boss|"
        r"coworkers?|jefe|trabajo|trabaja|trabajaba|trabajamos|limpio|cocino|student|goes|attends?|enrolled|studies|"
        r"estudia|member|pray|prays|worship)\s+(?:as\s+an?\s+\p{L}+\s+)?(?:at|for|by|with|from|in|to|en|para|con|de|"
        r"a)(?:\s+(?:the|la|el|los|las|una?))?"
    )
    thing = (
        r"(?:(?:my|his|her|our|their|mi|su)\s+(?:job|employer|work|workplace|school|church|shelter|mosque|temple|"
        r"synagogue|daycare|company|boss|jefe|trabajo|escuela|iglesia|nursing\s+home|rehab|facility|clinic|pharmacy|"
        r"farmacia|cl[íi]nica)|employer|school|shelter|church|mosque|daycare|preschool|company|nursing\s+home|rehab|"
        r"escuela|trabajo|iglesia|albergue)(?:\s+(?:is|at|called|named|es|se\s+llama)|'s|:|,)?"
    )
    treated = (
        r"(?:transfer(?:red)?|admitted|discharged|sent|seen|referred|moved|records|xrays?|x-rays?|mri|scan|labs|"
        r"bloodwork|surgery|delivered|born|doctor|nurse|bed|stay(?:ed|ing)?|patient|resident|lives?|living|room|"
        r"trasladad[oa]|internad[oa]|oper[óo]|est[áa])\s+(?:me\s+|him\s+|her\s+|were\s+|was\s+|is\s+|are\s+|over\s+|"
        r"out\s+|here\s+|back\s+|done\s+){0,2}(?:at|to|from|of|by|en|de|del|a)(?:\s+(?:the|la|el))?"
    )
    return [
        compile_rule(
            "ORGANIZATION", rf"\b(?i:{work})\s+(?P<v>{_NAME})", 0.75, accept=any_own, needs="capital", exact_case=True
        ),
        compile_rule(
            "ORGANIZATION", rf"\b(?i:{thing})\s+(?P<v>{_NAME})", 0.72, accept=any_own, needs="capital", exact_case=True
        ),
        compile_rule(
            "ORGANIZATION", rf"\b(?i:{treated})\s+(?P<v>{_NAME})", 0.7, accept=any_own, needs="capital", exact_case=True
        ),
        compile_rule(
            "ORGANIZATION",
            rf"(?<![\w.'&\-])(?P<v>(?P<own>{_NO_START}{_OWN}(?:\s(?:{_OWN}|{_LINK})){{0,3}}?),?\s(?:{_FACILITY}|"
            rf"{_EMPLOYER})(?:\s(?:{_FACILITY}|{_EMPLOYER})){{0,2}})(?![\p{{L}}\d])",
            0.75,
            accept=own,
            needs="capital",
            exact_case=True,
        ),
        compile_rule(
            "ORGANIZATION",
            rf"(?<![\w.'&\-])(?P<v>{_SPANISH}\s(?P<own>(?:(?:de|del|la|el|los|las|San|Santa|Nuestra|"
            rf"Señora)\s){{0,3}}{_OWN}(?:\s(?:{_OWN}|de|del|la|los|las)){{0,3}}))"
            r"(?<!\s(?:de|la))(?<!\s(?:del|los|las))(?![\p{L}\d])",
            0.75,
            accept=own,
            needs="capital",
            exact_case=True,
        ),
        compile_rule(
            "ORGANIZATION",
            rf"(?<![\w.'&\-])(?P<v>(?P<own>{_NO_START}[A-Z]\p{{L}}[\p{{L}}'\-]*+"
            rf"(?:\s[A-Z]\p{{L}}[\p{{L}}'\-]*+){{1,2}}))(?=\s(?:shelter|day\s?care|"
            r"preschool|nursing\shome|hospital|clinic|rehab|hospice|church|school|elementary|mosque|temple|academy|"
            r"assisted\sliving)\b)",
            0.72,
            accept=own,
            needs="capital",
            exact_case=True,
        ),
        compile_rule(
            "ORGANIZATION",
            r"\b(?i:at|from|to|in|by|en)\s(?:the\s)?(?P<v>(?:St\.?|Saint|San|"
            r"Santa)\s(?P<own>[A-Z]\p{L}{2,14}(?:'?s)))(?!\w|\s(?i:wort|fire|dance))",
            0.72,
            accept=own,
            needs="capital",
            exact_case=True,
        ),
        compile_rule(
            "ORGANIZATION",
            r"(?<![\w.'&\-])(?P<v>(?:Temple|Congregation|Masjid|Chabad|Camp|Gurdwara|"
            r"Mosque)\s(?P<own>[A-Z][\p{L}'\-]{2,20}(?:\s[A-Z][\p{L}'\-]{2,20}){0,2}))",
            0.72,
            accept=own,
            needs="capital",
            exact_case=True,
        ),
        compile_rule(
            "ORGANIZATION",
            rf"(?<![\w.'&\-])(?P<v>(?:St\.?|Saint|Our\sLady|Mt\.?|Mount|Sacred|Holy|"
            rf"Good)\s(?P<own>{_OWN}(?:\s(?:{_OWN}|of|the)){{0,3}})(?:'s)?)(?=\s(?:hospital|clinic|er|ed|emergency|"
            r"school|church|rehab|nursing))",
            0.72,
            accept=own,
            needs="capital",
            exact_case=True,
        ),
    ]


def _own(lexicon: Lexicon, *, whole: bool = False) -> Callable[[Match], bool]:
    """Accepts a name with a word of its own in its first part (or in all of it): none that is general or medicine."""
    plain = lexicon.ordinary | GENERIC | lexicon.drugs | lexicon.labs | lexicon.eponyms
    products = lexicon.brands | {phrase for phrase in lexicon.eponyms if " " in phrase}
    group = "v" if whole else "own"

    general = GENERIC | lexicon.drugs | lexicon.labs

    def accept(match: Match) -> bool:
        words = [word.lower() for word in _WORDS.findall(match[group])]
        whole_name = [word.lower() for word in _WORDS.findall(match["v"])]
        branded = any(" ".join(whole_name[:size]) in products for size in range(1, len(whole_name) + 1))
        known = general if len(words) > 1 and _SURE_END.search(match["v"]) else plain
        own = any(word not in known and word not in _NEVER for word in words)
        if any(word in _AGENCIES for word in words) and not {"police", "fire"} & set(words):
            return False
        if whole and words and (words[0] in _NEVER or words[-1] in lexicon.after_eponym):
            return False
        return own and not branded and not _NOT_AFTER.match(match.string, match.end("v"))

    return accept


_SURE_END = regex.compile(
    r"\b(?:Tabernacle|Church|Chapel|Mosque|Elementary|Middle|High|School|Academy|Preschool|Daycare|Shelter|Manor|"
    r"Hospice|Home|Ministries|Temple|Fellowship|Villa|Ranch|Farms?|Bakery|Diner|Trucking|Logistics|Foods)\Z"
)
"""Last words of names that are made of everyday words ("New Hope Tabernacle")."""
_AGENCIES = frozenset(
    "department agency bureau office division institute institutes ministry centers administration association".split()
)
_NEVER = frozenset(
    "i i'm i've i'll it it's monday tuesday wednesday thursday friday saturday sunday january february march april "
    "may june july august september october november december spanish english christmas easter thanksgiving dr mr "
    "mrs ms of and the de del la las los el at for on y".split()
)
