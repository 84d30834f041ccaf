import pytest
from convserve_client.cli.arguments import parser
from convserve_client.cli.values import (
    parse_file,
    parse_ints,
    parse_padding,
    parse_shape,
)


@pytest.mark.parametrize(("text", "value"), [("2", 2), ("2,3", (2, 3)), ("0", 0)])
def test_ints(text, value) -> None:
    assert parse_ints(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", (1,)),
        ("1,2", (1, 2)),
        ("0:1", ((0, 1),)),
        ("0:1,2", ((0, 1), 2)),
        ("same", "same"),
    ],
)
def test_padding(text, value) -> None:
    assert parse_padding(text) == value


def test_shapes_and_files() -> None:
    assert parse_shape("1x3x8") == ("", (1, 3, 8))
    assert parse_shape("left=Nx3x8") == ("left", ("N", 3, 8))
    assert parse_file("left=a.npy")[0] == "left"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fold"],
        ["plan", "net.json", "--input", "1x3xz"],
        ["plan", "net.json", "--input", "1x-3"],
        ["plan", "net.json", "--input", "1x" + "9" * 5000],
        ["conv", "x.npy", "-o", "y.npy"],
        ["conv", "x.npy", "--kernel", "cubic", "-o", "y.npy"],
        ["conv", "x.npy", "--kernel", "box", "--weight", "w.npy", "-o", "y.npy"],
        ["conv", "x.npy", "--kernel", "box", "--padding", "1:2:3", "-o", "y.npy"],
        ["conv", "x.npy", "--kernel", "box", "--stride", "1.5", "-o", "y.npy"],
        ["convolve", "a.npy", "-o", "y.npy"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments, capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        parser().parse_args(arguments)
    assert caught.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_help_shows_a_network(capsys) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["plan", "--help"])
    assert '"kind": "conv"' in capsys.readouterr().out
