"""Run every benchmark, one after the other."""

import importlib
import pkgutil

import tests.benchmarks as benchmarks

for module in pkgutil.iter_modules(benchmarks.__path__):
    if not module.name.startswith("_"):
        print(f"\n== {module.name} ==")
        importlib.import_module(f"tests.benchmarks.{module.name}").main()
