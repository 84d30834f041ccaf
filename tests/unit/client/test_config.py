import convserve_client as cs
import pytest
from convserve.errors import InvalidArgumentError
from convserve_client._config import as_tls, check_address, check_token


@pytest.mark.parametrize("address", ["localhost:50051", "[::1]:1", "10.0.0.1:65535", "unix:/a/b"])
def test_addresses(address: str) -> None:
    assert check_address(address) == address


@pytest.mark.parametrize(
    "address",
    [
        *(
            "http://localhost:1",
            "",
            "localhost",
            ":1",
            "host:",
            "host:0",
            "host:65536",
            "host:-1",
            "host:x",
            "unix:",
        ),
        "unix:/" + "x" * 107,
    ],
)
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        cs.connect(address)
    assert caught.value.field == "address"


def test_a_wrong_token_is_not_shown() -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        check_token("secret\n")
    assert caught.value.field == "token"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("timeout", [0, -1, float("inf"), float("nan")])
def test_a_timeout_is_finite_and_positive(timeout: float) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        cs.connect("localhost:1", timeout=timeout)
    assert caught.value.field == "timeout"


def test_retries_are_not_negative() -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        cs.connect("localhost:1", max_retries=-1)
    assert caught.value.field == "max_retries"


def test_tls() -> None:
    assert as_tls(None) is None
    assert as_tls(False) is None
    assert as_tls(True) == cs.TLS()
    assert as_tls("ca.pem") == cs.TLS(ca="ca.pem")
    assert as_tls(cs.TLS(ca="ca.pem")) == cs.TLS(ca="ca.pem")


def test_mutual_tls_needs_certificate_and_key() -> None:
    with pytest.raises(InvalidArgumentError, match="both"):
        cs.TLS(certificate="me.pem")


def test_a_missing_certificate_is_named(tmp_path) -> None:
    with pytest.raises(InvalidArgumentError, match=r"missing\.pem"):
        cs.connect("localhost:1", tls=tmp_path / "missing.pem")
