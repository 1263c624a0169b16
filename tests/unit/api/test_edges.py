"""Error mapping, rates and the body limit, without a server."""

from __future__ import annotations

import pytest

from app import errors
from app.api.errors import name_of, status_of
from app.api.middleware import _depth
from app.api.rates import RateLimit


def all_errors(base: type[errors.BedsideError] = errors.BedsideError) -> list[type[errors.BedsideError]]:
    """The whole tree."""
    return [base, *(kind for child in base.__subclasses__() for kind in all_errors(child))]


def test_every_error_has_a_status() -> None:
    assert len(all_errors()) > 25
    for kind in all_errors():
        assert 400 <= status_of(kind) <= 503
        if issubclass(kind, errors.AccessError | errors.ConflictError | errors.InputError | errors.NotFound):
            assert status_of(kind) < 500, kind
    assert status_of(errors.EngineTimeout) == status_of(errors.StoreUnavailable) == 503
    assert name_of(errors.MessageTooLong) == "message_too_long"


def test_a_rate_limit_refills_and_keeps_callers_apart() -> None:
    now = [0.0]
    limit = RateLimit(60, burst=2, clock=lambda: now[0])
    limit.check("a")
    limit.check("a")
    with pytest.raises(errors.TooManyRequests) as refused:
        limit.check("a")
    assert refused.value.retry_after_s == pytest.approx(1.0)
    limit.check("b")
    now[0] = 1.0
    limit.check("a")
    with pytest.raises(errors.TooManyRequests):
        limit.check("a")


@pytest.mark.parametrize(
    ("body", "deepest"),
    [
        (b"[" * 40 + b"]" * 40, 40),
        (b'{"a":' * 33 + b"1" + b"}" * 33, 33),
        (b'{"text": "' + b"[" * 500 + b'"}', 1),
        (b'{"text": "\\"' + b"[" * 500 + b'"}', 1),
        (b"[[]]" * 50, 2),
    ],
)
def test_depth_counts_brackets_outside_strings(body: bytes, deepest: int) -> None:
    assert _depth(body) == deepest
