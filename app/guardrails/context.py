"""What stands around a red flag: denial, the past, general questions, other meanings of the same words.

Negation clears only what it negates: a cue's scope ends at a break, a contrast or a new subject, and a cue that is
itself part of a rule's phrase ("not breathing") or of the pseudo-negation list ("no relief") clears nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from app.guardrails.patterns import GENERAL, HISTORY, MASKED, NEGATED
from app.guardrails.tokens import COMMA, SENTENCE, TURN, Words

CUE_KINDS = (
    "negation",
    "pseudo_negation",
    "contrast",
    "subject",
    "history",
    "present",
    "general",
    "general_impersonal",
    "general_turn",
    "personal",
    "condition",
    "mask",
    "named",
    "owned",
    "setting",
    "aftermath",
    "befell",
    "bystander",
    "compound",
    "hyperbole",
    "trifle",
)
"""The lists of ``context.yaml``; each is a list of phrases."""
_SCOPE = 6
_LIST = {"or", "nor", "o", "ni"}
_BELIEF = {
    "creo",
    "cree",
    "pienso",
    "piensa",
    "parece",
    "digo",
    "dice",
    "dicen",
    "siento",
    "seguro",
    "segura",
    "temo",
    "hace",
}
_ASKS = {
    "what",
    "how",
    "does",
    "do",
    "is",
    "are",
    "can",
    "could",
    "why",
    "which",
    "where",
    "when",
    "who",
    "que",
    "cual",
    "cuales",
    "como",
    "cuando",
    "donde",
    "puede",
    "hay",
    "es",
    "cuanto",
    "cubre",
}
_LINKS = {
    "a",
    "an",
    "the",
    "of",
    "his",
    "her",
    "my",
    "had",
    "has",
    "have",
    "having",
    "mini",
    "massive",
    "big",
    "minor",
    "full",
    "tuvo",
    "un",
    "una",
    "el",
    "la",
    "de",
    "in",
    "to",
    "with",
    "do",
    "does",
}
_AT = {"at", "in", "en", "during", "after", "leaving", "a"}
_ARTICLES = {"the", "my", "his", "her", "our", "a", "an", "la", "el", "mi", "su", "gym", "math", "english"}
_YOUNG = {"nino", "nina", "bebe", "chico", "chica", "joven"}
_HAD = {"tuve", "tuvo", "tenia", "sufri", "sufria"}
_RETURNS = {
    ("having", "one"),
    ("having", "another"),
    ("one", "again"),
    ("another", "one"),
    ("happening", "again"),
    ("otra", "vez"),
}
_BY = {
    "made",
    "makes",
    "gave",
    "gives",
    "giving",
    "give",
    "is",
    "are",
    "was",
    "me",
    "almost",
    "nearly",
    "about",
    "just",
    "to",
    "will",
    "would",
    "gonna",
    "going",
    "a",
    "an",
    "my",
    "had",
    "have",
    "da",
    "dio",
    "casi",
    "esta",
    "un",
    "una",
    "really",
    "new",
}
_AT_SIGHT = {
    "when",
    "i",
    "saw",
    "see",
    "got",
    "opened",
    "read",
    "heard",
    "they",
    "told",
    "me",
    "about",
    "at",
    "over",
    "from",
    "in",
    "by",
    "because",
    "of",
    "the",
    "your",
    "this",
    "that",
    "my",
    "these",
    "all",
    "with",
    "en",
    "con",
    "la",
    "el",
    "de",
    "vi",
    "cuando",
    "a",
    "how",
    "big",
    "new",
    "what",
    "said",
}
_ITS = {
    "the",
    "this",
    "that",
    "your",
    "these",
    "those",
    "my",
    "er",
    "hospital",
    "new",
    "la",
    "el",
    "esta",
    "esa",
    "mi",
    "su",
}
_BACK = {"that", "eso"}
_WAS = {"was", "happened", "fue", "paso"}
_NEVER = {"nunca", "jamas", "tampoco"}
_PREPOSITIONS = {"en", "de", "con", "por", "sobre"}
_SHORT = 3
_AND = {"and", "y", "but", "pero", "because", "porque", "so", "then"}
Ranges = Mapping[str, Sequence[tuple[int, int]]]


class Context:
    """Flags for the words of a conversation, from phrases found by the matcher under ``cue:<kind>`` names."""

    def __init__(self, words: Words, phrases: Ranges) -> None:
        self._words = words
        self._phrases = phrases
        self._count = len(words.words)

    def flags(self) -> list[int]:
        """One bitmask for each word."""
        flags = [0] * self._count
        self._mask(flags)
        self._negate(flags)
        self._past(flags)
        self._generalise(flags)
        self._name(flags)
        return flags

    def _ranges(self, kind: str) -> Sequence[tuple[int, int]]:
        return self._phrases.get(f"@cue_{kind}", ())

    def _members(self, kind: str) -> set[int]:
        return {a for a, _ in self._ranges(kind)}

    def _mask(self, flags: list[int]) -> None:
        for a, b in self._ranges("mask"):
            for i in range(a, b):
                flags[i] |= MASKED

        for a, b in self._ranges("hyperbole"):
            if any(self._trifling(a, b, c, d) for c, d in self._ranges("trifle")):
                for i in range(a, b):
                    flags[i] |= MASKED

    def _trifling(self, a: int, b: int, c: int, d: int) -> bool:
        """Whether a bill or the like is all that did it: "died when I saw the bill", "the copay knocked me out"."""
        between, allowed = (range(b, c), _AT_SIGHT) if c >= b else (range(d, a), _BY)
        if c < b and (c == 0 or self._words.words[c - 1] not in _ITS):
            return False
        far = 7 if c >= b else 5
        last = max(a, c)
        return (
            (c >= b or a >= d)
            and len(between) <= far
            and all(self._words.words[i] in allowed for i in between)
            and all(self._words.breaks[i] < COMMA for i in [*between, last])
        )

    def _negate(self, flags: list[int]) -> None:
        consumed: set[int] = set()
        denials = self._members("negation")
        for name, ranges in self._phrases.items():
            pseudo = name == "@cue_pseudo_negation"
            if pseudo or not name.startswith("@cue_"):
                for a, b in ranges:
                    if b - a > 1 and (pseudo or b - 1 not in denials):  # a bare "do not" of a rule denies what follows
                        consumed.update(range(a, b))
        contrast, subject = self._members("contrast"), self._members("subject")
        for a, b in self._ranges("negation"):
            if any(i in consumed for i in range(a, b)):
                continue
            for i in self._scope(b, contrast, subject):
                flags[i] |= NEGATED

    def _scope(self, begin: int, contrast: set[int], subject: set[int]) -> list[int]:
        words, breaks = self._words, self._words.breaks
        reached: list[int] = []
        limit = _SCOPE
        for i in range(begin, self._count):
            if breaks[i] >= SENTENCE or i in contrast:
                break
            if breaks[i] == COMMA and (i == begin or not self._listed(i)):
                break
            if words.words[i] in _LIST or breaks[i] == COMMA:
                limit = words.at[i] - words.at[begin] + _SCOPE
            if (
                i in subject
                and not self._spanish(i)
                and (i > begin or words.words[i] not in {"me", "my", "mi", "tengo", "tiene", "el", "ella"})
            ):
                break
            if words.words[i] in {"and", "y"}:
                break
            if words.at[i] - words.at[begin] > limit:
                break
            reached.append(i)
        return reached

    def _spanish(self, i: int) -> bool:
        """Whether a word that looks like a subject is none: "nunca he pensado", "en el suicidio"."""
        word, before = self._words.words[i], self._words.words[i - 1] if i else ""
        return (word == "he" and before in _NEVER) or (word == "el" and before in _PREPOSITIONS)

    def _listed(self, i: int) -> bool:
        """True when the comma before word ``i`` goes on with a list that ends in "or"."""
        subject = self._members("subject")
        for j in range(i, min(self._count, i + 12)):
            if self._words.breaks[j] >= SENTENCE or j in subject:
                return False
            if self._words.words[j] in _LIST:
                return True
        return False

    def _clauses(self) -> list[tuple[int, int]]:
        words, breaks = self._words.words, self._words.breaks
        subject, present = self._members("subject"), self._members("present")
        starts = [0]
        for i in range(1, self._count):
            joined = (
                words[i] in _AND
                and i + 1 < self._count
                and (i + 1 in subject or i + 1 in present or words[i] in {"but", "pero"})
            )
            if breaks[i] >= COMMA or joined:
                starts.append(i)
        return list(zip(starts, [*starts[1:], self._count], strict=True)) if self._count else []

    def _past(self, flags: list[int]) -> None:
        cues = [a for a, _ in self._ranges("history")]
        cues += [i for i, w in enumerate(self._words.words) if len(w) == 4 and w.isdigit() and 1930 <= int(w) <= 2025]
        cues += [i for i in range(self._count) if self._young(i)]
        cues += [b for _, b in self._ranges("named") if self._aged(b)]
        present = self._members("present")
        before = 0
        for a, b in self._clauses():
            past = any(a <= c < b for c in cues) and not any(a <= p < b for p in present)
            if past and not self._returns(b):
                for i in range(self._told_of(a, before, present), b):
                    flags[i] |= HISTORY
            before = a

    def _aged(self, i: int) -> bool:
        """Whether word ``i`` begins the age at which it was: "had a stroke at 50"."""
        age = self._words.words[i + 1 : i + 2]
        return bool(age) and self._words.words[i] == "at" and age[0].isdigit() and 2 <= int(age[0]) <= 99

    def _returns(self, b: int) -> bool:
        """Whether the sentence goes on to say that the past is back: "... and now he is having one again"."""
        rest = list(self._words.words[b : self._sentence(b)[1]]) if b < self._count else []
        return (
            self._words.breaks[b : b + 1] != ()
            and self._words.breaks[b] < SENTENCE
            and any(pair in _RETURNS for pair in pairwise(rest))
        )

    def _young(self, i: int) -> bool:
        """Whether a word begins "when she was 30", "tuvo convulsiones de nino" or the like."""
        words = self._words.words
        if words[i] == "when" and words[i + 1 : i + 2] and words[i + 1] in {"i", "he", "she", "they"}:
            age = words[i + 3 : i + 4]
            return bool(age) and words[i + 2] in {"was", "were"} and age[0].isdigit() and int(age[0]) <= 60
        childhood = words[i] == "de" and i + 1 < self._count and words[i + 1] in _YOUNG
        return childhood and any(w in _HAD for w in words[max(0, i - 4) : i])

    def _told_of(self, a: int, before: int, present: set[int]) -> int:
        """Where the past begins: with the clause before, when this one speaks of it ("..., that was years ago")."""
        words = self._words.words
        first = a + 1 if a + 1 < self._count and words[a] in _AND else a
        told = words[first] in _BACK and first + 1 < self._count and words[first + 1] in _WAS
        told = told and self._words.breaks[a] < SENTENCE
        return before if told and not any(before <= p < a for p in present) else a

    def _generalise(self, flags: list[int]) -> None:
        personal = self._members("personal")
        for a, _ in self._ranges("general_turn"):
            own = self._own_clauses(a)
            for i in range(self._count):
                if (self._words.turns[i] == self._words.turns[a] and i not in own) or self._goes_on(a, i):
                    flags[i] |= GENERAL
        for a, b in self._ranges("general"):
            if a and self._words.words[a] == "que" and self._words.words[a - 1] in _BELIEF:
                continue
            for i in self._general_scope(a, b, personal):
                flags[i] |= GENERAL
        for a, _ in self._ranges("general_impersonal"):
            begin, end = self._sentence(a)
            if not any(begin <= p < end for p in personal):
                for i in range(begin, end):
                    flags[i] |= GENERAL

    def _own_clauses(self, a: int) -> set[int]:
        """Words of other clauses that tell of the patient's own: "we watched a movie and my chest hurts"."""
        mine = {p for p in self._members("bystander") if self._words.words[p] in {"i", "my", "mi", "suddenly"}}
        clauses = [(b, e) for b, e in self._clauses() if not b <= a < e and any(b <= p < e for p in mine)]
        return {i for b, e in clauses for i in range(b, e)}

    def _goes_on(self, a: int, i: int) -> bool:
        """Whether the turn of word ``i`` goes on with the story, class or exam of an earlier turn.

        A turn about somebody of the patient's own, or with a sign that it happens now, does not.
        """
        turns = self._words.turns
        if turns[i] <= turns[a]:
            return False
        return not any(turns[a] < turns[p] <= turns[i] for p in self._members("bystander"))

    def _name(self, flags: list[int]) -> None:
        """A condition that is only named ("stroke") is general talk, unless something says that somebody has it now.

        A sign in its sentence ("is having", "I think", "right now") makes it real. Without one it is general when the
        conversation is about a class, papers or the like, or when it stands in a question about nobody. One that befell
        somebody ("my dad had a stroke") is general only when the talk is of what comes long after, such as a visit.
        """
        owned, personal, befell = self._members("owned"), self._members("personal"), self._ranges("befell")
        aftermath, compound = self._members("aftermath"), self._members("compound")
        setting = aftermath | self._settings()
        words = self._words.words
        for a, b in self._ranges("named"):
            begin, end = self._sentence(a)
            inside = range(begin, end)
            if any(i in owned for i in inside) or (end - begin <= _SHORT and not setting):
                continue
            asks = any(words[i] in _ASKS for i in inside) and not any(i in personal for i in inside)
            begun = [c for c, d in befell if c <= a < d]
            happened = bool(begun)
            if any(self._follows(c) for c in begun):
                continue
            if b in compound:
                flags[a] |= GENERAL
            after = any(self._words.turns[p] == self._words.turns[a] for p in aftermath)
            if after or (not happened and (setting or asks)):
                while a > begin and words[a - 1] in _LINKS:
                    a -= 1
                for i in range(a, b):
                    flags[i] |= GENERAL

    def _follows(self, c: int) -> bool:
        """Whether it befell somebody in the course of things: "came to visit my mom and she had a stroke"."""
        words = self._words.words
        return c >= 2 and words[c - 1] in {"he", "she", "they", "i"} and words[c - 2] in {"and", "then", "but"}

    def _settings(self) -> set[int]:
        """What the talk is about. A place where something happens ("choking at school") is none."""
        words, found = self._words.words, set()
        for a, _ in self._ranges("setting"):
            before = a - 1
            while before > 0 and words[before] in _ARTICLES:
                before -= 1
            if before < 0 or words[before] not in _AT or self._words.breaks[a] >= COMMA:
                found.add(a)
        return found

    def _general_scope(self, a: int, b: int, personal: set[int]) -> list[int]:
        words, breaks = self._words.words, self._words.breaks
        condition = self._members("condition")
        reached = list(range(a, b))
        under = any(i in condition for i in range(a, b))
        for i in range(b, self._count):
            if breaks[i] >= SENTENCE:
                break
            under = under or i in condition
            if i in personal and not under:
                break
            if breaks[i] == COMMA or words[i] in _AND:
                under = False
            reached.append(i)
        return reached

    def _sentence(self, i: int) -> tuple[int, int]:
        breaks = self._words.breaks
        begin, end = i, i + 1
        while begin > 0 and breaks[begin] < SENTENCE:
            begin -= 1
        while end < self._count and breaks[end] < SENTENCE:
            end += 1
        return begin, end


def last_turn_start(words: Words) -> int:
    """Position of the first word of the last turn."""
    for i in range(len(words.words) - 1, -1, -1):
        if words.breaks[i] >= TURN:
            return i
    return 0
