"""The learned wish for a person: what it finds, what it leaves alone, and what becomes of damaged files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save

from app.encoder.encoder import TurnEncoder
from app.errors import ConfigurationError, PolicyRefused
from app.guardrails.active import scope_of
from app.guardrails.learned import WINDOW, Classifier
from app.guardrails.policy import PolicyBundle, default_bundle_folder, load_bundle
from app.guardrails.scope import LEARNED, Scope
from app.guardrails.wishes import CLASSES, POLICY_FILE, WEIGHTS_FILE, LearnedWish
from tests.bench_knowledge import read
from tests.unit.guardrails.test_learned import Stub, copied, refused_line, weights
from training.encoder.wishes import FOLDER, messages, read_wishes

BLIND = Path(__file__).parents[2] / "data" / "guardrails" / "blind_wishes.txt"


def two_classes() -> bytes:
    """Weights of :func:`test_learned.weights`, with the classes of a wish."""
    return weights(classes=np.frombuffer(json.dumps(CLASSES).encode(), dtype=np.uint8))


def wishing(bundle: PolicyBundle, encoder: Stub) -> Scope:
    assert bundle.wishes is not None
    return Scope(bundle, LearnedWish(bundle.wishes, Classifier(two_classes()), encoder))


@pytest.fixture(scope="module")
def served(bundle: PolicyBundle, turn_encoder: TurnEncoder) -> Scope:
    """Scope as it is served."""
    return scope_of(bundle, turn_encoder)


def test_a_wish_in_other_words_is_handed_over(bundle: PolicyBundle, scope: Scope) -> None:
    text = "anybody awake back there in the building"
    assert scope.assess(text).kind == "in_scope"
    verdict = wishing(bundle, Stub(1)).assess(text)
    assert (verdict.kind, verdict.routes, verdict.text_id) == ("human", ("human",), "handoff_open")
    assert verdict.rules == (LEARNED,)


def test_what_a_rule_decided_stays(bundle: PolicyBundle, scope: Scope) -> None:
    encoder = Stub(1)
    for text in ("are you a robot", "should I stop taking my warfarin", "let me talk to a person"):
        assert scope.assess(text).kind != "in_scope"
        assert wishing(bundle, encoder).assess(text) == scope.assess(text)
    assert encoder.asked == [""]


def test_below_the_threshold_it_is_in_scope(bundle: PolicyBundle) -> None:
    assert wishing(bundle, Stub(0)).assess("where do i park").kind == "in_scope"
    assert wishing(bundle, Stub(1)).assess("   ").kind == "in_scope"


def test_every_word_of_a_long_message_is_read_and_the_likeliest_window_counts(bundle: PolicyBundle) -> None:
    encoder = Stub(0, 0, 1, 0)
    verdict = wishing(bundle, encoder).assess("word " * 300 + "middle " + "word " * 300)
    assert verdict.kind == "human"
    assert any("middle" in part for part in encoder.asked)
    assert all(len(part) <= WINDOW for part in encoder.asked)


def test_everyday_questions_are_answered_and_not_handed_over(served: Scope, scope: Scope) -> None:
    """Of questions to two hospitals, the held-out one among them, hardly any are taken for a wish."""
    knowledge = BLIND.parents[1] / "knowledge"
    paths = [knowledge / "dev.jsonl", knowledge / "second.jsonl", knowledge / "rivermead" / "questions.jsonl"]
    texts = [question.text for path in paths for question in read(path)]
    taken = [text for text in texts if LEARNED in served.assess(text).rules]
    assert len(texts) == 1_028
    assert len(taken) <= 8


def trained_on() -> set[str]:
    """The messages that the layers were trained on, in small letters."""
    return {text.casefold() for path in FOLDER.glob("*.txt") for text, _ in read_wishes(path)}


def test_nothing_of_the_held_out_half_is_trained_on() -> None:
    rows = (BLIND.parent / "person_held_out.txt").read_text(encoding="utf-8").splitlines()
    assert len(trained_on()) > 1_600
    assert not trained_on() & {row.rpartition(" | ")[2].casefold() for row in rows}


def test_a_faulty_line_of_the_training_messages_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.txt"
    path.write_text("+ somebody please\n\nno mark\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="line 3: must begin with"):
        read_wishes(path)
    made = messages(7)
    assert {one.category for one in made} == set(CLASSES)
    assert len({one.turns for one in made}) == len(made) > 5_000


def test_the_blind_set(served: Scope, scope: Scope) -> None:
    """Not below what was measured when it was first met (docs/measurements.md); nearly twice what rules find."""
    trained = trained_on()  # two people may well type "operator": what both wrote does not count
    found = [(text, wish) for text, wish in read_wishes(BLIND) if text.casefold() not in trained]
    wished, others = ([text for text, wish in found if wish is kind] for kind in (True, False))
    assert (len(wished), len(others)) == (192, 242)
    assert sum(scope.assess(text).kind == "human" for text in wished) == 80
    assert sum(served.assess(text).kind == "human" for text in wished) >= 145
    assert sum(served.assess(text).kind == "human" for text in others) <= 12


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("threshold: 0.9", "threshold: 1.9", "less than 1"),
        ("base: ba7f", "base: 0000", "another change of the encoder: copy wishes.yaml and wishes.safetensors"),
        ("text: handoff_open", "text: nowhere", "not in texts"),
    ],
)
def test_a_faulty_policy_is_refused_with_its_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert new.split(":")[0] in refused_line(copied(tmp_path), POLICY_FILE, old, new, said)


def test_faulty_weights_are_refused(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    for content, said in ((b"no tensors", "wishes.safetensors is damaged"), (weights(), "must be none and human")):
        (folder / WEIGHTS_FILE).write_bytes(content)
        with pytest.raises(PolicyRefused, match=said):
            load_bundle(folder)


def test_policy_and_weights_come_together_or_not_at_all(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    before = load_bundle(folder).hash
    data = (folder / WEIGHTS_FILE).read_bytes()
    (folder / WEIGHTS_FILE).unlink()
    with pytest.raises(PolicyRefused, match=f"{WEIGHTS_FILE} is missing"):
        load_bundle(folder)
    (folder / POLICY_FILE).unlink()
    assert load_bundle(folder).wishes is None
    (folder / WEIGHTS_FILE).write_bytes(data)
    with pytest.raises(PolicyRefused, match=f"{POLICY_FILE} is missing"):
        load_bundle(folder)
    shutil.copy(default_bundle_folder() / POLICY_FILE, folder)
    tensors = load(data)
    tensors["outer.bias"] = tensors["outer.bias"] + 1
    (folder / WEIGHTS_FILE).write_bytes(save(tensors))
    assert load_bundle(folder).hash != before


def test_layers_are_not_read_over_another_encoder(bundle: PolicyBundle, turn_encoder: TurnEncoder) -> None:
    assert bundle.wishes is not None
    other = bundle.wishes.model_copy(update={"base": "0" * 64})
    with pytest.raises(PolicyRefused, match=r"wishes\.yaml.*restart the service"):
        scope_of(bundle.model_copy(update={"wishes": other}), turn_encoder)
