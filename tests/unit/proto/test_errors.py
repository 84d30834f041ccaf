"""The error tree and its one table, in both directions."""

import pytest
from convserve import errors
from google.rpc import code_pb2, error_details_pb2, status_pb2

CLASSES = list(errors.error_classes(errors.ConvserveError))


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_survives_the_wire(kind):
    sent = kind("30 is not divisible by 4", field="layers[0].conv.groups", metadata={"value": 30})
    sent.retry_delay = 0.25
    received = errors.from_status(
        status_pb2.Status.FromString(errors.to_status(sent).SerializeToString())
    )
    assert type(received) is kind
    assert str(received) == "layers[0].conv.groups: 30 is not divisible by 4"
    assert received.field == sent.field
    assert received.metadata == {"value": "30"}
    assert received.retry_delay == 0.25


def test_the_table_lists_every_class_once():
    assert set(errors.BY_REASON.values()) == set(CLASSES)
    assert len({kind.reason for kind in CLASSES}) == len(CLASSES)


def test_every_status_code_that_we_send_has_a_class_and_a_code_of_its_own_class():
    assert set(errors.BY_CODE) == {kind.code for kind in CLASSES if kind.reason != "UNKNOWN"}
    for code, kind in errors.BY_CODE.items():
        assert kind.code == code


def test_reasons_are_upper_snake_and_documented():
    for kind in CLASSES:
        assert kind.reason.replace("_", "").isupper()
        assert kind.__doc__
        assert kind.__name__ in (errors.__doc__ or "")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (status_pb2.Status(code=code_pb2.INVALID_ARGUMENT), errors.InvalidArgumentError),
        (status_pb2.Status(code=code_pb2.NOT_FOUND), errors.NotFoundError),
        (status_pb2.Status(code=code_pb2.UNAVAILABLE), errors.UnavailableError),
        (status_pb2.Status(code=code_pb2.ABORTED, message="x"), errors.ConvserveError),
    ],
)
def test_a_status_without_our_details_is_read_by_its_code(status, kind):
    assert type(errors.from_status(status)) is kind


def test_another_domain_with_our_reason_is_not_ours():
    status = status_pb2.Status(code=code_pb2.UNAVAILABLE)
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason="TOO_LARGE", domain="other"))
    assert type(errors.from_status(status)) is errors.UnavailableError


def test_unreadable_details_do_not_lose_the_error():
    status = errors.to_status(errors.TooLargeError("9 bytes are above the limit of 8"))
    damaged = status.details.add()
    damaged.type_url = "type.googleapis.com/google.rpc.BadRequest"
    damaged.value = b"\xff\xff"
    received = errors.from_status(status)
    assert type(received) is errors.TooLargeError
    assert received.message == "9 bytes are above the limit of 8"


def test_a_status_fits_a_header_however_long_the_message():
    error = errors.InvalidNetworkError("x" * 100_000, field="layers[0]")
    assert errors.to_status(error).ByteSize() < 5000


def test_a_status_fits_a_header_whatever_the_caller_sent():
    text = "\N{GRINNING FACE}" * 100_000
    error = errors.InvalidNetworkError(text, field=text, metadata={"value": text})
    assert errors.to_status(error).ByteSize() < 5000


def test_context_is_added_in_front_of_the_field():
    def fail():
        with errors.error_at("layers[3]"), errors.error_at("conv"):
            raise errors.InvalidLayerError("bad", field="groups")

    with pytest.raises(errors.InvalidLayerError) as caught:
        fail()
    assert caught.value.field == "layers[3].conv.groups"


def test_builtin_families():
    assert issubclass(errors.InvalidArgumentError, ValueError)
    assert issubclass(errors.DeadlineExceededError, TimeoutError)
    assert errors.TooLargeError("x").code_name == "RESOURCE_EXHAUSTED"
