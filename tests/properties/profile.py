"""The settings of every property: the same examples each time, and few enough for every run."""

from hypothesis import HealthCheck, settings

ci = settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
