"""Plans as people read them."""

from __future__ import annotations

from convserve.plans import Plan


def plan_table(plan: Plan) -> str:
    """The plan as a table."""
    raise NotImplementedError
