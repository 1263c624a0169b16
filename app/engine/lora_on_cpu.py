"""A plugin of vLLM (entry point ``vllm.general_plugins``): adapters at a bearable price on a CPU.

Without a GPU vLLM multiplies with adapters in plain PyTorch, and gathers the adapter's weights anew for every token:
gigabytes of copies for a prompt of 170 tokens at rank 64. Here the tokens of one adapter are multiplied together.
Tokens without an adapter (slot -1) get nothing added; vLLM's own way takes the last slot for them, so that in a full
engine a reply of the base model read beside others was changed by somebody else's adapter.

The engine loads this module, never the service: so it names torch and vLLM only while it runs. Where the installed vLLM
lacks what is replaced, all stays as it is.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_OPERATIONS = "vllm.lora.ops.torch_ops.lora_ops"
_PLACES = (_OPERATIONS, "vllm.lora.ops.torch_ops", "vllm.lora.punica_wrapper.punica_cpu")
"""Where the replaced functions are looked up: their own module, its package, and who imported them by name."""


def register() -> None:
    """Put this module's functions in the place of vLLM's; called by vLLM in each of its processes."""
    try:
        places = [import_module(name) for name in _PLACES]
    except ImportError:
        return
    ours = {function.__name__: function for function in (bgmv_shrink, bgmv_expand, bgmv_expand_slice)}
    if all(hasattr(places[0], name) for name in ours):
        for place in places:
            for name, function in ours.items():
                setattr(place, name, function)


def bgmv_shrink(inputs: Any, lora_a: Any, output: Any, slots: Any, scaling: float = 1.0) -> None:
    """``output[:, :rank] = scaling * inputs @ A^T``, each token by the adapter of its slot.

    Shapes: ``inputs`` ``[tokens, in]``, ``lora_a`` ``[slots, (1,) rank, in]``, ``slots`` ``[tokens]``.
    """
    found = _products(inputs, lora_a, output, slots)
    output[:, : found.shape[1]] = scaling * found


def bgmv_expand(inputs: Any, lora_b: Any, output: Any, slots: Any, add_inputs: bool = True) -> None:
    """``output += inputs @ B^T`` (``=`` without ``add_inputs``), shapes as above.

    ``lora_b`` is ``[slots, (1,) out, rank]``. Where the two differ in width by padding, the narrower one counts.
    """
    found = _products(inputs, lora_b, output, slots)
    rows = 1 if len(found) == 1 else len(output)
    width = min(found.shape[1], output.shape[1])
    if add_inputs:
        output[:, :width] += found[:rows, :width]
    else:
        output[:, :width] = found[:rows, :width]


def bgmv_expand_slice(
    inputs: Any, lora_b: Any, output: Any, slots: Any, slice_offset: int, slice_size: int, add_inputs: bool = True
) -> None:
    """:func:`bgmv_expand` into the columns from ``slice_offset`` on."""
    found = _products(inputs, lora_b, output, slots)
    columns = slice(slice_offset, slice_offset + slice_size)
    if add_inputs:
        output[:, columns] += found
    else:
        output[:, columns] = found


def _products(inputs: Any, weights: Any, output: Any, slots: Any) -> Any:
    """``[tokens, out]``, in the type of ``output``: each token times the weights of its slot, 0 for slot -1."""
    if weights.dim() == 4:
        weights = weights.squeeze(1)
    inputs = inputs.to(output.dtype)
    used = slots.tolist() if len(slots) == 1 else slots.unique().tolist()
    if len(used) == 1 and used[0] >= 0:
        return inputs @ weights[used[0]].to(output.dtype).T
    found = inputs.new_zeros(len(inputs), weights.shape[1])
    for slot in used:
        if slot >= 0:
            rows = slots == slot
            found[rows] = inputs[rows] @ weights[slot].to(output.dtype).T
    return found
