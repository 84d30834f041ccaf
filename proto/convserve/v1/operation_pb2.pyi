from convserve.v1 import layer_pb2 as _layer_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ConvolveMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONVOLVE_MODE_UNSPECIFIED: _ClassVar[ConvolveMode]
    CONVOLVE_MODE_FULL: _ClassVar[ConvolveMode]
    CONVOLVE_MODE_SAME: _ClassVar[ConvolveMode]
    CONVOLVE_MODE_VALID: _ClassVar[ConvolveMode]

class ConvolveMethod(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONVOLVE_METHOD_UNSPECIFIED: _ClassVar[ConvolveMethod]
    CONVOLVE_METHOD_AUTO: _ClassVar[ConvolveMethod]
    CONVOLVE_METHOD_DIRECT: _ClassVar[ConvolveMethod]
    CONVOLVE_METHOD_FFT: _ClassVar[ConvolveMethod]
CONVOLVE_MODE_UNSPECIFIED: ConvolveMode
CONVOLVE_MODE_FULL: ConvolveMode
CONVOLVE_MODE_SAME: ConvolveMode
CONVOLVE_MODE_VALID: ConvolveMode
CONVOLVE_METHOD_UNSPECIFIED: ConvolveMethod
CONVOLVE_METHOD_AUTO: ConvolveMethod
CONVOLVE_METHOD_DIRECT: ConvolveMethod
CONVOLVE_METHOD_FFT: ConvolveMethod

class Convolve(_message.Message):
    __slots__ = ("mode", "method")
    MODE_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    mode: ConvolveMode
    method: ConvolveMethod
    def __init__(self, mode: _Optional[_Union[ConvolveMode, str]] = ..., method: _Optional[_Union[ConvolveMethod, str]] = ...) -> None: ...

class Correlate(_message.Message):
    __slots__ = ("mode", "method")
    MODE_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    mode: ConvolveMode
    method: ConvolveMethod
    def __init__(self, mode: _Optional[_Union[ConvolveMode, str]] = ..., method: _Optional[_Union[ConvolveMethod, str]] = ...) -> None: ...

class ConvInputGradient(_message.Message):
    __slots__ = ("input_shape", "stride", "padding", "dilation", "groups")
    INPUT_SHAPE_FIELD_NUMBER: _ClassVar[int]
    STRIDE_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    DILATION_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    input_shape: _containers.RepeatedScalarFieldContainer[int]
    stride: _containers.RepeatedScalarFieldContainer[int]
    padding: _layer_pb2.Padding
    dilation: _containers.RepeatedScalarFieldContainer[int]
    groups: int
    def __init__(self, input_shape: _Optional[_Iterable[int]] = ..., stride: _Optional[_Iterable[int]] = ..., padding: _Optional[_Union[_layer_pb2.Padding, _Mapping]] = ..., dilation: _Optional[_Iterable[int]] = ..., groups: _Optional[int] = ...) -> None: ...

class ConvWeightGradient(_message.Message):
    __slots__ = ("kernel_size", "stride", "padding", "dilation", "groups")
    KERNEL_SIZE_FIELD_NUMBER: _ClassVar[int]
    STRIDE_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    DILATION_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    kernel_size: _containers.RepeatedScalarFieldContainer[int]
    stride: _containers.RepeatedScalarFieldContainer[int]
    padding: _layer_pb2.Padding
    dilation: _containers.RepeatedScalarFieldContainer[int]
    groups: int
    def __init__(self, kernel_size: _Optional[_Iterable[int]] = ..., stride: _Optional[_Iterable[int]] = ..., padding: _Optional[_Union[_layer_pb2.Padding, _Mapping]] = ..., dilation: _Optional[_Iterable[int]] = ..., groups: _Optional[int] = ...) -> None: ...

class Operation(_message.Message):
    __slots__ = ("convolve", "correlate", "conv_input_gradient", "conv_weight_gradient")
    CONVOLVE_FIELD_NUMBER: _ClassVar[int]
    CORRELATE_FIELD_NUMBER: _ClassVar[int]
    CONV_INPUT_GRADIENT_FIELD_NUMBER: _ClassVar[int]
    CONV_WEIGHT_GRADIENT_FIELD_NUMBER: _ClassVar[int]
    convolve: Convolve
    correlate: Correlate
    conv_input_gradient: ConvInputGradient
    conv_weight_gradient: ConvWeightGradient
    def __init__(self, convolve: _Optional[_Union[Convolve, _Mapping]] = ..., correlate: _Optional[_Union[Correlate, _Mapping]] = ..., conv_input_gradient: _Optional[_Union[ConvInputGradient, _Mapping]] = ..., conv_weight_gradient: _Optional[_Union[ConvWeightGradient, _Mapping]] = ...) -> None: ...
