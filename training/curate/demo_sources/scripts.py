"""Calls written out in full: Spanish, mixed language, off topic. Each is used once; its slots are filled."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from random import Random

from training.curate.demo_sources.drafts import Draft, Label, Side, joined
from training.curate.demo_sources.medicines import Medicines
from training.curate.demo_sources.people import TODAY, Person, Town
from training.curate.demo_sources.phrases import Deck, Family, paragraphs, phrases
from training.curate.demo_sources.slots import Slots


def scripted(
    name: str, family: Family, people: dict[str, list[Person]], town: Town, medicines: Medicines, rng: Random
) -> list[Draft]:
    """One draft for each script of ``<name>.yaml`` in a family.

    A script is a line ``= topic | department`` and lines "P: ..." and "S: ...". Its head may go on with
    ``| unresolved``, where nobody helped, ``| f`` or ``| m``, the sex that its words tell, and ``| en`` or ``| es``,
    where the caller is not among those of the file's usual language. ``people`` are callers by language.
    """
    drafts = []
    usual = "en" if name == "off_topic" else "es"
    decks = {language: Deck([one for one in found if one.age >= 18], rng) for language, found in people.items()}
    for head, *script in paragraphs(phrases(name)[family]):
        topic, department, *flags = (part.strip() for part in head.lstrip("= ").split("|"))
        language = next((flag for flag in flags if flag in decks), usual)
        person = decks[language].deal(partial(_fits, flags=flags))
        called = TODAY - timedelta(days=rng.randint(0, 320))
        slots = Slots(person, town, rng, called, medicines.slots(person.sex))
        lines: list[tuple[Side, str]] = [
            ("staff" if line[0] == "S" else "patient", line[3:].format_map(slots)) for line in script
        ]
        draft = Draft("transcript", family, topic, called, joined(lines), person, department.removeprefix("the "))
        if name == "off_topic":
            draft.resolved = False
        else:
            draft.language, draft.resolved = person.language, "unresolved" not in flags
        draft.labels.append(Label("mixed_language" if name == "mixed" else name))
        drafts.append(draft)
    return drafts


def _fits(person: Person, flags: list[str]) -> bool:
    return person.sex[0] in flags or not {"f", "m"} & set(flags)
