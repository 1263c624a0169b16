"""Who speaks: labels in front of what was said, and turns made of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from training.curate.formats.contract import Refused, SourceRule
from training.curate.formats.field_names import of_turn
from training.curate.formats.headings import heads, names_somebody
from training.curate.records import Speaker, Turn

SPEAKERS: dict[str, Speaker] = {
    **dict.fromkeys(
        "patient caller client member customer user visitor parent guardian caregiver family mother father mom mum dad "
        "wife husband daughter son sister brother relative pt p q question paciente llamante madre padre hija hijo "
        "esposa esposo familiar pregunta relatedperson".split(),
        "patient",
    ),
    **dict.fromkeys(
        "agent staff nurse operator representative rep receptionist scheduler doctor dr physician pharmacist assistant "
        "coordinator clinician counselor technician registrar hospital clinic rn np pa md a answer agente enfermera "
        "enfermero recepcionista doctora farmacéutica farmacéutico personal respuesta practitioner practitionerrole "
        "organization careteam".split(),
        "staff",
    ),
}
"""Labels, case aside, that are understood without a word in the config."""

# No part may run over the same characters as its neighbour without a bound: lines come from strangers.
_LABEL = re.compile(
    r"(?:[\[(]?\d{1,2}:\d{2}(?::\d{2})?(?:[.,]\d+)?[\])]?\s*)?"
    r"\[?(?P<label>[^\W\d_][\w .'’()\-]{0,60}?)\s{0,9}\]?\s{0,9}:(?:\s|\Z)(?P<text>.*)\Z",
    re.DOTALL,
)
_PARTS = re.compile(r"(?P<outer>[^()]*)\((?P<inner>[^()]+)\)\s*")
_POSSESSIVE = re.compile(r"(?:['’]s|(?<=s)['’])\Z")
_OF = frozenset(
    "of for to the and de del la el los las y s in law on behalf for mr mrs ms miss dr sr sra señor señora".split()
)


def speaker(label: str, rule: SourceRule) -> tuple[Speaker, tuple[str, ...]] | None:
    """The side that a label names, and the names in it ("Nurse Kelly", "Caller (daughter of Hope Winters)")."""
    key = " ".join(label.casefold().replace(".", " ").split())
    if side := rule.speakers.get(label.casefold().strip()) or _known(key, rule):
        return side, ()
    if parts := _PARTS.fullmatch(label.strip()):
        for role in (parts["inner"], parts["outer"]):
            if found := speaker(role.strip(), rule):
                return found[0], (*_name(parts["outer"], rule), *_name(parts["inner"], rule))
    first, _, rest = label.strip().partition(" ")
    side = _known(first.casefold().strip(".,"), rule) if rest else None
    return (side, _name(rest, rule)) if side else None


def _name(text: str, rule: SourceRule) -> tuple[str, ...]:
    """A part of a label without the words at its ends that tell what somebody is, not who; none if no more is left."""
    words = text.split()
    plain = [_POSSESSIVE.sub("", word.casefold().strip(".,;:")) for word in words]
    own = [place for place, word in enumerate(plain) if word not in _OF and not _known(word, rule)]
    if not own:
        return ()
    return (_POSSESSIVE.sub("", " ".join(words[own[0] : own[-1] + 1])).strip(" .,;:"),)


def _known(key: str, rule: SourceRule) -> Speaker | None:
    return rule.speakers.get(key) or SPEAKERS.get(key)


def labelled(line: str, rule: SourceRule) -> tuple[Speaker, tuple[str, ...], str] | None:
    """Side, names and words of a line such as ``Caller: hello``; None where no known speaker stands before a colon."""
    match = _LABEL.match(line.strip())
    found = speaker(match["label"], rule) if match else None
    return (*found, match["text"].strip()) if match and found else None


class Strangers:
    """Labels of no known speaker. One that comes again is no chance, nor are two that look like names: whose words
    follow them is then not known.
    """

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()
        self._people: dict[str, str] = {}

    def see(self, line: str, *, amid: bool = True) -> None:
        """Look at a line in front of which no known speaker stands; ``amid`` if somebody has spoken before it."""
        match = _LABEL.match(line.strip())
        if match is None or not match["label"][0].isupper():
            return
        label = " ".join(match["label"].split())
        if heads(label):
            return
        self._seen[label] += 1
        if amid and names_somebody(label, match["text"].strip()):
            self._people[label.casefold()] = label

    def refuse(self) -> None:
        """Raises Refused where a label has come again, or two have come that look like names."""
        people = [*self._people.values()] if len(self._people) > 1 else []
        repeated = [label for label, count in self._seen.items() if count > 1]
        if found := dict.fromkeys([*repeated, *people]):
            raise Refused("unknown speaker", ", ".join(found))


def labels_turns(lines: Sequence[str], rule: SourceRule) -> tuple[tuple[Turn, ...], tuple[str, ...]]:
    """Turns, and names that stood in labels. A line without a label goes on with the turn before it.

    Raises Refused where nobody is labelled, or labels are no known speakers (:class:`Strangers`).
    """
    said: list[tuple[Speaker, list[str]]] = []
    names: list[str] = []
    strangers = Strangers()
    for line in filter(str.strip, lines):
        if found := labelled(line, rule):
            side, named, words = found
            names += named
            said.append((side, [words]))
            continue
        strangers.see(line, amid=bool(said))
        if said:
            said[-1][1].append(line.strip())
    strangers.refuse()
    if not said:
        raise Refused("no speaker labels")
    return merged((side, "\n".join(words)) for side, words in said), tuple(dict.fromkeys(names))


def merged(said: Iterable[tuple[Speaker, str]]) -> tuple[Turn, ...]:
    """Turns; neighbouring ones of the same side become one, and empty ones are left out."""
    turns: list[tuple[Speaker, list[str]]] = []
    for side, words in said:
        if not words.strip():
            continue
        if turns and turns[-1][0] == side:
            turns[-1][1].append(words.strip())
        else:
            turns.append((side, [words.strip()]))
    return tuple(Turn(speaker=side, text=" ".join(words)) for side, words in turns)


def listed_turns(items: Sequence[Any], rule: SourceRule) -> tuple[tuple[Turn, ...], tuple[str, ...]]:
    """Turns from a list of objects with a speaker's and a text's key. Raises Refused."""
    said: list[tuple[Speaker, str]] = []
    names: list[str] = []
    for item in items:
        if not isinstance(item, Mapping):
            raise Refused("a turn is no object")
        label, words = of_turn(item, rule, "speaker"), of_turn(item, rule, "text")
        if not isinstance(label, str) or not isinstance(words, str):
            raise Refused("a turn without speaker or text")
        found = speaker(label, rule)
        if found is None:
            raise Refused("unknown speaker", label[:80])
        said.append((found[0], words))
        names += found[1]
    return merged(said), tuple(dict.fromkeys(names))


def spoken(get: Mapping[str, Any], rule: SourceRule) -> tuple[tuple[Turn, ...], tuple[str, ...]]:
    """Turns of one flat record: a list of turns, a question with its answer, or a text. Raises Refused.

    The text of a transcript has speaker labels, or is one patient's turn where a speaker's field says so; that of a
    note or FAQ is staff's.
    """
    listed = get.get(rule.key("turns"))
    if isinstance(listed, list):
        return listed_turns(listed, rule)
    question, answer = get.get(rule.key("question")), get.get(rule.key("answer"))
    if isinstance(question, str) and isinstance(answer, str):
        if not question.strip() or not answer.strip():
            raise Refused("a question or an answer is empty")
        return merged([("patient", question), ("staff", answer)]), ()
    text = listed if isinstance(listed, str) else get.get(rule.key("text"))
    if not isinstance(text, str) or not text.strip():
        raise Refused("no text")
    if rule.kind != "transcript":
        return merged([("staff", text)]), ()
    label = get.get(rule.key("speaker"))
    if isinstance(label, str) and label.strip():
        if (found := speaker(label, rule)) is None:
            raise Refused("unknown speaker", label[:80])
        return merged([(found[0], text)]), found[1]
    return labels_turns(text.split("\n"), rule)
