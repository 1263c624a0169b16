"""JSON from strangers: every way in which it can be wrong becomes Refused."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from training.curate.formats.contract import Refused

_MOST_AGAIN = 10


def loaded(text: str) -> Any:
    """The value. Where a key is there again, the last counts and those before it stand under the key with blanks after
    it. Raises Refused: not JSON, nested too deeply, numbers that are none, a key too often.
    """
    try:
        return json.loads(text, parse_constant=_no_constant, object_pairs_hook=_object)
    except RecursionError:
        raise Refused("JSON nested too deeply") from None
    except ValueError as error:
        # The parser's own message may quote the text.
        raise Refused("not valid JSON", type(error).__name__) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        again: Counter[str] = Counter()
        for key, value in pairs:
            if value is not found[key]:
                again[key] += 1
                if again[key] > _MOST_AGAIN:
                    raise Refused("a key is there too often")
                found[key + " " * again[key]] = value
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(name)
