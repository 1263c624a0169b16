"""The small language of triggers, and its matcher. Linear in the length of a message.

A trigger is parts joined by `` + ``: all parts must occur in the conversation. A part is items joined by ``~``
(either order, near) or ``>`` (in this order, near); ``~12`` sets the distance in words that count (fillers do not).
An item is alternatives joined by ``|``: a phrase (``wont wake up``; ``swell*`` is any word that begins so; ``=911`` is
a sentence of only that), a concept of the lexicon (``@chest``) or a fact (``#temp_f>=100.4``). A concept is a list of
phrases and parts.
"""

from __future__ import annotations

import operator
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from app.guardrails.facts import Fact
from app.guardrails.normalise import match_form
from app.guardrails.tokens import SENTENCE, Words

NEGATED, HISTORY, GENERAL, MASKED = 1, 2, 4, 8
"""What the context says about words: denied, past, not about anybody in particular, another meaning."""

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}
_FACT = re.compile(r"#(\w+)(<=|>=|<|>|=)([\d.]+)$")
_JOINT = re.compile(r"\s([~>])(\d*)\s")
_DISTANCE = {"~": 6, ">": 4}


Phrases: TypeAlias = dict[str, list[tuple[int, int]]]
"""Word ranges, end exclusive, by the name of a phrase or concept."""


class Span(NamedTuple):
    """Words ``start`` to ``end`` (exclusive) that match, with the flags of their context."""

    start: int
    end: int
    flags: int


@dataclass(frozen=True, slots=True)
class Part:
    """Items in reading order; ``joints[i]`` joins item i and i+1. Items name phrases, concepts or facts.

    ``needs``: of each of these sets of names one must occur, or the part is missing for sure.
    """

    items: tuple[tuple[str, ...], ...]
    joints: tuple[tuple[str, int], ...]
    needs: tuple[frozenset[str], ...]


@dataclass(frozen=True, slots=True)
class Trigger:
    """All parts must match. ``needs``: what all parts need."""

    source: str
    parts: tuple[Part, ...]
    needs: tuple[frozenset[str], ...]


def parse(source: str) -> Trigger:
    """Read a trigger. Raises ValueError that names what is wrong."""
    parts = tuple(_parse_part(part) for part in source.split(" + "))
    return Trigger(source, parts, tuple(names for part in parts for names in part.needs))


def _parse_part(source: str) -> Part:
    pieces = _JOINT.split(f" {source.strip()} ".replace(" ~ ", "  ~  ").replace(" > ", "  >  "))
    items = []
    for piece in pieces[::3]:
        names = tuple(name.strip() for name in piece.split("|"))
        for name in names:
            if not name or (re.search(r"[~>+]", name) and not name.startswith("#")):
                raise ValueError(f"the trigger {source!r} has an empty or broken item")
            if name.startswith("#") and not _FACT.match(name):
                raise ValueError(f"{name!r} is not a fact such as #temp_f>=100.4")
        items.append(names)
    joints = tuple((op, int(far) if far else _DISTANCE[op]) for op, far in zip(pieces[1::3], pieces[2::3], strict=True))
    needs = (frozenset(names) for names in items if not any(name.startswith("#") for name in names))
    return Part(tuple(items), joints, tuple(needs))


def phrase_words(phrase: str) -> list[str]:
    """The words of a phrase in matching form, ``*`` as ``qzq``. Raises ValueError if there are none."""
    words = re.findall(r"[a-z0-9]+(?:[./,]\d+)*", match_form(phrase.replace("*", "qzq")))
    if not words:
        raise ValueError(f"the phrase {phrase!r} is empty")
    return words


class _Node:
    __slots__ = ("exact", "outputs", "prefix")

    def __init__(self) -> None:
        self.exact: dict[str, _Node] = {}
        self.prefix: dict[str, _Node] = {}
        self.outputs: list[str] = []


class Matcher:
    """All phrases of a lexicon and of triggers, found in one pass."""

    def __init__(self, concepts: Mapping[str, Sequence[str]], triggers: Iterable[str], fillers: frozenset[str]) -> None:
        """Raises ValueError for an unknown concept, a loop of concepts or a broken trigger; the message names it."""
        self.fillers = fillers
        self._root = _Node()
        self.vocabulary: set[str] = set()
        self.prefixes: set[str] = set()
        self._names = set(concepts)
        self._composite: dict[str, list[Part]] = {}
        for name, entries in concepts.items():
            for entry in entries:
                part = _parse_part(entry)
                if not part.joints and len(part.items[0]) == 1 and entry[0] not in "@#=":
                    self._add(entry, "@" + name)
                else:
                    self._composite.setdefault("@" + name, []).append(part)
                    self._learn(part)
        self.triggers = {source: parse(source) for source in triggers}
        for trigger in self.triggers.values():
            for part in trigger.parts:
                self._learn(part)
        self._order = self._sorted()

    def _learn(self, part: Part) -> None:
        for names in part.items:
            for name in names:
                if name.startswith("@"):
                    if name[1:] not in self._names:
                        raise ValueError(f"unknown concept {name}")
                elif not name.startswith("#"):
                    self._add(name, name)

    def _add(self, phrase: str, output: str) -> None:
        node = self._root
        for word in phrase_words(phrase):
            if word.endswith("qzq"):
                stem = word[:-3]
                self.prefixes.add(stem)
                self.vocabulary.update({stem, stem + "s", stem + "ed", stem + "ing"})
                node = node.prefix.setdefault(stem, _Node())
            else:
                self.vocabulary.add(word)
                node = node.exact.setdefault(word, _Node())
        if output not in node.outputs:
            node.outputs.append(output)

    def _sorted(self) -> list[str]:
        done: list[str] = []
        open_: set[str] = set()

        def visit(name: str) -> None:
            if name in done or name not in self._composite:
                return
            if name in open_:
                raise ValueError(f"the concept {name} refers to itself")
            open_.add(name)
            for part in self._composite[name]:
                for names in part.items:
                    for other in names:
                        if other.startswith("@"):
                            visit(other)
            done.append(name)

        for name in self._composite:
            visit(name)
        return done

    def phrases(self, words: Words) -> Phrases:
        """Every phrase found."""
        found: Phrases = {}
        count = len(words.words)
        for start in range(count):
            states = [self._root]
            for j in range(start, min(count, start + 14)):
                if j > start and words.breaks[j] == SENTENCE:
                    break
                word = words.words[j]
                step: list[_Node] = []
                for node in states:
                    self._advance(node, word, step)
                for node in step:
                    for name in node.outputs:
                        if name[0] != "=" or words.is_sentence(start, j + 1):
                            found.setdefault(name, []).append((start, j + 1))
                states = step + states if j > start and word in self.fillers else step
                if not states:
                    break
        return found

    @staticmethod
    def _advance(node: _Node, word: str, step: list[_Node]) -> None:
        exact = node.exact.get(word)
        if exact is not None:
            step.append(exact)
        if node.prefix:
            for length in range(2, len(word) + 1):
                child = node.prefix.get(word[:length])
                if child is not None:
                    step.append(child)

    def match(
        self,
        words: Words,
        phrases: Mapping[str, Sequence[tuple[int, int]]],
        flags: Sequence[int],
        facts: Iterable[Fact],
    ) -> Found:
        """Work out concepts and facts over the found phrases and the context flags of each word."""
        spans: dict[str, list[Span]] = {}
        for name, ranges in phrases.items():
            kept = [Span(a, b, flags[a]) for a, b in ranges if not any(f & MASKED for f in flags[a:b])]
            if kept:
                spans[name] = kept
        found = Found(words, spans, [(f, flags[f.start]) for f in facts])
        for name in self._order:
            extra = [span for part in self._composite[name] if found.may_match(part) for span in found.part(part)]
            if extra:
                spans[name] = sorted(set(spans.get(name, [])) | set(extra))
        return found


class Found:
    """What one conversation holds, asked by part."""

    def __init__(self, words: Words, spans: dict[str, list[Span]], facts: list[tuple[Fact, int]]) -> None:
        self._words = words
        self._spans = spans
        self._facts = facts

    @property
    def names(self) -> Iterable[str]:
        """Phrases and concepts that occur."""
        return self._spans.keys()

    def may_match(self, asked: Trigger | Part) -> bool:
        """False when something is missing for sure: a quick look at the names only, not at facts and distances."""
        return not any(map(self._spans.keys().isdisjoint, asked.needs))

    def part(self, part: Part) -> list[Span]:
        """All spans that match a part, in reading order."""
        left = self._item(part.items[0])
        for (op, far), names in zip(part.joints, part.items[1:], strict=True):
            if not left:
                return []
            left = self._join(left, self._item(names), op, far)
        return left

    def _item(self, names: tuple[str, ...]) -> list[Span]:
        if len(names) == 1 and not names[0].startswith("#"):
            return self._spans.get(names[0], [])
        spans: set[Span] = set()
        for name in names:
            if name.startswith("#"):
                spans.update(self._fact(name))
            else:
                spans.update(self._spans.get(name, ()))
        return sorted(spans)

    def _fact(self, name: str) -> list[Span]:
        parsed = _FACT.match(name)
        if parsed is None:
            return []
        compare, bound = _OPERATORS[parsed[2]], float(parsed[3])
        return [
            Span(f.start, f.end, flags)
            for f, flags in self._facts
            if f.name == parsed[1] and compare(f.value, bound) and not flags & MASKED
        ]

    def _join(self, left: list[Span], right: list[Span], op: str, far: int) -> list[Span]:
        if not right:
            return []
        at = self._words.at
        starts = [at[s.start] for s in right]
        reach = far + 8
        joined: set[Span] = set()
        for a in left:
            low = at[a.end - 1] if op == ">" else at[a.start] - reach
            for b in right[bisect_left(starts, low) : bisect_right(starts, at[a.end - 1] + far + 1)]:
                forward = b.start >= a.end and at[b.start] - at[a.end - 1] <= far + 1
                backward = op == "~" and a.start >= b.end and at[a.start] - at[b.end - 1] <= far + 1
                if forward or backward:
                    joined.add(Span(min(a.start, b.start), max(a.end, b.end), a.flags | b.flags))
        return sorted(joined)
