"""JSON from strangers: every way in which it can be wrong becomes Refused."""

from __future__ import annotations

import json
from typing import Any

from training.curate.formats.contract import Refused


def loaded(text: str) -> Any:
    """The value. Raises Refused: not JSON, nested too deeply, numbers that are none."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise Refused("JSON nested too deeply") from None
    except ValueError as error:
        # The parser's own message may quote the text.
        raise Refused("not valid JSON", type(error).__name__) from None


def _no_constant(name: str) -> Any:
    raise ValueError(name)
