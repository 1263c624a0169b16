"""One MiniLM pass in ONNX Runtime, shared by retrieval and by later heads; the only importer of onnxruntime."""
