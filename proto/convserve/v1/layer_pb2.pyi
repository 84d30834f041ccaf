from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PaddingMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PADDING_MODE_UNSPECIFIED: _ClassVar[PaddingMode]
    PADDING_MODE_VALID: _ClassVar[PaddingMode]
    PADDING_MODE_SAME: _ClassVar[PaddingMode]
    PADDING_MODE_SAME_UPPER: _ClassVar[PaddingMode]
    PADDING_MODE_SAME_LOWER: _ClassVar[PaddingMode]
    PADDING_MODE_CAUSAL: _ClassVar[PaddingMode]
    PADDING_MODE_FULL: _ClassVar[PaddingMode]

class BorderMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BORDER_MODE_UNSPECIFIED: _ClassVar[BorderMode]
    BORDER_MODE_ZEROS: _ClassVar[BorderMode]
    BORDER_MODE_REFLECT: _ClassVar[BorderMode]
    BORDER_MODE_REPLICATE: _ClassVar[BorderMode]
    BORDER_MODE_CIRCULAR: _ClassVar[BorderMode]

class ResizeMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RESIZE_MODE_UNSPECIFIED: _ClassVar[ResizeMode]
    RESIZE_MODE_NEAREST: _ClassVar[ResizeMode]
    RESIZE_MODE_LINEAR: _ClassVar[ResizeMode]
    RESIZE_MODE_CUBIC: _ClassVar[ResizeMode]

class ResizeCoordinates(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RESIZE_COORDINATES_UNSPECIFIED: _ClassVar[ResizeCoordinates]
    RESIZE_COORDINATES_HALF_PIXEL: _ClassVar[ResizeCoordinates]
    RESIZE_COORDINATES_ASYMMETRIC: _ClassVar[ResizeCoordinates]
    RESIZE_COORDINATES_ALIGN_CORNERS: _ClassVar[ResizeCoordinates]
    RESIZE_COORDINATES_PYTORCH_HALF_PIXEL: _ClassVar[ResizeCoordinates]

class ResizeRounding(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RESIZE_ROUNDING_UNSPECIFIED: _ClassVar[ResizeRounding]
    RESIZE_ROUNDING_FLOOR: _ClassVar[ResizeRounding]
    RESIZE_ROUNDING_CEIL: _ClassVar[ResizeRounding]
    RESIZE_ROUNDING_ROUND_PREFER_FLOOR: _ClassVar[ResizeRounding]
    RESIZE_ROUNDING_ROUND_PREFER_CEIL: _ClassVar[ResizeRounding]

class IndexScope(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INDEX_SCOPE_UNSPECIFIED: _ClassVar[IndexScope]
    INDEX_SCOPE_PLANE: _ClassVar[IndexScope]
    INDEX_SCOPE_SAMPLE: _ClassVar[IndexScope]

class PoolMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    POOL_MODE_UNSPECIFIED: _ClassVar[PoolMode]
    POOL_MODE_MAX: _ClassVar[PoolMode]
    POOL_MODE_AVG: _ClassVar[PoolMode]
PADDING_MODE_UNSPECIFIED: PaddingMode
PADDING_MODE_VALID: PaddingMode
PADDING_MODE_SAME: PaddingMode
PADDING_MODE_SAME_UPPER: PaddingMode
PADDING_MODE_SAME_LOWER: PaddingMode
PADDING_MODE_CAUSAL: PaddingMode
PADDING_MODE_FULL: PaddingMode
BORDER_MODE_UNSPECIFIED: BorderMode
BORDER_MODE_ZEROS: BorderMode
BORDER_MODE_REFLECT: BorderMode
BORDER_MODE_REPLICATE: BorderMode
BORDER_MODE_CIRCULAR: BorderMode
RESIZE_MODE_UNSPECIFIED: ResizeMode
RESIZE_MODE_NEAREST: ResizeMode
RESIZE_MODE_LINEAR: ResizeMode
RESIZE_MODE_CUBIC: ResizeMode
RESIZE_COORDINATES_UNSPECIFIED: ResizeCoordinates
RESIZE_COORDINATES_HALF_PIXEL: ResizeCoordinates
RESIZE_COORDINATES_ASYMMETRIC: ResizeCoordinates
RESIZE_COORDINATES_ALIGN_CORNERS: ResizeCoordinates
RESIZE_COORDINATES_PYTORCH_HALF_PIXEL: ResizeCoordinates
RESIZE_ROUNDING_UNSPECIFIED: ResizeRounding
RESIZE_ROUNDING_FLOOR: ResizeRounding
RESIZE_ROUNDING_CEIL: ResizeRounding
RESIZE_ROUNDING_ROUND_PREFER_FLOOR: ResizeRounding
RESIZE_ROUNDING_ROUND_PREFER_CEIL: ResizeRounding
INDEX_SCOPE_UNSPECIFIED: IndexScope
INDEX_SCOPE_PLANE: IndexScope
INDEX_SCOPE_SAMPLE: IndexScope
POOL_MODE_UNSPECIFIED: PoolMode
POOL_MODE_MAX: PoolMode
POOL_MODE_AVG: PoolMode

class Padding(_message.Message):
    __slots__ = ("mode", "low", "high")
    MODE_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    mode: PaddingMode
    low: _containers.RepeatedScalarFieldContainer[int]
    high: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, mode: _Optional[_Union[PaddingMode, str]] = ..., low: _Optional[_Iterable[int]] = ..., high: _Optional[_Iterable[int]] = ...) -> None: ...

class Conv(_message.Message):
    __slots__ = ("out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "bias", "padding_mode")
    OUT_CHANNELS_FIELD_NUMBER: _ClassVar[int]
    KERNEL_SIZE_FIELD_NUMBER: _ClassVar[int]
    STRIDE_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    DILATION_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    BIAS_FIELD_NUMBER: _ClassVar[int]
    PADDING_MODE_FIELD_NUMBER: _ClassVar[int]
    out_channels: int
    kernel_size: _containers.RepeatedScalarFieldContainer[int]
    stride: _containers.RepeatedScalarFieldContainer[int]
    padding: Padding
    dilation: _containers.RepeatedScalarFieldContainer[int]
    groups: int
    bias: bool
    padding_mode: BorderMode
    def __init__(self, out_channels: _Optional[int] = ..., kernel_size: _Optional[_Iterable[int]] = ..., stride: _Optional[_Iterable[int]] = ..., padding: _Optional[_Union[Padding, _Mapping]] = ..., dilation: _Optional[_Iterable[int]] = ..., groups: _Optional[int] = ..., bias: bool = ..., padding_mode: _Optional[_Union[BorderMode, str]] = ...) -> None: ...

class ConvTranspose(_message.Message):
    __slots__ = ("out_channels", "kernel_size", "stride", "padding", "output_padding", "dilation", "groups", "bias", "output_size")
    OUT_CHANNELS_FIELD_NUMBER: _ClassVar[int]
    KERNEL_SIZE_FIELD_NUMBER: _ClassVar[int]
    STRIDE_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_PADDING_FIELD_NUMBER: _ClassVar[int]
    DILATION_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    BIAS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_SIZE_FIELD_NUMBER: _ClassVar[int]
    out_channels: int
    kernel_size: _containers.RepeatedScalarFieldContainer[int]
    stride: _containers.RepeatedScalarFieldContainer[int]
    padding: Padding
    output_padding: _containers.RepeatedScalarFieldContainer[int]
    dilation: _containers.RepeatedScalarFieldContainer[int]
    groups: int
    bias: bool
    output_size: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, out_channels: _Optional[int] = ..., kernel_size: _Optional[_Iterable[int]] = ..., stride: _Optional[_Iterable[int]] = ..., padding: _Optional[_Union[Padding, _Mapping]] = ..., output_padding: _Optional[_Iterable[int]] = ..., dilation: _Optional[_Iterable[int]] = ..., groups: _Optional[int] = ..., bias: bool = ..., output_size: _Optional[_Iterable[int]] = ...) -> None: ...

class MaxPool(_message.Message):
    __slots__ = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
    KERNEL_SIZE_FIELD_NUMBER: _ClassVar[int]
    STRIDE_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    DILATION_FIELD_NUMBER: _ClassVar[int]
    CEIL_MODE_FIELD_NUMBER: _ClassVar[int]
    kernel_size: _containers.RepeatedScalarFieldContainer[int]
    stride: _containers.RepeatedScalarFieldContainer[int]
    padding: Padding
    dilation: _containers.RepeatedScalarFieldContainer[int]
    ceil_mode: bool
    def __init__(self, kernel_size: _Optional[_Iterable[int]] = ..., stride: _Optional[_Iterable[int]] = ..., padding: _Optional[_Union[Padding, _Mapping]] = ..., dilation: _Optional[_Iterable[int]] = ..., ceil_mode: bool = ...) -> None: ...

class AvgPool(_message.Message):
    __slots__ = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "dilation")
    KERNEL_SIZE_FIELD_NUMBER: _ClassVar[int]
    STRIDE_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    CEIL_MODE_FIELD_NUMBER: _ClassVar[int]
    COUNT_INCLUDE_PAD_FIELD_NUMBER: _ClassVar[int]
    DILATION_FIELD_NUMBER: _ClassVar[int]
    kernel_size: _containers.RepeatedScalarFieldContainer[int]
    stride: _containers.RepeatedScalarFieldContainer[int]
    padding: Padding
    ceil_mode: bool
    count_include_pad: bool
    dilation: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, kernel_size: _Optional[_Iterable[int]] = ..., stride: _Optional[_Iterable[int]] = ..., padding: _Optional[_Union[Padding, _Mapping]] = ..., ceil_mode: bool = ..., count_include_pad: bool = ..., dilation: _Optional[_Iterable[int]] = ...) -> None: ...

class GlobalAvgPool(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GlobalMaxPool(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ReLU(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class LeakyReLU(_message.Message):
    __slots__ = ("negative_slope",)
    NEGATIVE_SLOPE_FIELD_NUMBER: _ClassVar[int]
    negative_slope: float
    def __init__(self, negative_slope: _Optional[float] = ...) -> None: ...

class ReLU6(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GELU(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SiLU(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Sigmoid(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Tanh(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ELU(_message.Message):
    __slots__ = ("alpha",)
    ALPHA_FIELD_NUMBER: _ClassVar[int]
    alpha: float
    def __init__(self, alpha: _Optional[float] = ...) -> None: ...

class Softplus(_message.Message):
    __slots__ = ("beta",)
    BETA_FIELD_NUMBER: _ClassVar[int]
    beta: float
    def __init__(self, beta: _Optional[float] = ...) -> None: ...

class BatchNorm(_message.Message):
    __slots__ = ("eps", "weight", "bias")
    EPS_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    BIAS_FIELD_NUMBER: _ClassVar[int]
    eps: float
    weight: bool
    bias: bool
    def __init__(self, eps: _Optional[float] = ..., weight: bool = ..., bias: bool = ...) -> None: ...

class Dense(_message.Message):
    __slots__ = ("out_features", "bias")
    OUT_FEATURES_FIELD_NUMBER: _ClassVar[int]
    BIAS_FIELD_NUMBER: _ClassVar[int]
    out_features: int
    bias: bool
    def __init__(self, out_features: _Optional[int] = ..., bias: bool = ...) -> None: ...

class Flatten(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Add(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Concat(_message.Message):
    __slots__ = ("axis",)
    AXIS_FIELD_NUMBER: _ClassVar[int]
    axis: int
    def __init__(self, axis: _Optional[int] = ...) -> None: ...

class Softmax(_message.Message):
    __slots__ = ("axis",)
    AXIS_FIELD_NUMBER: _ClassVar[int]
    axis: int
    def __init__(self, axis: _Optional[int] = ...) -> None: ...

class Pad(_message.Message):
    __slots__ = ("padding", "mode", "value")
    PADDING_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    padding: Padding
    mode: BorderMode
    value: float
    def __init__(self, padding: _Optional[_Union[Padding, _Mapping]] = ..., mode: _Optional[_Union[BorderMode, str]] = ..., value: _Optional[float] = ...) -> None: ...

class Upsample(_message.Message):
    __slots__ = ("scale", "mode", "align_corners", "size", "coordinates", "rounding", "cubic_coefficient")
    SCALE_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    ALIGN_CORNERS_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    COORDINATES_FIELD_NUMBER: _ClassVar[int]
    ROUNDING_FIELD_NUMBER: _ClassVar[int]
    CUBIC_COEFFICIENT_FIELD_NUMBER: _ClassVar[int]
    scale: _containers.RepeatedScalarFieldContainer[int]
    mode: ResizeMode
    align_corners: bool
    size: _containers.RepeatedScalarFieldContainer[int]
    coordinates: ResizeCoordinates
    rounding: ResizeRounding
    cubic_coefficient: float
    def __init__(self, scale: _Optional[_Iterable[int]] = ..., mode: _Optional[_Union[ResizeMode, str]] = ..., align_corners: bool = ..., size: _Optional[_Iterable[int]] = ..., coordinates: _Optional[_Union[ResizeCoordinates, str]] = ..., rounding: _Optional[_Union[ResizeRounding, str]] = ..., cubic_coefficient: _Optional[float] = ...) -> None: ...

class PixelShuffle(_message.Message):
    __slots__ = ("factor",)
    FACTOR_FIELD_NUMBER: _ClassVar[int]
    factor: int
    def __init__(self, factor: _Optional[int] = ...) -> None: ...

class PixelUnshuffle(_message.Message):
    __slots__ = ("factor",)
    FACTOR_FIELD_NUMBER: _ClassVar[int]
    factor: int
    def __init__(self, factor: _Optional[int] = ...) -> None: ...

class DepthwiseConv(_message.Message):
    __slots__ = ("kernel_size", "stride", "padding", "dilation", "depth_multiplier", "bias", "padding_mode")
    KERNEL_SIZE_FIELD_NUMBER: _ClassVar[int]
    STRIDE_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    DILATION_FIELD_NUMBER: _ClassVar[int]
    DEPTH_MULTIPLIER_FIELD_NUMBER: _ClassVar[int]
    BIAS_FIELD_NUMBER: _ClassVar[int]
    PADDING_MODE_FIELD_NUMBER: _ClassVar[int]
    kernel_size: _containers.RepeatedScalarFieldContainer[int]
    stride: _containers.RepeatedScalarFieldContainer[int]
    padding: Padding
    dilation: _containers.RepeatedScalarFieldContainer[int]
    depth_multiplier: int
    bias: bool
    padding_mode: BorderMode
    def __init__(self, kernel_size: _Optional[_Iterable[int]] = ..., stride: _Optional[_Iterable[int]] = ..., padding: _Optional[_Union[Padding, _Mapping]] = ..., dilation: _Optional[_Iterable[int]] = ..., depth_multiplier: _Optional[int] = ..., bias: bool = ..., padding_mode: _Optional[_Union[BorderMode, str]] = ...) -> None: ...

class SeparableConv(_message.Message):
    __slots__ = ("out_channels", "kernel_size", "stride", "padding", "dilation", "depth_multiplier", "bias", "padding_mode")
    OUT_CHANNELS_FIELD_NUMBER: _ClassVar[int]
    KERNEL_SIZE_FIELD_NUMBER: _ClassVar[int]
    STRIDE_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    DILATION_FIELD_NUMBER: _ClassVar[int]
    DEPTH_MULTIPLIER_FIELD_NUMBER: _ClassVar[int]
    BIAS_FIELD_NUMBER: _ClassVar[int]
    PADDING_MODE_FIELD_NUMBER: _ClassVar[int]
    out_channels: int
    kernel_size: _containers.RepeatedScalarFieldContainer[int]
    stride: _containers.RepeatedScalarFieldContainer[int]
    padding: Padding
    dilation: _containers.RepeatedScalarFieldContainer[int]
    depth_multiplier: int
    bias: bool
    padding_mode: BorderMode
    def __init__(self, out_channels: _Optional[int] = ..., kernel_size: _Optional[_Iterable[int]] = ..., stride: _Optional[_Iterable[int]] = ..., padding: _Optional[_Union[Padding, _Mapping]] = ..., dilation: _Optional[_Iterable[int]] = ..., depth_multiplier: _Optional[int] = ..., bias: bool = ..., padding_mode: _Optional[_Union[BorderMode, str]] = ...) -> None: ...

class SubPixelConv(_message.Message):
    __slots__ = ("out_channels", "kernel_size", "factor", "stride", "padding", "dilation", "groups", "bias", "padding_mode")
    OUT_CHANNELS_FIELD_NUMBER: _ClassVar[int]
    KERNEL_SIZE_FIELD_NUMBER: _ClassVar[int]
    FACTOR_FIELD_NUMBER: _ClassVar[int]
    STRIDE_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    DILATION_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    BIAS_FIELD_NUMBER: _ClassVar[int]
    PADDING_MODE_FIELD_NUMBER: _ClassVar[int]
    out_channels: int
    kernel_size: _containers.RepeatedScalarFieldContainer[int]
    factor: int
    stride: _containers.RepeatedScalarFieldContainer[int]
    padding: Padding
    dilation: _containers.RepeatedScalarFieldContainer[int]
    groups: int
    bias: bool
    padding_mode: BorderMode
    def __init__(self, out_channels: _Optional[int] = ..., kernel_size: _Optional[_Iterable[int]] = ..., factor: _Optional[int] = ..., stride: _Optional[_Iterable[int]] = ..., padding: _Optional[_Union[Padding, _Mapping]] = ..., dilation: _Optional[_Iterable[int]] = ..., groups: _Optional[int] = ..., bias: bool = ..., padding_mode: _Optional[_Union[BorderMode, str]] = ...) -> None: ...

class DeformConv(_message.Message):
    __slots__ = ("out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "offset_groups", "bias")
    OUT_CHANNELS_FIELD_NUMBER: _ClassVar[int]
    KERNEL_SIZE_FIELD_NUMBER: _ClassVar[int]
    STRIDE_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    DILATION_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    OFFSET_GROUPS_FIELD_NUMBER: _ClassVar[int]
    BIAS_FIELD_NUMBER: _ClassVar[int]
    out_channels: int
    kernel_size: _containers.RepeatedScalarFieldContainer[int]
    stride: _containers.RepeatedScalarFieldContainer[int]
    padding: Padding
    dilation: _containers.RepeatedScalarFieldContainer[int]
    groups: int
    offset_groups: int
    bias: bool
    def __init__(self, out_channels: _Optional[int] = ..., kernel_size: _Optional[_Iterable[int]] = ..., stride: _Optional[_Iterable[int]] = ..., padding: _Optional[_Union[Padding, _Mapping]] = ..., dilation: _Optional[_Iterable[int]] = ..., groups: _Optional[int] = ..., offset_groups: _Optional[int] = ..., bias: bool = ...) -> None: ...

class IntegerConv(_message.Message):
    __slots__ = ("out_channels", "kernel_size", "stride", "padding", "dilation", "groups")
    OUT_CHANNELS_FIELD_NUMBER: _ClassVar[int]
    KERNEL_SIZE_FIELD_NUMBER: _ClassVar[int]
    STRIDE_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    DILATION_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    out_channels: int
    kernel_size: _containers.RepeatedScalarFieldContainer[int]
    stride: _containers.RepeatedScalarFieldContainer[int]
    padding: Padding
    dilation: _containers.RepeatedScalarFieldContainer[int]
    groups: int
    def __init__(self, out_channels: _Optional[int] = ..., kernel_size: _Optional[_Iterable[int]] = ..., stride: _Optional[_Iterable[int]] = ..., padding: _Optional[_Union[Padding, _Mapping]] = ..., dilation: _Optional[_Iterable[int]] = ..., groups: _Optional[int] = ...) -> None: ...

class QuantizedConv(_message.Message):
    __slots__ = ("out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "bias")
    OUT_CHANNELS_FIELD_NUMBER: _ClassVar[int]
    KERNEL_SIZE_FIELD_NUMBER: _ClassVar[int]
    STRIDE_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    DILATION_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    BIAS_FIELD_NUMBER: _ClassVar[int]
    out_channels: int
    kernel_size: _containers.RepeatedScalarFieldContainer[int]
    stride: _containers.RepeatedScalarFieldContainer[int]
    padding: Padding
    dilation: _containers.RepeatedScalarFieldContainer[int]
    groups: int
    bias: bool
    def __init__(self, out_channels: _Optional[int] = ..., kernel_size: _Optional[_Iterable[int]] = ..., stride: _Optional[_Iterable[int]] = ..., padding: _Optional[_Union[Padding, _Mapping]] = ..., dilation: _Optional[_Iterable[int]] = ..., groups: _Optional[int] = ..., bias: bool = ...) -> None: ...

class LocalResponseNorm(_message.Message):
    __slots__ = ("size", "alpha", "beta", "k", "before")
    SIZE_FIELD_NUMBER: _ClassVar[int]
    ALPHA_FIELD_NUMBER: _ClassVar[int]
    BETA_FIELD_NUMBER: _ClassVar[int]
    K_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    size: int
    alpha: float
    beta: float
    k: float
    before: int
    def __init__(self, size: _Optional[int] = ..., alpha: _Optional[float] = ..., beta: _Optional[float] = ..., k: _Optional[float] = ..., before: _Optional[int] = ...) -> None: ...

class LayerNorm(_message.Message):
    __slots__ = ("axes", "eps", "affine")
    AXES_FIELD_NUMBER: _ClassVar[int]
    EPS_FIELD_NUMBER: _ClassVar[int]
    AFFINE_FIELD_NUMBER: _ClassVar[int]
    axes: int
    eps: float
    affine: bool
    def __init__(self, axes: _Optional[int] = ..., eps: _Optional[float] = ..., affine: bool = ...) -> None: ...

class GroupNorm(_message.Message):
    __slots__ = ("groups", "eps", "affine")
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    EPS_FIELD_NUMBER: _ClassVar[int]
    AFFINE_FIELD_NUMBER: _ClassVar[int]
    groups: int
    eps: float
    affine: bool
    def __init__(self, groups: _Optional[int] = ..., eps: _Optional[float] = ..., affine: bool = ...) -> None: ...

class InstanceNorm(_message.Message):
    __slots__ = ("eps", "affine")
    EPS_FIELD_NUMBER: _ClassVar[int]
    AFFINE_FIELD_NUMBER: _ClassVar[int]
    eps: float
    affine: bool
    def __init__(self, eps: _Optional[float] = ..., affine: bool = ...) -> None: ...

class GraphConv(_message.Message):
    __slots__ = ("out_features", "filters", "bias")
    OUT_FEATURES_FIELD_NUMBER: _ClassVar[int]
    FILTERS_FIELD_NUMBER: _ClassVar[int]
    BIAS_FIELD_NUMBER: _ClassVar[int]
    out_features: int
    filters: int
    bias: bool
    def __init__(self, out_features: _Optional[int] = ..., filters: _Optional[int] = ..., bias: bool = ...) -> None: ...

class Unfold(_message.Message):
    __slots__ = ("kernel_size", "stride", "padding", "dilation")
    KERNEL_SIZE_FIELD_NUMBER: _ClassVar[int]
    STRIDE_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    DILATION_FIELD_NUMBER: _ClassVar[int]
    kernel_size: _containers.RepeatedScalarFieldContainer[int]
    stride: _containers.RepeatedScalarFieldContainer[int]
    padding: Padding
    dilation: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, kernel_size: _Optional[_Iterable[int]] = ..., stride: _Optional[_Iterable[int]] = ..., padding: _Optional[_Union[Padding, _Mapping]] = ..., dilation: _Optional[_Iterable[int]] = ...) -> None: ...

class Fold(_message.Message):
    __slots__ = ("output_size", "kernel_size", "stride", "padding", "dilation")
    OUTPUT_SIZE_FIELD_NUMBER: _ClassVar[int]
    KERNEL_SIZE_FIELD_NUMBER: _ClassVar[int]
    STRIDE_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    DILATION_FIELD_NUMBER: _ClassVar[int]
    output_size: _containers.RepeatedScalarFieldContainer[int]
    kernel_size: _containers.RepeatedScalarFieldContainer[int]
    stride: _containers.RepeatedScalarFieldContainer[int]
    padding: Padding
    dilation: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, output_size: _Optional[_Iterable[int]] = ..., kernel_size: _Optional[_Iterable[int]] = ..., stride: _Optional[_Iterable[int]] = ..., padding: _Optional[_Union[Padding, _Mapping]] = ..., dilation: _Optional[_Iterable[int]] = ...) -> None: ...

class Scale(_message.Message):
    __slots__ = ("bias", "axis")
    BIAS_FIELD_NUMBER: _ClassVar[int]
    AXIS_FIELD_NUMBER: _ClassVar[int]
    bias: bool
    axis: int
    def __init__(self, bias: bool = ..., axis: _Optional[int] = ...) -> None: ...

class LpPool(_message.Message):
    __slots__ = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "p")
    KERNEL_SIZE_FIELD_NUMBER: _ClassVar[int]
    STRIDE_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    DILATION_FIELD_NUMBER: _ClassVar[int]
    CEIL_MODE_FIELD_NUMBER: _ClassVar[int]
    P_FIELD_NUMBER: _ClassVar[int]
    kernel_size: _containers.RepeatedScalarFieldContainer[int]
    stride: _containers.RepeatedScalarFieldContainer[int]
    padding: Padding
    dilation: _containers.RepeatedScalarFieldContainer[int]
    ceil_mode: bool
    p: int
    def __init__(self, kernel_size: _Optional[_Iterable[int]] = ..., stride: _Optional[_Iterable[int]] = ..., padding: _Optional[_Union[Padding, _Mapping]] = ..., dilation: _Optional[_Iterable[int]] = ..., ceil_mode: bool = ..., p: _Optional[int] = ...) -> None: ...

class GlobalLpPool(_message.Message):
    __slots__ = ("p",)
    P_FIELD_NUMBER: _ClassVar[int]
    p: int
    def __init__(self, p: _Optional[int] = ...) -> None: ...

class MaxPoolIndices(_message.Message):
    __slots__ = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "scope", "column_major")
    KERNEL_SIZE_FIELD_NUMBER: _ClassVar[int]
    STRIDE_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    DILATION_FIELD_NUMBER: _ClassVar[int]
    CEIL_MODE_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    COLUMN_MAJOR_FIELD_NUMBER: _ClassVar[int]
    kernel_size: _containers.RepeatedScalarFieldContainer[int]
    stride: _containers.RepeatedScalarFieldContainer[int]
    padding: Padding
    dilation: _containers.RepeatedScalarFieldContainer[int]
    ceil_mode: bool
    scope: IndexScope
    column_major: bool
    def __init__(self, kernel_size: _Optional[_Iterable[int]] = ..., stride: _Optional[_Iterable[int]] = ..., padding: _Optional[_Union[Padding, _Mapping]] = ..., dilation: _Optional[_Iterable[int]] = ..., ceil_mode: bool = ..., scope: _Optional[_Union[IndexScope, str]] = ..., column_major: bool = ...) -> None: ...

class MaxUnpool(_message.Message):
    __slots__ = ("kernel_size", "stride", "padding", "output_size", "scope")
    KERNEL_SIZE_FIELD_NUMBER: _ClassVar[int]
    STRIDE_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_SIZE_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    kernel_size: _containers.RepeatedScalarFieldContainer[int]
    stride: _containers.RepeatedScalarFieldContainer[int]
    padding: Padding
    output_size: _containers.RepeatedScalarFieldContainer[int]
    scope: IndexScope
    def __init__(self, kernel_size: _Optional[_Iterable[int]] = ..., stride: _Optional[_Iterable[int]] = ..., padding: _Optional[_Union[Padding, _Mapping]] = ..., output_size: _Optional[_Iterable[int]] = ..., scope: _Optional[_Union[IndexScope, str]] = ...) -> None: ...

class AdaptiveAvgPool(_message.Message):
    __slots__ = ("output_size",)
    OUTPUT_SIZE_FIELD_NUMBER: _ClassVar[int]
    output_size: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, output_size: _Optional[_Iterable[int]] = ...) -> None: ...

class AdaptiveMaxPool(_message.Message):
    __slots__ = ("output_size",)
    OUTPUT_SIZE_FIELD_NUMBER: _ClassVar[int]
    output_size: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, output_size: _Optional[_Iterable[int]] = ...) -> None: ...

class PyramidPool(_message.Message):
    __slots__ = ("levels", "mode")
    LEVELS_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    levels: _containers.RepeatedScalarFieldContainer[int]
    mode: PoolMode
    def __init__(self, levels: _Optional[_Iterable[int]] = ..., mode: _Optional[_Union[PoolMode, str]] = ...) -> None: ...

class Permute(_message.Message):
    __slots__ = ("order",)
    ORDER_FIELD_NUMBER: _ClassVar[int]
    order: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, order: _Optional[_Iterable[int]] = ...) -> None: ...

class Reshape(_message.Message):
    __slots__ = ("shape",)
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    shape: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, shape: _Optional[_Iterable[int]] = ...) -> None: ...

class Slice(_message.Message):
    __slots__ = ("axis", "start", "stop", "step")
    AXIS_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    axis: int
    start: int
    stop: int
    step: int
    def __init__(self, axis: _Optional[int] = ..., start: _Optional[int] = ..., stop: _Optional[int] = ..., step: _Optional[int] = ...) -> None: ...

class Mul(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Sub(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Div(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ReduceMean(_message.Message):
    __slots__ = ("axes", "keepdims")
    AXES_FIELD_NUMBER: _ClassVar[int]
    KEEPDIMS_FIELD_NUMBER: _ClassVar[int]
    axes: _containers.RepeatedScalarFieldContainer[int]
    keepdims: bool
    def __init__(self, axes: _Optional[_Iterable[int]] = ..., keepdims: bool = ...) -> None: ...

class ReduceMax(_message.Message):
    __slots__ = ("axes", "keepdims")
    AXES_FIELD_NUMBER: _ClassVar[int]
    KEEPDIMS_FIELD_NUMBER: _ClassVar[int]
    axes: _containers.RepeatedScalarFieldContainer[int]
    keepdims: bool
    def __init__(self, axes: _Optional[_Iterable[int]] = ..., keepdims: bool = ...) -> None: ...

class ReduceSum(_message.Message):
    __slots__ = ("axes", "keepdims")
    AXES_FIELD_NUMBER: _ClassVar[int]
    KEEPDIMS_FIELD_NUMBER: _ClassVar[int]
    axes: _containers.RepeatedScalarFieldContainer[int]
    keepdims: bool
    def __init__(self, axes: _Optional[_Iterable[int]] = ..., keepdims: bool = ...) -> None: ...

class HardSigmoid(_message.Message):
    __slots__ = ("alpha", "beta")
    ALPHA_FIELD_NUMBER: _ClassVar[int]
    BETA_FIELD_NUMBER: _ClassVar[int]
    alpha: float
    beta: float
    def __init__(self, alpha: _Optional[float] = ..., beta: _Optional[float] = ...) -> None: ...

class HardSwish(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Mish(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class PReLU(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Clip(_message.Message):
    __slots__ = ("low", "high")
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    low: float
    high: float
    def __init__(self, low: _Optional[float] = ..., high: _Optional[float] = ...) -> None: ...

class Exp(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Sqrt(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Power(_message.Message):
    __slots__ = ("exponent",)
    EXPONENT_FIELD_NUMBER: _ClassVar[int]
    exponent: float
    def __init__(self, exponent: _Optional[float] = ...) -> None: ...

class Abs(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Log(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Erf(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Rescale(_message.Message):
    __slots__ = ("factor", "offset")
    FACTOR_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    factor: float
    offset: float
    def __init__(self, factor: _Optional[float] = ..., offset: _Optional[float] = ...) -> None: ...

class Layer(_message.Message):
    __slots__ = ("name", "inputs", "conv", "conv_transpose", "max_pool", "avg_pool", "global_avg_pool", "global_max_pool", "relu", "leaky_relu", "relu6", "gelu", "silu", "sigmoid", "tanh", "elu", "softplus", "batch_norm", "dense", "flatten", "add", "concat", "softmax", "pad", "upsample", "pixel_shuffle", "pixel_unshuffle", "depthwise_conv", "separable_conv", "sub_pixel_conv", "deform_conv", "integer_conv", "quantized_conv", "local_response_norm", "layer_norm", "group_norm", "instance_norm", "graph_conv", "unfold", "fold", "scale", "lp_pool", "global_lp_pool", "max_pool_indices", "max_unpool", "adaptive_avg_pool", "adaptive_max_pool", "pyramid_pool", "permute", "reshape", "slice", "mul", "sub", "div", "reduce_mean", "reduce_max", "reduce_sum", "hard_sigmoid", "hard_swish", "mish", "prelu", "clip", "exp", "sqrt", "power", "abs", "log", "erf", "rescale")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    CONV_FIELD_NUMBER: _ClassVar[int]
    CONV_TRANSPOSE_FIELD_NUMBER: _ClassVar[int]
    MAX_POOL_FIELD_NUMBER: _ClassVar[int]
    AVG_POOL_FIELD_NUMBER: _ClassVar[int]
    GLOBAL_AVG_POOL_FIELD_NUMBER: _ClassVar[int]
    GLOBAL_MAX_POOL_FIELD_NUMBER: _ClassVar[int]
    RELU_FIELD_NUMBER: _ClassVar[int]
    LEAKY_RELU_FIELD_NUMBER: _ClassVar[int]
    RELU6_FIELD_NUMBER: _ClassVar[int]
    GELU_FIELD_NUMBER: _ClassVar[int]
    SILU_FIELD_NUMBER: _ClassVar[int]
    SIGMOID_FIELD_NUMBER: _ClassVar[int]
    TANH_FIELD_NUMBER: _ClassVar[int]
    ELU_FIELD_NUMBER: _ClassVar[int]
    SOFTPLUS_FIELD_NUMBER: _ClassVar[int]
    BATCH_NORM_FIELD_NUMBER: _ClassVar[int]
    DENSE_FIELD_NUMBER: _ClassVar[int]
    FLATTEN_FIELD_NUMBER: _ClassVar[int]
    ADD_FIELD_NUMBER: _ClassVar[int]
    CONCAT_FIELD_NUMBER: _ClassVar[int]
    SOFTMAX_FIELD_NUMBER: _ClassVar[int]
    PAD_FIELD_NUMBER: _ClassVar[int]
    UPSAMPLE_FIELD_NUMBER: _ClassVar[int]
    PIXEL_SHUFFLE_FIELD_NUMBER: _ClassVar[int]
    PIXEL_UNSHUFFLE_FIELD_NUMBER: _ClassVar[int]
    DEPTHWISE_CONV_FIELD_NUMBER: _ClassVar[int]
    SEPARABLE_CONV_FIELD_NUMBER: _ClassVar[int]
    SUB_PIXEL_CONV_FIELD_NUMBER: _ClassVar[int]
    DEFORM_CONV_FIELD_NUMBER: _ClassVar[int]
    INTEGER_CONV_FIELD_NUMBER: _ClassVar[int]
    QUANTIZED_CONV_FIELD_NUMBER: _ClassVar[int]
    LOCAL_RESPONSE_NORM_FIELD_NUMBER: _ClassVar[int]
    LAYER_NORM_FIELD_NUMBER: _ClassVar[int]
    GROUP_NORM_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_NORM_FIELD_NUMBER: _ClassVar[int]
    GRAPH_CONV_FIELD_NUMBER: _ClassVar[int]
    UNFOLD_FIELD_NUMBER: _ClassVar[int]
    FOLD_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    LP_POOL_FIELD_NUMBER: _ClassVar[int]
    GLOBAL_LP_POOL_FIELD_NUMBER: _ClassVar[int]
    MAX_POOL_INDICES_FIELD_NUMBER: _ClassVar[int]
    MAX_UNPOOL_FIELD_NUMBER: _ClassVar[int]
    ADAPTIVE_AVG_POOL_FIELD_NUMBER: _ClassVar[int]
    ADAPTIVE_MAX_POOL_FIELD_NUMBER: _ClassVar[int]
    PYRAMID_POOL_FIELD_NUMBER: _ClassVar[int]
    PERMUTE_FIELD_NUMBER: _ClassVar[int]
    RESHAPE_FIELD_NUMBER: _ClassVar[int]
    SLICE_FIELD_NUMBER: _ClassVar[int]
    MUL_FIELD_NUMBER: _ClassVar[int]
    SUB_FIELD_NUMBER: _ClassVar[int]
    DIV_FIELD_NUMBER: _ClassVar[int]
    REDUCE_MEAN_FIELD_NUMBER: _ClassVar[int]
    REDUCE_MAX_FIELD_NUMBER: _ClassVar[int]
    REDUCE_SUM_FIELD_NUMBER: _ClassVar[int]
    HARD_SIGMOID_FIELD_NUMBER: _ClassVar[int]
    HARD_SWISH_FIELD_NUMBER: _ClassVar[int]
    MISH_FIELD_NUMBER: _ClassVar[int]
    PRELU_FIELD_NUMBER: _ClassVar[int]
    CLIP_FIELD_NUMBER: _ClassVar[int]
    EXP_FIELD_NUMBER: _ClassVar[int]
    SQRT_FIELD_NUMBER: _ClassVar[int]
    POWER_FIELD_NUMBER: _ClassVar[int]
    ABS_FIELD_NUMBER: _ClassVar[int]
    LOG_FIELD_NUMBER: _ClassVar[int]
    ERF_FIELD_NUMBER: _ClassVar[int]
    RESCALE_FIELD_NUMBER: _ClassVar[int]
    name: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    conv: Conv
    conv_transpose: ConvTranspose
    max_pool: MaxPool
    avg_pool: AvgPool
    global_avg_pool: GlobalAvgPool
    global_max_pool: GlobalMaxPool
    relu: ReLU
    leaky_relu: LeakyReLU
    relu6: ReLU6
    gelu: GELU
    silu: SiLU
    sigmoid: Sigmoid
    tanh: Tanh
    elu: ELU
    softplus: Softplus
    batch_norm: BatchNorm
    dense: Dense
    flatten: Flatten
    add: Add
    concat: Concat
    softmax: Softmax
    pad: Pad
    upsample: Upsample
    pixel_shuffle: PixelShuffle
    pixel_unshuffle: PixelUnshuffle
    depthwise_conv: DepthwiseConv
    separable_conv: SeparableConv
    sub_pixel_conv: SubPixelConv
    deform_conv: DeformConv
    integer_conv: IntegerConv
    quantized_conv: QuantizedConv
    local_response_norm: LocalResponseNorm
    layer_norm: LayerNorm
    group_norm: GroupNorm
    instance_norm: InstanceNorm
    graph_conv: GraphConv
    unfold: Unfold
    fold: Fold
    scale: Scale
    lp_pool: LpPool
    global_lp_pool: GlobalLpPool
    max_pool_indices: MaxPoolIndices
    max_unpool: MaxUnpool
    adaptive_avg_pool: AdaptiveAvgPool
    adaptive_max_pool: AdaptiveMaxPool
    pyramid_pool: PyramidPool
    permute: Permute
    reshape: Reshape
    slice: Slice
    mul: Mul
    sub: Sub
    div: Div
    reduce_mean: ReduceMean
    reduce_max: ReduceMax
    reduce_sum: ReduceSum
    hard_sigmoid: HardSigmoid
    hard_swish: HardSwish
    mish: Mish
    prelu: PReLU
    clip: Clip
    exp: Exp
    sqrt: Sqrt
    power: Power
    abs: Abs
    log: Log
    erf: Erf
    rescale: Rescale
    def __init__(self, name: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ..., conv: _Optional[_Union[Conv, _Mapping]] = ..., conv_transpose: _Optional[_Union[ConvTranspose, _Mapping]] = ..., max_pool: _Optional[_Union[MaxPool, _Mapping]] = ..., avg_pool: _Optional[_Union[AvgPool, _Mapping]] = ..., global_avg_pool: _Optional[_Union[GlobalAvgPool, _Mapping]] = ..., global_max_pool: _Optional[_Union[GlobalMaxPool, _Mapping]] = ..., relu: _Optional[_Union[ReLU, _Mapping]] = ..., leaky_relu: _Optional[_Union[LeakyReLU, _Mapping]] = ..., relu6: _Optional[_Union[ReLU6, _Mapping]] = ..., gelu: _Optional[_Union[GELU, _Mapping]] = ..., silu: _Optional[_Union[SiLU, _Mapping]] = ..., sigmoid: _Optional[_Union[Sigmoid, _Mapping]] = ..., tanh: _Optional[_Union[Tanh, _Mapping]] = ..., elu: _Optional[_Union[ELU, _Mapping]] = ..., softplus: _Optional[_Union[Softplus, _Mapping]] = ..., batch_norm: _Optional[_Union[BatchNorm, _Mapping]] = ..., dense: _Optional[_Union[Dense, _Mapping]] = ..., flatten: _Optional[_Union[Flatten, _Mapping]] = ..., add: _Optional[_Union[Add, _Mapping]] = ..., concat: _Optional[_Union[Concat, _Mapping]] = ..., softmax: _Optional[_Union[Softmax, _Mapping]] = ..., pad: _Optional[_Union[Pad, _Mapping]] = ..., upsample: _Optional[_Union[Upsample, _Mapping]] = ..., pixel_shuffle: _Optional[_Union[PixelShuffle, _Mapping]] = ..., pixel_unshuffle: _Optional[_Union[PixelUnshuffle, _Mapping]] = ..., depthwise_conv: _Optional[_Union[DepthwiseConv, _Mapping]] = ..., separable_conv: _Optional[_Union[SeparableConv, _Mapping]] = ..., sub_pixel_conv: _Optional[_Union[SubPixelConv, _Mapping]] = ..., deform_conv: _Optional[_Union[DeformConv, _Mapping]] = ..., integer_conv: _Optional[_Union[IntegerConv, _Mapping]] = ..., quantized_conv: _Optional[_Union[QuantizedConv, _Mapping]] = ..., local_response_norm: _Optional[_Union[LocalResponseNorm, _Mapping]] = ..., layer_norm: _Optional[_Union[LayerNorm, _Mapping]] = ..., group_norm: _Optional[_Union[GroupNorm, _Mapping]] = ..., instance_norm: _Optional[_Union[InstanceNorm, _Mapping]] = ..., graph_conv: _Optional[_Union[GraphConv, _Mapping]] = ..., unfold: _Optional[_Union[Unfold, _Mapping]] = ..., fold: _Optional[_Union[Fold, _Mapping]] = ..., scale: _Optional[_Union[Scale, _Mapping]] = ..., lp_pool: _Optional[_Union[LpPool, _Mapping]] = ..., global_lp_pool: _Optional[_Union[GlobalLpPool, _Mapping]] = ..., max_pool_indices: _Optional[_Union[MaxPoolIndices, _Mapping]] = ..., max_unpool: _Optional[_Union[MaxUnpool, _Mapping]] = ..., adaptive_avg_pool: _Optional[_Union[AdaptiveAvgPool, _Mapping]] = ..., adaptive_max_pool: _Optional[_Union[AdaptiveMaxPool, _Mapping]] = ..., pyramid_pool: _Optional[_Union[PyramidPool, _Mapping]] = ..., permute: _Optional[_Union[Permute, _Mapping]] = ..., reshape: _Optional[_Union[Reshape, _Mapping]] = ..., slice: _Optional[_Union[Slice, _Mapping]] = ..., mul: _Optional[_Union[Mul, _Mapping]] = ..., sub: _Optional[_Union[Sub, _Mapping]] = ..., div: _Optional[_Union[Div, _Mapping]] = ..., reduce_mean: _Optional[_Union[ReduceMean, _Mapping]] = ..., reduce_max: _Optional[_Union[ReduceMax, _Mapping]] = ..., reduce_sum: _Optional[_Union[ReduceSum, _Mapping]] = ..., hard_sigmoid: _Optional[_Union[HardSigmoid, _Mapping]] = ..., hard_swish: _Optional[_Union[HardSwish, _Mapping]] = ..., mish: _Optional[_Union[Mish, _Mapping]] = ..., prelu: _Optional[_Union[PReLU, _Mapping]] = ..., clip: _Optional[_Union[Clip, _Mapping]] = ..., exp: _Optional[_Union[Exp, _Mapping]] = ..., sqrt: _Optional[_Union[Sqrt, _Mapping]] = ..., power: _Optional[_Union[Power, _Mapping]] = ..., abs: _Optional[_Union[Abs, _Mapping]] = ..., log: _Optional[_Union[Log, _Mapping]] = ..., erf: _Optional[_Union[Erf, _Mapping]] = ..., rescale: _Optional[_Union[Rescale, _Mapping]] = ...) -> None: ...

class Network(_message.Message):
    __slots__ = ("layers", "inputs", "outputs")
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    layers: _containers.RepeatedCompositeFieldContainer[Layer]
    inputs: _containers.RepeatedScalarFieldContainer[str]
    outputs: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, layers: _Optional[_Iterable[_Union[Layer, _Mapping]]] = ..., inputs: _Optional[_Iterable[str]] = ..., outputs: _Optional[_Iterable[str]] = ...) -> None: ...
