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
from app.redaction.recognizers.rules import Match

_WORD = regex.compile(r"\p{L}[\p{L}\p{M}]*+(?:['\-]\p{L}[\p{L}\p{M}]*+)*+")
_PARTICLES = frozenset(
    "al bin binti da das de del della den der di dos du el ibn la las le los mac san st ten ter van von y".split()
)
_TITLES = frozenset(
    "dr doctor mr mrs ms miss mx prof professor nurse sister father pastor rev reverend rabbi imam "
    "señor señora sra dra".split()
)
_RELATIONS = frozenset(
    "husband wife son daughter mother mom mum mama father dad papa sister brother aunt uncle cousin "
    "niece nephew grandmother "
    "grandma grandfather grandpa grandson granddaughter partner boyfriend girlfriend fiance fiancé "
    "fiancee fiancée friend "
    "neighbor neighbour roommate caregiver carer baby child kid boss coworker spouse stepson stepdaughter stepmother "
    "stepfather surgeon dentist therapist midwife pcp cardiologist oncologist pediatrician ob counselor "
    "abuela abuelo nana twin twins attorney lawyer guardian aide dog".split()
)
_PLACE_WORDS = frozenset("san santa santo saint st fort port mount lake los las".split())
_VERBS = frozenset("has had is was needs takes got fell and who wants said says just feels".split())
_OWNERS = frozenset("my his her their our your and".split())
_GREETINGS = frozenset(
    "hi hello hey dear hola thanks thx regards sincerely cheers respectfully cordially signed".split()
)
_CONTACT = frozenset("named called with see saw ask contact tell to for by from of".split())

_STRONG = regex.compile(
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
    r"(?<!\S)(?P<v>\p{L}[\p{L}'\-]++)\s(?:is|was)\s(?:my|his|her|the)\s(?:\p{L}++'s\s)?(?:last|first|maiden|middle|family|sur)\s?name",
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
        for pattern, strong in ((_STRONG, True), (_WEAK, False)):
            for match in pattern.finditer(self._text, timeout=self._timeout_s):
                index = self._index.get(match.start("v"))
                if index is None:
                    continue
                end = self._strong(index) if strong else self._introduced(index)
                if end is not None:
                    found.append((self.words[index].start, end, 0.95 if strong else 0.85))
        for pattern in (_REVERSED, _SIGNATURE):
            for match in pattern.finditer(self._text, timeout=self._timeout_s):
                if match["v"].split()[0].lower() not in self._lexicon.ordinary:
                    found.append((*match.span("v"), 0.85))
        return found

    def at(self, index: int) -> list[_Found]:
        """Names that begin at, or right after, the word at ``index``."""
        word, lexicon = self.words[index], self._lexicon
        found: list[_Found] = []
        if word.lower in _TITLES and word.text != "MS":
            found.extend(self._named_after(index, self._titled))
        if word.lower in _RELATIONS and (index == 0 or self.words[index - 1].lower in _OWNERS):
            found.extend(self._named_after(index, self._related))
            if index + 2 < len(self.words) and self.words[index + 1].lower in ("is", "named", "called"):
                found.extend(self._named_after(index + 1, self._called))
        if word.lower in _GREETINGS or (word.lower == "you" and index and self.words[index - 1].lower == "thank"):
            found.extend(self._named_after(index, self._greeted))
        if word.lower in _CONTACT:
            found.extend(self._named_after(index, self._contacted))
        if lexicon.is_name(word.lower) or (word.capital and word.lower not in lexicon.ordinary):
            end = self._listed(index)
            if end is not None:
                found.append((word.start, end, 0.7))
        return found

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
        if first.lower in self._lexicon.ordinary and not (first.capital and self._lexicon.is_name(first.lower)):
            return None

        def wanted(word: _Word) -> bool:
            listed = word.capital and self._lexicon.is_name(word.lower)
            return listed or word.lower not in self._lexicon.ordinary or word.lower in _PARTICLES

        return self._extend(index, wanted, limit=4)

    def _introduced(self, index: int) -> int | None:
        word, lexicon = self.words[index], self._lexicon
        if word.lower in lexicon.given or (word.capital and word.lower in lexicon.ambiguous_given):
            return self._checked(index, self._unlisted_surname(index, self._extend_listed(index)))
        if not word.capital or word.lower in lexicon.ordinary or len(word.text) < 2:
            return self._listed(index)
        end = self._extend_listed(index)
        after = self._text[end : end + 12].lstrip(" ")
        if end > word.end or lexicon.is_name(word.lower) or after[:1] in (",", ".", "\n") or after.startswith("and I"):
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
        if f"{title} {word.lower}" in lexicon.eponyms or word.text.isdigit():
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
        if word.capital and word.lower not in lexicon.ordinary and len(word.text) > 1:
            return self._checked(index, self._extend_listed(index))
        after = self._next(index)
        doing = word.lower in lexicon.ambiguous_given and after is not None and after.lower in _VERBS
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
        if index and self.words[index - 1].lower in _PLACE_WORDS:
            return None
        after = self._next(index)
        pair = after is not None and (
            after.lower in lexicon.surnames
            or (after.lower in lexicon.ambiguous_surnames and word.lower in lexicon.given)
        )
        if word.capital:
            alone = word.lower in lexicon.given
            pair = pair and after is not None and after.capital
            if len(word.text) == 1 and not (pair and after is not None and after.lower in lexicon.surnames):
                return None
            return self._checked(index, self._extend_listed(index)) if alone or pair else None
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
            if after.lower in _PARTICLES:
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
        following = _WORD.match(self._text, end + len(self._tail(end)), timeout=self._timeout_s)
        if following and following.group().lower() in lexicon.after_eponym:
            return None
        return end

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
