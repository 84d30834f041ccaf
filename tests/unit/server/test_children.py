"""How the ends of child processes are told."""

import signal

import pytest
from convserve_server.children import how_it_ended


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "exited with code 0"),
        (3, "exited with code 3"),
        (-signal.SIGKILL, "was ended by signal 9 (SIGKILL)"),
        (-(signal.SIGRTMIN + 1), f"was ended by signal {signal.SIGRTMIN + 1} (a real-time signal)"),
    ],
)
def test_how_it_ended(code, words):
    assert how_it_ended(code) == words
