"""The server of convserve: plans convolutions, and runs them in worker processes."""
