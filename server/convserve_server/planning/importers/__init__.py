"""Readers of other programs' model files. Pure: bytes in, a network out; nothing is executed."""
