"""A small network over the encoder's states, in ONNX Runtime: for each piece of a text the chance of each class.

One thread, as the encoder itself: a matrix product in NumPy wakes a thread on every core, and a reader of many texts in
several processes, or a service under load, then waits for cores that work for others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from app.encoder.graph import OPSET
from app.encoder.sessions import open_session

Array = NDArray[np.float32]


class PieceNetwork:
    """States and shapes made narrower, the spelling beside them, two convolutions, a layer, softmax.

    Safe under concurrent use.
    """

    def __init__(self, layers: Mapping[str, tuple[Array, Array]], reach: int) -> None:
        """``layers``: kernel and bias of ``states``, ``shapes``, ``first``, ``second`` and ``outer``.

        Kernels are (inputs, outputs), those of the convolutions ``first`` and ``second`` (reach * inputs, outputs);
        ``reach``, an odd number, is how many pieces a convolution reads.
        """
        self._session = open_session(_graph(layers, reach).SerializeToString())

    def chances(self, states: Array, shapes: Array, spelling: Array) -> Array:
        """Chances (pieces, classes), rows add up to 1; all inputs have one row a piece, in the order of the text."""
        found: list[Array] = self._session.run(["chances"], {"states": states, "shapes": shapes, "spelling": spelling})
        return found[0]


def _graph(layers: Mapping[str, tuple[Array, Array]], reach: int) -> ModelProto:
    nodes: list[NodeProto] = []
    constants: list[TensorProto] = []

    def add(operator: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        output = name or f"value_{len(nodes)}"
        nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def kept(layer: str, kernel: Array) -> tuple[str, str]:
        constants.append(numpy_helper.from_array(np.asarray(kernel, order="C"), f"{layer}.kernel"))
        constants.append(numpy_helper.from_array(layers[layer][1], f"{layer}.bias"))
        return f"{layer}.kernel", f"{layer}.bias"

    def linear(layer: str, value: str) -> str:
        return add("Gemm", value, *kept(layer, layers[layer][0]))

    def convolution(layer: str, value: str) -> str:
        kernel = layers[layer][0]
        shaped = kernel.reshape(reach, -1, kernel.shape[1]).transpose(2, 1, 0)
        return add("Relu", add("Conv", value, *kept(layer, shaped), pads=[reach // 2] * 2))

    constants.append(numpy_helper.from_array(np.array([0], dtype=np.int64), "batch"))
    joined = add("Concat", linear("states", "states"), linear("shapes", "shapes"), "spelling", axis=1)
    columns = add("Unsqueeze", add("Transpose", add("Relu", joined), perm=[1, 0]), "batch")
    first = convolution("first", columns)
    read = add("Squeeze", add("Concat", convolution("second", first), first, axis=1), "batch")
    add("Softmax", linear("outer", add("Transpose", read, perm=[1, 0])), name="chances", axis=1)
    given = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, [None, None]) for n in ("states", "shapes", "spelling")
    ]
    found = [helper.make_tensor_value_info("chances", TensorProto.FLOAT, [None, None])]
    graph = helper.make_graph(nodes, "pieces", given, found, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="bedside")
    model.ir_version = 9
    return model
