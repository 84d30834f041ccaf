"""The wire edge: the only code, beside app.py, that sees gRPC. Decode, call, encode."""
