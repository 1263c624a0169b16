"""Stage 8 of a turn: is this sentence of the model fit to be read by a patient?

Every check is deterministic and looks at one sentence against the approved passages. What passes is a whole sentence of
one passage, or up to three neighbouring ones, as the prompt template asks: word for word, numbers in any writing. The
other checks say what is wrong with the rest, and hold should the comparison of whole sentences ever be loosened.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from app.contracts.passages import Passage
from app.contracts.prompt import NOT_IN_ARTICLES
from app.contracts.replies import GuardrailHit
from app.contracts.site import Site
from app.guardrails.figures import ONES, figures, host
from app.guardrails.sentences import split

_TOKEN = re.compile(r"[a-záéíóúñü]+(?:'[a-z]+)?|\d+(?:[.,]\d+)*", re.I)
_STOP = set(
    "a an the and or but if of in on at to for from with by as is are was were be been being it its this that these those you your yours we our us they them their he she his her i my me "  # noqa: E501
    "do does did have has had will would can could may might should must shall not no nor so than then there here when where which who whom what how why all any each some such also just only more most "  # noqa: E501
    "other into about over up out off down again very too own same before after until while during through between because both few under above below please yes one el la los las un una de del en y o que se su sus por para con al es".split()  # noqa: E501
)
_COMMON = _STOP | set(
    "need needs want take takes get gets go goes come comes bring call ask make give keep use know see tell let help call contact include includes including please usually often sometimes always "  # noqa: E501
    "am pm a p m per every day days time times first next following answer question visit people person someone anyone available also however".split()  # noqa: E501
)
_LEAD_INS = {"please", "also"}
"""May stand before a whole sentence. "Yes" and "no" may not: no passage says that the patient is right."""
_CLAUSE = re.compile(r",\s+(?=(?:and|or)\b)", re.I)
_NUMBERS = {word: str(number) for number, word in enumerate(ONES)}
_CONDITIONS = {"if", "unless", "until", "before", "after", "when", "while", "only", "except", "911", "988"}
"""A clause with one of these, or with a negator, is never left out."""
_TYPED = re.compile(r"[A-Za-z0-9\s.,;:!?'\"()\-áéíóúñüÁÉÍÓÚÑÜ¿¡’‘“”–—•…\u00a0]")
"""What may stand in any sentence. Every other character must stand in the passage too."""
_CLEAN = re.compile(r"\(?\$?\d[\d,]*(?:[.:/–-]\d+)*\)?(?:[-–/.:]?\(?(?:\d+|[a-zµ%]+))*\)?", re.I)

_NEGATORS = {
    "not",
    "no",
    "never",
    "without",
    "cannot",
    "avoid",
    "none",
    "neither",
    "nor",
    "except",
    "unless",
    "don't",
    "can't",
    "won't",
    "doesn't",
    "isn't",
    "aren't",
    "shouldn't",
    "mustn't",
    "didn't",
    "wasn't",
    "nunca",
    "sin",
}
_ANTONYMS = [
    ("before", "after"),
    ("more", "less"),
    ("above", "below"),
    ("over", "under"),
    ("increase", "decrease"),
    ("raise", "lower"),
    ("open", "closed"),
    ("always", "never"),
    ("hot", "cold"),
    ("start", "stop"),
    ("morning", "evening"),
    ("empty", "full"),
    ("with", "without"),
    ("left", "right"),
    ("higher", "lower"),
    ("most", "least"),
    ("safe", "unsafe"),
    ("free", "charge"),
    ("inside", "outside"),
    ("can", "cannot"),
    ("may", "must"),
    ("allowed", "prohibited"),
    ("tighten", "loosen"),
    ("daily", "weekly"),
    ("adults", "children"),
    ("mild", "severe"),
    ("first", "last"),
    ("up", "down"),
    ("early", "late"),
    ("minimum", "maximum"),
    ("required", "optional"),
    ("day", "night"),
    ("warm", "cool"),
    ("wet", "dry"),
    ("fewer", "more"),
    ("at least", "at most"),
]
_RELATIONS = {
    "before",
    "after",
    "until",
    "above",
    "below",
    "over",
    "under",
    "without",
    "unless",
    "except",
    "more",
    "less",
    "fewer",
}
_ADVICE = [
    re.compile(pattern, re.I)
    for pattern in (
        r"\byou should (?:stop|start|skip|double|increase|decrease|reduce|change|take|quit|switch|avoid taking)\b",
        r"\b(?:stop|start|quit|double|skip|increase|reduce|change|cut) (?:taking|your (?:dose|medicine|medication|insulin|pills))\b",  # noqa: E501
        r"\byou (?:probably |likely |may |might |definitely |clearly )?(?:have|are having|are suffering from) (?:a |an )?(?!to\b|the right|questions?|any|been|had|access|an appointment|a question|a visit|received|symptoms)[a-z]+",  # noqa: E501
        r"\bit(?:'s| is) (?:probably|likely|most likely|just|only|nothing|not serious|normal|safe for you)\b",
        r"\b(?:nothing to worry about|no need to (?:worry|see|call)|don't worry|you(?:'ll| will) be fine|you don't need (?:a doctor|to see|emergency))\b",  # noqa: E501
        r"\byou do not need (?:a doctor|to see a doctor|to call|emergency)\b",
        r"\b(?:i recommend|i suggest|i advise|my advice|in my opinion|as a (?:doctor|nurse|physician)|i am a (?:doctor|nurse)|i think you|your diagnosis|i diagnose|i prescribe)\b",  # noqa: E501
        r"\bdebe (?:dejar|empezar|suspender|tomar|aumentar)\b|\busted tiene (?!que|derecho|preguntas|una cita)",
    )
]
_CONTROL = re.compile(
    r"<\|.{0,40}|\|>|</?s>|\[/?INST\]|<</?SYS>>|<unk>|<pad>|\b(?:Question|Answer|Passage|User|Assistant|System|Human)\s*:|\[\d{1,2}\]?|\[\s*\]|\{\{|\}\}|\ufffd"
)
_MARKUP = re.compile(
    r"\*\*|__|```|^#{1,6}\s|\]\(|<(?!(?:[A-Z]+_)+\d+>)[/a-zA-Z!][^>]*>?|javascript:|data:\w+/|https?://\S*@"
)
_PSEUDONYM = re.compile(r"<(?:[A-Z]+_)+\d+>")
_SPOKEN_TO = re.compile(r"^<PERSON_\d+>,\s|,\s<PERSON_\d+>(?=[.!?]?$)")
"""A patient may be spoken to by name; any other word of hers in the assistant's mouth would be a claim of ours."""
_MAX = 700


@dataclass(frozen=True, slots=True)
class OutputVerdict:
    """``hits`` say why a sentence failed. ``passage`` is the position of the supporting passage, None if there is none."""  # noqa: E501

    passed: bool
    hits: tuple[GuardrailHit, ...] = ()
    passage: int | None = None


@dataclass(frozen=True, slots=True)
class _Window:
    passage: int
    text: str
    coverage: float
    run: float
    size: int


class OutputChecks:
    """Checks sentences for one site. Thread-safe.

    ``support_threshold`` is the least share of content words that one window of a passage must hold, with half of the
    sentence as one run of words; without such a run 0.75 is asked.
    """

    def __init__(self, site: Site, support_threshold: float = 0.6) -> None:
        self._links = {link.lower().removeprefix("https://").rstrip("/") for link in site.allowed_links}
        self._threshold = support_threshold

    def check(self, sentence: str, passages: Sequence[Passage], question: str = "") -> OutputVerdict:
        """Judge one sentence. ``question`` is the patient's (redacted) question: its words support nothing."""
        named = _SPOKEN_TO.sub("", sentence.strip())
        text = _PSEUDONYM.sub(" ", named)
        hits = self._form(text)
        if text != named:
            hits.append(_hit("pseudonym"))
        if sentence.strip() == NOT_IN_ARTICLES:
            hits.append(_hit("not_in_articles"))
        window = best_window(text, passages)
        if window is None or not self._supported(window):
            hits.append(_hit("unsupported", f"{window.coverage:.2f}" if window else "no passage"))
            return OutputVerdict(False, tuple(hits))
        hits += _against(text, window, passages[window.passage])
        verbatim = window.run >= 0.999
        if not verbatim and _repeats(text):
            hits.append(_hit("repetition"))
        if not verbatim and any(pattern.search(text) for pattern in _ADVICE):
            hits.append(_hit("advice"))
        if not _whole(_exact(text), [_exact(part) for part in split(passages[window.passage].text)]):
            hits.append(_hit("not_whole"))
        return OutputVerdict(not hits, tuple(hits), window.passage)

    def _supported(self, window: _Window) -> bool:
        return window.coverage >= 0.75 or (window.coverage >= self._threshold and window.run >= 0.5)

    def _form(self, text: str) -> list[GuardrailHit]:
        hits: list[GuardrailHit] = []
        if not _TOKEN.search(text):
            hits.append(_hit("empty"))
        if len(text) > _MAX:
            hits.append(_hit("too_long"))
        if _CONTROL.search(text):
            hits.append(_hit("control"))
        if _MARKUP.search(text):
            hits.append(_hit("markup"))
        links = [f for f in figures(text) if f.startswith("url:")]
        if any(host(link) not in self._links for link in links):
            hits.append(_hit("link"))
        return hits


def _hit(rule: str, detail: str = "") -> GuardrailHit:
    return GuardrailHit("output", f"output.{rule}", detail)


def _tokens(text: str) -> list[str]:
    return [t.lower().replace("’", "'") for t in _TOKEN.findall(text.replace("’", "'"))]


def stem(word: str) -> str:
    """A crude stem: enough to join "appointment" and "appointments", "eating" and "eat"."""
    for suffix in ("'s", "ings", "ing", "ies", "ied", "edly", "ed", "es", "s", "ly"):
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            word = word[: -len(suffix)] + ("y" if suffix in {"ies", "ied"} else "")
            break
    if len(word) > 4 and word[-1] == word[-2] and word[-1] not in "ls":
        word = word[:-1]
    return word.removesuffix("e") if len(word) > 3 else word


def _content(tokens: Sequence[str]) -> list[str]:
    return [stem(t) for t in tokens if t not in _STOP and t not in _NEGATORS]


def best_window(sentence: str, passages: Sequence[Passage]) -> _Window | None:
    """The one to three neighbouring sentences of one passage that hold most of the sentence's words."""
    tokens = _tokens(sentence)
    wanted = [w for w in _content(tokens) if not w[0].isdigit()] or [stem(t) for t in tokens]
    best: _Window | None = None
    for number, passage in enumerate(passages):
        parts = split(passage.text)
        held = [_tokens(part) for part in parts]
        stems = [{stem(t) for t in words} for words in held]
        for size in (1, 2, 3):
            for first in range(max(1, len(parts) - size + 1)):
                near = set().union(*stems[first : first + size])
                coverage = sum(w in near for w in wanted) / max(1, len(wanted))
                if best is not None and (coverage, -size) < (best.coverage, -best.size):
                    continue
                words = [t for part in held[first : first + size] for t in part]
                window = _Window(number, " ".join(parts[first : first + size]), coverage, _run(tokens, words), size)
                if best is None or (coverage, -size, window.run) > (best.coverage, -best.size, best.run):
                    best = window
    return best


def _run(tokens: Sequence[str], held: Sequence[str]) -> float:
    """Longest common run of words, as a share of the sentence."""
    if not tokens:
        return 0.0
    previous = [0] * (len(held) + 1)
    longest = 0
    for token in tokens:
        current = [0] * (len(held) + 1)
        for j, other in enumerate(held, start=1):
            if token == other:
                current[j] = previous[j - 1] + 1
                longest = max(longest, current[j])
        previous = current
    return longest / len(tokens)


def _exact(text: str) -> list[str]:
    """Tokens with numbers and times in one form: "two" is 2, "6:00 pm" is "6 p.m."; a comma before and/or stays."""
    plain = _CLAUSE.sub(" clause ", _plain_times(text))
    return [_NUMBERS.get(token, token) for token in _tokens(plain)]


def _whole(tokens: Sequence[str], parts: Sequence[Sequence[str]]) -> bool:
    """Whether a sentence is one of the passage, or up to three neighbouring ones, and nothing else.

    One word less or more ("Two visitors" to "One visitors", a condition cut off, one office's number after another's
    name) and any new order of the same words ("You may take warfarin with acetaminophen") makes another sentence.
    Only what follows a comma with "and" or "or" may be left out, and only if it denies and conditions nothing.
    """
    lead = next((i for i, token in enumerate(tokens) if token not in _LEAD_INS), 0)
    bodies = (list(tokens), list(tokens[lead:]))
    for first in range(len(parts)):
        for size in (1, 2, 3):
            whole = [token for part in parts[first : first + size] for token in part]
            if any(body == whole or (whole[: len(body) + 1] == [*body, "clause"] and _spare(whole[len(body) :]))
                   for body in bodies):  # fmt: skip
                return True
    return False


def _spare(clause: Sequence[str]) -> bool:
    return not (set(clause) & (_NEGATORS | _CONDITIONS))


def _against(text: str, window: _Window, passage: Passage) -> list[GuardrailHit]:
    hits: list[GuardrailHit] = []
    stated = figures(text)
    if stated - figures(window.text):
        rule = "figure" if stated - figures(passage.text) else "figure_elsewhere"
        hits.append(_hit(rule, str(len(stated - figures(window.text)))))
    tokens, held = _tokens(text), _tokens(window.text)
    known = {stem(t) for t in _tokens(f"{passage.title} {passage.heading} {passage.text}")}
    strange = [
        t for t in tokens if t not in _COMMON and stem(t) not in known and not t[0].isdigit() and not _spelled_number(t)
    ]
    if strange:
        hits.append(_hit("word_not_in_passage", str(len(strange))))
    if _strange_characters(text, passage.text):
        hits.append(_hit("character"))
    if not _glued(text) <= _glued(passage.text):
        hits.append(_hit("figure_glued"))
    if _moved_number(_tokens(_plain_times(text)), _tokens(_plain_times(window.text))):
        hits.append(_hit("figure_moved"))
    if not _relations(tokens) <= _relations(held):
        hits.append(_hit("relation_moved"))
    if _flipped(tokens, held):
        hits.append(_hit("negation"))
    if _opposed(tokens, held):
        hits.append(_hit("opposite"))
    return hits


def _strange_characters(text: str, approved: str) -> bool:
    """Other scripts, symbols, emoji: characters that the word and figure checks do not see."""
    return any(not _TYPED.match(character) and character not in approved for character in text)


def _glued(text: str) -> set[str]:
    """Words in which a digit follows something else: ".5", "-40", "x2". Figures are not read from them."""
    words = (word.strip(".,;:!?'\"’”“") if not word.startswith(".") else word.rstrip(",;:!?") for word in text.split())
    return {word.lower() for word in words if re.search(r"\d", word) and not _CLEAN.fullmatch(word)}


def _plain_times(text: str) -> str:
    text = re.sub(r"(?<=\d):00\b", "", text)
    return re.sub(r"\b([ap])m\b", r"\1 m", text, flags=re.I)


def _relations(tokens: Sequence[str]) -> set[tuple[str, str]]:
    """Each word of order or comparison with the content word that follows it."""
    found: set[tuple[str, str]] = set()
    for i, token in enumerate(tokens):
        if token in _RELATIONS:
            following = next(
                (stem(t) for t in tokens[i + 1 :] if t not in _STOP and not t[0].isdigit() and not _spelled_number(t)),
                "",
            )
            if following:
                found.add((token, following))
    return found


def _moved_number(tokens: Sequence[str], held: Sequence[str]) -> bool:
    """True when a number of the window stands between other words than it does there."""
    pairs = set(pairwise(held))
    for i, token in enumerate(tokens):
        if not token[0].isdigit() or token not in held:
            continue
        left = i == 0 or (tokens[i - 1], token) in pairs or held[0] == token
        right = i == len(tokens) - 1 or (token, tokens[i + 1]) in pairs or held[-1] == token
        if not (left and right):
            return True
    return False


def _spelled_number(token: str) -> bool:
    return not token[0].isdigit() and any(f.startswith("n:") for f in figures(f"{token} x"))


def _denied(tokens: Sequence[str]) -> tuple[set[str], set[str]]:
    """Content stems that stand under a negator, and those that stand free."""
    under: set[str] = set()
    free: set[str] = set()
    left = 0
    for token in tokens:
        if token in _NEGATORS:
            left = 3
            continue
        if token in {"but", "and", "if", "until"}:
            left = 0 if token != "and" else left
        if token in _STOP:
            continue
        (under if left > 0 else free).add(stem(token))
        left -= 1
    return under, free


def _flipped(tokens: Sequence[str], held: Sequence[str]) -> bool:
    under, free = _denied(tokens)
    held_under, held_free = _denied(held)
    gained = {s for s in under - free if s in held_free and s not in held_under}
    lost = {s for s in free - under if s in held_under and s not in held_free}
    return bool(gained or lost)


def _opposed(tokens: Sequence[str], held: Sequence[str]) -> bool:
    text, base = f" {' '.join(tokens)} ", f" {' '.join(held)} "
    for a, b in _ANTONYMS:
        for mine, theirs in ((a, b), (b, a)):
            if f" {mine} " in text and f" {mine} " not in base and f" {theirs} " in base:
                return True
    return False


def _repeats(text: str) -> bool:
    tokens = _tokens(text)
    if any(a == b == c for a, b, c in zip(tokens, tokens[1:], tokens[2:], strict=False)):
        return True
    grams = [tuple(tokens[i : i + 5]) for i in range(len(tokens) - 4)]
    return len(grams) != len(set(grams))
