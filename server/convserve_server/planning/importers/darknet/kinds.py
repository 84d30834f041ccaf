"""Darknet's sections that are read, by name: the one list of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from convserve_server.planning.importers.darknet import joining, windows
from convserve_server.planning.importers.darknet.place import Place

# What changes no result of an inference, in any section.
WITHOUT_EFFECT = (
    "learning_rate", "burnin_update", "train_only_bn", "dont_update", "dontload", "dontloadscales",
    "onlyforward", "stopbackward", "clip", "grad_centr", "stream",
    "wait_stream", "angle",
)  # fmt: skip


Translate: TypeAlias = Callable[[Place], str]

KINDS: dict[str, Translate] = {
    "convolutional": windows.convolve,
    "conv": windows.convolve,
    "deconvolutional": windows.convolve_transposed,
    "deconv": windows.convolve_transposed,
    "connected": windows.connect,
    "conn": windows.connect,
    "maxpool": windows.pool_max,
    "max": windows.pool_max,
    "local_avgpool": windows.pool_average,
    "avgpool": joining.pool_globally,
    "avg": joining.pool_globally,
    "upsample": joining.upsample,
    "route": joining.route,
    "shortcut": joining.add,
    "scale_channels": joining.scale_channels,
    "sam": joining.attend,
    "reorg": joining.reorganize,
    "reorg3d": joining.space_to_depth,
    "batchnorm": joining.normalize,
    "activation": joining.activate,
    "softmax": joining.softmax,
    "soft": joining.softmax,
    "crop": joining.crop,
}
