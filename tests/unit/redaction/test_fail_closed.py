"""Every recognizer of the service with every fault: the text goes nowhere, and the model is not asked.

The matrix takes the recognizers from the service's own list, so that a new one is in it without a word here.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from app.chat.pipeline import Bounds, Pipeline
from app.chat.protocols import Turn
from app.contracts.replies import Reply, ReplyKind, Sentence
from app.contracts.site import Site
from app.encoder.encoder import Encoder
from app.errors import RedactionFailed
from app.guardrails.active import ActivePolicies, Policies, compiled
from app.guardrails.policy import default_bundle_folder, load_bundle
from app.redaction.detector import Detector, own_recognizers
from app.redaction.leaks import foreign_identifiers
from app.redaction.lexicon import Lexicon
from app.redaction.presidio import EntityRecognizer, RecognizerResult
from app.redaction.redactor import Policy, Redactor
from app.redaction.vault import MemoryVault
from tests.fakes_engine import ScriptedEngine
from tests.fakes_redaction import ScriptedRecognizer
from tests.redteam.target import NOON, Shelf

pytestmark = pytest.mark.anyio

QUESTION = "My name is Quorvella Zandrakis. When can I visit somebody in the hospital?"
SECRET = "Quorvella"
HANG_S = 0.3
POLICIES: tuple[Policy, ...] = ("prompt", "log", "training")
RELEASED = threading.Event()
"""Set at the end of the module: what hangs then ends."""


def _raise(error: type[BaseException]) -> Callable[[str], Any]:
    def work(text: str) -> Any:
        raise error(text)

    return work


def _hang(_text: str) -> Any:
    RELEASED.wait(60)
    return []


def _later(text: str) -> Iterator[RecognizerResult]:
    yield RecognizerResult("PERSON", 0, 2, 0.9)
    raise ValueError(text)


def _one(kind: Any = "PERSON", start: Any = 0, end: Any = 4, score: Any = 0.9) -> Callable[[str], Any]:
    return lambda text: [RecognizerResult("PERSON", 11, 20, 0.9), _result(kind, start, end, score)]


def _result(kind: Any, start: Any, end: Any, score: Any) -> RecognizerResult:
    result = RecognizerResult("PERSON", 0, 1, 0.5)
    result.entity_type, result.start, result.end, result.score = kind, start, end, score
    return result


FAULTS: dict[str, Callable[[str], Any]] = {
    "raises ValueError": _raise(ValueError),
    "raises TimeoutError": _raise(TimeoutError),
    "raises MemoryError": _raise(MemoryError),
    "raises KeyboardInterrupt": _raise(KeyboardInterrupt),
    "exits": _raise(SystemExit),
    "hangs": _hang,
    "raises after its first result": _later,
    "gives None": lambda text: None,
    "gives a number": lambda text: 42,
    "gives the text": lambda text: text,
    "gives a dictionary": lambda text: {"PERSON": (0, 4)},
    "gives a list of nothing": lambda text: [None],
    "gives tuples": lambda text: [("PERSON", 0, 4, 0.9)],
    "ends after the text": lambda text: _one(end=len(text) + 1)(text),
    "begins before the text": _one(start=-1),
    "is empty": _one(start=3, end=3),
    "is turned round": _one(start=9, end=3),
    "has no place": _one(start=None, end=None),
    "has a place in words": _one(start="0", end="4"),
    "has a broken place": _one(start=0.5, end=3.5),
    "has an unknown type": _one(kind="NONSENSE"),
    "has no type": _one(kind=None),
    "has a list for a type": _one(kind=["PERSON"]),
    "has no score": _one(score=None),
    "scores nothing": _one(score=0.0),
    "scores too high": _one(score=1.5),
    "scores no number": _one(score=float("nan")),
}


def name_of(recognizer: Any) -> str:
    """What a recognizer is called."""
    return str(recognizer.name)


@pytest.fixture(scope="module", autouse=True)
def release() -> Iterator[None]:
    yield
    RELEASED.set()


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return Lexicon.load()


@pytest.fixture(scope="module")
def recognizers(lexicon: Lexicon, encoder: Encoder) -> list[EntityRecognizer]:
    """The service's own, the learned one among them."""
    found = own_recognizers(lexicon, 20.0, encoder)
    assert {name_of(one) for one in found} >= {"contact", "numbers", "dates", "places", "learned"}
    return found


@pytest.fixture(scope="module")
def policies(site: Site) -> Policies:
    return compiled(load_bundle(default_bundle_folder()), site, NOON)


@pytest.fixture(scope="module")
def shelf() -> Shelf:
    return Shelf()


async def ask(
    detector: Detector, engine: ScriptedEngine, site: Site, policies: Policies, shelf: Shelf, leaks: Detector
) -> tuple[list[str], Reply]:
    """What a patient who asks :data:`QUESTION` sees, and the reply."""
    pipeline = Pipeline(
        site=site, policies=ActivePolicies(policies), redactor=Redactor(detector, "prompt"), retriever=shelf,
        engine=engine, leaks=functools.partial(foreign_identifiers, leaks), bounds=Bounds(step_s=60.0),
        now=lambda: NOON,
    )  # fmt: skip
    events = [event async for event in pipeline.respond(Turn("matrix", QUESTION, MemoryVault()))]
    assert isinstance(events[-1], Reply)
    return [event.text for event in events if isinstance(event, Sentence)], events[-1]


def swapped(
    recognizers: Sequence[EntityRecognizer], index: int, lexicon: Lexicon, fault: Callable[[str], Any], limit_s: float
) -> Detector:
    """The service's detector with one recognizer that has a fault."""
    chosen: list[EntityRecognizer] = list(recognizers)
    chosen[index] = ScriptedRecognizer(fault)
    return Detector(chosen, lexicon, timeout_s=limit_s)


def outcome(redactor: Redactor) -> object:
    """What comes of the question: what was raised, else the text."""
    try:
        return redactor.redact(QUESTION, MemoryVault()).text
    except Exception as error:
        return error


@pytest.mark.parametrize("fault", FAULTS)
def test_no_text_passes_a_recognizer_with_a_fault(
    fault: str, recognizers: list[EntityRecognizer], lexicon: Lexicon
) -> None:
    for index, one in enumerate(recognizers):
        # In front of the one that hangs others may need longer than the limit: that is the same outcome.
        detector = swapped(recognizers, index, lexicon, FAULTS[fault], HANG_S if fault == "hangs" else 60.0)
        for policy in POLICIES:
            failed = outcome(Redactor(detector, policy))
            assert isinstance(failed, RedactionFailed), f"{name_of(one)} {fault}: {failed!r} under {policy}"
            assert SECRET not in f"{failed!r} {failed.__cause__!r}", name_of(one)
            if fault == "hangs":
                break


@pytest.mark.parametrize("fault", FAULTS)
async def test_the_model_is_not_asked_when_a_recognizer_has_a_fault(
    fault: str, recognizers: list[EntityRecognizer], lexicon: Lexicon, site: Site, policies: Policies, shelf: Shelf
) -> None:
    for index, one in enumerate(recognizers):
        engine = ScriptedEngine()
        detector = swapped(recognizers, index, lexicon, FAULTS[fault], HANG_S if fault == "hangs" else 60.0)
        shelf.found = []
        said, reply = await ask(detector, engine, site, policies, shelf, detector)
        assert engine.calls == [], f"{name_of(one)} {fault}: the model was asked"
        assert shelf.found == [], f"{name_of(one)} {fault}: the text was searched for"
        assert (said, reply.kind) == ([], ReplyKind.HANDOFF), name_of(one)
        assert reply.question_redacted == ""
        assert SECRET not in f"{reply.text} {reply.text_redacted} {reply.hits}", name_of(one)


@pytest.mark.parametrize("fault", ["raises ValueError", "gives None", "ends after the text"])
async def test_a_sentence_that_cannot_be_searched_for_identifiers_is_not_shown(
    fault: str, recognizers: list[EntityRecognizer], lexicon: Lexicon, site: Site, policies: Policies, shelf: Shelf
) -> None:
    whole = Detector(recognizers, lexicon, timeout_s=60.0)
    said, reply = await ask(whole, ScriptedEngine(), site, policies, shelf, whole)
    assert reply.kind is ReplyKind.ANSWER
    for index, one in enumerate(recognizers):
        engine = ScriptedEngine()
        broken = swapped(recognizers, index, lexicon, FAULTS[fault], 60.0)
        said, reply = await ask(whole, engine, site, policies, shelf, broken)
        assert len(engine.calls) == 1
        assert (said, reply.kind) == ([], ReplyKind.FALLBACK), name_of(one)


async def test_without_a_fault_the_model_is_asked_without_the_name(
    recognizers: list[EntityRecognizer], lexicon: Lexicon, site: Site, policies: Policies, shelf: Shelf
) -> None:
    """What the matrix rests on: with whole recognizers the same question reaches the model, as a pseudonym."""
    engine, whole = ScriptedEngine(), Detector(recognizers, lexicon, timeout_s=60.0)
    await ask(whole, engine, site, policies, shelf, whole)
    (call,) = engine.calls
    prompt = "\n".join(message.content for message in call.messages)
    assert "<PERSON_1>" in prompt
    assert SECRET not in prompt
