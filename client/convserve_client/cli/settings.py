"""What the command takes from the environment: the only module of the client that reads it."""

from __future__ import annotations

import os
from collections.abc import Mapping

from attrs import frozen


@frozen
class Settings:
    """The defaults of `--server` and `--token`; None where the variable is not set."""

    server: str | None = None
    token: str | None = None


def read_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """`CONVSERVE_SERVER` and `CONVSERVE_TOKEN`; an empty variable is one that is not set."""
    variables = os.environ if environ is None else environ
    return Settings(
        server=variables.get("CONVSERVE_SERVER") or None,
        token=variables.get("CONVSERVE_TOKEN") or None,
    )
