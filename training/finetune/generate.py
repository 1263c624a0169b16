"""Greedy answers of the base model with an adapter, in batches, through transformers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import PreTrainedTokenizerBase

from training.finetune.data import Dialogue, prompt_text
from training.finetune.trainer import load_base


class Answerer:
    """Answers dialogues with a model."""

    def __init__(self, model: Any, tokenizer: PreTrainedTokenizerBase, site: str) -> None:
        """``model`` is in memory, with its adapter or without one."""
        self._model, self._tokenizer, self._site = model, tokenizer, site
        model.eval()

    @classmethod
    def load(cls, base: str, adapter: Path, site: str, *, precision: str = "bfloat16") -> Answerer:
        """Over a base model and an adapter's folder."""
        model, tokenizer = load_base(base, precision)
        return cls(PeftModel.from_pretrained(model, str(adapter)), tokenizer, site)

    def answer(self, dialogues: Sequence[Dialogue], *, batch: int = 16, longest: int = 160) -> list[str]:
        """One answer per dialogue, in the order given; at most ``longest`` tokens each, end mark removed."""
        prompts = [prompt_text(self._tokenizer, dialogue, self._site) for dialogue in dialogues]
        return self.complete(prompts, batch=batch, longest=longest)

    def continued(self, dialogues: Sequence[Dialogue], begun: Sequence[str], *, longest: int = 32) -> list[str]:
        """How answers go on that begin with ``begun``, one for each dialogue."""
        prompts = [
            prompt_text(self._tokenizer, dialogue, self._site) + beginning
            for dialogue, beginning in zip(dialogues, begun, strict=True)
        ]
        return self.complete(prompts, longest=longest)

    def difference_where_they_part(self, dialogue: Dialogue, one: str, two: str) -> float:
        """The difference of the logits of the first tokens in which two answers to a dialogue differ.

        An answer that is the beginning of the other goes on with the end mark.
        """
        prompt = self._tokenizer(prompt_text(self._tokenizer, dialogue, self._site), add_special_tokens=False)
        ends = [int(self._tokenizer.eos_token_id)]
        sides = [list(self._tokenizer(text, add_special_tokens=False)["input_ids"]) + ends for text in (one, two)]
        place = next(at for at, (left, right) in enumerate(zip(*sides, strict=False)) if left != right)
        read = torch.tensor([[*prompt["input_ids"], *sides[0][:place]]])
        with torch.no_grad():
            logits = self._model(input_ids=read).logits[0, -1]
        return abs(float(logits[sides[0][place]] - logits[sides[1][place]]))

    def complete(self, prompts: Sequence[str], *, batch: int = 16, longest: int = 160) -> list[str]:
        """What follows each prompt (text with the chat template's marks), in the order given."""
        order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
        answers = [""] * len(prompts)
        for start in range(0, len(order), batch):
            picked = order[start : start + batch]
            for index, text in zip(picked, self._batch([prompts[i] for i in picked], longest), strict=True):
                answers[index] = text
        return answers

    def _batch(self, prompts: list[str], longest: int) -> list[str]:
        tokenizer = self._tokenizer
        tokenizer.padding_side = "left"
        encoded = tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False)
        with torch.no_grad():
            out = self._model.generate(
                input_ids=encoded["input_ids"],
                attention_mask=encoded["attention_mask"],
                max_new_tokens=longest,
                do_sample=False,
                pad_token_id=tokenizer.pad_token_id,
                eos_token_id=tokenizer.eos_token_id,
            )
        new = out[:, encoded["input_ids"].shape[1] :]
        return [str(text).strip() for text in tokenizer.batch_decode(new, skip_special_tokens=True)]
