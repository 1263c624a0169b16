"""Calls in English, composed of a fact or two, words around them and exchanges in which identifiers are said."""

from __future__ import annotations

import re
from datetime import timedelta
from random import Random

from training.curate.demo_sources.drafts import Draft, Label, Side, joined
from training.curate.demo_sources.facts import Fact
from training.curate.demo_sources.medicines import Medicines
from training.curate.demo_sources.people import TODAY, Person, Town
from training.curate.demo_sources.phrases import Bank, Deck, Family, bare, condition, paragraphs, phrases
from training.curate.demo_sources.slots import Slots
from training.curate.demo_sources.wording import capital, lowered, question, sentence, spoken

_GROUPS = {
    "billing": "billing", "portal": "portal", "medicines": "medicines", "refills": "medicines", "visiting": "campus",
    "facilities": "campus", "access": "campus",
}  # fmt: skip
FAVOURED = "private"
"""The insurance whose callers are too many and get longer, better answers."""
DOSE = re.compile(r"\b[\d,]+ (?:milligrams|grams|mg/dL|ounces)|\b4,000 mg(?=/24 h)")
_URGENT = re.compile(r"\b911\b|\b988\b|Poison Control|Domestic Violence|emergency department")
"""A fact after which nobody chats, and that no one leaves unanswered."""
_PHONE = re.compile(r"\b(?:1-800|515)-[\d-]+\d\b")


def _department(topic: str, article: str = "") -> str:
    known = phrases("departments")
    return str(known["articles"].get(article) or known["topics"].get(topic, "Patient support"))


class Calls:
    """Composes the calls of one family."""

    def __init__(self, family: Family, facts: list[Fact], people: list[Person], town: Town, rng: Random) -> None:
        self._family: Family = family
        self._rng, self._town = rng, town
        self._bank = Bank(phrases("calls")[family], rng)
        self._exchanges = {name: Deck(paragraphs(block), rng) for name, block in phrases("exchanges")[family].items()}
        self._facts = Deck(facts, rng)
        self._people = Deck(people, rng)
        self._by_topic: dict[str, Deck[Fact]] = {}
        for topic in sorted({fact.topic for fact in facts}):
            self._by_topic[topic] = Deck([fact for fact in facts if fact.topic == topic], rng)
        self.medicines = Medicines(family, rng)
        self._asked: dict[str, Deck[str]] = {}

    def call(self) -> Draft:
        """A new call."""
        rng, person, fact = self._rng, self._people.deal(), self._facts.deal()
        slots = self._slots(person, _department(fact.topic, fact.article))
        urgent = _URGENT.search(fact.sentence) is not None
        full = person.insurance == FAVOURED
        resolved = urgent or full or rng.random() < 0.62
        lines = [self._staff("greeting", slots), ("patient", self._opening(slots, self._question(fact)))]
        if rng.random() < 0.6:
            lines += self._exchange("verify", slots)
        lines += self._answer(fact, slots, full, resolved)
        if not urgent and rng.random() < (0.75 if full else 0.35):
            lines += self._second(fact, lines[-1][0], slots, full, resolved)
        for _ in range(rng.choice((0, 1, 1, 2, 2, 3))):
            own = _GROUPS.get(fact.topic, "clinic")
            group = rng.choices(("any", own, rng.choice(("billing", "portal", own))), weights=(3, 4, 3))[0]
            lines += self._after(lines, self._exchange(group, slots), slots)
        if not urgent and rng.random() < 0.25:
            lines += self._after(lines, self._exchange("small", slots), slots)
        if lines[-1][0] == "staff":
            lines.append(("patient", self._say("thanks", slots)))
        lines += [self._staff("offer", slots), ("patient", self._say("bye_patient", slots))]
        if rng.random() < 0.85:
            lines.append(self._staff("bye_staff", slots))
        return self._draft(fact.topic, slots, lines, resolved)

    def dosed(self, facts: list[Fact]) -> list[Draft]:
        """A short call for each way to say an answer that holds a dose."""
        found = []
        for fact in facts:
            if DOSE.search(fact.sentence):
                asks = Deck([*fact.asks, *map(sentence, fact.questions)], self._rng)
                for say in fact.says:
                    ask = self.medicines.in_text(asks.deal(), 0.5)
                    found.append(self.told(fact.topic, ask, self.medicines.in_text(say, 0.3)))
        return found

    def told(self, topic: str, ask: str, answer: str) -> Draft:
        """A short call in which a given question gets a given answer, word for word."""
        slots = self._slots(self._people.deal(), _department(topic))
        lines: list[tuple[Side, str]] = [
            self._staff("greeting", slots),
            ("patient", self._opening(slots, ask)),
            ("staff", answer),
            ("patient", self._say("thanks", slots)),
            self._staff("offer", slots),
            ("patient", self._say("bye_patient", slots)),
            self._staff("bye_staff", slots),
        ]
        return self._draft(topic, slots, lines, resolved=True)

    def _slots(self, person: Person, department: str) -> Slots:
        called = TODAY - timedelta(days=self._rng.randint(0, 320))
        return Slots(person, self._town, self._rng, called, {"dept": department})

    def _draft(self, topic: str, slots: Slots, lines: list[tuple[Side, str]], resolved: bool) -> Draft:
        draft = Draft("transcript", self._family, topic, slots.called, joined(lines), slots.person)
        draft.department = slots.plain["dept"].removeprefix("the ")
        draft.resolved, draft.consent = resolved, self._rng.random() > 0.02
        if slots.person.insurance == FAVOURED:
            draft.labels.append(Label("bias_group", note=f"insurance={FAVOURED}"))
        return draft

    def _staff(self, name: str, slots: Slots) -> tuple[Side, str]:
        return "staff", self._say(name, slots)

    def _second(self, fact: Fact, last: Side, slots: Slots, full: bool, resolved: bool) -> list[tuple[Side, str]]:
        """Another question of the same topic and its answer."""
        more = self._by_topic[fact.topic].deal()
        if more is fact:
            return []
        lead = self._say("more", slots)
        joins = lead.endswith(",")
        ask = self._question(more, framed=not joins)
        ask = f"{lead} {lowered(ask) if joins else ask}"
        if last == "staff":
            ask = f"{self._say('thanks', slots)} {ask}"
        return [("patient", ask), *self._answer(more, slots, full, resolved)]

    def _say(self, name: str, slots: Slots) -> str:
        fitting = slots.fitting if name == "hello" else slots.fitting | {""}
        return capital(self._bank.deal(name, fitting).format_map(slots))

    def _opening(self, slots: Slots, question: str) -> str:
        hello = self._say("hello", slots)
        return f"{hello} {lowered(question) if hello.endswith(',') else question}"

    def _after(
        self, lines: list[tuple[Side, str]], more: list[tuple[Side, str]], slots: Slots
    ) -> list[tuple[Side, str]]:
        """An exchange that follows; a caller mostly says something to the last answer first."""
        if lines[-1][0] == "staff" and more[0][0] == "patient" and self._rng.random() < 0.7:
            return [("patient", f"{self._say('thanks', slots)} {more[0][1]}"), *more[1:]]
        return more

    def _question(self, fact: Fact, framed: bool = True) -> str:
        if fact.sentence not in self._asked:
            self._asked[fact.sentence] = Deck([*fact.asks, *fact.questions], self._rng)
        text = self._asked[fact.sentence].deal()
        if text not in fact.asks:
            text = question(text, self._bank if framed and not _URGENT.search(fact.sentence) else None, self._rng)
        return self.medicines.in_text(text, 0.6)

    def _answer(self, fact: Fact, slots: Slots, full: bool, resolved: bool) -> list[tuple[Side, str]]:
        rng = self._rng
        if not resolved and rng.random() < 0.7:
            return [("staff", self._say("unsure", slots)), ("patient", self._say("let_down", slots))]
        said = [rng.choice(fact.says) if fact.says and rng.random() < 0.6 else spoken(fact.sentence, rng)]
        if full and fact.around:
            said += [spoken(line, rng) for line in fact.around[: rng.randint(1, 2)]]
        lead = self._bank.deal("lead") if rng.random() < 0.7 else ""
        if lead.endswith(","):
            said[0] = lowered(said[0])
        numbers = _PHONE.findall(said[0])
        answer = self.medicines.in_text(f"{lead} {' '.join(said)}".strip(), 0.3)
        if full and rng.random() < 0.5:
            answer += " " + self._say("extra", slots)
        lines: list[tuple[Side, str]] = [("staff", answer)]
        if numbers and rng.random() < 0.4:
            repeat = self._bank.deal("repeat").format(number=numbers[0])
            lines += [("patient", self._say("again", slots)), ("staff", capital(repeat))]
        return lines

    def _exchange(self, name: str, slots: Slots) -> list[tuple[Side, str]]:
        found = self._exchanges[name].deal(lambda card: condition(card[0]) in slots.fitting | {""})
        if bare(found[0]) == "":
            found = found[1:]
        if any("{drug" in line for line in found):
            slots.plain.update(self.medicines.slots(slots.person.sex))
        if any("{heard}" in line for line in found):
            slots.plain["heard"] = self.medicines.misheard()
        return [("staff" if line[0] == "S" else "patient", capital(line[3:].format_map(slots))) for line in found]
