"""How the text of a setting becomes its value. Each function raises ValueError for other text."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from attrs import frozen

from convserve_server.engines import ENGINES, GPU_ENGINES

_SIZE_UNITS = {"": 1, "B": 1, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40}


@frozen
class ModelFolder:
    """A model to load at the start: its name, and the folder that it is in."""

    name: str
    path: Path


def parse_models(text: str) -> tuple[ModelFolder, ...]:
    """`NAME=PATH`, several with commas between them."""
    return tuple(_parse_model(part.strip()) for part in text.split(","))


def _parse_model(text: str) -> ModelFolder:
    name, _, path = text.partition("=")
    if not re.fullmatch(r"[a-z0-9-]{1,64}", name) or not path:
        raise ValueError(f"{text!r} is not NAME=PATH, where a name has 1 to 64 of a-z 0-9 -")
    return ModelFolder(name, Path(path))


def parse_size(text: str) -> int:
    """Bytes, as a number alone or with B, KiB, MiB, GiB or TiB."""
    match = re.fullmatch(r"([0-9]{1,18}) ?([A-Za-z]*)", text.strip())
    if match is None or match[2].upper() not in _SIZE_UNITS:
        raise ValueError(f"{text!r} is not a size such as 1073741824, 512MiB or 4GiB")
    return int(match[1]) * _SIZE_UNITS[match[2].upper()]


def parse_pool_size(text: str) -> int:
    """A size of at least 1 MiB."""
    size = parse_size(text)
    if not 1 << 20 <= size < 1 << 62:
        raise ValueError(f"{text!r} is not from 1MiB to 4194304TiB")
    return size


def parse_folder(text: str) -> Path:
    """A folder, which need not be there yet."""
    if not text.strip():
        raise ValueError("a folder has a name; . is the one in which the server was started")
    return Path(text)


def parse_count(minimum: int, maximum: int) -> Callable[[str], int]:
    """What reads whole numbers from `minimum` to `maximum`."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not minimum <= int(text) <= maximum:
            raise ValueError(f"{text!r} is not a whole number from {minimum} to {maximum}")
        return int(text)

    return parse


def parse_descriptor(text: str) -> int:
    """An open file descriptor that was handed to this process."""
    try:
        os.fstat(int(text))
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"{text!r} is not an open file descriptor") from None
    return int(text)


def parse_seconds(minimum: float) -> Callable[[str], float]:
    """What reads times of `minimum` seconds and more."""

    def parse(text: str) -> float:
        try:
            seconds = float(text)
        except ValueError:
            seconds = -1.0
        if not minimum <= seconds <= 1e6:
            raise ValueError(f"{text!r} is not a number of seconds from {minimum:g} to 1000000")
        return seconds

    return parse


def parse_engine(text: str) -> str:
    """An engine's name, or `module:Class`."""
    if text not in ENGINES and ":" not in text:
        raise ValueError(f"{text!r} is not one of {', '.join(ENGINES)}, nor module:Class")
    return text


def parse_gpu_engine(text: str) -> str:
    """The name of an engine for GPUs, or `module:Class`."""
    if text not in GPU_ENGINES and ":" not in text:
        raise ValueError(f"{text!r} is not one of {', '.join(GPU_ENGINES)}, nor module:Class")
    return text


def parse_gpus(text: str) -> tuple[int, ...] | None:
    """`auto` (None), `none`, or the numbers of GPUs with commas between them."""
    if text in ("auto", "none"):
        return None if text == "auto" else ()
    numbers = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch(r"[0-9]{1,3}", number) for number in numbers):
        raise ValueError(f"{text!r} is not auto, none, or numbers such as 0,1")
    return tuple(dict.fromkeys(map(int, numbers)))


def parse_device(text: str) -> str:
    """`cpu`, `cuda`, or the name of one GPU."""
    if not re.fullmatch(r"cpu|cuda(:[0-9]{1,3})?", text):
        raise ValueError(f"{text!r} is not cpu, cuda, or a GPU such as cuda:0")
    return text


def parse_choice(*choices: str) -> Callable[[str], str]:
    """What reads one of these words."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"{text!r} is not one of {', '.join(choices)}")
        return text

    return parse
