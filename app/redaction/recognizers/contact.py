"""E-mail, phone, web and network addresses, user names: with and without cue words, typed or spelled out."""

from __future__ import annotations

import regex

from app.redaction.entities import TYPES
from app.redaction.lexicon import Lexicon
from app.redaction.recognizers.measures import UNIT, value_of_something
from app.redaction.recognizers.rules import Match, Rule, compile_rule
from app.redaction.recognizers.shapes import is_code
from app.redaction.recognizers.spoken import NUMBER_WORD, lettered_run, says_digits

_RANGE_CUE = regex.compile(
    r"(?:range|normal|between|dose|goal|target|calories|steps|platelets?|wbc|\$)\W{0,3}\Z", regex.I
)

_DIGIT_WORD = r"(?:zero|oh|o|one|two|three|four|five|six|seven|eight|nine|(?:double|triple)[ ]\w{2,5})"
_TLD = (
    r"(?:com|org|net|edu|gov|mil|io|co|us|uk|ca|info|biz|me|de|fr|mx|es|ar|in|dev|app|online|site|xyz|health|care|"
    r"clinic|example|test|invalid)"
)
_HOST = (
    r"(?:gmail|g-?mail|yahoo|hotmail|outlook|icloud|aol|proton|protonmail|comcast|msn|live|ymail|verizon|att|"
    r"sbcglobal|gmx|cox|charter)"
)
_DOT = r"(?:\s*\.\s*|\s+(?:dot|punto)\s+|\s*\((?:dot|punto)\)\s*|\s*\[(?:dot|punto)\]\s*)"
_AT = r"(?:\s+(?:at|arroba)\s+|\s*[(\[]\s?(?:at|arroba)\s?[)\]]\s*|\s+@\s*)"
_JOIN = r"(?:dot|punto|period|underscore|under\s?score|dash|hyphen|minus|plus|gui[oó]n(?:\s(?:bajo|medio))?)"
_LOCAL_SPELLED = rf"[\w.+\-]{{1,40}}(?:\s+{_JOIN}\s+[\w+\-]{{1,40}}){{0,4}}"
_SPELLED_MARK = regex.compile(
    rf"\b(?:dot|punto|arroba)\b|[(\[]\s?(?:at|dot|arroba|punto)|@|\b{_HOST}\b|\bat\s[\w\-]{{2,40}}\.{_TLD}\b",
    regex.IGNORECASE,
)
_PUBLIC_SITE = regex.compile(
    r"(?:www\.)?(?:\w+\.){0,2}(?:webmd|mayoclinic|cdc|nih|fda|medicare|medicaid|healthcare|goodrx|drugs|amazon|"
    r"google|facebook|instagram|twitter|tiktok|reddit|youtube|walgreens|cvs|walmart|costco|target|uptodate|"
    r"medlineplus|ssa|irs|va|cms|hhs|clevelandclinic|hopkinsmedicine|zocdoc|aetna|cigna|humana|anthem|kp|uhc|bcbs|"
    r"mychart|zoom|who|heart|cancer|diabetes|familydoctor|healthychildren|radiologyinfo|healthline|wikipedia|etsy|"
    r"ebay|uber|lyft|apple|microsoft|yahoo|gmail|hotmail|outlook|aol|icloud|chewy|lung|arthritis|alz|kidney|"
    r"marchofdimes|plannedparenthood|redcross|aarp|quest|questdiagnostics|labcorp|covid|vaccines)\.(?:com|org|gov|"
    r"net|edu|us)",
    regex.IGNORECASE,
)

_NOT_A_HANDLE = frozenset(
    "keeps should again recovery field doesnt isnt wasnt always somehow shows instead change update requirements "
    "anymore whatever whenever showing retrieval policy friendly interface experience feedback support account "
    "profile settings nurse patient caregiver gone lost deleted different changed saved hacked stolen long short "
    "same mine his hers email old new there here not is was are isn't wasn't and or the a an to in on for my it it's "
    "incorrect wrong locked expired invalid working blocked page screen missing forgotten rejected accepted reset "
    "disabled required correct right no error button link does doesn't won't didn't has but so that this they "
    "anymore still already taken unknown case being never please because".split()
)


_AFTER_AT = frozenset(
    "breakfast lunchtime dinnertime nighttime bedtime midnight hospital pharmacy emergency walgreens reception".split()
)
_CODE_WORD = regex.compile(
    r"(?:day|week|month|step|room|page|stage|grade|level|type|gate|form|covid|omega|vitamin|unit|suite|apt|floor|"
    r"windows|android|ios|iphone|galaxy|pixel|ipad|chrome|firefox|version|v|error|code)[.\-]?\d{1,4}\w?|"
    r"[a-z]\.[a-z]\.?|(?:e|i|vs|dr|mr|mrs|ms|st)\.\w+",
    regex.IGNORECASE,
)


def _no_unit_after(match: Match) -> bool:
    text, (start, end) = match.string, match.span("v")
    if UNIT.match(text, end) or value_of_something(match):
        return False
    return not _RANGE_CUE.search(text[max(0, start - 24) : start])


def _looks_like_handle(match: Match) -> bool:
    value = match["v"].strip(".,").lower()
    return value not in _NOT_A_HANDLE and not (value.isalpha() and value.endswith(("ed", "ing", "ado", "ada")))


def _spelled_host(match: Match) -> bool:
    """A host that is said aloud or known: "at home. us" is none."""
    return bool(_SPELLED_MARK.search(match["v"]))


def _seven_digits(match: Match) -> bool:
    digits: int = sum(c.isdigit() for c in match["v"])
    return digits >= 7 and not UNIT.match(match.string, match.end("v"))


def _certain_handle(match: Match) -> bool:
    value = match["v"].strip(".,").lower()
    return value not in _NOT_A_HANDLE and not regex.fullmatch(r"\d[\d.,:/\-]*\w{0,3}|[\w\-]+\.{2,}\w*", value)


def _tagged_handle(match: Match) -> bool:
    """ "@word": with a digit, dot or underscore, or so long that it is no "@home"."""
    value = match["v"][1:].lower()
    plain = value.isalpha()
    return (not plain or len(value) >= 8) and value not in _AFTER_AT and _not_twelve_hours(match)


def _underscored(match: Match) -> bool:
    """A word with an underscore that is no pseudonym ("PERSON_1") and no face made of signs ("o_o")."""
    value = match["v"]
    pseudonym = value.rstrip("0123456789").rstrip("_").upper() in TYPES
    return len(value) >= 5 and sum(c.isalpha() for c in value) >= 3 and not pseudonym


def _is_handle(match: Match) -> bool:
    """A name with digits or dots, in a message about the portal, a login or a password."""
    value = match["v"]
    handle = any(c.isdigit() for c in value) or "." in value
    return handle and not _CODE_WORD.fullmatch(value) and not _PUBLIC_SITE.search(value)


def _no_public_site(match: Match) -> bool:
    return not _PUBLIC_SITE.fullmatch(match["v"].rstrip("/"))


def _not_twelve_hours(match: Match) -> bool:
    return not regex.fullmatch(r"@?\d{1,2}(?:am|pm)?", match["v"], regex.IGNORECASE)


def contact_rules(lexicon: Lexicon | None = None) -> list[Rule]:
    """EMAIL, PHONE, URL, USERNAME."""
    words = lexicon or Lexicon.load()
    return [*_email(), *_phone(), *_web(), *_handles(words), _handle_alone(words)]


def _email() -> list[Rule]:
    typo = rf"(?:\s?[,;]\s?{_TLD}\b|\s\.?\s?(?:com|org|net|edu)\b)?"
    spelled_host = rf"(?:[\w\-]{{1,40}}{_DOT}){{1,4}}{_TLD}"
    item = rf"(?:{NUMBER_WORD}|[a-z]|\d{{1,6}}|{_JOIN}(?:\s[\w+\-]{{1,30}})?)"
    cued = (
        r"(?:e-?mails?|correo)(?:[^\w\n]{1,3}(?:address|is|it's|its|es|works|best|at|to|me|electr[óo]nico|name)\b){0,4}"
    )
    return [
        compile_rule("EMAIL", rf"(?<![\w.+%\-])(?P<v>\w[\w.+%'\-]*+@\w[\w\-]*+(?:\.[\w\-]++)*+{typo})", 1.0, needs="@"),
        compile_rule(
            "EMAIL",
            rf"(?<![\w.+%\-])(?P<v>\w[\w.+%\-]*+(?:\s@\s?|@\s)(?:[\w\-]++\s?\.\s?){{1,3}}{_TLD}\b{typo})",
            1.0,
            needs="@",
        ),
        compile_rule(
            "EMAIL",
            rf"(?<![\w.+\-])(?P<v>{_LOCAL_SPELLED}{_AT}{spelled_host})(?!\w)",
            0.9,
            accept=_spelled_host,
            needs="at",
        ),
        compile_rule(
            "EMAIL",
            rf"(?<![\w.+\-])(?P<v>[\w.+\-]{{1,40}}(?:\s{item}){{1,10}}\s(?:at|arroba)\s{spelled_host})(?!\w)",
            0.92,
            accept=_spelled_host,
            needs="at",
        ),
        compile_rule(
            "EMAIL",
            rf"\b{cued}[\s:,\-]{{1,3}}(?P<v>(?:[\w.+\-]{{1,30}}\s{{1,2}}){{1,8}}?(?:at|arroba)\s{spelled_host})(?!\w)",
            0.95,
            accept=_spelled_host,
            needs="at",
        ),
        compile_rule("EMAIL", rf"(?<![\w.+\-])(?P<v>{_LOCAL_SPELLED}{_AT}{_HOST})(?!\w)", 0.85, needs="mail"),
        compile_rule(
            "EMAIL",
            r"(?<![\w.+%\-@/])(?P<v>[\w+\-]*+(?:\.[\w+\-]++){0,2}[#&](?:[\w\-]++\.){1,3}(?:com|org|net|edu))(?!\w)",
            0.9,
            needs="at",
        ),
    ]


def _phone() -> list[Rule]:
    extension = r"(?:\s*(?:x|ext\.?|extension)\s*\d{1,6})?"
    cue = (
        r"(?:phone|cell(?!cept)|mobile|telephone|tel|call|text|fax|reach|number|home|work|contact|pager|ring\b|dial\b|line\b|"
        r"ph\b|whatsapp|tel[ée]fono|celular|cel\b|n[úu]mero|llam|marqu|marc)"
    )
    slip = r"[\dOolI]"
    return [
        compile_rule(
            "PHONE",
            rf"(?<![\w.\-/])(?P<v>\(?{slip}{{3}}\)?[\s.\-]{{1,2}}{slip}{{3}}[\s.\-]{{1,2}}{slip}{{4,5}})(?!\w|-\d)",
            0.85,
            accept=_seven_digits,
            needs="digit",
        ),
        compile_rule(
            "PHONE",
            r"(?<![\w.,/$\-])(?P<v>[2-9]\d{2}[ .]0\d{3})(?!\w|[.,\-]\d)",
            0.7,
            accept=_no_unit_after,
            needs="digit",
        ),
        compile_rule(
            "PHONE",
            rf"(?<![\w.\-/])(?P<v>(?:(?:\+|00)?1[\s.\-]{{0,2}})?(?:\(0?\)\s?)?(?:\(\s?\d{{3}}\s?\)[\s.\-]{{0,3}}|"
            rf"\d{{3}}\)?[\s.,\-/]{{1,3}})\d{{3}}[\s.,\-/]{{0,3}}\d{{4}}{extension})(?!\w|-\d)",
            0.95,
            needs="digit",
        ),
        compile_rule(
            "PHONE",
            r"(?<![\w.\-/])(?P<v>[2-9]\d{2}[ .\-]\d{3}[ .\-]\d{2}[ .\-]\d{2})(?!\w|[.,\-]\d)",
            0.8,
            accept=_no_unit_after,
            needs="digit",
        ),
        compile_rule(
            "PHONE", r"(?<![\w.])(?P<v>\+\d{1,3}(?:[\s.\-]{0,2}\(?\d{1,5}\)?){2,6})(?!\w)", 0.9, needs="digit"
        ),
        compile_rule(
            "PHONE",
            rf"\b{cue}\w{{0,4}}\b(?:\W{{1,3}}(?:me|him|her|us|back|you|can|number|is|at|on|to)\b){{0,4}}\W{{1,3}}"
            r"(?P<v>(?=(?:\D{0,2}\d){6})\d{2,5}(?:[\s.\-]\d{2,6}){1,4})(?!\w|\.\d)",
            0.8,
            accept=_no_unit_after,
            needs="digit",
        ),
        compile_rule(
            "PHONE",
            r"(?<![\w.\-])(?P<v>0\d{2,4}(?:[ \-]\d{2,4}){2,4})(?!\w)",
            0.85,
            accept=_no_unit_after,
            needs="digit",
        ),
        compile_rule(
            "PHONE",
            r"(?<![\w.\-])(?P<v>(?:\(\d{2,5}\)\s?|0\d{2,4}[\s\-])\d{3,4}[\s\-]?\d{3,4})(?!\w)",
            0.85,
            needs="digit",
        ),
        compile_rule(
            "PHONE",
            rf"(?<![\w.\-])(?P<v>1?[2-9]\d{{2}}[2-9]\d{{6}}{extension})(?!\w|-\d)",
            0.8,
            accept=_no_unit_after,
            needs="digit",
        ),
        compile_rule(
            "PHONE",
            rf"(?<![\w.\-/$])(?P<v>[2-9]\d{{2}}-\d{{4}}{extension})(?!\w|-\d|\.\d)",
            0.75,
            accept=_no_unit_after,
            needs="digit",
        ),
        compile_rule(
            "PHONE",
            rf"\b{cue}(?:'s)?\w{{0,4}}\W{{1,3}}(?:[A-Za-z']{{1,12}}\W{{1,3}}){{0,4}}(?P<v>\d{{3}}[\s.]\d{{4}}|"
            rf"\d{{7}})(?!\w|\.\d)",
            0.8,
            accept=_no_unit_after,
            needs="digit",
        ),
        compile_rule(
            "PHONE",
            rf"\b{cue}\b(?:[^\w\n]{{1,3}}[\p{{L}}']{{1,12}}){{0,4}}?[^\w\n]{{1,3}}(?P<v>{lettered_run(5)})",
            0.85,
            accept=says_digits,
        ),
        compile_rule("PHONE", rf"\b(?P<v>{_DIGIT_WORD}(?:[\s,.\-]{{1,3}}(?:{_DIGIT_WORD}|\d)(?!\w)){{6,15}})\b", 0.9),
        compile_rule("PHONE", rf"\b{cue}\D{{0,20}}(?P<v>(?:\d[\s.\-]){{6,10}}\d)(?!\w)", 0.85, needs="digit"),
    ]


def _web() -> list[Rule]:
    end = r"[^\s<>\"']*[^\s<>\"'.,;:!?)\]]"
    return [
        compile_rule("URL", rf"\b(?P<v>(?:https?|hxxps?|ftp)://{end})", 1.0),
        compile_rule("URL", rf"\b(?P<v>www\.[^\s<>\"'.]{end})", 1.0),
        compile_rule("URL", rf"(?<![\w@.\-])(?P<v>(?:[\w\-]++\.){{1,4}}{_TLD}/{end})", 0.95),
        compile_rule(
            "URL",
            r"(?<![\w@.\-])(?P<v>(?:[\w\-]{2,40}\.){1,4}(?:com|org|net|edu|info|biz|blog|io|me|us|co|"
            r"example))(?![\w@\-]|\.\w)",
            0.9,
            accept=_no_public_site,
        ),
        compile_rule(
            "URL",
            r"\b(?:website|web\s?site|blog|webpage|site|profile)\s+(?:is|at|:)?\s*(?P<v>(?:[\w\-]++\.)"
            rf"{{1,4}}{_TLD})\b",
            0.9,
        ),
    ]


def _handles(lexicon: Lexicon) -> list[Rule]:
    known = lexicon.ordinary | lexicon.drugs | lexicon.labs | _NOT_A_HANDLE

    def unknown(match: Match) -> bool:
        value = match["v"].lower()
        return value not in known and not value.endswith(("ed", "ing", "ly", "tion", "s'", "n't", "nt"))

    what = (
        r"(?:user\s?-?names?|user\s?ids?|users?|log-?\s?in(?:\s+(?:name|id|as))?|logged\sin\sas|"
        r"sign-?\s?in(?:\s(?:name|id|as))?|screen\s?name|handle|(?:portal|mychart|profile|account|app)\s(?:id|name|"
        r"user|login|handle)|gamertag|nick(?:name)?|nombre\sde\susuario|usuario|contraseña|clave|pass(?:word|code|"
        r"phrase)|pin(?:\s+(?:code|number))?)"
    )
    named = (
        r"(?:(?:sign|log)(?:ged|ging)?[\s\-]?in\sas|user\s?-?names?|user\s?ids?|login(?:\s(?:name|id))?|"
        r"screen\s?name|handle|(?:portal|mychart|account|profile)\s(?:id|name|user|login)|mychart|"
        r"nombre\sde\susuario|usuario|contraseña|clave|pass(?:word|code|phrase)|pin(?:\s(?:code|number))?)"
    )
    mark = r"[\d_!$#]|[a-z]\.[a-z]|[a-z][A-Z]"
    return [
        compile_rule(
            "USERNAME",
            rf"\b(?:{named}(?:\s+(?:is|was|es|era)\b|\s*[:=])+|(?:sign|log)(?:ged|"
            rf"ging)?[\s\-]?in\sas\b)\s*[\"']?(?P<v>[^\s\"',;]{{2,40}}[^\s\"',;.!?]|\w{{2,3}})",
            0.9,
            accept=_looks_like_handle,
        ),
        compile_rule(
            "USERNAME",
            rf"\b{what}\s+[\"']?(?P<v>(?=[^\s\"',;]{{0,40}}?(?-i:{mark}))[^\s\"',;]{{2,40}}[^\s\"',;.?!])",
            0.85,
            accept=_looks_like_handle,
        ),
        compile_rule(
            "USERNAME",
            rf"\b{what}\b(?:[^\w\n]{{1,3}}[\p{{L}}']{{1,12}}){{1,4}}?[^\w\n]{{1,3}}(?P<v>(?=[^\s\"',;]{{0,40}}?"
            rf"(?-i:[\d_]|[a-z]\.[a-z]{{2}}))"
            r"\p{L}[^\s\"',;()]{3,40}[^\s\"',;.?!():])",
            0.8,
            accept=_certain_handle,
        ),
        compile_rule(
            "USERNAME",
            r"\b(?:user\s?names?|screen\s?names?|user\s?ids?|usuario)\s[\"']?(?P<v>[a-z][a-z\-]{4,24}[a-z])(?![\w@\-])",
            0.7,
            accept=unknown,
        ),
        compile_rule(
            "USERNAME",
            r"(?<![\w@.\-])(?P<v>[a-z][\w.\-]{4,24})\s(?:is|as|es|como)\s(?:my|the|his|her|mi|su)\s(?:user\s?name|"
            r"user\s?id|login|screen\s?name|usuario)\b",
            0.75,
            accept=unknown,
        ),
        compile_rule(
            "USERNAME",
            r"\b(?:signed\sup|registered|set\sup|listed|entro|entrar|ingreso)\s(?:as|con|"
            r"como)\s(?P<v>[a-z][\w.\-]{4,24}\w)(?![\w@\-])",
            0.7,
            accept=unknown,
        ),
        compile_rule(
            "USERNAME",
            r"(?<![\w.@])(?P<v>@[A-Za-z][\w.]{2,30}\w)",
            0.85,
            accept=_tagged_handle,
            needs="@",
        ),
        compile_rule(
            "USERNAME",
            r"(?<![\w.@/\-])(?P<v>[A-Za-z][A-Za-z\d.\-]{0,24}_[\w.\-]{0,30}\w)(?![@\w])",
            0.75,
            accept=_underscored,
            needs="underscore",
        ),
        compile_rule(
            "USERNAME",
            r"(?<![\w.@/\-])(?P<v>[A-Za-z]{3,16}(?:[.\-][A-Za-z]{2,16}){0,3}[.\-]?\d{1,6}[A-Za-z]{0,6}|"
            r"[A-Za-z]{2,16}(?:[.\-][A-Za-z]{2,16}){1,3})(?![@\w./\-])",
            0.6,
            accept=_is_handle,
            needs="sign in",
        ),
        compile_rule(
            "USERNAME",
            r"\b(?:instagram|insta|ig|facebook|fb|twitter|tiktok|snapchat|snap|skype|whatsapp|telegram|venmo|zelle|"
            r"cashapp|discord|reddit|youtube)\s{0,2}(?:(?:is|:|handle|name|id|as|at|user|under|es|"
            r"account)\s{0,2}){0,4}(?P<v>@?(?=[\w.]{0,30}[\d_.@])[\w.]{3,30}\w)",
            0.85,
        ),
    ]


def _handle_alone(lexicon: Lexicon) -> Rule:
    """A message that is one word with a number at its end, and no drug, test or everyday word in it ("covid19")."""
    known = lexicon.drugs | lexicon.labs | lexicon.ordinary | lexicon.ambiguous_given

    def accept(match: Match) -> bool:
        parts = [part.lower() for part in regex.findall(r"[A-Za-z]+", match["v"])]
        code = _CODE_WORD.fullmatch(match["v"]) or is_code(match["v"])
        pill = regex.fullmatch(r"[A-Za-z]+-\d+", match["v"]) and parts[0] in lexicon.given
        return not code and not pill and parts[0] not in known and parts[-1] not in known

    return compile_rule(
        "USERNAME", r"\A\s?(?P<v>[A-Za-z]{3}[\w.\-]{1,28}\d{2,6})[\s.!?]{0,2}\Z", 0.7, accept=accept, needs="digit"
    )
