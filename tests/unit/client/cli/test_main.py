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
