"""Names of medicines, right and misspelt."""

from __future__ import annotations

import re
from random import Random

from rapidfuzz.distance import OSA

from training.curate.demo_sources.marks import mark, outside
from training.curate.demo_sources.phrases import Deck, Family, phrases


class Medicines:
    """Deals medicines and the misspellings of one family."""

    def __init__(self, family: Family, rng: Random) -> None:
        content = dict(phrases("drugs"))
        heard = content.pop("heard")[family]
        self._rng, self._drugs = rng, content
        self._names = Deck[str](sorted(content), rng)
        self._wrong = {name.lower(): Deck[str](entry[family], rng) for name, entry in content.items()}
        self._heard = Deck[tuple[str, str]]([(card["wrong"], " or ".join(card["of"])) for card in heard], rng)
        self._pattern = re.compile(
            r"\b(" + "|".join(sorted(map(re.escape, content), key=len, reverse=True)) + r")\b", re.I
        )

    def name(self, sex: str) -> str:
        """The next medicine for a patient of a sex, rightly spelt."""
        return self._names.deal(lambda name: self._drugs[name].get("only", sex[0]) == sex[0])

    def sig(self, name: str) -> str:
        """How it is written on a list: dose and times."""
        return str(self._drugs[name]["sig"])

    def use(self, name: str) -> str:
        """What it is taken for."""
        return str(self._drugs[name]["for"]).replace("my ", "")

    def slots(self, sex: str, rate: float = 0.7) -> dict[str, str]:
        """``drug``, ``use`` and ``drug_same`` (again, in the other side's spelling) for one exchange."""
        name = self.name(sex)
        return {"drug": self.perhaps(name, rate), "drug_same": self.perhaps(name, rate / 3), "sig": self.sig(name),
                "use": self.use(name)}  # fmt: skip

    def perhaps(self, name: str, rate: float) -> str:
        """The name, misspelt and marked with probability ``rate``."""
        return self.misspelt(name) if self._rng.random() < rate else name

    def misspelt(self, name: str) -> str:
        """A marked misspelling; its note says how many edits it is away."""
        wrong = self._wrong[name.lower()].deal()
        if name[0].islower() or (name in self._drugs and self._rng.random() < 0.3):
            wrong = wrong[0].lower() + wrong[1:]
        else:
            wrong = wrong[0].upper() + wrong[1:]
        edits = OSA.distance(wrong.lower(), name.lower())
        return mark("drug_misspelling", wrong, name, f"edits={edits}")

    def misheard(self) -> str:
        """A marked word that may be either of two medicines."""
        word, medicines = self._heard.deal()
        return mark("ambiguous_drug", word, "", medicines)

    def names_in(self, text: str) -> list[str]:
        """The medicines that a text names, rightly spelt."""
        return self._pattern.findall(text)

    def in_text(self, text: str, rate: float) -> str:
        """The text with the names of medicines in it misspelt at a rate."""

        def change(match: re.Match[str]) -> str:
            return self.perhaps(match.group(0), rate)

        return outside(text, lambda part: self._pattern.sub(change, part))
