from __future__ import annotations

import pytest

from training.sentences import numbers, split_sentences, without_citation


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Open 8 a.m. to 5 p.m. Monday. Call us.", ["Open 8 a.m. to 5 p.m. Monday.", "Call us."]),
        ("It closes at 5 p.m. The door is locked.", ["It closes at 5 p.m.", "The door is locked."]),
        ("Pay in these ways: - Pay online. - Pay by phone.", ["Pay in these ways:", "Pay online.", "Pay by phone."]),
        ("Ask Dr. Lee. Then go.", ["Ask Dr. Lee.", "Then go."]),
        ("A fever of 100.4 F. Rest at home.", ["A fever of 100.4 F.", "Rest at home."]),
        ('Choose "Refill." Then pay.', ['Choose "Refill."', "Then pay."]),
        ("One sentence only", ["One sentence only"]),
        ("", []),
    ],
)
def test_sentences(text: str, parts: list[str]) -> None:
    assert split_sentences(text) == parts


def test_numbers_and_citation() -> None:
    assert numbers("Call 515-555-0120 at 7:30 a.m. and pay $3,000.") == ["515-555-0120", "7:30", "$3,000"]
    assert without_citation("Yes. [12]") == "Yes."
