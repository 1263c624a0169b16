"""Training of the learned raise: what is read, how messages are varied, that layers are written as they are read."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch

from app.contracts.replies import Tier
from app.encoder.delta import TurnDelta
from app.encoder.encoder import TurnEncoder
from app.errors import ConfigurationError
from app.guardrails.learned import NONE, Classifier, LearnedPolicy, LearnedRaise, Raised
from app.guardrails.policy import PolicyBundle, default_bundle_folder, load_bundle
from app.guardrails.triage import Triage
from tests.policy_files import write_bundle
from training.demo_model.exercises import load_pages
from training.encoder import triage_data
from training.encoder.triage import SCALE, Head, Settings, TurnReader, embedded, epoch, fit, train, tune, write
from training.encoder.triage_data import DAILY, Message, everyday, messages
from training.encoder.triage_measure import measure, read_messages


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> PolicyBundle:
    return load_bundle(write_bundle(tmp_path_factory.mktemp("bundle") / "tiny"), today=date(2026, 11, 1))


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bundle: PolicyBundle) -> Path:
    folder = tmp_path / "messages"
    folder.mkdir()
    category = bundle.triage[0].category
    (folder / "one.txt").write_text(f"# a comment\n\nnone | where do i park // thanks\n{category} | something awful\n")
    monkeypatch.setattr(triage_data, "WRITTEN", folder)
    return folder


def test_examples_written_messages_and_everyday_questions_are_read(bundle: PolicyBundle, written: Path) -> None:
    found = messages(bundle, None, None, 7)
    by_turns = {one.turns: one for one in found}
    rule = next(rule for rule in bundle.triage if rule.tier == "emergency")
    assert by_turns[(rule.positive[0],)].category == rule.category
    assert by_turns["where do i park", "thanks"].category == NONE
    assert by_turns[("something awful",)].category == bundle.triage[0].category
    everyday = [one for one in found if one.weight == 0.25]
    assert len(everyday) > 5_000
    assert {one.category for one in everyday} == {NONE}
    assert messages(bundle, None, None, 7) == found


def test_a_pressing_question_of_a_page_is_not_called_harmless() -> None:
    rules = Triage(load_bundle(default_bundle_folder()))
    asked = [question for page in load_pages(only=DAILY) for question in page["none"]]
    pressing = {question for question in asked if rules.assess((question,)).tier >= Tier.SAME_DAY}
    kept = set(everyday(7, rules))
    assert pressing
    assert kept.isdisjoint(pressing)
    assert kept > set(asked) - pressing
    assert all(rules.assess((question,)).tier < Tier.SAME_DAY for question in kept)


@pytest.mark.parametrize("line", ["cardiak | my chest", "no category here", "none | "])
def test_a_broken_line_is_named(bundle: PolicyBundle, written: Path, line: str) -> None:
    (written / "two.txt").write_text(f"# comment\n{line}\n")
    with pytest.raises(ConfigurationError, match=r"two\.txt, line 2"):
        messages(bundle, None, None, 7)


def test_blind_and_held_out_sets_are_never_read(bundle: PolicyBundle, written: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sets"
    folder.mkdir()
    category = bundle.triage[0].category
    for name, text in (("dev_a_emergencies", f"{category} | in development"), ("emergencies_dev", f"{category} | too"),
                       ("negatives_dev", "calm"), ("blind_emergencies", f"{category} | secret"),
                       ("emergencies_heldout", f"{category} | secret too")):  # fmt: skip
        (folder / f"{name}.txt").write_text(text + "\n")
    turns = {one.turns for one in messages(bundle, folder, None, 7)}
    assert {("in development",), ("too",), ("calm",)} <= turns
    assert not {("secret",), ("secret too",)} & turns


def test_an_epoch_has_messages_by_weight_and_varies_some() -> None:
    found = [Message(("first", "my chest is crushed"), "cardiac"), Message(("where do i park",), NONE),
             Message(("how do i pay",), NONE, 0.25)] * 400  # fmt: skip
    seen = epoch(found, Settings(careless=0), Random(1))
    assert sum(one.category == "cardiac" for one in seen) == 400
    assert 850 < len(seen) < 950, "the last message is seen in one epoch of four"
    hearts = [one.turns for one in seen if one.category == "cardiac"]
    assert all("my chest is crushed" in turns[-1] for turns in hearts)
    assert 250 < hearts.count(("first", "my chest is crushed")) < 350, "one in four has another message beside it"
    assert len(set(hearts)) > 4
    assert seen == epoch(found, Settings(careless=0), Random(1))
    assert epoch(found[:1], Settings(changed=0), Random(1)) == found[:1]


def test_layers_are_read_as_they_were_trained(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    centres = np.eye(3, 384, dtype=np.float32)
    labels = rng.integers(0, 3, 600)
    noisy = centres[labels] + rng.normal(0, 0.02, (600, 384)).astype(np.float32)
    vectors = (noisy / np.linalg.norm(noisy, axis=1, keepdims=True)).astype(np.float32)
    classes = [NONE, "cardiac", "stroke"]
    found = [Message((str(n),), classes[label]) for n, label in enumerate(labels)]
    head = fit(vectors, found, classes, Settings(head_epochs=40, hidden=16)).eval()
    read = Classifier(write(head, classes, tmp_path / "learned.safetensors").read_bytes())
    assert read.classes == classes
    chances = read.chances(centres)
    assert chances.argmax(axis=1).tolist() == [0, 1, 2]
    with torch.no_grad():
        wanted = head.outer(torch.relu(head.inner(torch.from_numpy(centres) * SCALE))).softmax(-1).numpy()
    np.testing.assert_allclose(chances, wanted, atol=5e-3)


def test_tuning_moves_the_vectors_and_the_loss_falls() -> None:
    torch.manual_seed(0)
    settings = Settings(batch=8, epochs=6, rank=4, hidden=16, changed=0, dropout=0.0, learning_rate=3e-3)
    reader = TurnReader(settings.rank)
    before = embedded(["she sees double"], reader)
    found = [Message((f"{word} {n}",), kind) for n in range(8)
             for word, kind in (("she sees double", "stroke"), ("she sees dublin", NONE))]  # fmt: skip
    head = Head(2, settings)
    first = tune(reader, head, found, [NONE, "stroke"], replace(settings, epochs=1), Random(1))
    assert tune(reader, head, found, [NONE, "stroke"], settings, Random(1)) < 0.7 * first
    assert float(embedded(["she sees double"], reader)[0] @ before[0]) < 0.999
    changed = {name for name, value in reader.model.named_parameters() if value.requires_grad}
    assert not any(f"layer.{layer}." in name for name in changed for layer in (0, 1))


def test_what_is_trained_is_what_is_served(tmp_path: Path) -> None:
    """Factors, layers and both cards."""
    found = [Message((f"my arm went dead {n}",), "stroke") for n in range(6)]
    found += [Message((f"where is room {n}",), NONE) for n in range(6)]
    path = train(found, ["cardiac", "stroke"], Settings(epochs=1, head_epochs=20, batch=4, rank=2, hidden=8), tmp_path)
    served = TurnEncoder.load(tmp_path / "cache", TurnDelta.load(tmp_path))
    classifier = Classifier(path.read_bytes())
    assert classifier.classes == [NONE, "stroke"]
    chances = classifier.chances(served.embed(["my arm went dead 9", "where is room 9"]))
    assert chances[0, 1] > chances[1, 1]
    card = json.loads((tmp_path / "turns.json").read_text())
    assert card["messages"] == {NONE: 6, "stroke": 6}
    assert served.identity == TurnDelta.load(tmp_path).sha256


def test_the_table_counts_rules_and_raise(tmp_path: Path, bundle: PolicyBundle) -> None:
    path = tmp_path / "set.txt"
    path.write_text(f"# set\ncardiac | {bundle.triage[0].positive[0]}\nstroke | one // two\n")
    assert read_messages(path).turns[1] == ["one", "two"]

    class Encoder:
        def embed(self, texts: list[str]) -> np.ndarray:
            return np.tile(np.eye(1, 384, dtype=np.float32), (len(texts), 1))

    head = Head(2, Settings(hidden=2))
    torch.nn.init.zeros_(head.outer.weight)
    torch.nn.init.zeros_(head.outer.bias)
    classifier = Classifier(write(head, [NONE, "cardiac"], tmp_path / "w.safetensors").read_bytes())
    raised = Raised(routes=["911"], text="t", means="a heart emergency")
    policy = LearnedPolicy(threshold=0.5, unsure=0.5, base="0" * 64, reviewer="", clinically_reviewed=False,
                           categories={"cardiac": raised})  # fmt: skip
    table = measure(LearnedRaise(policy, classifier, Encoder()), Triage(bundle), [path])  # type: ignore[arg-type]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    assert rows[2][:4] == ["set", "2", "learned alone", ""]
    assert rows[2][4:8] == ["1.000", "1.000", "1.000", "0.000"]
    assert rows[3][3] == "0.500"
