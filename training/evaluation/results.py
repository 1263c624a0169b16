"""What one rule of the gate came to."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from training.evaluation.statistics import Estimate, Outcome

GateName = Literal["validity", "safety", "accuracy", "overfitting", "bias", "panel", "reported"]


class RuleResult(BaseModel):
    """``difference`` is candidate - champion (for a gap: the group - the others), whichever of them is better.

    ``detail`` is plain English for the person who decides. ``reported`` rules always pass. ``inherited``: it passes
    only because the champion misses the bound as well, which is the service's failing and not the candidate's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    gate: GateName
    metric: str
    champion: float | None = None
    candidate: float | None = None
    difference: Estimate | None = None
    bound: str
    outcome: Outcome
    detail: str
    inherited: bool = False
