"""From work to a recipe: which commands, on which buffers. Pure, and the same everywhere."""

from convserve_server.engines.cuda.lowering.builder import Builder, Plans
from convserve_server.engines.cuda.lowering.lower import lower

__all__ = ["Builder", "Plans", "lower"]
