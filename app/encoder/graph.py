"""The encoder as an ONNX graph, written from the safetensors weights, so that serving needs no torch.

The network is BERT (Devlin et al. 2019) in the size of MiniLM-L6-H384: learnt positions, post-layer-norm blocks, exact
(erf) GELU. Token types are all 0, so that row is added to the position table. The three projections of attention are
one matrix product.

Inputs: ``ids`` and ``mask``, int64 (batch, tokens). Outputs: of the graph for whole texts, ``embedding`` float32
(batch, 384), the mean of the last hidden states over the mask scaled to length 1; with a :class:`Delta` also ``tokens``
(batch, tokens, 64), vectors of length 1, and ``weights`` (batch, tokens), what each token says; of the graph for words,
``states`` and ``middle`` float32 (batch, tokens, 384), the hidden states after the last block that it runs and after
the one in the middle: its :class:`WordDelta` says how many it runs; of the graph for pairs (:class:`RerankDelta`)
``logits`` float32 (batch), the higher the better the second text answers the first.

The graph for words, and one for whole texts on demand, multiply in 8-bit integers, half the time of float32:
weights are rounded once for each column, activations for each product at run time. Weights use 7 of the 8 bits, because
processors without VNNI add pairs of products in 16 bits. Their word table is float16.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

from app.encoder.delta import Change, Delta, RerankDelta, Weights, WordDelta
from app.encoder.text import TOKEN_WIDTH

GRAPH_VERSION = 3
"""Part of the cache file's name: raise it when the graph that is written changes."""

LAYERS = 6
HEADS = 12
WIDTH = 384
EPSILON = 1e-12
OPSET = 20
STEPS = 63
"""Of a rounded weight to each side of zero."""


class _Graph:
    """Collects nodes and constants; every method returns the name of the value it makes."""

    def __init__(self, *, rounded: bool) -> None:
        self.rounded = rounded
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def integers(self, *values: int) -> str:
        return self.constant(f"integers_{len(self.constants)}", np.array(values, dtype=np.int64))

    def number(self, value: float) -> str:
        return self.constant(f"number_{len(self.constants)}", np.array(value, dtype=np.float32))

    def add(self, operator: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        output = name or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], name=output, **attributes))
        return output

    def linear(self, value: str, weights: Weights, prefix: str) -> str:
        return self.product(value, weights[f"{prefix}.weight"].T, weights[f"{prefix}.bias"], prefix)

    def product(self, value: str, kernel: NDArray[np.float32], bias: NDArray[np.float32], prefix: str) -> str:
        shift = self.constant(f"{prefix}.bias", bias)
        if not self.rounded:
            return self.add("Add", self.add("MatMul", value, self.constant(f"{prefix}.kernel", kernel)), shift)
        scales = np.abs(kernel).max(axis=0) / STEPS
        steps = self.constant(f"{prefix}.kernel", np.rint(kernel / scales).astype(np.int8))
        inputs = [f"{prefix}.{part}" for part in ("input", "input_scale", "input_zero")]
        self.nodes.append(helper.make_node("DynamicQuantizeLinear", [value], inputs, name=inputs[0]))
        zero = self.constant(f"{prefix}.zero", np.zeros((), dtype=np.int8))
        whole = self.add("MatMulInteger", inputs[0], steps, inputs[2], zero)
        scale = self.add("Mul", inputs[1], self.constant(f"{prefix}.scales", scales.astype(np.float32)))
        return self.add("Add", self.add("Mul", self.add("Cast", whole, to=TensorProto.FLOAT), scale), shift)

    def normalise(self, value: str, weights: Weights, prefix: str) -> str:
        scale = self.constant(f"{prefix}.scale", weights[f"{prefix}.weight"])
        bias = self.constant(f"{prefix}.bias", weights[f"{prefix}.bias"])
        return self.add("LayerNormalization", value, scale, bias, axis=-1, epsilon=EPSILON)


def build(folder: Path, change: Change | None = None, *, rounded: bool = False) -> onnx.ModelProto:
    """The graph with the weights of ``folder/model.safetensors`` and the ``change`` added to them.

    With a :class:`WordDelta` it is the one for words, with a :class:`RerankDelta` the one for pairs, else one for whole
    texts; with a :class:`Delta` that one has the vectors of tokens too. With ``rounded`` it multiplies in 8-bit
    integers. Raises ConfigurationError if the change does not fit the weights.
    """
    weights: Weights = load_file(folder / "model.safetensors")
    if change:
        weights = change.applied(weights)
    words = change if isinstance(change, WordDelta) else None
    layers = change.layers if isinstance(change, WordDelta | RerankDelta) else LAYERS
    graph = _Graph(rounded=rounded or words is not None)
    hidden = _embed(graph, weights)
    bias = _mask_bias(graph)
    names = {middle(layers): "middle", layers: "states"} if words else {}
    for layer in range(layers):
        hidden = _block(graph, weights, f"encoder.layer.{layer}", hidden, bias, name=names.get(layer + 1, ""))
    states: list[int | str] = ["batch", "tokens", WIDTH]
    outputs: dict[str, list[int | str]] = {"middle": states, "states": states}
    if isinstance(change, RerankDelta):
        _judge(graph, hidden, change)
        outputs = {"logits": ["batch"]}
    elif words is None:
        graph.add("LpNormalization", _mean(graph, hidden), name="embedding", axis=-1, p=2)
        outputs = {"embedding": ["batch", WIDTH]}
    if isinstance(change, Delta):
        _read_tokens(graph, hidden, change)
        outputs |= {"tokens": ["batch", "tokens", TOKEN_WIDTH], "weights": ["batch", "tokens"]}
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "minilm",
            [helper.make_tensor_value_info(n, TensorProto.INT64, ["batch", "tokens"]) for n in ("ids", "mask")],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name="bedside",
    )
    model.ir_version = 9
    return model


def middle(layers: int) -> int:
    """After which block of so many the middle states are taken."""
    return (layers + 1) // 2


def _embed(graph: _Graph, weights: Weights) -> str:
    table_of_words = weights["embeddings.word_embeddings.weight"]
    words = graph.constant("words", table_of_words.astype(np.float16) if graph.rounded else table_of_words)
    table = weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0]
    positions = graph.constant("positions", table)
    length = graph.add("Shape", "ids", start=1, end=2)
    here = graph.add("Slice", positions, graph.integers(0), length, graph.integers(0))
    found = graph.add("Gather", words, "ids", axis=0)
    found = graph.add("Cast", found, to=TensorProto.FLOAT) if graph.rounded else found
    total = graph.add("Add", found, here)
    return graph.normalise(total, weights, "embeddings.LayerNorm")


def _mask_bias(graph: _Graph) -> str:
    """0 where a token may be attended to, a very negative number where it is padding; (batch, 1, 1, tokens)."""
    mask = graph.add("Cast", "mask", to=TensorProto.FLOAT)
    hidden = graph.add("Mul", graph.add("Sub", graph.number(1.0), mask), graph.number(-1e9))
    return graph.add("Unsqueeze", hidden, graph.integers(1, 2))


def _block(graph: _Graph, weights: Weights, prefix: str, hidden: str, bias: str, *, name: str) -> str:
    attended = _attention(graph, weights, f"{prefix}.attention", hidden, bias)
    inner = graph.linear(attended, weights, f"{prefix}.intermediate.dense")
    outer = graph.linear(graph.add("Gelu", inner), weights, f"{prefix}.output.dense")
    result = graph.normalise(graph.add("Add", outer, attended), weights, f"{prefix}.output.LayerNorm")
    return graph.add("Identity", result, name=name) if name else result


def _attention(graph: _Graph, weights: Weights, prefix: str, hidden: str, bias: str) -> str:
    parts = [f"{prefix}.self.{name}" for name in ("query", "key", "value")]
    kernel = np.concatenate([weights[f"{part}.weight"].T for part in parts], axis=1)
    shift = np.concatenate([weights[f"{part}.bias"] for part in parts])
    kernel[:, :WIDTH] /= math.sqrt(WIDTH / HEADS)
    shift[:WIDTH] /= math.sqrt(WIDTH / HEADS)
    joined = graph.product(hidden, kernel, shift, prefix)
    heads = graph.add("Reshape", joined, graph.integers(0, 0, 3, HEADS, WIDTH // HEADS))
    split = graph.add("Transpose", heads, perm=[2, 0, 3, 1, 4])
    query, key, value = (
        graph.add("Gather", split, graph.constant(f"{prefix}.{i}", np.array(i, dtype=np.int64)), axis=0)
        for i in range(3)
    )
    scores = graph.add("MatMul", query, graph.add("Transpose", key, perm=[0, 1, 3, 2]))
    chances = graph.add("Softmax", graph.add("Add", scores, bias), axis=-1)
    mixed = graph.add("Transpose", graph.add("MatMul", chances, value), perm=[0, 2, 1, 3])
    flat = graph.add("Reshape", mixed, graph.integers(0, 0, WIDTH))
    projected = graph.linear(flat, weights, f"{prefix}.output.dense")
    return graph.normalise(graph.add("Add", projected, hidden), weights, f"{prefix}.output.LayerNorm")


def _mean(graph: _Graph, states: str) -> str:
    mask = graph.add("Unsqueeze", graph.add("Cast", "mask", to=TensorProto.FLOAT), graph.integers(2))
    total = graph.add("ReduceSum", graph.add("Mul", states, mask), graph.integers(1), keepdims=0)
    count = graph.add("Max", graph.add("ReduceSum", mask, graph.integers(1), keepdims=0), graph.number(1e-9))
    return graph.add("Div", total, count)


def _judge(graph: _Graph, states: str, change: RerankDelta) -> None:
    first = graph.add("Gather", states, graph.constant("judge.first", np.array(0, dtype=np.int64)), axis=1)
    both = graph.add("Concat", first, _mean(graph, states), axis=-1)
    says = graph.add("MatMul", both, graph.constant("judge.kernel", change.judge[:-1]))
    graph.add("Add", says, graph.number(float(change.judge[-1])), name="logits")


def _read_tokens(graph: _Graph, states: str, delta: Delta) -> None:
    narrow = graph.add("MatMul", states, graph.constant("tokens.map", delta.token_map.T))
    graph.add("LpNormalization", narrow, name="tokens", axis=-1, p=2)
    says = graph.add("MatMul", states, graph.constant("tokens.scale", delta.token_scale[:-1]))
    graph.add("Softplus", graph.add("Add", says, graph.number(float(delta.token_scale[-1]))), name="weights")
