"""Names of people: after cue words, with titles and relations, in greetings, and from lists of common names.

A name without a cue needs a word from the lists; a name after a strong cue ("my name is") needs none. Eponyms and
products ("Foley catheter", "Dr Pepper") are kept, except after a strong cue.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import regex

from app.redaction.lexicon import Lexicon
from app.redaction.presidio import EntityRecognizer, RecognizerResult
from app.redaction.recognizers import name_cues as cues
from app.redaction.recognizers.rules import Match

_WORD = regex.compile(r"\p{L}[\p{L}\p{M}]*+(?:['\-]\p{L}[\p{L}\p{M}]*+)*+")
TITLES = frozenset(
    "dr doctor mr mrs ms miss mx prof professor nurse sister father pastor rev reverend rabbi imam señor señora sra "
    "dra".split()
)
_MOST_WORDS = 12
"""Words of the longest piece that a pattern here takes for a name."""

STRONG_CUE = regex.compile(
    r"""\b(?: (?:my|his|her|their|the|patient(?:'?s)?|son'?s|daughter'?s|husband'?s|wife'?s|mother'?s|father'?s|
           child'?s|baby'?s|\w+'s)\s+(?:(?:full|legal|first|last|maiden|middle|preferred|real|given|family|birth)\s+)?name(?:\s+is|'s|:)
         | (?:^|\b)(?:patient\s+|full\s+|first\s+|last\s+)?name\s*:
         | \bpatient\s*:
         | \bi(?:\s+am|'m)\s+called | \bcalls?\s+me | \bgo(?:es)?\s+by | \bname\s+is | \bme\s+llamo | \bmi\s+nombre\s+es
         | \bin\s+the\s+name\s+of | \bunder\s+the\s+name(?:\s+of)? | \bsigned\s+by 
         | \b(?:last\s|first\s|maiden\s|middle\s|family\s|sur)name(?:\s+is|\s+was|:|(?=\s(?-i:[A-Z])))
      )[\s,"]*(?P<v>)\p{L}""",
    regex.VERBOSE | regex.IGNORECASE | regex.MULTILINE,
)
_REVERSED = regex.compile(
    r"(?<!\S)(?P<v>\p{L}[\p{L}'\-]++)\s(?:is|was)\s(?:my|his|her|the)\s(?:\p{L}++'s\s)?(?:last|first|maiden|middle|"
    r"family|sur)\s?name",
    regex.IGNORECASE,
)
_SIGNATURE = regex.compile(
    r"^[ \t]*[\-~]{1,2}[ \t]?(?P<v>\p{Lu}\p{Ll}++(?:[ ]\p{Lu}[\p{L}.]*+){0,2})[ \t]*$", regex.MULTILINE
)
_WEAK = regex.compile(
    r"\b(?:i\s+am|i'm|im|this\s+is|it's|it\s+is|speaking\s+with|you're\s+speaking\s+to|here\s+is)\s+(?P<v>)\p{L}",
    regex.IGNORECASE,
)


_ENDINGS = ("ed", "ing", "ly", "tion", "ness")
_DOSE = regex.compile(r"[\s\-](?:\d+(?:\.\d+)?[/\-]\d|\d+\.\d|\d+\s?m?c?g\b|24\sfe|fe\b|28\b)", regex.IGNORECASE)
"""What makes a name that of a medicine: many birth control pills have women's names ("Hailey 24 Fe")."""
_CLOSED = regex.compile(r"\s*(?:[,.!?;\n]|\Z|\s(?:and|from|here|calling|with|i|i'm|my)\b)", regex.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    lower: str
    start: int
    end: int

    @property
    def capital(self) -> bool:
        """Written like a name: a capital and then small letters, or a lone initial."""
        return self.text[0].isupper() and (len(self.text) == 1 or not self.text.isupper())

    @property
    def shouted(self) -> bool:
        return len(self.text) > 1 and self.text.isupper()


class NameRecognizer(EntityRecognizer):
    """Finds PERSON. ``timeout_s`` bounds each regular expression; over it, TimeoutError."""

    def __init__(self, lexicon: Lexicon, timeout_s: float) -> None:
        self._lexicon = lexicon
        self._timeout_s = timeout_s
        super().__init__(supported_entities=["PERSON"], name="names")

    def load(self) -> None:
        """Nothing to load."""

    def analyze(self, text: str, entities: list[str], nlp_artifacts: Any = None) -> list[RecognizerResult]:
        """Spans of names, titles left outside. Linear in the length of the text."""
        page = _Page(text, self._lexicon, self._timeout_s)
        spans = page.after_cues()
        for index in range(len(page.words)):
            spans.extend(page.at(index))
        return [RecognizerResult("PERSON", start, end, score) for start, end, score in spans]


_Found = tuple[int, int, float]


class _Page:
    """One text cut into words, and the questions that rules ask about them."""

    def __init__(self, text: str, lexicon: Lexicon, timeout_s: float) -> None:
        self._text = text
        self._lexicon = lexicon
        self._timeout_s = timeout_s
        self.words = [_word(match) for match in _WORD.finditer(text, timeout=timeout_s)]
        self._index = {word.start: index for index, word in enumerate(self.words)}

    def after_cues(self) -> list[_Found]:
        """Names after "my name is" (any words) and after "I'm", "this is" (words that look like a name)."""
        found: list[_Found] = []
        for pattern, strong in ((STRONG_CUE, True), (_WEAK, False)):
            for match in pattern.finditer(self._text, timeout=self._timeout_s):
                index = self._index.get(match.start("v"))
                if index is None:
                    continue
                end = self._strong(index) if strong else self._introduced(index)
                if end is not None:
                    found.append((self.words[index].start, end, 0.95 if strong else 0.85))
        found.extend(self._in_set_places())
        for pattern in (_REVERSED, _SIGNATURE):
            for match in pattern.finditer(self._text, timeout=self._timeout_s):
                if match["v"].split()[0].lower() not in self._lexicon.ordinary:
                    found.append((*match.span("v"), 0.85))
        return found

    def _in_set_places(self) -> list[_Found]:
        """Names where only a person's can stand: after verbs of speaking, in signatures, before a date of birth."""
        found: list[_Found] = []
        for pattern in (cues.HUMAN_AFTER, cues.HERE):
            for match in pattern.finditer(self._text, timeout=self._timeout_s):
                index = self._index.get(match.start("v"))
                end = None if index is None else self._human(index)
                if index is not None and end is not None:
                    found.append((self.words[index].start, end, 0.75))
        for match in cues.LLAMO.finditer(self._text, timeout=self._timeout_s):
            index = self._index.get(match.start("v"))
            if index is not None and not self._plain(self.words[index]):
                found.append(
                    (self.words[index].start, self._extend(index, lambda word: not self._plain(word), limit=4), 0.95)
                )
        for pattern in (cues.IDENTITY, cues.NUMBERED):
            for match in pattern.finditer(self._text, timeout=self._timeout_s):
                if self._all_human(*match.span("v")):
                    found.append((*match.span("v"), 0.75))
        for match in cues.CLOSING.finditer(self._text, timeout=self._timeout_s):
            if self._signed(match):
                found.append((*match.span("n"), 0.8))
        for pattern in (cues.LETTERS, cues.LETTERS_SAID):
            for match in pattern.finditer(self._text, timeout=self._timeout_s):
                letters = [c for c in match["v"].lower() if c.isalpha()]
                if letters != sorted(letters):
                    found.append((*match.span("v"), 0.75))
        return found

    def _signed(self, match: Match) -> bool:
        """A signature: capitals, or listed names in small letters."""
        words = self._between(*match.span("n"))
        if not words or any(self._plain(word) or self._medicine(word) for word in words):
            return False
        closed = match.string[max(0, match.start("n") - 4) : match.start("n")].rstrip(" ")[-1:] in ("\n", *",.!-~")
        capitals = all(word.capital or word.shouted or word.lower in cues.PARTICLES for word in words)
        return capitals or (closed and self._lexicon.is_name(words[0].lower))

    def _between(self, start: int, end: int) -> list[_Word]:
        """The words of a piece of the text that begins with one."""
        first = self._index.get(start, len(self.words))
        return [word for word in self.words[first : first + _MOST_WORDS] if word.start < end]

    def _all_human(self, start: int, end: int) -> bool:
        words = self._between(start, end)
        return bool(words) and not any(self._plain(word) or self._medicine(word) for word in words)

    def _human(self, index: int) -> int | None:
        """The end of a name that begins with a capital and is neither an everyday word nor medicine."""
        word = self.words[index]
        if not word.capital or len(word.text) < 2 or self._plain(word) or self._medicine(word):
            return None
        return self._checked(index, self._extend(index, self._goes_on, limit=4))

    def _goes_on(self, word: _Word) -> bool:
        return word.capital and not self._plain(word) and not self._medicine(word)

    def _plain(self, word: _Word) -> bool:
        """An everyday word of either language; a listed surname with a capital is none."""
        lower = word.lower
        if lower in cues.NO_PERSON or lower in cues.ORDINARY_ES:
            return True
        return lower in self._lexicon.ordinary and not (word.capital and lower in self._lexicon.ambiguous_given)

    def _medicine(self, word: _Word) -> bool:
        """A drug, a test, a product, or an eponym that is on no list of names."""
        lexicon, lower = self._lexicon, word.lower
        if lexicon.is_name(lower):
            return False
        stem = lower.removesuffix("s")
        return any(
            one in lexicon.drugs or one in lexicon.labs or one in lexicon.brands or one in lexicon.eponym_words
            for one in (lower, stem)
        )

    def at(self, index: int) -> list[_Found]:
        """Names that begin at, or right after, the word at ``index``."""
        word, lexicon = self.words[index], self._lexicon
        found: list[_Found] = []
        if word.lower in TITLES and word.text != "MS":
            found.extend(self._named_after(index, self._titled))
        if word.lower in cues.SOFT_TITLES or word.lower in cues.RELATIONS:
            found.extend(self._named_beside(index))
        if word.lower in ("law", "laws") and index > 1 and self.words[index - 1].lower == "in":
            found.extend(self._named_beside(index))
        if word.lower in cues.RELATIONS and (index == 0 or self.words[index - 1].lower in cues.OWNERS):
            found.extend(self._named_after(index, self._related))
            if index + 2 < len(self.words) and self.words[index + 1].lower in ("is", "named", "called"):
                found.extend(self._named_after(index + 1, self._called))
        if word.lower in cues.GREETINGS or (word.lower == "you" and index and self.words[index - 1].lower == "thank"):
            found.extend(self._named_after(index, self._greeted))
        if word.lower in cues.CONTACT:
            found.extend(self._named_after(index, self._contacted))
        if lexicon.is_name(word.lower) or (word.capital and word.lower not in lexicon.ordinary):
            end = self._listed(index)
            if end is not None:
                found.append((word.start, end, 0.7))
        return found

    def _named_beside(self, index: int) -> list[_Found]:
        """A name with a capital in the same sentence, right after a relation or a title."""
        if index + 1 >= len(self.words):
            return []
        word, following = self.words[index], self.words[index + 1]
        end = self._human(index + 1) if self._text[word.end : following.start] in (" ", ", ", ": ", ". ") else None
        if end is None or (self._text[word.end] == "." and len(word.text) > 4):
            return []
        return [(following.start, end, 0.75)]

    def _named_after(self, index: int, rule: Callable[[int], int | None]) -> list[_Found]:
        following = index + 1
        if following >= len(self.words):
            return []
        gap = self._text[self.words[index].end : self.words[following].start]
        if len(gap) > 4 or not set(gap) <= set(" .,:!-\n\t\"'("):
            return []
        end = rule(following)
        return [] if end is None else [(self.words[following].start, end, 0.85)]

    # Each rule below returns where the name that begins at ``index`` ends, or None.

    def _strong(self, index: int) -> int | None:
        first = self.words[index]
        if first.lower in cues.NO_PERSON:
            return None
        if first.lower in self._lexicon.ordinary and not (first.capital and self._lexicon.is_name(first.lower)):
            return None

        def wanted(word: _Word) -> bool:
            listed = word.capital and self._lexicon.is_name(word.lower)
            return listed or word.lower not in self._lexicon.ordinary or word.lower in cues.PARTICLES

        return self._extend(index, wanted, limit=4)

    def _introduced(self, index: int) -> int | None:
        word, lexicon = self.words[index], self._lexicon
        if word.lower in lexicon.given or (word.capital and word.lower in lexicon.ambiguous_given):
            return self._checked(index, self._unlisted_surname(index, self._extend_listed(index)))
        if not word.capital or word.lower in lexicon.ordinary or len(word.text) < 2:
            return self._listed(index)
        end = self._extend_listed(index)
        after = self._text[end : end + 12].lstrip(" ")
        if self._medicine(word) or self._plain(word) or word.lower.endswith(_ENDINGS):
            return None
        if (
            end > word.end
            or lexicon.is_name(word.lower)
            or after[:1] in ("", ",", ".", "\n")
            or after.startswith("and I")
        ):
            return self._checked(index, end)
        return None

    def _unlisted_surname(self, index: int, end: int) -> int:
        """ "i'm maria kelemen and ...": the word in small letters that closes an introduction is the surname."""
        after = self._next(index)
        if after is None or end != self.words[index].end or after.capital or not self._could_be_name(after):
            return end
        return after.end if _CLOSED.match(self._text, after.end) else end

    def _could_be_name(self, word: _Word) -> bool:
        return len(word.text) > 2 and word.lower not in self._lexicon.ordinary and not word.lower.endswith(_ENDINGS)

    def _titled(self, index: int) -> int | None:
        word, lexicon = self.words[index], self._lexicon
        title = self.words[index - 1].lower
        if len(title) > 4 and self._text[self.words[index - 1].end] == ".":
            return None
        if self._is_product(f"{title} {word.lower}") or word.text.isdigit():
            return None
        if self._inside_product(index) or (word.lower in cues.ORDINARY_ES and len(word.lower) > 1):
            return None
        after = self._next(index)
        initial = len(word.text) == 1 and word.capital and after is not None and after.capital
        family = word.lower in lexicon.surnames or (
            word.lower in lexicon.ambiguous_surnames and title in ("dr", "doctor", "mr", "mrs", "ms")
        )
        if initial or (word.capital and (word.lower not in lexicon.ordinary or family)):
            return self._extend_listed(index)
        plain = (
            word.lower in lexicon.given or word.lower in lexicon.surnames or word.lower in lexicon.ambiguous_surnames
        )
        stop = self._text[word.start - 2 : word.start] == ". " or title in ("mr", "mrs")
        likely = stop and self._could_be_name(word)
        return self._extend_listed(index) if (plain or likely) and word.lower not in lexicon.ordinary else None

    def _related(self, index: int) -> int | None:
        word, lexicon = self.words[index], self._lexicon
        if word.capital and len(word.text) > 1 and not self._plain(word) and not self._medicine(word):
            return self._checked(index, self._extend_listed(index))
        after = self._next(index)
        doing = word.lower in lexicon.ambiguous_given and after is not None and after.lower in cues.VERBS
        if word.lower in lexicon.given or (doing and word.lower not in ("will", "may")):
            return self._checked(index, self._extend_listed(index))
        return None

    def _called(self, index: int) -> int | None:
        """After "is", "named" or "called": a capital alone is not enough ("my son is Autistic")."""
        word, after, lexicon = self.words[index], self._next(index), self._lexicon
        listed = lexicon.is_name(word.lower) or (after is not None and after.capital and lexicon.is_name(after.lower))
        return self._related(index) if listed else None

    def _greeted(self, index: int) -> int | None:
        word, lexicon = self.words[index], self._lexicon
        if word.lower in lexicon.ordinary:
            return None
        end = self._extend_listed(index)
        closed = self._text[end : end + 1] in ("", ",", ".", "!", "\n", ":")
        if word.lower in lexicon.given or (word.capital and (lexicon.is_name(word.lower) or closed)):
            return self._checked(index, end)
        return None

    def _contacted(self, index: int) -> int | None:
        word, lexicon = self.words[index], self._lexicon
        named = self.words[index - 1].lower in ("named", "called") and self._lexicon.is_name(word.lower)
        if word.capital and (named or word.lower in lexicon.surnames) and word.lower not in lexicon.ordinary:
            return self._checked(index, self._extend_listed(index))
        return None

    def _listed(self, index: int) -> int | None:
        """A name without a cue: a listed given name, or two words of which the lists know one for sure."""
        word, lexicon = self.words[index], self._lexicon
        if index and self.words[index - 1].lower in cues.PLACE_WORDS:
            return None
        after = self._next(index)
        pair = after is not None and (
            after.lower in lexicon.surnames
            or (after.lower in lexicon.ambiguous_surnames and word.lower in lexicon.given)
        )
        if _DOSE.match(self._text, word.end):
            return None
        if word.capital:
            alone = word.lower in lexicon.given
            pair = pair and after is not None and after.capital
            if len(word.text) == 1 and not (pair and after is not None and after.lower in lexicon.surnames):
                return None
            return self._checked(index, self._extend_listed(index)) if alone or pair else None
        if word.lower in cues.WORDS_TOO or word.lower in lexicon.labs or word.lower in lexicon.drugs:
            return None
        if self._text[word.end : word.end + 2].strip()[:1].isdigit():
            return None
        # Small letters: many patients write all of them so, but then the lists must know the name for sure.
        return self._checked(index, self._extend_listed(index)) if word.lower in lexicon.given else None

    def _next(self, index: int) -> _Word | None:
        """The following word if only a space, or the full stop of an initial, is between."""
        if index + 1 >= len(self.words):
            return None
        word, after = self.words[index], self.words[index + 1]
        gap = self._text[word.end : after.start]
        if gap in (" ", "  ", "\u00a0") or (gap in (". ", ".") and len(word.text) == 1):
            return after
        return None

    def _extend(self, index: int, wanted: Callable[[_Word], bool], limit: int) -> int:
        last = index
        for _ in range(limit - 1):
            after = self._next(last)
            if after is None or not wanted(after):
                break
            last += 1
        return self.words[last].end

    def _extend_listed(self, index: int) -> int:
        """Take following words that are capitalised like the first and not ordinary, particles, and listed surnames."""
        lexicon, first = self._lexicon, self.words[index]
        last, kept = index, index
        for _ in range(4):
            after = self._next(last)
            if after is None:
                break
            last += 1
            if after.lower in cues.PARTICLES:
                continue
            alike = after.capital if first.capital else after.lower in lexicon.surnames
            shouted = first.shouted and after.shouted and (lexicon.is_name(after.lower))
            family = after.lower in lexicon.surnames or (after.capital and after.lower in lexicon.ambiguous_surnames)
            if not (alike or shouted) or (after.lower in lexicon.ordinary and not family):
                break
            if after.lower in lexicon.after_eponym:
                break
            kept = last
        return self.words[kept].end

    def _checked(self, index: int, end: int) -> int | None:
        """None if the phrase is an eponym or a product, else ``end``."""
        lexicon = self._lexicon
        start = self.words[index].start
        phrase = self._text[start:end].lower()
        if phrase in lexicon.eponyms and phrase not in lexicon.given:
            return None
        if self._inside_product(index):
            return None
        following = _WORD.match(self._text, end + len(self._tail(end)), timeout=self._timeout_s)
        if following and following.group().lower() in lexicon.after_eponym:
            return None
        return end

    def _inside_product(self, index: int) -> bool:
        """Whether the word is a part of a phrase of up to four words that is a product or an eponym."""
        for first in range(max(0, index - 2), index + 1):
            words = [word.lower for word in self.words[first : first + 4]]
            if any(
                self._is_product(" ".join(words[:size])) for size in range(max(2, index - first + 1), len(words) + 1)
            ):
                return True
        return False

    def _is_product(self, phrase: str) -> bool:
        """Whether a phrase of several words is a product, a place or an eponym; a plural or possessive s aside."""
        lexicon = self._lexicon
        return any(one in lexicon.brands or one in lexicon.eponyms for one in (phrase, phrase.removesuffix("s")))

    def _tail(self, end: int) -> str:
        """A possessive and the space after a name."""
        rest = self._text[end : end + 4]
        for tail in ("'s ", "'S ", "' ", " ", "-"):
            if rest.startswith(tail):
                return tail
        return ""


def _word(match: Match) -> _Word:
    """A word without its possessive "'s"."""
    text = match.group()
    if text.lower().endswith("'s") and len(text) > 3:
        text = text[:-2]
    return _Word(text, text.lower(), match.start(), match.start() + len(text))
