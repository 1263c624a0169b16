"""Numbering, sameness, aliases, seeding and concurrent use of the vault."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from app.redaction.vault import MemoryVault


def test_the_same_value_gives_the_same_token_case_spacing_and_grouping_aside() -> None:
    vault = MemoryVault()
    assert vault.token("PHONE", "515-555-0142") == "<PHONE_1>"
    assert vault.token("PHONE", "(515) 555 0142") == "<PHONE_1>"
    assert vault.token("PERSON", "Maria  Gonzalez") == "<PERSON_1>"
    assert vault.token("PERSON", "maria gonzalez's") == "<PERSON_1>"
    assert vault.token("PHONE", "515-555-0143") == "<PHONE_2>"
    assert vault.value("<PHONE_1>") == "515-555-0142"
    assert vault.value("<PHONE_9>") is None


def test_a_shorter_name_is_the_same_person_in_either_order() -> None:
    vault = MemoryVault()
    assert vault.token("PERSON", "Maria Gonzalez") == "<PERSON_1>"
    assert vault.token("PERSON", "maria") == "<PERSON_1>"
    assert vault.token("PERSON", "Tom") == "<PERSON_2>"
    assert vault.token("PERSON", "Tom Gonzalez") == "<PERSON_2>"
    assert vault.token("PERSON", "Maria Lopez") == "<PERSON_3>"
    assert vault.token("PERSON", "Gonzalez") == "<PERSON_4>", "two people are called so: neither may be assumed"
    assert vault.token("CITY", "Maria") == "<CITY_1>"


def test_a_seeded_vault_goes_on_numbering_and_tells_what_is_new() -> None:
    vault = MemoryVault({"<PERSON_2>": "Maria Gonzalez", "<PHONE_1>": "515-555-0142"})
    assert vault.new_tokens() == {}
    assert vault.token("PERSON", "Maria") == "<PERSON_2>"
    assert vault.token("PERSON", "Raj") == "<PERSON_3>"
    assert vault.new_tokens() == {"<PERSON_3>": "Raj"}
    assert set(vault.tokens()) == {"<PERSON_2>", "<PHONE_1>", "<PERSON_3>"}


def test_a_seed_that_is_no_token_is_refused() -> None:
    with pytest.raises(ValueError, match="PERSON_1"):
        MemoryVault({"PERSON": "Maria"})


def test_concurrent_turns_never_share_or_double_a_token() -> None:
    vault = MemoryVault()
    with ThreadPoolExecutor(8) as pool:
        tokens = list(pool.map(lambda n: vault.token("PHONE", f"515-555-{n % 250:04}"), range(2000)))
    assert len(set(tokens)) == len(vault.tokens()) == 250
    assert tokens[:250] == tokens[250:500]
