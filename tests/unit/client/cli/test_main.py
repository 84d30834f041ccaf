import signal
import socket
import subprocess
import sys

import pytest
from convserve_client.cli import main

NOBODY = ["--server", "127.0.0.1:1", "--timeout", "5"]


def test_a_server_that_is_not_there_is_exit_code_1(capsys) -> None:
    assert main(["info", *NOBODY]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("convserve: error: no server answers at 127.0.0.1:1")


@pytest.mark.parametrize(
    "arguments",
    [
        ["info", "--server", "nowhere"],
        ["conv", "missing.npy", "--kernel", "box", "-o", "y.npy", *NOBODY],
        ["plan", "missing.json", "--input", "1x3", *NOBODY],
        ["run", "missing.json", "--input", "missing.npy", "-o", "y.npy", *NOBODY],
    ],
)
def test_wrong_input_is_exit_code_2_and_one_line(arguments, capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert captured.err.startswith("convserve: error: ")


def test_the_environment_names_the_server(capsys, monkeypatch) -> None:
    monkeypatch.setenv("CONVSERVE_SERVER", "127.0.0.1:2")
    assert main(["info"]) == 1
    assert "127.0.0.1:2" in capsys.readouterr().err


def test_an_interrupted_call_is_exit_code_130_and_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(30)
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        command = [sys.executable, "-m", "convserve_client", "info", "--server", address]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            connection, _ = silent.accept()  # from now on the call waits for an answer
            with connection:
                process.send_signal(signal.SIGINT)
                _, error = process.communicate(timeout=30)
    assert (process.returncode, error) == (130, "convserve: error: interrupted\n")
