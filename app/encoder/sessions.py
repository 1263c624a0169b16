"""How every graph is opened: one thread per pass, so that passes of several texts share the cores fairly."""

from __future__ import annotations

from pathlib import Path

import onnxruntime as ort


def open_session(graph: Path | bytes) -> ort.InferenceSession:
    """A session on the CPU over an ONNX file or its bytes."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    model = graph if isinstance(graph, bytes) else str(graph)
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
