"""E-mail, phone, web and network addresses, user names: with and without cue words, typed or spelled out."""

from __future__ import annotations

import regex

from app.redaction.recognizers.rules import Match, Rule, compile_rule

_UNIT = regex.compile(
    r"\s*(?:mg|mcg|µg|g|kg|ml|l|iu|units?|cal\w*|kcal\w*|steps|cells|k|feet|ft|lbs?|dollars|percent|%|"
    r"per|/|mm\w*|ng|pg|"
    r"meq|mmol|people|hours?|minutes?|days?|words|grams?|milligrams?|bpm)(?![A-Za-z])",
    regex.IGNORECASE,
)
_RANGE_CUE = regex.compile(
    r"(?:range|normal|between|dose|goal|target|calories|steps|platelets?|wbc|\$)\W{0,3}\Z", regex.I
)

_DIGIT_WORD = r"(?:zero|oh|o|one|two|three|four|five|six|seven|eight|nine|(?:double|triple)[ ]\w{2,5})"
_TLD = r"(?:com|org|net|edu|gov|mil|io|co|us|uk|ca|info|biz|me|de|fr|mx|in|example|test)"
_HOST = r"(?:gmail|yahoo|hotmail|outlook|icloud|aol|proton|protonmail|comcast|msn|live|ymail|verizon|att)"
_DOT = r"(?:\s*\.\s*|\s+dot\s+|\s*\(dot\)\s*|\s*\[dot\]\s*)"
_AT = r"(?:\s+at\s+|\s*\(at\)\s*|\s*\[at\]\s*)"
_LOCAL_SPELLED = r"[\w.+\-]{1,40}(?:\s+(?:dot|underscore|dash|hyphen|plus)\s+[\w+\-]{1,40}){0,4}"

_NOT_A_HANDLE = frozenset(
    "not is was are isn't wasn't and or the a an to in on for my it it's incorrect wrong locked "
    "expired invalid working blocked "
    "page screen missing forgotten rejected accepted reset disabled required correct right no error "
    "button link does doesn't "
    "won't didn't has but so that this they anymore still already taken unknown case being never please because".split()
)


def _no_unit_after(match: Match) -> bool:
    text, (start, end) = match.string, match.span("v")
    return not _UNIT.match(text, end) and not _RANGE_CUE.search(text[max(0, start - 24) : start])


def _looks_like_handle(match: Match) -> bool:
    return match["v"].strip(".,").lower() not in _NOT_A_HANDLE


def _not_twelve_hours(match: Match) -> bool:
    return not regex.fullmatch(r"@?\d{1,2}(?:am|pm)?", match["v"], regex.IGNORECASE)


def contact_rules() -> list[Rule]:
    """EMAIL, PHONE, URL, USERNAME."""
    return [*_email(), *_phone(), *_web(), *_handles()]


def _email() -> list[Rule]:
    return [
        compile_rule("EMAIL", r"(?<![\w.+%\-])(?P<v>\w[\w.+%'\-]*+@\w[\w\-]*+(?:\.[\w\-]++)*+)", 1.0, needs="@"),
        compile_rule("EMAIL", r"(?<![\w.+%\-])(?P<v>\w[\w.+%\-]*+\s@\s?[\w\-]++(?:\.[\w\-]++)++)", 1.0, needs="@"),
        compile_rule(
            "EMAIL",
            rf"(?<![\w.+\-])(?P<v>{_LOCAL_SPELLED}{_AT}(?:[\w\-]{{1,40}}{_DOT}){{1,4}}{_TLD})(?!\w)",
            0.9,
            accept=lambda m: bool(
                regex.search(r"\bdot\b|\((?:at|dot)\)|\[(?:at|dot)\]|(?i:" + _HOST + ")", m["v"], regex.I)
            ),
        ),
        compile_rule(
            "EMAIL",
            rf"e-?mail(?:\s+address)?(?:\s+is|'s|:)?\s+(?P<v>(?:[\w.+\-]{{1,40}}\s+){{1,6}}at\s+(?:[\w\-]"
            rf"{{1,40}}{_DOT}){{1,3}}{_TLD})(?!\w)",
            0.95,
        ),
    ]


def _phone() -> list[Rule]:
    extension = r"(?:\s*(?:x|ext\.?|extension)\s*\d{1,6})?"
    cue = r"(?:phone|cell|mobile|telephone|tel|call|text|fax|reach|number|home|work|contact|pager)"
    return [
        compile_rule(
            "PHONE",
            rf"(?<![\w.\-/])(?P<v>(?:(?:\+|00)?1[\s.\-]{{0,2}})?(?:\(\d{{3}}\)[\s.\-]{{0,2}}|\d{{3}}[\s.\-/]"
            rf"{{1,2}})\d{{3}}[\s.\-]{{0,2}}\d{{4}}{extension})(?!\w|-\d)",
            0.95,
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
        compile_rule("PHONE", r"(?<![\w.\-])(?P<v>0\d{2,4}(?:[ \-]\d{2,4}){2,4})(?!\w)", 0.85, needs="digit"),
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
            rf"\b{cue}(?:'s)?\w{{0,4}}\W{{1,3}}(?:[A-Za-z']{{1,12}}\W{{1,3}}){{0,4}}"
            rf"(?P<v>\d{{3}}[\s.]\d{{4}}|\d{{7}})(?!\w|\.\d)",
            0.8,
            accept=_no_unit_after,
            needs="digit",
        ),
        compile_rule("PHONE", rf"\b(?P<v>{_DIGIT_WORD}(?:[\s,.\-]{{1,3}}(?:{_DIGIT_WORD}|\d)(?!\w)){{6,15}})\b", 0.9),
        compile_rule("PHONE", rf"\b{cue}\D{{0,20}}(?P<v>(?:\d[\s.\-]){{6,10}}\d)(?!\w)", 0.85, needs="digit"),
    ]


def _web() -> list[Rule]:
    end = r"[^\s<>\"']*[^\s<>\"'.,;:!?)\]]"
    return [
        compile_rule("URL", rf"\b(?P<v>(?:https?|ftp)://{end})", 1.0),
        compile_rule("URL", rf"\b(?P<v>www\.[^\s<>\"'.]{end})", 1.0),
        compile_rule("URL", rf"(?<![\w@.\-])(?P<v>(?:[\w\-]++\.){{1,4}}{_TLD}/{end})", 0.95),
        compile_rule(
            "URL",
            r"\b(?:website|web\s?site|blog|webpage|site|profile)\s+(?:is|at|:)?\s*(?P<v>(?:[\w\-]++\.)"
            rf"{{1,4}}{_TLD})\b",
            0.9,
        ),
    ]


def _handles() -> list[Rule]:
    what = (
        r"(?:user\s?-?name|user\s?id|login(?:\s+(?:name|id))?|log-?in\s+id|screen\s?name|handle|"
        r"portal\s+id|account\s+name|pass(?:word|code|phrase)|pin(?:\s+(?:code|number))?)"
    )
    return [
        compile_rule(
            "USERNAME",
            rf"\b{what}\s*(?:is|was|:|=)+\s*[\"']?(?P<v>[^\s\"',;]{{2,40}}[^\s\"',;.!?]|\w{{2,3}})",
            0.9,
            accept=_looks_like_handle,
        ),
        compile_rule(
            "USERNAME",
            rf"\b{what}\s+[\"']?(?P<v>(?=[^\s\"',;]*[\d_!$#])[^\s\"',;]{{2,40}}[^\s\"',;.?])",
            0.85,
            accept=_looks_like_handle,
        ),
        compile_rule(
            "USERNAME",
            r"(?<![\w.@])(?P<v>@(?=[\w.]*[\d_])[A-Za-z][\w.]{2,30}\w)",
            0.85,
            accept=_not_twelve_hours,
            needs="@",
        ),
        compile_rule(
            "USERNAME",
            r"\b(?:instagram|insta|facebook|twitter|tiktok|snapchat|skype|whatsapp|telegram|venmo)\s*(?:is|:|"
            r"handle|name|id|as|at|user|under|\s)+\s*(?P<v>@?(?=[\w.]*[\d_.@])[\w.]{3,30}\w)",
            0.85,
        ),
    ]
