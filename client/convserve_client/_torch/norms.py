"""Calls with statistics or features: normalisation, fully connected, softmax."""

from __future__ import annotations

from typing import Any

import torch
from convserve.layers import (
    BatchNorm,
    Dense,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    LocalResponseNorm,
    Log,
    PReLU,
    Softmax,
)

from convserve_client._torch.axes import sample_axis
from convserve_client._torch.site import Signal, Site, check_constant, check_signal, refuse


def batch_norm(
    site: Site,
    x: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Signal:
    """`batch_norm` with running statistics."""
    refuse(training or running_mean is None, "only the running statistics can be used")
    return site.add(
        BatchNorm(eps, weight=weight is not None, bias=bias is not None),
        x,
        weight=weight,
        bias=bias,
        running_mean=running_mean,
        running_var=running_var,
    )


def aten_batch_norm(
    site: Site,
    x: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Signal:
    """`batch_norm` in ATen's order of arguments."""
    return batch_norm(site, x, running_mean, running_var, weight, bias, training, momentum, eps)


def instance_norm(
    site: Site,
    x: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Signal:
    """`instance_norm`; with tracked statistics, as in eval mode, it is a batch norm."""
    if not use_input_stats:
        return batch_norm(site, x, running_mean, running_var, weight, bias, eps=eps)
    affine = _affine(site, weight, bias)
    return site.add(InstanceNorm(eps, bool(affine)), x, **affine)


def aten_instance_norm(
    site: Site,
    x: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Signal:
    """`instance_norm` in ATen's order of arguments."""
    return instance_norm(
        site, x, running_mean, running_var, weight, bias, use_input_stats, momentum, eps
    )


def instance_norm_module(
    site: Site,
    x: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any,
    bias: Any,
    eps: float,
    track_running_stats: bool,
) -> Signal:
    """InstanceNorm1d to InstanceNorm3d."""
    return instance_norm(
        site, x, running_mean, running_var, weight, bias, not track_running_stats, eps=eps
    )


def layer_norm(
    site: Site,
    x: Any,
    normalized_shape: Any,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Signal:
    """`layer_norm` over the last axes."""
    axes = len(normalized_shape)
    refuse(check_signal(x).rank <= axes, "it normalises over the batch")
    affine = _affine(site, weight, bias)
    return site.add(LayerNorm(axes, eps, bool(affine)), x, **affine)


def group_norm(
    site: Site,
    x: Any,
    num_groups: int,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Signal:
    """`group_norm` over groups of channels."""
    affine = _affine(site, weight, bias)
    return site.add(GroupNorm(num_groups, eps, bool(affine)), x, **affine)


def local_response_norm(
    site: Site, x: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Signal:
    """`local_response_norm` across channels."""
    return site.add(LocalResponseNorm(size, alpha, beta, k), x)


def linear(site: Site, x: Any, weight: Any, bias: Any = None) -> Signal:
    """`linear` over the last axis."""
    features = check_constant(weight, "weight").shape[0]
    return site.add(Dense(features, bias is not None), x, weight=weight, bias=bias)


def prelu(site: Site, x: Any, weight: Any) -> Signal:
    """`prelu`; one slope for all channels becomes one for each."""
    channels = check_signal(x).shape[1]
    slopes = check_constant(weight, "weight")
    if slopes.numel() != channels:
        site.note(f"its one slope becomes {channels} parameters, one per channel")
    return site.add(PReLU(), x, weight=slopes.expand(channels))


def softmax(site: Site, x: Any, dim: int | None, _stacklevel: int = 3, dtype: Any = None) -> Signal:
    """`softmax` over one axis that is not the batch."""
    refuse(dim is None, "softmax without dim is not supported")
    axis = sample_axis(check_signal(x), dim)
    return site.add(Softmax(axis=axis), x)


def softmax_2d(site: Site, x: Any) -> Signal:
    """Softmax2d: over the channels."""
    return softmax(site, check_signal(x, 4), 1)


def log_softmax(
    site: Site, x: Any, dim: int | None, _stacklevel: int = 3, dtype: Any = None
) -> Signal:
    """`log_softmax`, as the logarithm of a softmax."""
    site.note("log(softmax(x)): minus infinity where a softmax is too small for the type")
    return site.add(Log(), softmax(site, x, dim))


def _affine(site: Site, weight: Any, bias: Any) -> dict[str, Any]:
    """Both weights of a norm, ones or zeros for the one that it lacks; none if it lacks both."""
    if weight is None and bias is None:
        return {}
    if bias is None or weight is None:
        what = "bias: zeros" if bias is None else "weight: ones"
        site.note(f"has no {what} that count as parameters")
    return {
        "weight": torch.ones_like(bias) if weight is None else weight,
        "bias": torch.zeros_like(weight) if bias is None else bias,
    }
