"""Names of layers and inputs, out of those that the file has."""

from __future__ import annotations

import re
from collections import Counter

MAX_NAME = 100  # of a layer: its weights add a role, and some layers a part
_OTHER = re.compile(r"[^A-Za-z0-9_./-]+")


class Names:
    """The names that are taken."""

    def __init__(self) -> None:
        self._taken = {"input"}  # no layer may be called so
        self._numbers: Counter[str] = Counter()

    def take(self, *wishes: str) -> str:
        """A free name like the first of the wishes that says anything; numbers alone do not."""
        wish = next((wish for wish in wishes if wish and not wish.isdigit()), "layer")
        plain = _OTHER.sub("_", wish).strip("/")[-MAX_NAME:] or "layer"
        name = plain
        while name in self._taken:
            self._numbers[plain] += 1
            name = f"{plain}_{self._numbers[plain] + 1}"
        self._taken.add(name)
        return name
