"""The change of the pinned weights that makes the encoder a search encoder: low-rank factors in a small file.

``search.safetensors`` holds, as float16, for each changed weight its factors A (rank, in) and B (out, rank), and the
map from a token's last state to its vector (``tokens.weight``) and to what it weighs (``tokens.scale``, whose last
number is the bias). ``search.json`` is the card: what they were trained on, and ``strength``, by which the factors'
product is multiplied. ``bedside-train encoder retrieve`` writes both.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from app.encoder.text import TOKEN_WIDTH
from app.errors import ConfigurationError

FOLDER = Path(__file__).parent / "search"
DELTA_FILE = "search.safetensors"
CARD_FILE = "search.json"
_TOKEN_MAP, _TOKEN_SCALE = "tokens.weight", "tokens.scale"

Weights = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Delta:
    """``factors`` by the name of the weight: A and B; ``sha256`` is over both files.

    ``token_map`` is (64, width), ``token_scale`` (width + 1).
    """

    factors: dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]
    token_map: NDArray[np.float32]
    token_scale: NDArray[np.float32]
    strength: float
    sha256: str

    @classmethod
    def load(cls, folder: Path = FOLDER) -> Delta:
        """Read factors and card. Raises ConfigurationError if a file is missing, damaged or incomplete."""
        try:
            card, data = (folder / CARD_FILE).read_bytes(), (folder / DELTA_FILE).read_bytes()
            strength = float(json.loads(card)["strength"])
            tensors = {name: value.astype(np.float32) for name, value in load(data).items()}
            token_map, token_scale = tensors.pop(_TOKEN_MAP), tensors.pop(_TOKEN_SCALE)
        except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
            raise ConfigurationError(f"The search encoder's files in {folder} cannot be read: {error}") from error
        names = {name.rsplit(".", 1)[0] for name in tensors}
        if not names or any(f"{name}.{part}" not in tensors for name in names for part in "AB"):
            raise ConfigurationError(f"{folder / DELTA_FILE} must hold factors A and B of each weight")
        if token_map.shape != (TOKEN_WIDTH, token_scale.size - 1):
            raise ConfigurationError(f"{folder / DELTA_FILE} has a map to tokens of another shape")
        factors = {name: (tensors[f"{name}.A"], tensors[f"{name}.B"]) for name in names}
        return cls(factors, token_map, token_scale, strength, hashlib.sha256(card + data).hexdigest())

    def applied(self, weights: Weights) -> Weights:
        """The weights with the change added. Raises ConfigurationError if a weight is missing or of another shape."""
        changed = dict(weights)
        for name, (down, up) in self.factors.items():
            if name not in weights or weights[name].shape != (up.shape[0], down.shape[1]):
                raise ConfigurationError(f"The search encoder's factors of {name} do not fit the pinned weights")
            changed[name] = weights[name] + np.float32(self.strength) * (up @ down)
        return changed
