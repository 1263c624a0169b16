"""Clinicians' notes: short, abbreviated, full of medicines and identifiers."""

from __future__ import annotations

from datetime import timedelta
from random import Random

from training.curate.demo_sources.drafts import Draft
from training.curate.demo_sources.medicines import Medicines
from training.curate.demo_sources.people import TODAY, Person, Town
from training.curate.demo_sources.phrases import Bank, Deck, Family, phrases
from training.curate.demo_sources.slots import Slots
from training.curate.demo_sources.wording import capital

_STYLES = ("lines", "paragraph", "headings", "dashes")
_HEADINGS = {"reason": ("S:", "CC/HPI:", "Subjective:"), "exam": ("O:", "EXAM:", "Objective:"),
             "plan": ("A/P:", "PLAN:", "Plan of care:")}  # fmt: skip


class Notes:
    """Composes the notes of one family."""

    def __init__(self, family: Family, people: list[Person], town: Town, medicines: Medicines, rng: Random) -> None:
        self._family: Family = family
        self._rng, self._town, self._medicines = rng, town, medicines
        self._bank = Bank(phrases("notes")[family], rng)
        self._people = Deck([person for person in people if person.age >= 18], rng)

    def note(self) -> Draft:
        """A new note."""
        rng, person = self._rng, self._people.deal()
        written = TODAY - timedelta(days=rng.randint(0, 320))
        slots = Slots(person, self._town, rng, written, self._values())
        parts = [("head", self._say("head", slots)), ("reason", self._say("reason", slots))]
        parts += [("reason", self._say("story", slots)) for _ in range(rng.randint(1, 3))]
        if rng.random() < 0.55:
            parts.append(("reason", self._say("social", slots)))
        if rng.random() < 0.6:
            parts.append(("meds", self._say("meds", slots)))
        if rng.random() < 0.6:
            parts.append(("exam", self._say("exam", slots)))
        parts += [("plan", self._say("plan", slots)) for _ in range(rng.randint(2, 3))]
        if rng.random() < 0.75:
            parts.append(("sign", self._say("sign", slots)))
        text = self._laid_out(parts)
        return Draft("note", self._family, "note", written, [("staff", text)], person, "Clinic")

    def _values(self) -> dict[str, str]:
        rng = self._rng
        return {
            "bp": f"{rng.randint(104, 168)}/{rng.randint(58, 96)}", "hr": str(rng.randint(56, 104)),
            "temp": f"{rng.randint(970, 992) / 10}", "wt": str(rng.randint(118, 262)),
        }  # fmt: skip

    def _say(self, name: str, slots: Slots) -> str:
        """A piece with its medicines: the same three throughout the note, each time spelt anew."""
        medicines, rng = self._medicines, self._rng
        names = slots.plain.get("names", "").split("|")
        if len(names) < 3:
            names = [medicines.name(slots.person.sex) for _ in range(rng.randint(3, 5))]
            slots.plain["names"] = "|".join(names)
            slots.plain.update(sig1=medicines.sig(names[0]), use1=medicines.use(names[0]))
        text = self._bank.deal(name, slots.fitting)
        for number in (1, 2, 3):
            slots.plain[f"drug{number}"] = (
                medicines.perhaps(names[number - 1], 0.35) if f"{{drug{number}}}" in text else ""
            )
        if "{past}" in text:
            slots.plain["past"] = medicines.perhaps(medicines.name(slots.person.sex), 0.35)
        if "{list}" in text:
            slots.plain["list"] = ", ".join(f"{medicines.perhaps(one, 0.2)} {medicines.sig(one)}" for one in names)
        if "{heard}" in text:
            slots.plain["heard"] = medicines.misheard()
        return medicines.in_text(capital(text.format_map(slots)), 0.3)

    def _laid_out(self, parts: list[tuple[str, str]]) -> str:
        style = self._rng.choice(_STYLES)
        if style == "paragraph":
            return " ".join(text if text.endswith((".", ":")) else text + "." for _, text in parts)
        if style == "lines":
            return "\n".join(text for _, text in parts)
        if style == "dashes":
            return "\n".join(text if place == 0 else f"- {text}" for place, (_, text) in enumerate(parts))
        heads = {name: self._rng.choice(words) for name, words in _HEADINGS.items()}
        lines: list[str] = []
        last = ""
        for name, text in parts:
            if name != last:
                lines.append(f"{heads[name]} {text}" if name in heads else text)
            else:
                lines[-1] += f" {text}"
            last = name
        return "\n".join(lines)
