"""The measure of processor time that other tests rely on."""

from __future__ import annotations

import gc

from tests.cost import grows, seconds


def test_the_least_of_several_tries_counts() -> None:
    times = iter([0.0, 9.0, 10.0, 11.0, 20.0, 25.0])
    assert seconds(lambda: None, clock=lambda: next(times)) == 1.0


def test_a_try_within_the_bound_is_enough() -> None:
    times = iter([0.0, 3.0])
    assert seconds(lambda: None, most=4, clock=lambda: next(times)) == 3.0


def test_the_collector_rests_only_meanwhile() -> None:
    seen: list[bool] = []
    seconds(lambda: seen.append(gc.isenabled()), tries=1)
    assert seen == [False]
    assert gc.isenabled()


def test_what_grows_with_the_square_is_noticed() -> None:
    assert grows(lambda size: size**2 / 1e6, 10, 40, most=8) == 16
    assert grows(lambda size: size / 1e6, 10, 40, most=8) == 4
