"""What stands around a red flag: denial, the past, general questions, other meanings of the same words.

Negation clears only what it negates: a cue's scope ends at a break, a contrast or a new subject, and a cue that is
itself part of a rule's phrase ("not breathing") or of the pseudo-negation list ("no relief") clears nothing.
"""

from __future__ import annotations

from app.guardrails.cues import AND, Cues, Ranges
from app.guardrails.past import Past
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
    "topic",
    "owned",
    "setting",
    "aftermath",
    "befell",
    "bystander",
    "compound",
    "hyperbole",
    "trifle",
    "trifle_at",
    "trifle_by",
    "trifle_of",
    "belief",
    "asks",
    "link",
    "childhood",
    "suffered",
    "dated",
    "past_verb",
    "time_word",
    "age_now",
    "unit",
    "later",
    "cleared",
    "returned",
    "healed",
    "expert",
    "verdict",
    "denial",
    "asked",
    "answered_no",
    "thing",
    "thing_verb",
    "animal",
    "animal_verb",
)
"""The lists of ``context.yaml``; each is a list of phrases."""
_SCOPE = 6
_LIST = {"or", "nor", "o", "ni"}
_AT = {"at", "in", "en", "during", "after", "leaving", "a"}
_ARTICLES = {"the", "my", "his", "her", "our", "a", "an", "la", "el", "mi", "su", "gym", "math", "english"}
_NEVER = {"nunca", "jamas", "tampoco"}
_PREPOSITIONS = {"en", "de", "con", "por", "sobre"}
_SHORT = 3
_ONTO = {"on", "onto", "over", "into", "sobre", "encima"}
_PLACES = {"class", "course", "training", "drill", "lesson", "school", "clase", "curso"}
_NOW = {"now", "right", "ahora", "ahorita"}
_AGENT = {"by", "from", "with", "of", "por", "de", "con", "even", "and", "y", "hasta"}
_BESIDE = 2
"""So many words lie between a named condition and somebody who may have it."""
_TERSE = 7
"""A sentence of so many words may be all that somebody in need could type."""
_SOMEBODY = {
    *("someone", "somebody", "man", "woman", "lady", "guy", "kid", "child", "toddler", "person", "customer", "patient"),
    *("passenger", "student", "teammate", "alguien", "hombre", "mujer", "senor", "senora", "nino", "nina", "persona"),
}
_FEW = {"two", "all", "both", "this", "that", "your"}
_THING_BEFORE, _THING_AFTER = 3, 2
_DENIED_LIST = 2
_ANSWER = 24
_NOBODY = {"nobody", "nadie"}
_NEXT = {"now", "ahora", "then", "since"}


class Context:
    """Flags for the words of a conversation, from phrases found by the matcher under ``cue:<kind>`` names."""

    def __init__(self, words: Words, phrases: Ranges) -> None:
        self._cues = Cues(words, phrases)
        self._words = words
        self._phrases = phrases
        self._count = len(words.words)

    def flags(self) -> list[int]:
        """One bitmask for each word."""
        flags = [0] * self._count
        self._mask(flags)
        self._negate(flags)
        for i in Past(self._cues).words():
            flags[i] |= HISTORY
        self._generalise(flags)
        self._name(flags)
        return flags

    def _mask(self, flags: list[int]) -> None:
        for a, b in self._cues.ranges("mask"):
            for i in range(a, b):
                flags[i] |= MASKED

        for a, b in self._of_things():
            for i in range(a, b):
                flags[i] |= MASKED
        for a, b in self._cues.ranges("hyperbole"):
            if any(self._trifling(a, b, c, d) for c, d in self._cues.ranges("trifle")):
                for i in range(a, b):
                    flags[i] |= MASKED

    def _of_things(self) -> list[tuple[int, int]]:
        """Verbs of people that are said of a thing: "the folding cot collapsed", "collapsed // the stroller"."""
        people, found = self._cues.members("personal"), []
        for a, b in self._cues.ranges("thing_verb"):
            if self._cues.word(b) in _ONTO and any(i in people for i in range(b, min(b + 3, self._clause_end(b)))):
                continue
            for c, d in self._cues.ranges("thing"):
                if (d <= a and self._did(d, a, people)) or (b <= c and self._done_to(b, c)):
                    found.append((a, b))
        return found

    def _did(self, d: int, a: int, people: set[int]) -> bool:
        """Whether the thing before word ``d`` does what word ``a`` says: no person, join or break between."""
        others = any(i in people or self._cues.word(i) in AND for i in range(d, a))
        return a - d <= _THING_BEFORE and not others and all(self._words.breaks[i] < COMMA for i in range(d, a + 1))

    def _done_to(self, b: int, c: int) -> bool:
        """Whether the thing at word ``c`` is what the verb before word ``b`` takes, be it in the next turn."""
        breaks = (self._words.breaks[i] for i in range(b, c + 1))
        direct = all(self._cues.word(i) in _ARTICLES | _FEW for i in range(b, c))
        return c - b <= _THING_AFTER and direct and all(gap < COMMA or gap == TURN for gap in breaks)

    def _clause_end(self, i: int) -> int:
        return next((j for j in range(i + 1, self._count) if self._words.breaks[j] >= COMMA), self._count)

    def _trifling(self, a: int, b: int, c: int, d: int) -> bool:
        """Whether a bill or the like is all that did it: "died when I saw the bill", "the copay knocked me out"."""
        between, allowed = (range(b, c), "trifle_at") if c >= b else (range(d, a), "trifle_by")
        if c < b and (c == 0 or c - 1 not in self._cues.members("trifle_of")):
            return False
        far = 7 if c >= b else 5
        last = max(a, c)
        return (
            (c >= b or a >= d)
            and len(between) <= far
            and all(i in self._cues.members(allowed) for i in between)
            and all(self._words.breaks[i] < COMMA for i in [*between, last])
        )

    def _negate(self, flags: list[int]) -> None:
        consumed: set[int] = set()
        denials = self._cues.members("negation")
        for name, ranges in self._phrases.items():
            pseudo = name == "@cue_pseudo_negation"
            if pseudo or not name.startswith("@cue_"):
                for a, b in ranges:
                    if b - a > 1 and (pseudo or b - 1 not in denials):  # a bare "do not" of a rule denies what follows
                        consumed.update(range(a, b))
        contrast, subject = self._cues.members("contrast"), self._cues.members("subject")
        denied = self._cues.members("denial")
        for a, b in self._cues.ranges("negation"):
            if a in consumed:
                continue
            for i in self._scope(
                a + 1 if b - a == 2 and self._cues.word(a) in _NOBODY else b, contrast, subject, denies=a in denied
            ):
                flags[i] |= NEGATED
        for i in self._answered_no():
            flags[i] |= NEGATED

    def _scope(self, begin: int, contrast: set[int], subject: set[int], *, denies: bool) -> list[int]:
        words, breaks = self._words, self._words.breaks
        reached: list[int] = []
        limit = _SCOPE
        for i in range(begin, self._count):
            if breaks[i] >= SENTENCE or i in contrast:
                break
            if breaks[i] == COMMA and ((i == begin and not denies) or not self._listed(i, denies=denies)):
                break
            if words.words[i] in _LIST or breaks[i] == COMMA:
                limit = words.at[i] - words.at[begin] + _SCOPE
            if (
                i in subject
                and not self._spanish(i)
                and (i > begin or words.words[i] not in {"me", "my", "mi", "tengo", "tiene", "el", "ella"})
            ):
                break
            if words.words[i] in {"and", "y"} and not (denies and self._last_of_list(i)):
                break
            if words.at[i] - words.at[begin] > limit:
                break
            reached.append(i)
        return reached

    def _spanish(self, i: int) -> bool:
        """Whether a word that looks like a subject is none: "nunca he pensado", "en el suicidio"."""
        word, before = self._words.words[i], self._words.words[i - 1] if i else ""
        return (word == "he" and before in _NEVER) or (word == "el" and before in _PREPOSITIONS)

    def _last_of_list(self, i: int) -> bool:
        """Whether a short noun and no more follows the "and" at word ``i``: "denied chest pain, cough and syncope"."""
        end = self._clause_end(i)
        return 1 <= end - i - 1 <= _DENIED_LIST and not any(
            j in self._cues.members("subject") for j in range(i + 1, end)
        )

    def _answered_no(self) -> list[int]:
        """What somebody was asked about and denied: "the nurse asked if I faint and I said no"."""
        reached: list[int] = []
        for a, b in self._cues.ranges("asked"):
            end = self._cues.sentence(a)[1]
            for c, d in self._cues.ranges("answered_no"):
                after = (i for i in self._cues.members("contrast") if d <= i < end)
                but = any(self._cues.word(i) not in _NEXT for i in after)
                if b <= c < min(end, b + _ANSWER) and not but:
                    reached += range(b, c)
        return reached

    def _listed(self, i: int, *, denies: bool) -> bool:
        """True when the comma before word ``i`` goes on with a list that ends in "or", of what is denied in "and"."""
        subject = self._cues.members("subject")
        for j in range(i, min(self._count, i + 12)):
            if self._words.breaks[j] >= SENTENCE or j in subject:
                return False
            if self._words.words[j] in _LIST or (denies and self._words.words[j] in {"and", "y"}):
                return True
        return False

    def _generalise(self, flags: list[int]) -> None:
        personal = self._cues.members("personal")
        for a, b in self._cues.ranges("general_turn"):
            if self._where(a, b):
                continue
            own = self._own_clauses(a)
            for i in range(self._count):
                if (self._words.turns[i] == self._words.turns[a] and i not in own) or self._goes_on(a, i):
                    flags[i] |= GENERAL
        for a, b in self._of_animals():
            for i in range(a, b):
                flags[i] |= GENERAL
        for a, b in self._cues.ranges("general"):
            if a and self._words.words[a] == "que" and a - 1 in self._cues.members("belief"):
                continue
            for i in self._general_scope(a, b, personal):
                flags[i] |= GENERAL
        for a, _ in self._cues.ranges("general_impersonal"):
            begin, end = self._cues.sentence(a)
            stated = self._cues.word(a) == "does" and self._cues.word(a + 1) == "not" and a > begin
            if not stated and not any(begin <= p < end for p in personal):
                for i in range(begin, end):
                    flags[i] |= GENERAL

    def _of_animals(self) -> list[tuple[int, int]]:
        """Sentences about what befell an animal and nobody else: "the dog got stung and his lip is huge"."""
        found, people = [], self._cues.members("bystander")
        for a, b in self._cues.ranges("animal"):
            begin, end = self._cues.sentence(a)
            told = b in self._cues.members("animal_verb") and self._before(a) not in _AGENT
            owner = a - 1 if self._cues.word(a - 1) in _ARTICLES else a
            alone = not any(i in self._cues.members("personal") for i in range(begin, owner))
            if told and alone and not any(a < p < end for p in people if self._cues.word(p) not in {"he", "she"}):
                found.append((a, end))
        return found

    def _where(self, a: int, b: int) -> bool:
        """Whether a class or the like is only the place of what happens: "someone is choking in my first aid class"."""
        begin, end = self._cues.turn(a)
        real = any(begin <= p < end for p in self._cues.members("owned"))
        return real and self._cues.word(b - 1) in _PLACES and self._before(a) in _AT

    def _before(self, i: int) -> str:
        """The word before word ``i`` and its articles, in the same clause."""
        while i > 0 and self._words.breaks[i] < COMMA and self._cues.word(i - 1) in _ARTICLES:
            i -= 1
        return self._cues.word(i - 1) if i > 0 and self._words.breaks[i] < COMMA else ""

    def _own_clauses(self, a: int) -> set[int]:
        """Words of other clauses that tell of the patient's own: "we watched a movie and my chest hurts"."""
        mine = {p for p in self._cues.members("bystander") if self._words.words[p] in {"i", "my", "mi", "suddenly"}}
        mine |= {p for p in self._cues.members("owned") if self._words.words[p] in _NOW}
        clauses = [(b, e) for b, e in self._cues.clauses() if not b <= a < e and any(b <= p < e for p in mine)]
        return {i for b, e in clauses for i in range(b, e)}

    def _goes_on(self, a: int, i: int) -> bool:
        """Whether the turn of word ``i`` goes on with the story, class or exam of an earlier turn.

        A turn about somebody of the patient's own, or with a sign that it happens now, does not.
        """
        turns = self._words.turns
        if turns[i] <= turns[a]:
            return False
        return not any(turns[a] < turns[p] <= turns[i] for p in self._cues.members("bystander"))

    def _name(self, flags: list[int]) -> None:
        """A condition that is only named ("stroke") is general talk, unless something says that somebody has it now.

        A sign in its sentence ("is having", "I think", "right now") makes it real. Without one it is general when the
        conversation is about a class, papers or the like, and in a question or a long sentence that does not name it
        right beside somebody: "anaphylaxis after the shrimp" is short, and "my husband heart attack" tells who. One
        that befell somebody ("my dad had a stroke") is general only when the talk is of what comes long after, such as
        a visit. A danger ("carbon monoxide") is general only beside a class or the like, never for being asked about.
        """
        owned, personal, befell = (
            self._cues.members("owned"),
            self._cues.members("personal"),
            self._cues.ranges("befell"),
        )
        aftermath, compound = self._cues.members("aftermath"), self._cues.members("compound")
        setting, wondering = aftermath | self._settings(), self._cues.members("asks")
        topics = set(self._cues.ranges("topic"))
        for a, b in [*self._cues.ranges("named"), *self._cues.ranges("topic")]:
            begin, end = self._cues.sentence(a)
            inside = range(begin, end)
            topic = (a, b) in topics
            if topic and any(i in personal for i in inside):
                continue
            if any(i in owned for i in inside) or (end - begin <= _SHORT and not setting):
                continue
            near = range(max(begin, a - _BESIDE), min(end, b + _BESIDE))
            beside = any(i in personal or self._cues.word(i) in _SOMEBODY for i in near)
            told = end - begin > _TERSE or any(i in wondering for i in inside)
            begun = [c for c, d in befell if c <= a < d]
            happened = bool(begun)
            if any(self._follows(c) for c in begun):
                continue
            if b in compound:
                flags[a] |= GENERAL
            after = any(self._words.turns[p] == self._words.turns[a] for p in aftermath)
            if after or (not happened and (setting or (told and not topic and not beside))):
                while a > begin and a - 1 in self._cues.members("link"):
                    a -= 1
                for i in range(a, b):
                    flags[i] |= GENERAL

    def _follows(self, c: int) -> bool:
        """Whether it befell somebody in the course of things: "came to visit my mom and she had a stroke"."""
        words = self._words.words
        return c >= 2 and words[c - 1] in {"he", "she", "they", "i"} and words[c - 2] in {"and", "then", "but"}

    def _settings(self) -> set[int]:
        """What the talk is about. A place where something happens ("choking at school") is none."""
        return {a for a, _ in self._cues.ranges("setting") if self._before(a) not in _AT}

    def _general_scope(self, a: int, b: int, personal: set[int]) -> list[int]:
        words, breaks = self._words.words, self._words.breaks
        condition = self._cues.members("condition")
        reached = list(range(a, b))
        under = any(i in condition for i in range(a, b))
        for i in range(b, self._count):
            if breaks[i] >= SENTENCE:
                break
            under = under or i in condition
            if i in personal and not under:
                break
            if breaks[i] == COMMA or words[i] in AND:
                under = False
            reached.append(i)
        return reached


def last_turn_start(words: Words) -> int:
    """Position of the first word of the last turn."""
    for i in range(len(words.words) - 1, -1, -1):
        if words.breaks[i] >= TURN:
            return i
    return 0
