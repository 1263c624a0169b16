"""The gate's output must not depend on chunk borders, and nothing unvetted may come out."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from app.contracts.replies import GuardrailHit
from app.guardrails.output import OutputVerdict
from app.guardrails.sentences import split
from app.guardrails.stream_gate import GateResult, StreamGate

TEXTS = [
    "The lab opens at 9 a.m. Monday to Friday. Bring your card [1]. Call 1-800-555-0100 for help. [2]",
    "Dr. Lee sees patients at 8:30 a.m. The desk is on level 2.5 of the Oak Bldg. east wing! Is that ok? UNSAFE take 40 mg now.",  # noqa: E501
    "- Bring your card\n- Bring a list\n1. Call us.\n2. Wait here. UNSAFE words without an end",
    'Stop here [1] [2]. "Quoted end." [3] Next one\n\nLast [',
    "Costs are $2.50 e.g. for copies. We close at 5 p.m.",
]


def _check(sentence: str) -> OutputVerdict:
    bad = "UNSAFE" in sentence
    return OutputVerdict(not bad, (GuardrailHit("output", "output.test"),) if bad else (), 0)


def _run(text: str, cuts: list[int]) -> list[GateResult]:
    gate = StreamGate(_check)
    borders = [0, *sorted(c % (len(text) + 1) for c in cuts), len(text)]
    results: list[GateResult] = []
    for a, b in pairwise(borders):
        results += gate.feed(text[a:b])
    return results + gate.finish()


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(TEXTS), st.lists(st.integers(0, 400), max_size=30))
def test_chunk_borders_change_nothing(text: str, cuts: list[int]) -> None:
    assert _run(text, cuts) == _run(text, [])


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet='ab .!?[]1\n"UNSAFE', max_size=80), st.lists(st.integers(0, 80), max_size=10))
def test_any_text_any_split(text: str, cuts: list[int]) -> None:
    whole = _run(text, [])
    assert _run(text, cuts) == whole
    assert all("UNSAFE" not in result.text for result in whole)
    assert all(not result.text for result in whole if not result.passed)


def test_one_character_at_a_time() -> None:
    for text in TEXTS:
        assert _run(text, list(range(len(text)))) == _run(text, [])


def test_abbreviations_times_decimals_and_bullets_stay_whole() -> None:
    assert split(TEXTS[1])[:2] == [
        "Dr. Lee sees patients at 8:30 a.m.",
        "The desk is on level 2.5 of the Oak Bldg. east wing!",
    ]
    assert split(TEXTS[2])[:3] == ["- Bring your card", "- Bring a list", "1. Call us."]
    assert split(TEXTS[4]) == ["Costs are $2.50 e.g. for copies.", "We close at 5 p.m."]


def test_marks_are_stripped_and_recorded() -> None:
    results = _run(TEXTS[0], [])
    assert [r.text for r in results] == [
        "The lab opens at 9 a.m. Monday to Friday.",
        "Bring your card.",
        "Call 1-800-555-0100 for help.",
    ]
    assert [r.cited for r in results] == [(), (1,), (2,)]


def test_a_sentence_is_held_until_it_ends() -> None:
    gate = StreamGate(_check)
    assert gate.feed("Bring your card") == []
    assert gate.feed(".") == []
    assert [r.text for r in gate.feed(" N")] == ["Bring your card."]


def test_a_check_that_raises_closes_the_gate() -> None:
    def broken(_: str) -> OutputVerdict:
        raise RuntimeError("boom")

    gate = StreamGate(broken)
    gate.feed("Hello there.")
    (result,) = gate.finish()
    assert not result.passed
    assert result.text == ""
    assert result.hits[0].rule == "check_failed"
