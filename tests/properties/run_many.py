"""Random cases in any number, by seed: `python -m tests.properties.run_many --count 20000`.

Every case runs in float32 and float64 on every engine, against PyTorch and SciPy in double
precision. Prints the worst error of each kind and dtype; exits 1 if one is above its limit.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import defaultdict
from collections.abc import Sequence

from attrs import Factory, frozen
from convserve_server.engines import ENGINES, load_engine
from convserve_server.engines.base import Engine

from tests.properties.measure import LARGEST_ERROR, relative_errors
from tests.properties.random_cases import GENERATORS


@frozen
class Findings:
    """The worst error by (kind, dtype, engine), and a line for each one above its limit."""

    worst: dict[tuple[str, str, str], float] = Factory(lambda: defaultdict(float))
    failures: list[str] = Factory(list)

    def lines(self) -> list[str]:
        """The worst errors as people read them."""
        return [
            f"{kind:22} {dtype:8} {engine:10} {error:.2e} (limit {LARGEST_ERROR[dtype]:.0e})"
            for (kind, dtype, engine), error in sorted(self.worst.items())
        ]


def run_many(seeds: range, engines: Sequence[Engine]) -> Findings:
    """Run one case per seed in each dtype; the seeds take turns at the kinds."""
    findings = Findings()
    for seed in seeds:
        kind = list(GENERATORS)[seed % len(GENERATORS)]
        for dtype, limit in LARGEST_ERROR.items():
            case = GENERATORS[kind](random.Random(seed), dtype)
            for engine, error in zip(engines, relative_errors(engines, case), strict=True):
                key = (kind, dtype, engine.name)
                findings.worst[key] = max(findings.worst[key], error)
                if not error <= limit:
                    findings.failures.append(
                        f"seed {seed} on {engine.name}: {error:.2e} above {limit:.0e}: {case}"
                    )
    return findings


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="cases over all kinds")
    parser.add_argument("--seed", type=int, default=0, help="of the first case; each has its own")
    parser.add_argument("--engine", action="append", choices=ENGINES, help="default: all")
    options = parser.parse_args()
    engines = [load_engine(name) for name in options.engine or ENGINES]
    findings = run_many(range(options.seed, options.seed + options.count), engines)
    total = f"{options.count} cases, {len(findings.failures)} failures"
    print(*findings.failures, *findings.lines(), total, sep="\n")
    return 1 if findings.failures else 0


if __name__ == "__main__":
    sys.exit(main())
