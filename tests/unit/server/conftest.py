import pytest

from tests.unit.server.workers.harness import REPOSITORY


@pytest.fixture(autouse=True)
def fakes_for_children(monkeypatch):
    """Worker processes find the fake engines."""
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
