"""The table of torch's own modules: the function that each is, and what it takes from the module.

The names are those of the module's attributes and of the function's arguments alike.
"""

from __future__ import annotations

from torch import nn

from convserve_client._torch import arithmetic, axes, borders, norms, windows
from convserve_client._torch.functions import FUNCTIONS
from convserve_client._torch.site import Handler

Entry = tuple[Handler, tuple[str, ...]]


def _entries(handler: Handler, attributes: str, *kinds: type[nn.Module]) -> dict[type, Entry]:
    return {kind: (handler, tuple(attributes.split())) for kind in kinds}


_ACTIVATIONS = {
    nn.ReLU: "relu",
    nn.ReLU6: "relu6",
    nn.Sigmoid: "sigmoid",
    nn.SiLU: "silu",
    nn.Tanh: "tanh",
    nn.Hardsigmoid: "hardsigmoid",
    nn.Hardswish: "hardswish",
    nn.Mish: "mish",
}

MODULES: dict[type, Entry] = {
    **_entries(
        windows.conv,
        "weight bias stride padding dilation groups padding_mode",
        *(nn.Conv1d, nn.Conv2d, nn.Conv3d),
    ),
    **_entries(
        windows.conv_transpose,
        "weight bias stride padding output_padding groups dilation",
        *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
    ),
    **_entries(
        windows.max_pool,
        "kernel_size stride padding dilation ceil_mode return_indices",
        *(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d),
    ),
    **_entries(
        windows.max_unpool,
        "kernel_size stride padding",
        *(nn.MaxUnpool1d, nn.MaxUnpool2d, nn.MaxUnpool3d),
    ),
    **_entries(
        windows.avg_pool, "kernel_size stride padding ceil_mode count_include_pad", nn.AvgPool1d
    ),
    **_entries(
        windows.avg_pool,
        "kernel_size stride padding ceil_mode count_include_pad divisor_override",
        *(nn.AvgPool2d, nn.AvgPool3d),
    ),
    **_entries(
        windows.lp_pool,
        "norm_type kernel_size stride ceil_mode",
        *(nn.LPPool1d, nn.LPPool2d, nn.LPPool3d),
    ),
    **_entries(
        windows.adaptive_avg_pool,
        "output_size",
        *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
    ),
    **_entries(
        windows.adaptive_max_pool,
        "output_size return_indices",
        *(nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d),
    ),
    **_entries(windows.unfold, "kernel_size dilation padding stride", nn.Unfold),
    **_entries(windows.fold, "output_size kernel_size dilation padding stride", nn.Fold),
    **_entries(
        norms.batch_norm,
        "running_mean running_var weight bias eps",
        *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm),
    ),
    **_entries(
        norms.instance_norm_module,
        "running_mean running_var weight bias eps track_running_stats",
        *(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d),
    ),
    **_entries(norms.layer_norm, "normalized_shape weight bias eps", nn.LayerNorm),
    **_entries(norms.group_norm, "num_groups weight bias eps", nn.GroupNorm),
    **_entries(norms.local_response_norm, "size alpha beta k", nn.LocalResponseNorm),
    **_entries(norms.linear, "weight bias", nn.Linear),
    **_entries(norms.prelu, "weight", nn.PReLU),
    **_entries(norms.softmax, "dim", nn.Softmax),
    **_entries(norms.softmax_2d, "", nn.Softmax2d),
    **_entries(norms.log_softmax, "dim", nn.LogSoftmax),
    **{kind: (FUNCTIONS[name], ()) for kind, name in _ACTIVATIONS.items()},
    **_entries(arithmetic.leaky_relu, "negative_slope", nn.LeakyReLU),
    **_entries(arithmetic.elu, "alpha", nn.ELU),
    **_entries(arithmetic.gelu, "approximate", nn.GELU),
    **_entries(arithmetic.softplus, "beta threshold", nn.Softplus),
    **_entries(arithmetic.hardtanh, "min_val max_val", nn.Hardtanh),
    **_entries(
        arithmetic.identity,
        "",
        *(nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d),
        *(nn.AlphaDropout, nn.FeatureAlphaDropout),
    ),
    **_entries(axes.reshape, "", nn.Flatten, nn.Unflatten),
    **_entries(axes.pixel_shuffle, "upscale_factor", nn.PixelShuffle),
    **_entries(axes.pixel_unshuffle, "downscale_factor", nn.PixelUnshuffle),
    **_entries(axes.channel_shuffle, "groups", nn.ChannelShuffle),
    **_entries(
        borders.interpolate,
        "size scale_factor mode align_corners recompute_scale_factor",
        nn.Upsample,
    ),
    **_entries(
        borders.padding("constant"),
        "padding value",
        *(nn.ConstantPad1d, nn.ConstantPad2d, nn.ConstantPad3d),
        *(nn.ZeroPad1d, nn.ZeroPad2d, nn.ZeroPad3d),
    ),
    **_entries(
        borders.padding("reflect"),
        "padding",
        *(nn.ReflectionPad1d, nn.ReflectionPad2d, nn.ReflectionPad3d),
    ),
    **_entries(
        borders.padding("replicate"),
        "padding",
        *(nn.ReplicationPad1d, nn.ReplicationPad2d, nn.ReplicationPad3d),
    ),
    **_entries(
        borders.padding("circular"),
        "padding",
        *(nn.CircularPad1d, nn.CircularPad2d, nn.CircularPad3d),
    ),
}
