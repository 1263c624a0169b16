"""What is found, what is left alone, and that nothing passes when a recognizer breaks."""

from __future__ import annotations

import copy
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from app.errors import RedactionFailed
from app.redaction.detector import Detector
from app.redaction.entities import TYPES
from app.redaction.lexicon import Lexicon
from app.redaction.presidio import CreditCardRecognizer, RecognizerResult
from app.redaction.recognizers.rules import RuleRecognizer, StrictPatterns, compile_rule
from tests.cost import grows, seconds
from tests.fakes_redaction import ScriptedRecognizer
from tests.unit.redaction.examples import NEGATIVE_LINES, POSITIVE_LINES, parse


@pytest.mark.parametrize("line", POSITIVE_LINES)
def test_identifiers_are_found_whole_and_with_their_type(line: str, detector: Detector) -> None:
    text, spans = parse(line)
    assert [(span.type, span.start, span.end) for span in detector.find(text)] == spans


@pytest.mark.parametrize("text", NEGATIVE_LINES)
def test_medical_and_practical_sentences_are_left_alone(text: str, detector: Detector) -> None:
    assert [(span.type, text[span.start : span.end]) for span in detector.find(text)] == []


def test_the_table_is_wide_enough() -> None:
    found = {kind for line in POSITIVE_LINES for kind, _, _ in parse(line)[1]}
    assert found == TYPES
    assert len(POSITIVE_LINES) >= 60
    assert len(NEGATIVE_LINES) >= 60


def test_allowed_numbers_are_kept_in_any_grouping_and_others_are_not(detector: Detector) -> None:
    assert detector.find("Call (515) 555-0111 or +1 515 555 0111 or 5155550111.") == []
    assert [s.type for s in detector.find("Call 515-555-0112.")] == ["PHONE"]


def test_people_named_before_are_found_again_in_small_letters(detector: Detector) -> None:
    text = "tell zanele and grace that i can come"
    assert detector.find(text) == []
    again = detector.find(text, ["Zanele Mokoena", "Grace"])
    assert [text[s.start : s.end] for s in again] == ["zanele"]
    assert detector.find(text, ["Z\u2066anele Mokoena"]) == again


def test_look_alike_and_invisible_characters_hide_nothing(detector: Detector) -> None:
    hidden = "call 515\u200b-555\u2011\uff10\uff11\uff14\uff12 now"
    (span,) = detector.find(hidden)
    assert hidden[span.start : span.end] == "515\u200b-555\u2011\uff10\uff11\uff14\uff12"
    combined = "my name is Jose\u0301 Hernandez, ok"
    (span,) = detector.find(combined)
    assert combined[span.start : span.end] == "Jose\u0301 Hernandez"


def _result(entity_type: str = "PERSON", start: int = 0, end: int = 4, score: float = 0.9) -> list[RecognizerResult]:
    return [RecognizerResult(entity_type, start, end, score)]


def _raise(text: str) -> Any:
    raise OSError("model file is gone: " + text)


NONSENSE: dict[str, Callable[[str], Any]] = {
    "raises": _raise,
    "gives None": lambda text: None,
    "gives something else": lambda text: [("PERSON", 0, 4)],
    "ends after the text": lambda text: _result(end=len(text) + 1),
    "begins before the text": lambda text: _result(start=-1),
    "is empty": lambda text: _result(start=3, end=3),
    "has an unknown type": lambda text: _result("NONSENSE"),
    "has no score": lambda text: _result(score=float("nan")),
    "exits": lambda text: sys.exit(0),
}


@pytest.mark.parametrize("case", NONSENSE)
def test_a_recognizer_that_misbehaves_fails_the_whole_text(case: str) -> None:
    detector = Detector([ScriptedRecognizer(NONSENSE[case])], Lexicon.load(), timeout_s=5)
    with pytest.raises(RedactionFailed) as caught:
        detector.find("Secret words")
    assert "Secret" not in str(caught.value)


def test_a_recognizer_that_hangs_fails_within_the_limit_and_blocks_nobody_else() -> None:
    released = threading.Event()

    def wait_once(text: str) -> list[RecognizerResult]:
        if text == "hang":
            released.wait(30)
        return []

    detector = Detector([ScriptedRecognizer(wait_once)], Lexicon.load(), timeout_s=1)
    began = time.monotonic()
    try:
        with pytest.raises(RedactionFailed, match="longer than 1 s"):
            detector.find("hang")
        assert time.monotonic() - began < 10
        assert detector.find("go on") == []
    finally:
        released.set()


def test_after_the_limit_no_other_recognizer_begins() -> None:
    released, read = threading.Event(), list[str]()

    def wait(text: str) -> list[RecognizerResult]:
        released.wait(30)
        return []

    def note(text: str) -> list[RecognizerResult]:
        read.append(text)
        return []

    detector = Detector([ScriptedRecognizer(wait), ScriptedRecognizer(note)], Lexicon.load(), timeout_s=0.1)
    before = set(threading.enumerate())
    with pytest.raises(RedactionFailed, match="longer than"):
        detector.find("late")
    late = set(threading.enumerate()) - before
    released.set()
    for thread in late:
        thread.join(30)
    assert read == []


@pytest.mark.parametrize(
    ("late", "said"), [("time.sleep(1); print('ended', flush=True)", "ended"), ("time.sleep(600)", "")]
)
def test_a_program_that_ends_waits_for_a_late_recognizer_but_not_for_ever(late: str, said: str) -> None:
    """The encoder's C++ aborts the process if the interpreter goes while it runs."""
    program = (
        "import time\n"
        "from app.errors import RedactionFailed\n"
        "from app.redaction.detector import Detector\n"
        "from app.redaction.lexicon import Lexicon\n"
        "from tests.fakes_redaction import ScriptedRecognizer\n"
        f"def work(text):\n    {late}\n    return []\n"
        "try:\n    Detector([ScriptedRecognizer(work)], Lexicon.load(), timeout_s=0.1).find('x')\n"
        "except RedactionFailed:\n    raise SystemExit(2) from None\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout.strip()) == (2, said), done.stderr


def test_a_regular_expression_that_runs_away_is_an_error_and_no_empty_result() -> None:
    runaway = compile_rule("PERSON", r"(?P<v>(?:a+)+)\d")
    detector = Detector([RuleRecognizer("runaway", [runaway], 0.05)], Lexicon.load(), timeout_s=10)
    with pytest.raises(RedactionFailed, match="TimeoutError"):
        detector.find("a" * 4000)
    inner = CreditCardRecognizer()
    inner.patterns = copy.deepcopy(inner.patterns)  # All card recognizers of the process share the first ones.
    inner.patterns[0].regex = r"(?:a+)+\d"
    detector = Detector([StrictPatterns("CARD", inner, 0.05, minimum=0.1)], Lexicon.load(), timeout_s=10)
    with pytest.raises(RedactionFailed, match="TimeoutError"):
        detector.find("a" * 4000)


HEAVY = [
    "a",
    "1",
    "1-",
    "A ",
    "A-",
    "Ab ",
    "a@",
    "a.",
    "one ",
    "12 Elm ",
    "x at ",
    "mrn is ",
    "I am ",
    "<",
    "Maria ",
    "é",
]


@pytest.mark.parametrize("piece", HEAVY)
def test_time_grows_with_length_and_not_with_its_square(piece: str, detector: Detector) -> None:
    def took(length: int) -> float:
        return seconds(lambda: detector.find((piece * length)[:length]), most=0.5, tries=2)

    assert took(20_000) < 0.5 or grows(took, 2_000, 20_000, most=40) < 40


def test_redaction_imports_no_torch_and_speaks_to_no_network() -> None:
    program = (
        "import sys, socket\n"
        "def refuse(*a, **k): raise SystemExit(3)\n"
        "socket.socket.connect = refuse\n"
        "from app.redaction.redactor import build_redactor\n"
        "build_redactor('log').redact('I am Maria Gonzalez, maria@example.com')\n"
        "sys.exit(4 if 'torch' in sys.modules or 'transformers' in sys.modules else 0)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_hiding_torch_from_presidio_does_not_last() -> None:
    pytest.importorskip("torch", reason="LOUD: torch is not installed, so it cannot be imported after redaction")
    program = "import app.redaction.presidio, torch; assert torch.ones(1).item() == 1"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
