import pytest
from convserve_server.values import parse_folder, parse_gpus, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("1", 1), ("2KiB", 2048), ("512MiB", 512 << 20), ("4 gib", 4 << 30), ("1TiB", 1 << 40)],
)
def test_sizes(text, size):
    assert parse_size(text) == size


def test_an_empty_text_is_no_folder():
    with pytest.raises(ValueError, match="a folder has a name"):
        parse_folder(" ")


@pytest.mark.parametrize("text", ["٣", "0,٣", "", "0;1"])
def test_numbers_of_gpus_are_written_in_ascii(text):
    with pytest.raises(ValueError, match="is not auto, none, or numbers"):
        parse_gpus(text)
