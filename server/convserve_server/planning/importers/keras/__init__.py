"""Keras models as `model.to_json()` writes them, of Keras 2 and 3."""

from convserve_server.planning.importers.keras.reader import read_keras

__all__ = ["read_keras"]
