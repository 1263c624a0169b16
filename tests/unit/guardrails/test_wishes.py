"""The learned wish for a person: what it finds, what it leaves alone, and what becomes of damaged files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save

from app.encoder.encoder import TurnEncoder
from app.errors import PolicyRefused
from app.guardrails.active import scope_of
from app.guardrails.learned import WINDOW, Classifier
from app.guardrails.policy import PolicyBundle, default_bundle_folder, load_bundle
from app.guardrails.scope import LEARNED, Scope
from app.guardrails.wishes import CLASSES, POLICY_FILE, WEIGHTS_FILE, LearnedWish
from tests.unit.guardrails.test_learned import Stub, weights
from training.encoder.wishes import read_wishes

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


def test_of_a_long_message_beginning_and_end_are_read(bundle: PolicyBundle) -> None:
    encoder = Stub(0, 1)
    verdict = wishing(bundle, encoder).assess("word " * 1_000 + "end")
    assert verdict.kind == "human"
    assert [len(part) for part in encoder.asked] == [WINDOW, WINDOW]
    assert encoder.asked[1].endswith("end")


def test_the_blind_set(served: Scope, scope: Scope) -> None:
    """Not below what was measured when it was first met (docs/measurements.md); nearly twice what rules find."""
    found = read_wishes(BLIND)
    wished, others = ([text for text, wish in found if wish is kind] for kind in (True, False))
    assert (len(wished), len(others)) == (200, 250)
    assert sum(scope.assess(text).kind == "human" for text in wished) == 87
    assert sum(served.assess(text).kind == "human" for text in wished) >= 153
    assert sum(served.assess(text).kind == "human" for text in others) <= 13


def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(default_bundle_folder(), tmp_path / "bundle"))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("threshold: 0.9", "threshold: 1.9", "less than 1"),
        ("base: ba7f", "base: 0000", "another change of the encoder: copy wishes.yaml and wishes.safetensors"),
        ("text: handoff_open", "text: nowhere", "not in texts"),
    ],
)
def test_a_faulty_policy_is_refused_with_its_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    folder = copied(tmp_path)
    text = (folder / POLICY_FILE).read_text(encoding="utf-8").replace(old, new)
    (folder / POLICY_FILE).write_text(text, encoding="utf-8")
    with pytest.raises(PolicyRefused) as refused:
        load_bundle(folder)
    reason = next(reason for reason in refused.value.reasons if said in reason)
    assert new.split(":")[0] in text.splitlines()[int(reason.split(":")[1]) - 1]


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
