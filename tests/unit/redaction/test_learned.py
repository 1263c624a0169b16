"""The learned recognizer: it finds what no cue announces, leaves medicine alone, and fails closed when it breaks."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from app.encoder.delta import WordDelta
from app.encoder.encoder import Encoder
from app.errors import ConfigurationError, RedactionFailed
from app.redaction.detector import Detector
from app.redaction.lexicon import Lexicon
from app.redaction.recognizers import features
from app.redaction.recognizers.head import CARD_FILE, FOLDER, WEIGHTS_FILE, Head
from app.redaction.recognizers.learned import WINDOW, LearnedRecognizer
from app.redaction.recognizers.protector import Protector
from app.redaction.redactor import build_detector
from tests.unit.redaction.conftest import ALLOWED
from tests.unit.redaction.examples import NEGATIVE_LINES, POSITIVE_LINES, parse

Hidden = tuple[list[tuple[int, int]], np.ndarray]

CUELESS = """
[[PERSON|Ifeoma]] threw up twice last night
[[PERSON|thaddeus oyelowo]] wont wake up
is [[PERSON|Marit]] working today
[[PERSON|Quispe]] said to hold the metformin for two days
ask [[PERSON|Grace]] about the form
my rash is back, [[PERSON|Hope]] saw it
[[ORGANIZATION|Whispering Pines Care Center]] will not let me visit
mi hijo se llama [[PERSON|Cuauhtémoc]] y tiene tos
"""

CALM = """
Kisqali 600 and the L3-L4 fusion
von Willebrand, F33.1, BRCA1
I drink Dr Pepper with my Zofran
Sjogren's and Graves' disease
may i hope for grace with the bill
bp 120/80, a1c 7.2, 98.6, 500 mg twice a day
amoxicillin 400/5 gave 8 ml
G9P3 at 12 weeks, uplizna and doxiciclina
tengo la presión en 150/90 y tomo losartán 50 mg
"""


@pytest.fixture(scope="module")
def served(encoder: Encoder) -> Detector:
    return build_detector(ALLOWED, timeout_s=60, encoder=encoder)


class Scripted:
    """An encoder that answers what the test wants."""

    def __init__(self, answer: Callable[[str], Hidden]) -> None:
        self._answer = answer

    def hidden(self, text: str) -> Hidden:
        return self._answer(text)

    def knows(self, word: str) -> bool:
        return False


def recognizer(answer: Callable[[str], Hidden]) -> LearnedRecognizer:
    return LearnedRecognizer(Head.load(), Scripted(answer), Lexicon.load())


@pytest.mark.parametrize("line", CUELESS.strip().split("\n"))
def test_what_no_cue_announces_is_found_whole(line: str, served: Detector, detector: Detector) -> None:
    text, spans = parse(line)
    assert [(span.type, span.start, span.end) for span in served.find(text)] == spans


@pytest.mark.parametrize("line", POSITIVE_LINES)
def test_what_the_rules_find_stays_covered(line: str, served: Detector) -> None:
    text, spans = parse(line)
    found = served.find(text)
    for _, start, end in spans:
        assert any(span.start <= start and end <= span.end for span in found), (text, found)


@pytest.mark.parametrize("text", [*CALM.strip().split("\n"), *NEGATIVE_LINES])
def test_medicine_and_plain_words_are_left_alone(text: str, served: Detector) -> None:
    assert [(span.type, text[span.start : span.end]) for span in served.find(text)] == []


def test_a_rule_keeps_its_type(served: Detector) -> None:
    text = "my mrn is 0044-8812 and my card 4111 1111 1111 1111"
    assert [span.type for span in served.find(text)] == ["MRN", "CARD"]


def test_a_name_is_found_anywhere_in_a_long_message_with_exact_offsets(encoder: Encoder) -> None:
    learned = LearnedRecognizer(Head.load(), encoder, Lexicon.load())
    filler = "the swelling goes down when i rest and comes back when i walk. "
    for before in (0, 9, 14, 15, 16, 17, 31, 40):
        text = f"{filler * before}my daughter Ngozi Adeyemi has a fever. {filler * (44 - before)}"
        assert len(text) > 2 * WINDOW
        found = [(one.start, one.end) for one in learned.analyze(text, ["PERSON"]) if one.entity_type == "PERSON"]
        start = text.index("Ngozi")
        assert found == [(start, start + len("Ngozi Adeyemi"))], before


def test_a_long_text_is_read_in_few_windows() -> None:
    seen: list[int] = []

    def answer(text: str) -> Hidden:
        seen.append(len(text))
        return whole(text)

    recognizer(answer).analyze("my knee hurts and " * 2_000, [])
    assert max(seen) <= WINDOW
    assert sum(seen) < 1.4 * 36_000


def whole(text: str) -> Hidden:
    """A piece for each word, states of zeros."""
    words = features.split(text)
    return [(0, 0), *((word.start, word.end) for word in words), (0, 0)], np.zeros((len(words) + 2, 768), np.float32)


def raising(_text: str) -> Hidden:
    raise MemoryError("no room")


def too_few(text: str) -> Hidden:
    return whole(text)[0], np.zeros((1, 768), np.float32)


def no_numbers(text: str) -> Hidden:
    offsets, states = whole(text)
    return offsets, states + np.nan


def nothing_read(_text: str) -> Hidden:
    return [(0, 0), (0, 0)], np.zeros((2, 768), np.float32)


def narrow(text: str) -> Hidden:
    offsets, states = whole(text)
    return offsets, states[:, :10]


@pytest.mark.parametrize("broken", [raising, too_few, no_numbers, nothing_read, narrow])
def test_no_text_passes_when_the_encoder_breaks(broken: Callable[[str], Hidden]) -> None:
    lexicon = Lexicon.load()
    with pytest.raises(RedactionFailed):
        Detector([recognizer(broken)], lexicon).find("my name is Maria")


def test_an_encoder_that_hangs_is_not_waited_for() -> None:
    import threading

    gate = threading.Event()

    def hanging(text: str) -> Hidden:
        gate.wait(30)
        return whole(text)

    try:
        with pytest.raises(RedactionFailed, match="longer than"):
            Detector([recognizer(hanging)], Lexicon.load(), timeout_s=0.2).find("my name is Maria")
    finally:
        gate.set()


def test_a_long_text_is_not_read_on_after_the_limit() -> None:
    seen: list[int] = []

    def slow(text: str) -> Hidden:
        seen.append(len(text))
        time.sleep(0.2)
        return whole(text)

    learned = LearnedRecognizer(Head.load(), Scripted(slow), Lexicon.load(), timeout_s=0.1)
    with pytest.raises(TimeoutError):
        learned.analyze("my knee hurts and " * 500, [])
    assert len(seen) == 1


def test_damaged_or_foreign_weights_are_refused(tmp_path: Path) -> None:
    def fresh() -> None:
        for name in (WEIGHTS_FILE, CARD_FILE):
            shutil.copy(FOLDER / name, tmp_path / name)

    def edit_card(**changes: object) -> None:
        card = json.loads((FOLDER / CARD_FILE).read_text())
        (tmp_path / CARD_FILE).write_text(json.dumps(card | changes))

    with pytest.raises(ConfigurationError, match="cannot be read"):
        Head.load(tmp_path)
    fresh()
    Head.load(tmp_path)
    data = bytearray((tmp_path / WEIGHTS_FILE).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / WEIGHTS_FILE).write_bytes(bytes(data))
    with pytest.raises(ConfigurationError, match="is not the file"):
        Head.load(tmp_path)
    fresh()
    edit_card(features=features.VERSION + 1)
    with pytest.raises(ConfigurationError, match="other features"):
        Head.load(tmp_path)
    edit_card(classes=["O", "PERSON"])
    with pytest.raises(ConfigurationError, match="do not fit"):
        Head.load(tmp_path)
    edit_card(sha256="no hash")
    with pytest.raises(ConfigurationError, match="damaged"):
        Head.load(tmp_path)


def test_the_shipped_weights_are_small() -> None:
    assert (FOLDER / WEIGHTS_FILE).stat().st_size <= 2_000_000


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("the Foley catheter and Graves' disease", {"Foley", "Graves"}),
        ("Hodgkin lymphoma, Crohn's, Sjogren", {"Hodgkin", "Crohn", "Sjogren"}),
        ("Lisinopril and TSH, L4-L5, F33.1", {"Lisinopril", "TSH", "L4-L5", "F33.1"}),
        ("Betty Crocker cake and Dr Pepper", {"Betty", "Crocker", "Dr", "Pepper"}),
        ("Dr. Graves saw Betty", set()),
        ("my name is Foley Crohn", set()),
        ("my daughter's name is Allegra Parkinson", set()),
    ],
)
def test_the_protector_knows_medicine_from_people(text: str, kept: set[str]) -> None:
    words = features.split(text)
    protector = Protector(Lexicon.load())
    marked = protector.protected(text, words, range(len(words)))
    assert {words[index].text for index in marked} >= kept
    assert bool(marked) == bool(kept)
    assert all(protector.protected(text, words, [index]) == marked & {index} for index in range(len(words)))


def test_words_are_whole_and_a_possessive_is_left_outside() -> None:
    text = "Al-Hassan's dob 3/14/62, o'brien, RX-99-1B and 1,000 mg."
    words = features.split(text)
    assert [word.text for word in words] == ["Al-Hassan", "dob", "3/14/62", "o'brien", "RX-99-1B", "and", "1,000", "mg"]
    assert all(text[word.start : word.end] == word.text for word in words)


def test_pieces_belong_to_the_word_that_they_are_a_part_of() -> None:
    words = features.split("Ngozi, ok")
    assert features.owners(words, [(0, 0), (0, 3), (3, 5), (5, 6), (7, 9), (0, 0)]) == [-1, 0, 0, -1, 1, -1]


def test_features_tell_how_a_word_is_written() -> None:
    def row(text: str) -> list[float]:
        shapes: list[float] = features.Reader(Lexicon.load()).read(text, features.split(text)).shapes[0].tolist()
        return shapes

    assert len(row("Maria")) == features.WIDTH
    rows = {tuple(row(text)) for text in ("Maria", "maria", "MARIA", "MaRia", "metformin", "3/14", "1234567", "RX99")}
    assert len(rows) == 8


def test_the_shipped_weights_were_trained_over_the_shipped_reader() -> None:
    assert Head.load().card.base == WordDelta.load().sha256
