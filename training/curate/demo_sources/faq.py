"""Entries of the internal FAQ: what staff look up, contradicting and outdated answers among them."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random

from training.curate.demo_sources.drafts import Draft, Label
from training.curate.demo_sources.facts import Fact
from training.curate.demo_sources.medicines import Medicines
from training.curate.demo_sources.people import TODAY, Person, Town
from training.curate.demo_sources.phrases import Bank, Deck, Family, paragraphs, phrases
from training.curate.demo_sources.slots import Slots
from training.curate.demo_sources.wording import sentence


class Faq:
    """Composes the FAQ entries of one family."""

    def __init__(
        self, family: Family, facts: list[Fact], people: list[Person], town: Town, medicines: Medicines, rng: Random
    ) -> None:
        self._family: Family = family
        self._rng, self._medicines, self._town = rng, medicines, town
        content = dict(phrases("faq")[family])
        self._pairs = paragraphs(content.pop("contradictions"))
        self._bank = Bank(content, rng)
        self._people = Deck(people, rng)
        sections: dict[tuple[str, str], Fact] = {}
        for fact in rng.sample(facts, len(facts)):
            best = sections.setdefault((fact.article, fact.heading), fact)
            if medicines.names_in(fact.sentence) and not medicines.names_in(best.sentence):
                sections[fact.article, fact.heading] = fact
        self._facts = Deck(list(sections.values()), rng)

    def entry(self) -> Draft:
        """A new entry, each about a section of its own."""
        rng = self._rng
        fact = self._facts.deal()
        asked = rng.choice(fact.questions)
        said = phrases("said").get(asked) or sentence(asked)
        if fact.asks and rng.random() < 0.4:
            said = rng.choice(fact.asks)
        elif fact.heading and rng.random() < 0.3:
            said = fact.heading
        ask = self._bank.deal("topics").format(q=said)
        answer = rng.choice(fact.says) if fact.says and rng.random() < 0.4 else fact.sentence
        answer = " ".join([answer, *fact.around[: rng.randint(0, 2)]])
        answer = self._medicines.in_text(answer, 0.45)
        if rng.random() < 0.3:
            slots = Slots(self._people.deal(), self._town, rng, self._day())
            answer += " " + self._bank.deal("remarks").format_map(slots)
        return self._draft(fact.topic, self._medicines.in_text(ask, 0.4), answer)

    def contradictions(self) -> list[tuple[Draft, Draft]]:
        """Pairs of entries, the right one first; the other's label points at it."""
        pairs = []
        for head, *lines in self._pairs:
            first, right, second, wrong = (line[3:] for line in lines)
            topic = head.lstrip("= ")
            entry = self._draft(topic, first, right)
            other = self._draft(topic, second, wrong)
            other.labels.append(Label("contradiction", 1, wrong, right, other=entry))
            pairs.append((entry, other))
        return pairs

    def _draft(self, topic: str, ask: str, answer: str) -> Draft:
        return Draft("faq", self._family, topic, self._day(), [("patient", ask), ("staff", answer)])

    def _day(self) -> date:
        return TODAY - timedelta(days=self._rng.randint(0, 900))
