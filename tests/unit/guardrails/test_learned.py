"""The learned raise: what it reads, what it may do, and what becomes of damaged files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load, save

from app.contracts.replies import Tier
from app.encoder.encoder import TurnEncoder
from app.errors import ConfigurationError, PolicyRefused
from app.guardrails.active import triage_of
from app.guardrails.learned import POLICY_FILE, TURNS, WEIGHTS_FILE, WINDOW, Classifier, LearnedRaise, Vectors, views
from app.guardrails.policy import PolicyBundle, default_bundle_folder, load_bundle
from app.guardrails.triage import Triage

VEILED = "been giving away my stuff, the dog goes to my sister friday, thats it for me"


class Stub:
    """An encoder whose vector points to one class: 0 none, 1 the first category."""

    def __init__(self, *directions: int) -> None:
        self.directions, self.asked = list(directions), [""]

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.asked = list(texts)
        rows = np.zeros((len(texts), 384), dtype=np.float32)
        for row in range(len(texts)):
            rows[row, self.directions[min(row, len(self.directions) - 1)]] = 1
        return rows


def unsure_weights(chance: float) -> bytes:
    """The chance of cardiac is ``chance`` for the second dimension."""
    kernel = np.zeros((384, 2), dtype=np.float32)
    kernel[1, 1] = np.log(chance / (1 - chance))
    return weights(**{"inner.kernel": kernel})


def weights(**changes: object) -> bytes:
    """Weights whose two classes (none, cardiac) follow the first two dimensions of the vector."""
    kernel = np.zeros((384, 2), dtype=np.float32)
    kernel[0, 0] = kernel[1, 1] = 10
    classes = np.frombuffer(json.dumps(["none", "cardiac"]).encode(), dtype=np.uint8)
    zero = np.zeros(2, np.float32)
    tensors = {"inner.kernel": kernel, "inner.bias": zero, "outer.kernel": np.eye(2, dtype=np.float32),
               "outer.bias": zero, "classes": classes, **changes}  # fmt: skip
    return save({name: value for name, value in tensors.items() if isinstance(value, np.ndarray)})


def raising(bundle: PolicyBundle, encoder: Stub) -> Triage:
    assert bundle.learned is not None
    return Triage(bundle, LearnedRaise(bundle.learned, Classifier(weights()), encoder))


def test_it_raises_what_no_rule_raises_with_a_readable_reason(bundle: PolicyBundle) -> None:
    verdict = raising(bundle, Stub(1)).assess(["can i park here"])
    assert (verdict.tier, verdict.routes, verdict.text_id) == (Tier.EMERGENCY, ("911",), "emergency_cardiac")
    assert verdict.rules == ("learned.cardiac",)
    assert verdict.policy_hash == bundle.hash
    assert verdict.reason == "no rule raised it; reads like a heart emergency (chance 1.00)"


def test_an_unsure_chance_makes_the_turn_urgent_with_the_nurse_line(bundle: PolicyBundle) -> None:
    assert bundle.learned is not None
    chance = bundle.learned.unsure + 0.01
    triage = Triage(bundle, LearnedRaise(bundle.learned, Classifier(unsure_weights(chance)), Stub(1)))
    verdict = triage.assess(["can i park here"])
    assert (verdict.tier, verdict.routes, verdict.text_id) == (Tier.URGENT, ("911", "nurse_line"), "learned_unsure")
    assert verdict.reason.endswith(f"(chance {chance:.2f})")


def test_it_never_lowers_and_is_not_asked_beside_a_rule(bundle: PolicyBundle, triage: Triage) -> None:
    encoder = Stub(0)
    text = "my chest feels like an elephant sits on it and my arm is numb"
    assert raising(bundle, encoder).assess([text]) == triage.assess([text])
    assert triage.assess([text]).tier is Tier.EMERGENCY
    assert encoder.asked == [""]


def test_below_the_threshold_nothing_changes(bundle: PolicyBundle, triage: Triage) -> None:
    for text in ("where do i park", "i had a heart attack in 2011", "my knee has been sore for a week"):
        assert raising(bundle, Stub(0)).assess([text]) == triage.assess([text])


def test_the_most_alarming_window_of_a_long_message_counts(bundle: PolicyBundle) -> None:
    assert raising(bundle, Stub(0, 0, 1, 0)).assess(["word " * 400]).tier is Tier.EMERGENCY


@given(st.lists(st.text(min_size=1, max_size=2_000).filter(lambda text: text.strip()), min_size=1, max_size=6))
def test_every_word_of_the_last_turn_is_read(turns: list[str]) -> None:
    read = views(turns)
    last = turns[-1].strip()
    assert all(len(text) <= WINDOW + 3 for text in read)
    assert all(any(last[at : at + 40] in text for text in read) for at in range(0, len(last), 97))
    kept = [turn.strip() for turn in turns if turn.strip()][-TURNS:]
    if sum(len(turn) + 3 for turn in kept) < WINDOW - 60:
        assert read == [" | ".join(kept)]


def test_the_shipped_weights_find_what_words_do_not_say(
    bundle: PolicyBundle, turn_encoder: TurnEncoder, triage: Triage
) -> None:
    learned = triage_of(bundle, turn_encoder)
    assert triage.assess([VEILED]).tier < Tier.URGENT
    verdict = learned.assess([VEILED])
    assert (verdict.tier, verdict.category) == (Tier.EMERGENCY, "suicide")
    assert learned.assess(["what are your visiting hours on sunday"]).tier is Tier.NONE


def test_layers_are_not_read_over_another_encoder(bundle: PolicyBundle, turn_encoder: TurnEncoder) -> None:
    assert bundle.learned is not None
    other = bundle.learned.model_copy(update={"base": "0" * 64})
    with pytest.raises(PolicyRefused, match="restart the service"):
        triage_of(bundle.model_copy(update={"learned": other}), turn_encoder)
    assert triage_of(bundle, turn_encoder).assess([VEILED]).tier is Tier.EMERGENCY


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"not a file", "damaged"),
        (weights(classes=np.frombuffer(b"[", dtype=np.uint8)), "damaged"),
        (weights(classes=np.frombuffer(b'["cardiac", "none"]', dtype=np.uint8)), "do not fit"),
        (weights(**{"outer.bias": np.zeros(3, np.float32)}), "do not fit"),
        (weights(**{"inner.bias": np.array([np.nan, 0], np.float32)}), "not numbers"),
    ],
)
def test_damaged_weights_are_refused(content: bytes, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Classifier(content)


def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(default_bundle_folder(), tmp_path / "bundle"))


def refused_line(folder: Path, file: str, old: str, new: str, said: str) -> str:
    """The line that a bundle's refusal names for what is ``said``, after ``old`` was replaced in one of its files."""
    text = (folder / file).read_text(encoding="utf-8").replace(old, new)
    (folder / file).write_text(text, encoding="utf-8")
    with pytest.raises(PolicyRefused) as refused:
        load_bundle(folder)
    reason = next(reason for reason in refused.value.reasons if said in reason)
    return text.splitlines()[int(reason.split(":")[1]) - 1]


@pytest.mark.parametrize(
    ("old", "new", "line_has", "said"),
    [
        ("threshold: 0.", "threshold: 1.", "threshold", "less than 1"),
        ("unsure: 0.8", "unsure: 0.9", "threshold", "unsure must not be above"),
        ("base: ba7f", "base: 0000", "base", "another change of the encoder"),
        ("text: emergency_cardiac", "text: nowhere", "text", "not in texts"),
        ("  stroke:", "  strokes:", "strokes", "not in category_order"),
        ("  stroke:", "  strokes:", "categories", "nothing stands there for stroke"),
    ],
)
def test_a_faulty_policy_is_refused_with_its_line(tmp_path: Path, old: str, new: str, line_has: str, said: str) -> None:
    assert line_has in refused_line(copied(tmp_path), POLICY_FILE, old, new, said)


def test_strict_mode_refuses_a_raise_that_no_clinician_has_reviewed(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    assert "the learned raise is not reviewed by a clinician" in load_bundle(folder).warnings
    with pytest.raises(PolicyRefused) as refused:
        load_bundle(folder, strict=True)
    said = f"{POLICY_FILE}:6: the learned raise is not clinically reviewed"
    assert any(reason.startswith(said) for reason in refused.value.reasons)
    policy = folder / POLICY_FILE
    policy.write_text(policy.read_text(encoding="utf-8").replace("reviewed: false", "reviewed: true"), encoding="utf-8")
    assert "the learned raise is not reviewed by a clinician" not in load_bundle(folder).warnings


def test_policy_and_weights_come_together_or_not_at_all(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    before = load_bundle(folder).hash
    data = (folder / WEIGHTS_FILE).read_bytes()
    (folder / WEIGHTS_FILE).unlink()
    with pytest.raises(PolicyRefused, match=WEIGHTS_FILE):
        load_bundle(folder)
    (folder / POLICY_FILE).unlink()
    assert load_bundle(folder).learned is None
    (folder / WEIGHTS_FILE).write_bytes(data)
    with pytest.raises(PolicyRefused, match=POLICY_FILE):
        load_bundle(folder)
    shutil.copy(default_bundle_folder() / POLICY_FILE, folder)
    tensors = load(data)
    tensors["outer.bias"] = tensors["outer.bias"] + 1
    (folder / WEIGHTS_FILE).write_bytes(save(tensors))
    assert load_bundle(folder).hash != before
