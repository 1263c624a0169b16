"""The circuit breaker over a clock that the test moves."""

from __future__ import annotations

import pytest

from app.engine.breaker import CircuitBreaker


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def opened(clock: Clock, failures: int = 3) -> CircuitBreaker:
    breaker = CircuitBreaker(clock, failures=failures, open_s=2.0)
    for _ in range(failures):
        assert breaker.allow()
        breaker.failed()
    return breaker


def test_stays_closed_below_the_threshold_and_forgets_after_a_success() -> None:
    breaker = CircuitBreaker(Clock(), failures=3)
    for _ in range(5):
        breaker.failed()
        breaker.failed()
        breaker.succeeded()
    assert breaker.state == "closed"
    assert breaker.allow()


def test_opens_at_the_threshold_and_refuses() -> None:
    breaker = opened(Clock())
    assert breaker.state == "open"
    assert not breaker.allow()


def test_lets_one_probe_through_when_the_time_is_over() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 1.99
    assert not breaker.allow()
    clock.now += 0.02
    assert breaker.state == "half-open"
    assert breaker.allow()
    assert not breaker.allow()


def test_the_probe_decides() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 2.0
    assert breaker.allow()
    breaker.failed()
    assert breaker.state == "open"
    clock.now += 2.0
    assert breaker.allow()
    breaker.succeeded()
    assert breaker.state == "closed"
    breaker.failed()
    assert breaker.state == "closed"


def test_a_cancelled_probe_makes_room_for_the_next() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 2.0
    assert breaker.allow()
    breaker.cancelled()
    assert breaker.state == "half-open"
    assert breaker.allow()


def test_late_failures_do_not_lengthen_an_open_circuit() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 1.5
    breaker.failed()
    clock.now += 0.5
    assert breaker.state == "half-open"


@pytest.mark.parametrize(("failures", "open_s"), [(0, 1.0), (1, -1.0)])
def test_refuses_senseless_bounds(failures: int, open_s: float) -> None:
    with pytest.raises(ValueError, match="at least"):
        CircuitBreaker(Clock(), failures=failures, open_s=open_s)
