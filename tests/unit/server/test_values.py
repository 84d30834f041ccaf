import pytest
from convserve_server.values import parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("1", 1), ("2KiB", 2048), ("512MiB", 512 << 20), ("4 gib", 4 << 30), ("1TiB", 1 << 40)],
)
def test_sizes(text, size):
    assert parse_size(text) == size
