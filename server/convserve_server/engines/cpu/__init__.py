"""The cpu engine: ONNX Runtime for float32, BLAS for the other types, FFTs for long signals."""
