"""`convserve-server`, also `python -m convserve_server`."""

from __future__ import annotations

import sys

from convserve_server.serving import serve
from convserve_server.settings import settings_of_process


def main() -> None:
    """Run the server until it is told to stop; the exit code says how it went."""
    sys.exit(serve(settings_of_process(sys.argv[1:])))


if __name__ == "__main__":
    main()
