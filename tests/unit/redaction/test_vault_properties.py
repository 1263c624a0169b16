"""What holds for any vault and any text: round trips, numbering, escaping, and streaming in any split.

``BEDSIDE_RESTORE_SPLITS`` sets how many splits are tried (20,000 by default; the goal is none wrong in 1,000,000).
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.redaction.detector import Detector
from app.redaction.entities import TYPES
from app.redaction.leaks import foreign_identifiers
from app.redaction.redactor import Redactor
from app.redaction.restore import MAX_TOKEN, TOKEN, StreamingRestore, restore
from app.redaction.vault import MemoryVault, lookup_key

SPLITS = int(os.environ.get("BEDSIDE_RESTORE_SPLITS", "20000"))

WORDS = st.text("abcdeé ñ'-.0123456789@/", min_size=1, max_size=12).filter(
    lambda value: any(c.isalnum() for c in value)
)
ISSUES = st.lists(st.tuples(st.sampled_from(sorted(TYPES)), WORDS), max_size=40)
OTHERS = st.lists(st.tuples(st.sampled_from(sorted(TYPES - {"PERSON"})), WORDS), max_size=40)


@given(ISSUES)
def test_a_token_gives_back_a_value_that_it_was_issued_for(issues: list[tuple[str, str]]) -> None:
    vault = MemoryVault()
    issued = {(kind, value): vault.token(kind, value) for kind, value in issues}
    for (kind, value), token in issued.items():
        assert TOKEN.fullmatch(token)
        assert token.startswith(f"<{kind}_")
        back = vault.value(token)
        assert back is not None
        if kind != "PERSON":  # of a person a shorter name has the token of the fuller one
            assert lookup_key(back) == lookup_key(value)
    for kind in TYPES:
        numbers = sorted(
            int(token.strip("<>").rpartition("_")[2]) for token in set(issued.values()) if f"<{kind}_" in token
        )
        own = [n for n in numbers if f"<{kind}_{n}>" in vault.tokens()]
        assert own == list(range(1, len(own) + 1)), "tokens are numbered without a gap"


@given(OTHERS, st.integers(0, 40))
def test_a_vault_that_is_stored_between_turns_issues_the_same_tokens(issues: list[tuple[str, str]], cut: int) -> None:
    whole, first = MemoryVault(), MemoryVault()
    expected = [whole.token(kind, value) for kind, value in issues]
    found = [first.token(kind, value) for kind, value in issues[:cut]]
    second = MemoryVault(first.tokens())
    found += [second.token(kind, value) for kind, value in issues[cut:]]
    assert found == expected
    assert {**first.tokens(), **second.new_tokens()} == whole.tokens()


@given(ISSUES, ISSUES)
def test_no_value_of_one_conversation_is_restored_in_another(
    one: list[tuple[str, str]], other: list[tuple[str, str]]
) -> None:
    here, there = MemoryVault(), MemoryVault()
    for number, (kind, value) in enumerate(one):
        here.token(kind, f"Here{number}{value}")
    for number, (kind, value) in enumerate(other):
        there.token(kind, f"There{number}{value}")
    text = " ".join(here.tokens())
    assert "Here" not in restore(text, there)
    assert "There" not in restore(" ".join(there.tokens()), here)
    assert restore(text, here) == " ".join(here.tokens().values())


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("DATE", "1/12", "11/2"),
        ("DATE", "1/12/2025", "11/2/2025"),
        ("IP", "203.0.11.3", "203.0.1.13"),
    ],
)
def test_dates_and_addresses_of_the_same_digits_are_different(kind: str, one: str, other: str) -> None:
    vault = MemoryVault()
    first, second = vault.token(kind, one), vault.token(kind, other)
    assert (vault.value(first), vault.value(second)) == (one, other)


def test_a_made_up_date_is_no_leak_only_if_it_is_the_patients(detector: Detector) -> None:
    vault = MemoryVault({"<DATE_1>": "1/12/2025"})
    assert foreign_identifiers(detector, "Come on 1/12/2025.", vault) == []
    assert len(foreign_identifiers(detector, "Come on 11/2/2025.", vault)) == 1


def test_a_name_that_was_told_in_pieces_is_one_person_in_later_turns_too() -> None:
    vault = MemoryVault()
    assert vault.token("PERSON", "Maria") == vault.token("PERSON", "Maria Gonzalez") == "<PERSON_1>"
    assert vault.token("PERSON", "Gonzalez") == "<PERSON_1>"
    assert MemoryVault(vault.new_tokens()).token("PERSON", "Gonzalez") == "<PERSON_1>"


TYPED = st.lists(
    st.sampled_from(
        ["<", ">", "\uff1c", "\uff1e", "PERSON", "person", "Person", "PHONE", "_", "1", "2", "\u0661", " ", "\u00a0",
         "\u200b", "\t", "\n", "<PERSON_1>", "< person_1 >", "<PHONE_1>", "\uff1cPERSON_1\uff1e", "hello", "\u0301",
         "my name is Zanele Mokoena", "call 515-555-0142", "\u202e"]
    ),
    max_size=14,
).map("".join)  # fmt: skip


@settings(max_examples=300)
@given(TYPED)
def test_what_a_patient_types_is_never_restored_as_a_token(redactor: Redactor, text: str) -> None:
    secret = {"<PERSON_1>": "Quorvella Zandrakis", "<PHONE_1>": "319-555-0177"}
    vault = MemoryVault(secret)
    redacted = redactor.redact(text, vault)
    tokens = [match.group() for match in TOKEN.finditer(redacted.text)]
    assert tokens == [entity.replacement for entity in redacted.entities], "a token that no identifier stands behind"
    shown = restore(redacted.text, vault)
    assert not any(value in shown for value in secret.values())


PIECES = (
    "<PERSON_1>", "<phone_1>", "< PERSON_2 >", "<PERSON _ 1>", "<PERSON_77>", "<", ">", "<<", "PERSON_1", "_1>", "<PER",
    "SON_", "1", " ", "\t", "a < b", "<b>", "<PERSON_1", "<" + "X" * 40, "word", "\n", "<   DATE_1   >", "é", "\u0661",
)  # fmt: skip


def cut_up(text: str, cuts: Sequence[int], vault: MemoryVault) -> str:
    """The text as a stream restores it, cut at the places given."""
    stream, shown, start = StreamingRestore(vault), "", 0
    for cut in [*cuts, len(text)]:
        shown += stream.feed(text[start:cut])
        assert len(stream.held) <= MAX_TOKEN
        start = cut
    return shown + stream.finish()


def test_no_split_of_many_changes_what_is_restored() -> None:
    vault = MemoryVault(
        {"<PERSON_1>": "Maria <PERSON_2>", "<PERSON_2>": "Raj", "<PHONE_1>": "515-555-0142", "<DATE_1>": "<3"}
    )
    chance = random.Random(7)
    done = 0
    while done < SPLITS:
        text = "".join(chance.choices(PIECES, k=chance.randint(1, 9)))
        expected = restore(text, vault)
        for _ in range(50):
            cuts = sorted(chance.randint(0, len(text)) for _ in range(chance.randint(1, 6)))
            assert cut_up(text, cuts, vault) == expected, (text, cuts)
            done += 1
