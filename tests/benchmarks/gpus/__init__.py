"""What `tests.benchmarks.gpu` measures with: our recipes, torch, and the server."""
