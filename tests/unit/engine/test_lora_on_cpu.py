"""Adapters on a CPU: the products of vLLM's own functions, tokens of one adapter together, and nothing without one."""

from __future__ import annotations

from importlib import import_module, metadata
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from app.engine import lora_on_cpu
from app.engine.lora_on_cpu import bgmv_expand, bgmv_expand_slice, bgmv_shrink, register

SLOTS, RANK, IN, OUT = 4, 3, 10, 12


@pytest.fixture(scope="module")
def theirs() -> Any:
    """vLLM's functions as they are installed: read from the file anew, whatever was replaced in this process."""
    import importlib.util

    spec = importlib.util.find_spec("vllm.lora.ops.torch_ops.lora_ops")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def numbers(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, SLOTS - 1), min_size=1, max_size=9), st.booleans(), st.booleans())
def test_the_products_are_those_of_vllm(theirs: Any, slots: list[int], four: bool, add: bool) -> None:
    tokens, places = len(slots), torch.tensor(slots)
    inputs, low = numbers(1, tokens, IN).bfloat16(), numbers(2, tokens, RANK)
    a, b = numbers(3, SLOTS, RANK, IN).bfloat16(), numbers(4, SLOTS, OUT, RANK).bfloat16()
    if four:
        a, b = a[:, None], b[:, None]
    calls: list[tuple[str, tuple[Any, ...], int]] = [
        ("bgmv_shrink", (inputs, a, 0.5), RANK + 1),
        ("bgmv_expand", (low, b, add), OUT - 1),
        ("bgmv_expand", (low, b, add), OUT + 2),
        ("bgmv_expand_slice", (low, b, 5, OUT, add), OUT + 8),
    ]
    ours = {function.__name__: function for function in (bgmv_shrink, bgmv_expand, bgmv_expand_slice)}
    for name, (given_inputs, weights, *rest), width in calls:
        found, wanted = numbers(5, tokens, width), numbers(5, tokens, width)
        ours[name](given_inputs, weights, found, places, *rest)
        getattr(theirs, name)(given_inputs, weights, wanted, places, *rest)
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("slots", [[-1], [-1, -1], [-1, 3, -1]])
def test_a_token_without_an_adapter_gets_nothing_even_if_all_slots_are_taken(slots: list[int]) -> None:
    places, low = torch.tensor(slots), numbers(2, len(slots), RANK)
    output = torch.zeros(len(slots), OUT)
    bgmv_expand(low, numbers(4, SLOTS, OUT, RANK), output, places)
    assert [bool(row.any()) for row in output] == [slot >= 0 for slot in slots]
    shrunk = torch.ones(len(slots), RANK)
    bgmv_shrink(numbers(1, len(slots), IN), numbers(3, SLOTS, RANK, IN), shrunk, places)
    assert [bool(row.any()) for row in shrunk] == [slot >= 0 for slot in slots]


def test_vllm_loads_it_and_its_functions_are_replaced_wherever_they_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    points = metadata.entry_points(group="vllm.general_plugins")
    assert "bedside_lora_on_cpu" in points.names
    assert points["bedside_lora_on_cpu"].load() is register
    places = [import_module(name) for name in lora_on_cpu._PLACES]
    for place in places:
        for name in ("bgmv_shrink", "bgmv_expand", "bgmv_expand_slice"):
            monkeypatch.setattr(place, name, getattr(place, name))  # put back after the test
    register()
    register()
    for place in places:
        assert (place.bgmv_shrink, place.bgmv_expand) == (bgmv_shrink, bgmv_expand)
        assert place.bgmv_expand_slice is bgmv_expand_slice
    prefill = places[0].sgmv_shrink
    output = torch.zeros(3, RANK)
    lengths, weights = torch.tensor([2, 1]), numbers(3, SLOTS, 1, RANK, IN)
    prefill(numbers(1, 3, IN), weights, output, None, lengths, torch.tensor([1, -1]), 2, 2, 3, 1.0)
    assert [bool(row.any()) for row in output] == [True, True, False]


def test_without_vllm_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lora_on_cpu, "_PLACES", ("vllm_that_is_not_installed",))
    register()
