import pytest
from convserve_server.addresses import fits_socket, parse_address


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("127.0.0.1:1", True),
        ("127.8.8.8:1", True),
        ("[::1]:1", True),
        ("localhost:1", True),
        ("unix:/tmp/x", True),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("example.org:1", False),
    ],
)
def test_which_addresses_only_this_machine_reaches(address, local):
    parsed = parse_address(address)
    assert parsed.is_local is local
    assert str(parsed) == address


def test_the_path_of_a_socket_is_as_long_as_linux_lets_it_in_bytes():
    assert fits_socket("/" + 106 * "x")
    assert not fits_socket("/" + 107 * "x")
    assert not fits_socket("/" + 54 * "é")
