"""Training of the learned name recognizer: the split, the messages made, and weights read as they were trained."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch

from app.encoder.delta import WordDelta
from app.encoder.encoder import Encoder
from app.errors import ConfigurationError
from app.redaction.entities import Span
from app.redaction.lexicon import Lexicon
from app.redaction.recognizers import features
from app.redaction.recognizers.head import NOTHING, Head, Inputs
from training.encoder import names_data
from training.encoder.names import CLASSES, THRESHOLDS, Item, Network, Settings, batch_of, fit, item, write
from training.encoder.names_data import Example, Sizes, examples, joined, styled
from training.encoder.names_forms import Forms
from training.encoder.names_lists import FOLDER, FRAME_FAMILIES, Lists, held_out
from training.encoder.names_measure import count, read_set
from training.encoder.names_messages import marked, read_found, with_identifiers
from training.encoder.words import WordReader

SIZES = Sizes(framed=600, calm=400)


@pytest.fixture(scope="module")
def made() -> list[Example]:
    return examples("train", SIZES)


def test_names_and_frames_of_the_two_sides_have_nothing_in_common() -> None:
    train, other = Lists.load("train"), Lists.load("held_out")
    for one, two in ((train.given, other.given), (train.surnames, other.surnames)):
        shared = {word.lower() for words in one.values() for word in words}
        shared &= {word.lower() for words in two.values() for word in words if held_out(word)}
        assert not shared
    for family in FRAME_FAMILIES:
        assert not set(train.frames[family]) & set(other.frames[family])
    assert sum(map(len, train.given.values())) > 1_500
    assert len(train.given) >= 40


def test_examples_come_again_from_their_seed_and_half_hold_nothing(made: list[Example]) -> None:
    assert made == examples("train", SIZES)
    empty = sum(not one.spans for one in made)
    assert 0.4 < empty / len(made) < 0.65
    kinds = Counter(kind for one in made for kind, _, _ in one.spans)
    assert set(kinds) == set(CLASSES[1:])
    assert all(found > 20 for found in kinds.values())


def test_identifiers_stand_where_the_spans_say(made: list[Example]) -> None:
    for one in made:
        last = 0
        for kind, start, end in one.spans:
            assert kind in CLASSES
            assert last <= start < end <= len(one.text)
            assert one.text[start:end].strip(), one.source
            last = end


def test_no_made_up_name_is_a_word_of_medicine() -> None:
    lexicon = Lexicon.load()
    forms = Forms(Lists.load("train"), lexicon, share_invented=1.0)
    rng = Random(1)
    listed = {word.lower() for words in Lists.load("train").given.values() for word in words}
    names = {forms.given(rng).lower() for _ in range(400)} - listed
    assert len(names) > 200
    assert not names & (lexicon.drugs | lexicon.labs | lexicon.ordinary)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("frames_*.txt")) + sorted(FOLDER.glob("calm_*.txt")), ids=str)
def test_every_frame_can_be_filled_and_calm_ones_hold_nothing(path: Path) -> None:
    forms = Forms(Lists.load("train"), Lexicon.load())
    rng = Random(3)
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            pieces = forms.fill(line, rng)
            assert any(kind for _, kind in pieces) != path.name.startswith("calm_"), line
            assert "{" not in "".join(text for text, _ in pieces)


def test_a_message_gets_identifiers_and_keeps_its_other_words() -> None:
    forms = Forms(Lists.load("train"), Lexicon.load())
    text = "my husband took two tylenol on friday and the nurse said wait"
    seen = set()
    for seed in range(40):
        pieces = with_identifiers([(text, "")], forms, Random(seed))
        assert "two tylenol" in "".join(part for part, kind in pieces if not kind)
        seen |= {kind for _, kind in pieces if kind}
    assert {"PERSON", "DATE"} <= seen


def test_styles_keep_what_is_an_identifier() -> None:
    pieces = [("call ", ""), ("José Peña", "PERSON"), (" about metformin please", "")]
    written = {"".join(text for text, _ in styled(pieces, Random(seed))) for seed in range(200)}
    assert "call josé peña about metformin please" in written
    assert "CALL JOSÉ PEÑA ABOUT METFORMIN PLEASE" in written
    assert any("Jose Pena" in text for text in written)
    assert all([kind for _, kind in styled(pieces, Random(seed))] == ["", "PERSON", ""] for seed in range(50))


def test_identifiers_in_written_messages_are_marked(tmp_path: Path) -> None:
    path = tmp_path / "found.txt"
    path.write_text("# comment\nPERSON | dr [chen] is\nDATE | on [3/4],\n")
    assert marked("i think dr chen is right", read_found(path)) == [
        ("i think dr ", ""), ("chen", "PERSON"), (" is right", ""),
    ]  # fmt: skip
    assert marked("nothing here", read_found(path)) == [("nothing here", "")]
    path.write_text("PERSON | no brackets\n")
    with pytest.raises(ConfigurationError, match=r"found\.txt, line 1"):
        read_found(path)


def test_every_marked_identifier_is_found_in_the_messages() -> None:
    found = read_found(FOLDER / names_data.FOUND)
    texts = "\n\n".join(text for _, text in names_data.read_messages())
    assert [around for around in found if around not in texts] == []


def test_a_broken_list_is_named(tmp_path: Path) -> None:
    for path in FOLDER.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "given.txt").write_text("# names\nenglish James Mary\n")
    with pytest.raises(ConfigurationError, match=r"given\.txt, entry 1"):
        Lists.load("train", tmp_path)


class Letters(torch.nn.Module):
    """States that tell a piece's first letter: enough to learn from. A piece is a word, its id the letter."""

    @staticmethod
    def encode(text: str) -> tuple[np.ndarray, list[tuple[int, int]]]:
        words = features.split(text)
        ids = np.array([0, *(ord(word.text[0].lower()) for word in words), 0])
        return ids, [(0, 0), *((word.start, word.end) for word in words), (0, 0)]

    def forward(self, texts: Sequence[np.ndarray]) -> list[torch.Tensor]:
        return [torch.nn.functional.one_hot(torch.from_numpy(ids) % 768, 768).float() for ids in texts]


def _items(texts: dict[str, str]) -> list[Item]:
    reader = features.Reader(Lexicon.load())
    made = []
    for text, name in texts.items():
        spans = (("PERSON", text.index(name), text.index(name) + len(name)),) if name else ()
        made.append(item(Example(text, spans, "test"), Letters.encode, reader))
    return made


def test_pieces_get_the_class_of_the_identifier_that_they_are_part_of() -> None:
    (one,) = _items({"call Zed Xo, now": "Zed Xo"})
    assert one.owners.tolist() == [-1, 0, 1, 2, 3, -1]
    assert one.wanted.tolist() == [-1, 0, 1, 1, 0, -1]


def test_weights_are_read_as_they_were_trained(tmp_path: Path) -> None:
    texts = {
        f"please {verb} {name} about it": name for verb in ("call", "tell", "ask") for name in ("zolti", "zup", "zane")
    }
    texts |= {f"please {verb} {word} about it": "" for verb in ("call", "tell", "ask") for word in ("us", "me", "home")}
    items, read = _items(texts), Letters()
    settings = Settings(epochs=60, pieces=60, hidden_flags=0.5, learning_rate=5e-3)
    asked = []
    network, loss = fit(lambda epoch: asked.append(epoch) or items, read, settings)
    assert asked == list(range(60))
    assert loss < 0.1
    write(network, tmp_path, THRESHOLDS, {"note": 1}, "0" * 64)
    assert json.loads((tmp_path / "names.json").read_text())["note"] == 1
    head = Head.load(tmp_path)
    assert head.classes[0] == NOTHING
    for one, name in zip(items, texts.values(), strict=True):
        chances = head.chances(
            Inputs(read([one.ids])[0].numpy(), one.shapes.astype(np.float32), one.letters, one.owners)
        )
        assert chances[3].argmax() == (CLASSES.index("PERSON") if name else 0)
        with torch.no_grad():
            batch = batch_of([one], read, 0, np.random.default_rng(0))
            wanted = network(batch).softmax(-1).numpy()[: len(one.owners)]
        np.testing.assert_allclose(chances, wanted, atol=5e-3)


def test_texts_of_one_batch_do_not_reach_into_each_other() -> None:
    items = _items({"please call zolti": "zolti", "my knee hurts": "", "ok": ""})
    network = Network(Settings()).eval()
    rng = np.random.default_rng(0)
    with torch.no_grad():
        together = network(batch_of(items, Letters(), 0, rng))
        first = len(items[0].owners) + features_gap()
        alone = network(batch_of([items[1]], Letters(), 0, rng))[: len(items[1].owners)]
    np.testing.assert_allclose(together[first : first + len(alone)], alone, atol=1e-5)


def features_gap() -> int:
    """Rows between two texts of a batch."""
    one = _items({"ok": ""})
    return (len(batch_of(one * 2, Letters(), 0, np.random.default_rng(0)).wanted) - 2 * len(one[0].owners)) // 2


def test_name_flags_are_hidden_from_the_share_of_words_that_is_asked() -> None:
    items = _items({"maria gonzalez is here": "maria gonzalez"})
    rng = np.random.default_rng(0)
    assert batch_of(items, Letters(), 0, rng).shapes[:, features.NAME_FLAGS].sum() > 0
    assert batch_of(items, Letters(), 1, rng).shapes[:, features.NAME_FLAGS].sum() == 0


def test_the_service_reads_states_as_the_reader_was_trained(tmp_path: Path) -> None:
    torch.manual_seed(1)
    reader = WordReader(layers=2, rank=4)
    for name, value in reader.named_parameters():
        if ".lora_B" in name:
            torch.nn.init.normal_(value, std=0.2)
    reader.write(tmp_path, {"note": 1})
    served = Encoder.load(tmp_path / "cache", WordDelta.load(tmp_path))
    text = "Tell María Peña that her sister, Jo, called on Tuesday."
    ids, wanted_offsets = reader.encode(text)
    with torch.no_grad():
        (wanted,) = reader([ids])
    offsets, states = served.hidden(text)
    assert offsets == wanted_offsets
    unchanged = Encoder.load(tmp_path / "cache", WordDelta({}, 1.0, "none", layers=2)).hidden(text)[1]
    assert likeness(states, wanted.numpy()) > 0.98
    assert likeness(unchanged, wanted.numpy()) < 0.9


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    """The least cosine of two rows."""
    return float(((one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)).min())


def test_joined_examples_keep_their_identifiers(made: list[Example]) -> None:
    found = joined(made, Random(1))
    longer = [one for one in found if "\n" in one.text]
    assert len(found) < len(made)
    assert len(longer) > 20
    before = Counter((kind, one.text[start:end]) for one in made for kind, start, end in one.spans)
    after = Counter((kind, one.text[start:end]) for one in found for kind, start, end in one.spans)
    assert not after - before
    assert sum(after.values()) > 0.95 * sum(before.values())
    assert found == joined(made, Random(1))


def test_counts_ask_for_every_letter_and_digit(tmp_path: Path) -> None:
    path = tmp_path / "set.jsonl"
    rows = [
        {"text": "Maria Gonzalez is here", "spans": [{"start": 0, "end": 14, "type": "PERSON"}]},
        {"text": "on 3/4", "spans": [{"start": 3, "end": 6, "label": "DATE"}]},
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\nplain words\n# comment\n\n")
    found = count(lambda text: [Span("PERSON", 0, 5, 0.9)] if "on" in text else [], read_set(path))
    assert (found.total["PERSON"], found.found["PERSON"]) == (1, 0)
    assert (found.total["DATE"], found.found["DATE"]) == (1, 0)
    assert (found.calm, found.changed, found.telling, found.leaking) == (1, 0, 2, 2)
    split = count(
        lambda text: [Span("DATE", 3, 4, 0.9), Span("DATE", 5, 6, 0.9), Span("PERSON", 0, 14, 1)], read_set(path)
    )
    assert (split.found["DATE"], split.found["PERSON"], split.leaking, split.changed) == (1, 1, 0, 1)
    path.write_text('{"text": "x", "spans": [{"start": 1}]}\n')
    with pytest.raises(ConfigurationError, match=r"set\.jsonl, line 1"):
        read_set(path)
