"""The contract of convserve: what client and server share, and nothing else."""

__version__ = "0.1.0"
