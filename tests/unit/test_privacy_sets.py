"""The redaction sets match their sources, hold only invented identifiers, and keep development apart from blind."""

import hashlib
import ipaddress
import re
from collections.abc import Iterator

import pytest

from tests.privacy_sets import FOLDER, SETS, Message, Span, build, frame, load, render

CLEAN = ("blind_clean", "dev_clean")
WITH_SPANS = ("blind", "dev")
FROZEN = ("blind.jsonl", "blind_clean.jsonl", "kept.txt")
PUBLIC_TEST_CARDS = frozenset(
    "4111111111111111 4242424242424242 4012888888881881 4000056655665556 5555555555554444 5105105105105100 "
    "5200828282828210 378282246310005 371449635398431 6011111111111117 6011000990139424 3530111333300000 "
    "30569309025904".split()
)
DRAMA_LONDON = "442079460018"  # from the block that the British regulator keeps for drama
MBI_LETTER = "AC-HJKMNP-RT-Y"


def spans(name: str, *types: str) -> Iterator[tuple[str, Span]]:
    for message in load(name):
        for span in message["spans"]:
            if span["type"] in types:
                yield message["text"][span["start"] : span["end"]], span


def name_words(name: str) -> set[str]:
    return {word for text, _ in spans(name, "PERSON") for word in re.findall(r"[\w']{2,}", text.casefold())}


@pytest.mark.parametrize("name", SETS)
def test_the_committed_lines_are_what_the_source_builds(name: str) -> None:
    assert (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8") == render(build(name))


@pytest.mark.parametrize("file", FROZEN)
def test_the_frozen_files_have_the_hash_that_the_readme_gives(file: str) -> None:
    digest = hashlib.sha256((FOLDER / file).read_bytes()).hexdigest()
    assert f"`{digest}`" in (FOLDER / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", WITH_SPANS)
def test_every_span_is_trimmed_and_apart_from_the_next(name: str) -> None:
    for message in load(name):
        assert message["spans"], message["id"]
        end = 0
        for span in message["spans"]:
            text = message["text"][span["start"] : span["end"]]
            assert end <= span["start"] < span["end"] <= len(message["text"]), message["id"]
            assert text == text.strip(), message["id"]
            end = span["end"]


@pytest.mark.parametrize("name", CLEAN)
def test_a_clean_message_has_no_span(name: str) -> None:
    assert not any(message["spans"] for message in load(name))


def test_the_sets_are_as_large_and_as_varied_as_agreed() -> None:
    blind, clean = load("blind"), load("blind_clean")
    assert len(blind) >= 900
    assert sum(len(message["spans"]) for message in blind) >= 1600
    assert len(set(map(frame, blind))) >= 700
    assert len(clean) >= 500
    assert sum(message["slice"].startswith("adv-") for message in clean) * 2 >= len(clean)
    assert len(load("dev")) >= 300
    assert len(load("dev_clean")) >= 200


def test_the_list_to_keep_has_a_thousand_different_lines() -> None:
    lines = (FOLDER / "kept.txt").read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(set(lines)) == 1000
    assert all(line == line.strip() and line for line in lines)


def test_no_name_in_development_stands_in_blind() -> None:
    assert name_words("blind") & name_words("dev") == set()


def test_no_frame_in_development_stands_in_blind() -> None:
    def frames(names: tuple[str, ...]) -> set[str]:
        messages: list[Message] = [message for name in names for message in load(name)]
        return {text for text in map(frame, messages) if re.search(r"[^\W\d]", re.sub(r"<\w+>", "", text))}

    assert frames(("blind", "blind_clean")) & frames(("dev", "dev_clean")) == set()


@pytest.mark.parametrize("name", WITH_SPANS)
def test_no_identifier_can_be_a_real_persons(name: str) -> None:
    for text, span in spans(name, "SSN", "CARD", "PHONE", "EMAIL", "URL", "IP", "MBI"):
        if span["kind"] in {"spelled", "partial", "mistyped"}:
            continue
        assert _invented(span["type"], text), text


@pytest.mark.parametrize("name", WITH_SPANS)
def test_every_marked_age_is_over_89(name: str) -> None:
    assert all(int(re.sub(r"\D", "", text)) > 89 for text, span in spans(name, "AGE") if span["kind"] == "digits")


def _invented(kind: str, text: str) -> bool:
    digits = re.sub(r"\D", "", text)
    if kind == "SSN":  # areas 666 and 900-999 are never issued; 9xx with group 50 and above may be a taxpayer number
        return len(digits) == 9 and (digits[:3] == "666" or (digits[0] == "9" and digits[3:5] < "50"))
    if kind == "CARD":
        return digits in PUBLIC_TEST_CARDS
    if kind == "PHONE":
        return bool(re.search(r"55501\d\d$", digits)) or digits == DRAMA_LONDON
    if kind == "EMAIL":
        return bool(re.search(r"[@.]example(\.(com|org|net))?$", text.lower()))
    if kind == "URL":
        host = re.sub(r"^\w+://", "", text).split("/")[0].split(":")[0]
        return bool(re.search(r"(^|\.)example(\.(com|org|net))?$", host)) or _reserved(host)
    if kind == "IP":
        return _reserved(text)
    letter, either = f"[{MBI_LETTER}]", f"[{MBI_LETTER}0-9]"
    shape = f"[1-9]{letter}{either}[0-9]{letter}{either}[0-9]{letter}{letter}[0-9][0-9]"
    return bool(re.fullmatch(shape, re.sub(r"[- ]", "", text).upper()))


def _reserved(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_private  # documentation ranges count as private
    except ValueError:
        return False
