"""Runs convserve-server as a child of `local`: `python -m convserve_client._launch DIRECTORY ...`.

The child removes the directory of its socket when it ends, for its owner may have died before it.
"""

from __future__ import annotations

import runpy
import shutil
import sys


def main() -> None:
    """Run the server with the arguments after the directory, then remove the directory."""
    directory, *arguments = sys.argv[1:]
    sys.argv = ["convserve-server", *arguments]
    try:
        runpy.run_module("convserve_server", run_name="__main__", alter_sys=True)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
