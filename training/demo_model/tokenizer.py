"""The demo model's tokenizer: byte-level BPE in which every digit is a token of its own.

With merged digits a small model garbles telephone numbers ("404-555-0132" came back as "404-805-0132"); digit by
digit it only has to copy ten symbols.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

PAD, START, END = "<pad>", "<|im_start|>", "<|im_end|>"
SPECIAL = (PAD, START, END)
TEMPLATE = Path(__file__).with_name("chat_template.jinja")


def conversation(prompt: str, answer: str | None = None) -> str:
    """The served text of one turn; without an answer it stops where the model begins to write.

    An answer begins with a blank: so its first word is the same token as in the passage that it is copied from.
    """
    head = f"{START}user\n{prompt}{END}\n{START}assistant\n"
    return head if answer is None else f"{head} {answer}{END}\n"


def train_tokenizer(texts: Iterable[str], *, vocabulary: int = 8192) -> Tokenizer:
    """Train a tokenizer; ids 0, 1, 2 are the padding token and the two ends of a message."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.decoder = decoders.ByteLevel()
    split_digits(tokenizer)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def split_digits(tokenizer: Tokenizer) -> Tokenizer:
    """Make a byte-level tokenizer cut between digits; its vocabulary stays as it is."""
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    return tokenizer


def load_tokenizer(folder: Path) -> Tokenizer:
    """Read ``tokenizer.json`` of a model folder."""
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def save_tokenizer(tokenizer: Tokenizer, folder: Path, *, pad: str = PAD, longest: int = 1024) -> None:
    """Write the files with which transformers and vLLM load the tokenizer, the chat template among them.

    ``longest``: tokens of a conversation that the model can read.
    """
    from transformers import PreTrainedTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    make: Any = PreTrainedTokenizerFast
    wrapped = make(tokenizer_object=tokenizer, bos_token=START, eos_token=END, pad_token=pad, model_max_length=longest)
    wrapped.chat_template = TEMPLATE.read_text(encoding="utf-8")
    wrapped.save_pretrained(str(folder))
