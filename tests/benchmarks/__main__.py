"""The table: `python -m tests.benchmarks [NAME ...] [--quick] [--json FILE] [--peers FOLDER]`."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
from pathlib import Path
from time import perf_counter

from tests.benchmarks.options import Options
from tests.benchmarks.rows import Row, table

NAMES = (
    "large",
    "small",
    "concurrent",
    "resident",
    "signals",
    "planning",
    "overload",
    "leaks",
    "memory",
)


def main() -> None:
    """Measure what is named, or everything, and print one table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--quick", action="store_true", help="few rounds, for a look")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every number there too")
    parser.add_argument("--peers", type=Path, metavar="FOLDER", help="the peers' environment")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(NAMES):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    peers = arguments.peers
    if peers is not None and not (peers / "bin" / "python").exists():
        parser.error(f"--peers {peers}: there is no bin/python in it")
    groups = [_measure(name, Options(arguments.quick, peers)) for name in arguments.names or NAMES]
    print(_machine())
    print("Medians of interleaved rounds, [the middle half of them].\n")
    print(table(groups))
    if peers is None:
        print("\nPyTriton is left out: --peers is not given (tests/benchmarks/peers/README.md).")
    if arguments.json:
        arguments.json.write_text(json.dumps(_document(groups), indent=2) + "\n")


def _measure(name: str, options: Options) -> tuple[str, list[Row]]:
    start = perf_counter()
    rows = importlib.import_module(f"tests.benchmarks.{name}").measure(options)
    print(f"{name}: {perf_counter() - start:.0f} s", file=sys.stderr)
    return name, rows


def _machine() -> str:
    return f"{platform.machine()}, {len(os.sched_getaffinity(0))} processors, {platform.system()}"


def _document(groups: list[tuple[str, list[Row]]]) -> dict[str, object]:
    rows = {name: [row.document() for row in rows] for name, rows in groups}
    return {"machine": _machine(), "benchmarks": rows}


if __name__ == "__main__":
    main()
