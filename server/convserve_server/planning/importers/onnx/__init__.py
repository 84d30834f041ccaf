"""ONNX models, opset 7 to 28: read without the onnx package, in bounded time and memory.

`wire.py` walks protobuf's bytes, `messages.py` knows which fields ONNX has, `constants.py` holds
what is known before the network runs, `reading.py` goes through the graph, and the modules in
`operators/` say what each operator becomes.
"""

from convserve_server.planning.importers.onnx.reading import read_onnx

__all__ = ["read_onnx"]
