"""`python -m convserve_client` is the command `convserve`."""

from convserve_client.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
