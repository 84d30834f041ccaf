import ml_dtypes
import numpy as np
import PIL.Image
import pytest
from convserve.errors import ByteCountError, InvalidArgumentError, ShapeError
from convserve_client.cli.files import read_tensor, read_weights, write_tensors
from convserve_client.cli.kernels import KERNELS, stretch


@pytest.mark.parametrize("dtype", ["bool", "int8", "float16", "float64", "complex64"])
def test_arrays_survive(tmp_path, dtype) -> None:
    array = np.arange(6).reshape(2, 3).astype(dtype)
    write_tensors(tmp_path / "x.npy", {"y": array}, stretch)
    result = read_tensor(tmp_path / "x.npy")
    assert result.dtype == array.dtype
    np.testing.assert_array_equal(result, array)


def test_bfloat16_is_written_as_float32(tmp_path) -> None:
    write_tensors(tmp_path / "x.npy", {"y": np.ones(3, ml_dtypes.bfloat16)}, stretch)
    assert read_tensor(tmp_path / "x.npy").dtype == np.float32


def test_a_header_that_promises_too_much_allocates_nothing(tmp_path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.zeros((11, 11), np.float32))
    path.write_bytes(path.read_bytes().replace(b"(11, 11)", b"(9999,1)"))
    with pytest.raises(ByteCountError, match="39996 bytes, but 484"):
        read_tensor(path)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"hello", b"PK\x03\x04"])
def test_what_is_no_array(tmp_path, content) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(content)
    for read in (read_tensor, read_weights):
        with pytest.raises(InvalidArgumentError) as caught:
            read(path)
        assert caught.value.field == str(path)


def test_objects_are_refused(tmp_path) -> None:
    np.save(tmp_path / "x.npy", np.array([None]), allow_pickle=True)
    with pytest.raises(InvalidArgumentError, match="cannot read it"):
        read_tensor(tmp_path / "x.npy")


def test_a_missing_file_is_named(tmp_path) -> None:
    with pytest.raises(InvalidArgumentError, match=r"no\.npy: cannot read it: No such file"):
        read_tensor(tmp_path / "no.npy")


def test_weights(tmp_path) -> None:
    np.savez(tmp_path / "w.npz", **{"conv1.weight": np.ones(3)})
    assert list(read_weights(tmp_path / "w.npz")) == ["conv1.weight"]
    np.save(tmp_path / "w.npy", np.ones(3))
    with pytest.raises(InvalidArgumentError, match=r"\.npz"):
        read_weights(tmp_path / "w.npy")


def test_a_file_of_another_kind_is_named_as_such(tmp_path) -> None:
    picture = tmp_path / "x.npy"
    PIL.Image.new("L", (5, 4)).save(picture, "png")
    with pytest.raises(InvalidArgumentError, match=r"not a \.npy file"):
        read_tensor(picture)


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3), ("RGBA", 3), ("P", 3)])
def test_pictures_become_channels_first(tmp_path, mode, channels) -> None:
    PIL.Image.new(mode, (5, 4)).save(tmp_path / "p.png")
    array = read_tensor(tmp_path / "p.png")
    assert array.shape == (1, channels, 4, 5)
    assert array.dtype == np.float32
    assert array.flags.c_contiguous


def test_pictures_survive(tmp_path) -> None:
    values = np.linspace(0, 1, 256, dtype=np.float32).reshape(1, 1, 16, 16)
    write_tensors(tmp_path / "p.png", {"y": values}, lambda array: array)
    np.testing.assert_allclose(read_tensor(tmp_path / "p.png"), values, atol=1e-6)


@pytest.mark.parametrize("shape", [(2, 3, 4, 4), (1, 2, 4, 4), (4, 4), (1, 3, 0, 4)])
def test_what_is_no_picture(tmp_path, shape) -> None:
    with pytest.raises(ShapeError, match="not a picture"):
        write_tensors(tmp_path / "p.png", {"y": np.zeros(shape, np.float32)}, stretch)


def test_a_broken_picture_is_an_error(tmp_path) -> None:
    (tmp_path / "p.png").write_bytes(b"\x89PNG")
    with pytest.raises(InvalidArgumentError, match="cannot read it"):
        read_tensor(tmp_path / "p.png")


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_show_values_from_0_to_1(name) -> None:
    kernel = KERNELS[name]
    assert kernel.weight(3).shape[:2] == (3, 1)
    shown = kernel.show(np.linspace(-5, 5, 11))
    assert 0 <= shown.min() <= shown.max() <= 1


def test_smoothing_kernels_keep_the_mean_and_edge_kernels_remove_it() -> None:
    sums = {name: float(kernel.taps.sum()) for name, kernel in KERNELS.items()}
    assert sums == pytest.approx(
        {"box": 1, "gaussian": 1, "sharpen": 1}
        | dict.fromkeys(("emboss", "laplacian", "sobel-x", "sobel-y"), 0),
        abs=1e-6,
    )


def test_stretch_of_a_constant_is_zero() -> None:
    np.testing.assert_array_equal(stretch(np.full(3, 7.0)), np.zeros(3))
