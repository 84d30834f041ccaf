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
    __slots__ = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")
    KERNEL_SIZE_FIELD_NUMBER: _ClassVar[int]
    STRIDE_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    CEIL_MODE_FIELD_NUMBER: _ClassVar[int]
    COUNT_INCLUDE_PAD_FIELD_NUMBER: _ClassVar[int]
    kernel_size: _containers.RepeatedScalarFieldContainer[int]
    stride: _containers.RepeatedScalarFieldContainer[int]
    padding: Padding
    ceil_mode: bool
    count_include_pad: bool
    def __init__(self, kernel_size: _Optional[_Iterable[int]] = ..., stride: _Optional[_Iterable[int]] = ..., padding: _Optional[_Union[Padding, _Mapping]] = ..., ceil_mode: bool = ..., count_include_pad: bool = ...) -> None: ...

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
    __slots__ = ("eps",)
    EPS_FIELD_NUMBER: _ClassVar[int]
    eps: float
    def __init__(self, eps: _Optional[float] = ...) -> None: ...

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
    __slots__ = ()
    def __init__(self) -> None: ...

class Softmax(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

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
    __slots__ = ("scale",)
    SCALE_FIELD_NUMBER: _ClassVar[int]
    scale: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, scale: _Optional[_Iterable[int]] = ...) -> None: ...

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

class Layer(_message.Message):
    __slots__ = ("name", "inputs", "conv", "conv_transpose", "max_pool", "avg_pool", "global_avg_pool", "global_max_pool", "relu", "leaky_relu", "relu6", "gelu", "silu", "sigmoid", "tanh", "elu", "softplus", "batch_norm", "dense", "flatten", "add", "concat", "softmax", "pad", "upsample", "pixel_shuffle", "pixel_unshuffle")
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
    def __init__(self, name: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ..., conv: _Optional[_Union[Conv, _Mapping]] = ..., conv_transpose: _Optional[_Union[ConvTranspose, _Mapping]] = ..., max_pool: _Optional[_Union[MaxPool, _Mapping]] = ..., avg_pool: _Optional[_Union[AvgPool, _Mapping]] = ..., global_avg_pool: _Optional[_Union[GlobalAvgPool, _Mapping]] = ..., global_max_pool: _Optional[_Union[GlobalMaxPool, _Mapping]] = ..., relu: _Optional[_Union[ReLU, _Mapping]] = ..., leaky_relu: _Optional[_Union[LeakyReLU, _Mapping]] = ..., relu6: _Optional[_Union[ReLU6, _Mapping]] = ..., gelu: _Optional[_Union[GELU, _Mapping]] = ..., silu: _Optional[_Union[SiLU, _Mapping]] = ..., sigmoid: _Optional[_Union[Sigmoid, _Mapping]] = ..., tanh: _Optional[_Union[Tanh, _Mapping]] = ..., elu: _Optional[_Union[ELU, _Mapping]] = ..., softplus: _Optional[_Union[Softplus, _Mapping]] = ..., batch_norm: _Optional[_Union[BatchNorm, _Mapping]] = ..., dense: _Optional[_Union[Dense, _Mapping]] = ..., flatten: _Optional[_Union[Flatten, _Mapping]] = ..., add: _Optional[_Union[Add, _Mapping]] = ..., concat: _Optional[_Union[Concat, _Mapping]] = ..., softmax: _Optional[_Union[Softmax, _Mapping]] = ..., pad: _Optional[_Union[Pad, _Mapping]] = ..., upsample: _Optional[_Union[Upsample, _Mapping]] = ..., pixel_shuffle: _Optional[_Union[PixelShuffle, _Mapping]] = ..., pixel_unshuffle: _Optional[_Union[PixelUnshuffle, _Mapping]] = ...) -> None: ...

class Network(_message.Message):
    __slots__ = ("layers", "inputs", "outputs")
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    layers: _containers.RepeatedCompositeFieldContainer[Layer]
    inputs: _containers.RepeatedScalarFieldContainer[str]
    outputs: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, layers: _Optional[_Iterable[_Union[Layer, _Mapping]]] = ..., inputs: _Optional[_Iterable[str]] = ..., outputs: _Optional[_Iterable[str]] = ...) -> None: ...
