"""Random cases in any number, by seed: `python -m tests.properties.run_many --count 2000`.

Every case runs in float32 and float64 on every engine, against PyTorch and SciPy in double
precision. Prints the worst error of each kind and dtype; exits 1 if one is above its limit.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import defaultdict

from convserve_server.engines import ENGINES, load_engine
from convserve_server.engines.base import Engine

from tests.properties.measure import LARGEST_ERROR, relative_error
from tests.properties.random_cases import GENERATORS


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="cases over all kinds")
    parser.add_argument("--seed", type=int, default=0, help="of the first case; each has its own")
    parser.add_argument("--engine", action="append", choices=ENGINES, help="default: all")
    options = parser.parse_args()
    engines = [load_engine(name) for name in options.engine or ENGINES]
    seeds = range(options.seed, options.seed + options.count)
    worst, failures = run(seeds, engines)
    for (kind, dtype, engine), error in sorted(worst.items()):
        say(f"{kind:22} {dtype:8} {engine:10} {error:.2e} (limit {LARGEST_ERROR[dtype]:.0e})")
    say(f"{options.count} cases, {failures} failures, worst {max(worst.values(), default=0.0):.2e}")
    return 1 if failures else 0


def run(seeds: range, engines: list[Engine]) -> tuple[dict[tuple[str, str, str], float], int]:
    """The worst error by (kind, dtype, engine), and how many results were above their limit."""
    worst: dict[tuple[str, str, str], float] = defaultdict(float)
    failures = 0
    for seed in seeds:
        kind = list(GENERATORS)[seed % len(GENERATORS)]
        for dtype, limit in LARGEST_ERROR.items():
            case = GENERATORS[kind](random.Random(seed), dtype)
            for engine in engines:
                error = relative_error(engine, case)
                worst[kind, dtype, engine.name] = max(worst[kind, dtype, engine.name], error)
                if not error <= limit:
                    failures += 1
                    say(f"seed {seed} on {engine.name}: {error:.2e} above {limit:.0e}: {case}")
    return worst, failures


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
