"""The three policies, the round trip, escaping, and failing closed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import RedactionFailed
from app.redaction.detector import Detector
from app.redaction.redactor import Redactor, build_redactor
from app.redaction.restore import restore
from app.redaction.vault import MemoryVault, Vault
from tests.fakes_redaction import BrokenVault, LeakyVault
from tests.unit.redaction.examples import NEGATIVE_LINES, POSITIVE_LINES, parse

MESSAGE = "I'm Maria Gonzalez, call 515-555-0142. My mother is 93, zip 50309. maria hurts since March 3."


def test_prompt_gives_numbered_pseudonyms_left_to_right(redactor: Redactor) -> None:
    vault = MemoryVault()
    redacted = redactor.redact(MESSAGE, vault)
    assert redacted.text == (
        "I'm <PERSON_1>, call <PHONE_1>. My mother is <AGE_1>, zip <ZIP_1>. <PERSON_1> hurts since <DATE_1>."
    )
    for entity in redacted.entities:
        assert MESSAGE[entity.start : entity.end]
        assert entity.replacement in redacted.text
    assert [e.start for e in redacted.entities] == sorted(e.start for e in redacted.entities)


def test_a_second_message_uses_the_same_pseudonyms(redactor: Redactor) -> None:
    vault = MemoryVault()
    redactor.redact("My name is Zanele Mokoena", vault)
    assert redactor.redact("zanele here, my son is Kai Mokoena", vault).text == "<PERSON_1> here, my son is <PERSON_2>"


def test_log_gives_types_only_and_asks_no_vault(detector: Detector) -> None:
    redacted = Redactor(detector, "log").redact(MESSAGE)
    assert redacted.text == "I'm <PERSON>, call <PHONE>. My mother is <AGE>, zip <ZIP>. <PERSON> hurts since <DATE>."


def test_training_generalises_age_and_zip(detector: Detector) -> None:
    redactor = Redactor(detector, "training")
    assert redactor.redact(MESSAGE, MemoryVault()).text == (
        "I'm <PERSON_1>, call <PHONE_1>. My mother is 90+, zip 503. <PERSON_1> hurts since <DATE_1>."
    )
    assert redactor.redact("my zip is 03601", MemoryVault()).text == "my zip is 000"


@pytest.mark.parametrize("line", POSITIVE_LINES)
def test_what_was_taken_out_comes_back(line: str, redactor: Redactor) -> None:
    text, spans = parse(line)
    vault = MemoryVault()
    redacted = redactor.redact(text, vault)
    for _, start, end in spans:
        assert text[start:end] not in redacted.text
    assert restore(redacted.text, vault) == text


def test_typed_tokens_are_escaped_and_restore_to_nothing_foreign(redactor: Redactor) -> None:
    vault = MemoryVault()
    redactor.redact("My name is Maria Gonzalez", vault)
    redacted = redactor.redact("what is <PERSON_1> and < person_1 > and \uff1cPERSON_1\uff1e?", vault)
    assert redacted.text == "what is (PERSON_1) and (person_1) and (PERSON_1)?"
    assert redacted.entities == ()
    assert "Maria" not in restore(redacted.text, vault)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([*NEGATIVE_LINES, *(parse(line)[0] for line in POSITIVE_LINES)]), max_size=6))
def test_any_messages_in_any_order_leak_nothing_that_was_found(redactor: Redactor, messages: list[str]) -> None:
    vault = MemoryVault()
    text = "\n\n".join(messages)
    redacted = redactor.redact(text, vault)
    rebuilt, last = "", 0
    for entity in redacted.entities:
        rebuilt += text[last : entity.start] + entity.replacement
        last = entity.end
    assert rebuilt + text[last:] == redacted.text
    assert {e.replacement for e in redacted.entities} <= set(vault.tokens())


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300))
def test_any_text_at_all_is_redacted_or_refused(redactor: Redactor, text: str) -> None:
    vault = MemoryVault()
    redacted = redactor.redact(text, vault)
    last = 0
    for entity in redacted.entities:
        assert last <= entity.start < entity.end <= len(text)
        last = entity.end


@pytest.mark.parametrize("vault", [BrokenVault(), LeakyVault()])
def test_a_vault_that_fails_or_leaks_stops_the_text(vault: Vault, redactor: Redactor) -> None:
    assert redactor.redact("no identifiers here", vault).text == "no identifiers here"
    with pytest.raises(RedactionFailed):
        redactor.redact("My name is Maria Gonzalez", vault)


def test_a_missing_vault_is_a_programming_error(redactor: Redactor) -> None:
    with pytest.raises(ValueError, match="vault"):
        redactor.redact("hello")


def test_a_long_message_full_of_identifiers(redactor: Redactor) -> None:
    text = (MESSAGE + " ") * 200
    vault = MemoryVault()
    redacted = redactor.redact(text[:20_000], vault)
    assert len(redacted.entities) > 1000
    assert "Gonzalez" not in redacted.text
    assert "0142" not in redacted.text


def test_the_builder_gives_what_the_command_line_prints() -> None:
    redacted = build_redactor("prompt", ["515-555-0111"], 20).redact("I'm Raj Patel, not 515-555-0111", MemoryVault())
    printed = [
        {"type": e.type, "start": e.start, "end": e.end, "replacement": e.replacement} for e in redacted.entities
    ]
    assert json.loads(json.dumps(printed)) == [{"type": "PERSON", "start": 4, "end": 13, "replacement": "<PERSON_1>"}]
