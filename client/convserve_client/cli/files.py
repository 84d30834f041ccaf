"""Files of arrays and pictures. What cannot be read is one clear error.

Arrays are .npy and .npz without pickled objects. Pictures need Pillow, the extra `images`.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import ml_dtypes
import numpy as np
from convserve.errors import ByteCountError, InvalidArgumentError, ShapeError, UnsupportedError
from convserve.tensors import Array

PICTURES = (".png", ".jpg", ".jpeg")


def read_tensor(path: Path) -> Array:
    """The array of a .npy file, or a picture as (1, C, H, W) float32 from 0 to 1."""
    with _reading(path):
        if path.suffix.lower() in PICTURES:
            return _read_picture(path)
        _check_array_file(path)
        array: Array = np.load(path, allow_pickle=False)
        return array


def read_weights(path: Path) -> dict[str, Array]:
    """The arrays of a .npz file by name."""
    with _reading(path), path.open("rb") as file:
        if not zipfile.is_zipfile(file):
            raise ValueError("it is not a .npz file")
        file.seek(0)
        with np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}


def check_output(path: Path, count: int = 1) -> None:
    """Raise InvalidArgumentError if a file of this name cannot hold `count` tensors."""
    suffixes = (".npy", ".npz", *PICTURES) if count == 1 else (".npz",)
    if path.suffix.lower() not in suffixes:
        results = "one result" if count == 1 else f"{count} results"
        raise InvalidArgumentError(
            f"a file for {results} ends in {', '.join(suffixes)}", field=str(path)
        )


def write_tensors(path: Path, arrays: Mapping[str, Array], show: Callable[[Array], Array]) -> None:
    """Write a .npz file, or the one array as .npy or as a picture of what `show` makes of it.

    Overwrites. bfloat16, which .npy cannot name, becomes float32, which holds its every value.
    """
    if path.suffix.lower() == ".npz":
        with zipfile.ZipFile(path, "w") as archive:
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                    _save(file, array)
        return
    [array] = arrays.values()
    if path.suffix.lower() in PICTURES:
        _write_picture(path, show(array))
        return
    with path.open("wb") as file:
        _save(file, array)


def _save(file: IO[bytes], array: Array) -> None:
    exact = array.astype(np.float32) if array.dtype == ml_dtypes.bfloat16 else array
    np.lib.format.write_array(file, exact, allow_pickle=False)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise InvalidArgumentError(f"cannot read it: {reason}", field=str(path)) from error
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, InvalidArgumentError):
            raise
        raise InvalidArgumentError(f"cannot read it: {error}", field=str(path)) from error


def _check_array_file(path: Path) -> None:
    """Compare what the header declares with the file's size, before anything is allocated."""
    with path.open("rb") as file:
        try:
            version = np.lib.format.read_magic(file)
        except ValueError:
            raise ValueError(f"it is not a .npy file, nor called {', '.join(PICTURES)}") from None
        read = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read(file)
        present = path.stat().st_size - file.tell()
    declared = math.prod(shape) * dtype.itemsize
    if not dtype.hasobject and declared != present:
        raise ByteCountError(
            f"its header declares {declared} bytes, but {present} follow",
            field=str(path),
            metadata={"declared_bytes": declared, "received_bytes": present},
        )


def _pillow() -> Any:
    try:
        import PIL.Image
        import PIL.ImageOps
    except ImportError:
        raise UnsupportedError(
            "pictures need Pillow: pip install 'convserve-client[images]'"
        ) from None
    return PIL


def _read_picture(path: Path) -> Array:
    pillow = _pillow()
    try:
        with pillow.Image.open(path) as file:
            picture = pillow.ImageOps.exif_transpose(file)
            is_grey = picture.mode in ("1", "L", "LA")
            pixels = np.asarray(picture.convert("L" if is_grey else "RGB"), np.float32)
    except (pillow.Image.DecompressionBombError, pillow.Image.DecompressionBombWarning) as error:
        raise ValueError(str(error)) from error
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    return np.ascontiguousarray(np.moveaxis(pixels, 2, 0)[None]) / np.float32(255)


def _write_picture(path: Path, array: Array) -> None:
    """Write (C, H, W) or (1, C, H, W) with one or three channels, values from 0 to 1."""
    pillow = _pillow()
    image = array[0] if array.ndim == 4 and len(array) == 1 else array
    if image.ndim != 3 or image.shape[0] not in (1, 3) or not image.size:
        raise ShapeError(
            f"{array.shape} is not a picture: (1, C, H, W) with C of 1 or 3; write .npy instead",
            field=str(path),
            metadata={"given": array.shape},
        )
    pixels = np.rint(np.nan_to_num(image) * 255).astype(np.uint8)
    flat = pixels[0] if len(pixels) == 1 else np.ascontiguousarray(np.moveaxis(pixels, 0, 2))
    pillow.Image.fromarray(flat).save(path)
