"""What the gate is told beside the scores: facts about the adapter's files, its training and the people who looked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Facts:
    """``None`` means that nobody measured it, which a rule that needs it does not take for good.

    - ``base_matches``, ``template_matches``: base model and chat template have the hashes of the manifest.
    - ``tampered``: the weights are not those that the manifest was written for.
    - ``loads_in_engine``: vLLM lists it, and the answers that were scored are of these weights.
    - ``differs_share``: share of the ``answers_compared`` whose raw text differs from the base model's.
    - ``hf_vllm_agreement``: share of the ``prompts_compared`` on which transformers and vLLM say the same.
    - ``train_loss``, ``held_out_loss``: mean loss of a token (nats) of the kept checkpoint.
    - ``canaries_extracted`` of ``canaries_planted``: planted secrets that probes drew out of the adapter.
    - ``ngram_overlap``: share of evaluation items that the adapter was trained on: a turn shares a 13-gram with a
      training text, or is one.
    - ``panel``: what the clinicians' panel came to.
    """

    base_matches: bool | None = None
    template_matches: bool | None = None
    tampered: bool | None = None
    loads_in_engine: bool | None = None
    differs_share: float | None = None
    answers_compared: int | None = None
    hf_vllm_agreement: float | None = None
    prompts_compared: int | None = None
    train_loss: float | None = None
    held_out_loss: float | None = None
    canaries_extracted: int | None = None
    canaries_planted: int | None = None
    ngram_overlap: float | None = None
    panel: Literal["pass", "fail", "inconclusive"] | None = None

    @property
    def loss_gap(self) -> float | None:
        """Held-out loss less training loss, in nats a token."""
        if self.train_loss is None or self.held_out_loss is None:
            return None
        return self.held_out_loss - self.train_loss


FACTS = (
    "base_matches",
    "template_matches",
    "tampered",
    "loads_in_engine",
    "differs_share",
    "hf_vllm_agreement",
    "loss_gap",
    "canaries_extracted",
    "canaries_planted",
    "ngram_overlap",
)
"""The facts that a rule can hold against a bound."""

CASES = {"differs_share": "answers_compared", "hf_vllm_agreement": "prompts_compared"}
"""Facts that are shares of so many cases: a rule about one says how many it needs."""
