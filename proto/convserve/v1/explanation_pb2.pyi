from convserve.v1 import layer_pb2 as _layer_pb2
from convserve.v1 import plan_pb2 as _plan_pb2
from convserve.v1 import tensor_pb2 as _tensor_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ExplainLayerRequest(_message.Message):
    __slots__ = ("layer", "text", "dialect", "inputs", "compare", "wanted_size", "device")
    LAYER_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    DIALECT_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    COMPARE_FIELD_NUMBER: _ClassVar[int]
    WANTED_SIZE_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    layer: _layer_pb2.Layer
    text: str
    dialect: str
    inputs: _containers.RepeatedCompositeFieldContainer[_tensor_pb2.TensorSpec]
    compare: bool
    wanted_size: _containers.RepeatedScalarFieldContainer[int]
    device: str
    def __init__(self, layer: _Optional[_Union[_layer_pb2.Layer, _Mapping]] = ..., text: _Optional[str] = ..., dialect: _Optional[str] = ..., inputs: _Optional[_Iterable[_Union[_tensor_pb2.TensorSpec, _Mapping]]] = ..., compare: bool = ..., wanted_size: _Optional[_Iterable[int]] = ..., device: _Optional[str] = ...) -> None: ...

class ExplainLayerResponse(_message.Message):
    __slots__ = ("explanation",)
    EXPLANATION_FIELD_NUMBER: _ClassVar[int]
    explanation: Explanation
    def __init__(self, explanation: _Optional[_Union[Explanation, _Mapping]] = ...) -> None: ...

class Explanation(_message.Message):
    __slots__ = ("dialect", "text", "inputs", "layer", "plan", "problem", "problem_field", "changes", "renderings", "notes")
    DIALECT_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    LAYER_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    RENDERINGS_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    dialect: str
    text: str
    inputs: _containers.RepeatedCompositeFieldContainer[_tensor_pb2.TensorSpec]
    layer: _layer_pb2.Layer
    plan: _plan_pb2.LayerPlan
    problem: str
    problem_field: str
    changes: _containers.RepeatedCompositeFieldContainer[Change]
    renderings: _containers.RepeatedCompositeFieldContainer[Rendering]
    notes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, dialect: _Optional[str] = ..., text: _Optional[str] = ..., inputs: _Optional[_Iterable[_Union[_tensor_pb2.TensorSpec, _Mapping]]] = ..., layer: _Optional[_Union[_layer_pb2.Layer, _Mapping]] = ..., plan: _Optional[_Union[_plan_pb2.LayerPlan, _Mapping]] = ..., problem: _Optional[str] = ..., problem_field: _Optional[str] = ..., changes: _Optional[_Iterable[_Union[Change, _Mapping]]] = ..., renderings: _Optional[_Iterable[_Union[Rendering, _Mapping]]] = ..., notes: _Optional[_Iterable[str]] = ...) -> None: ...

class Change(_message.Message):
    __slots__ = ("edit", "gives", "distance")
    EDIT_FIELD_NUMBER: _ClassVar[int]
    GIVES_FIELD_NUMBER: _ClassVar[int]
    DISTANCE_FIELD_NUMBER: _ClassVar[int]
    edit: str
    gives: str
    distance: int
    def __init__(self, edit: _Optional[str] = ..., gives: _Optional[str] = ..., distance: _Optional[int] = ...) -> None: ...

class Rendering(_message.Message):
    __slots__ = ("dialect", "runtime", "version", "spelling", "outcome", "output_shape", "shift", "message", "exact", "weights")
    DIALECT_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SPELLING_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_SHAPE_FIELD_NUMBER: _ClassVar[int]
    SHIFT_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    dialect: str
    runtime: str
    version: str
    spelling: str
    outcome: str
    output_shape: _containers.RepeatedScalarFieldContainer[int]
    shift: _containers.RepeatedScalarFieldContainer[int]
    message: str
    exact: str
    weights: str
    def __init__(self, dialect: _Optional[str] = ..., runtime: _Optional[str] = ..., version: _Optional[str] = ..., spelling: _Optional[str] = ..., outcome: _Optional[str] = ..., output_shape: _Optional[_Iterable[int]] = ..., shift: _Optional[_Iterable[int]] = ..., message: _Optional[str] = ..., exact: _Optional[str] = ..., weights: _Optional[str] = ...) -> None: ...

class FindLayersRequest(_message.Message):
    __slots__ = ("input_size", "output_size", "transposed", "max_kernel_size", "max_stride", "max_dilation", "max_padding", "max_count")
    INPUT_SIZE_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_SIZE_FIELD_NUMBER: _ClassVar[int]
    TRANSPOSED_FIELD_NUMBER: _ClassVar[int]
    MAX_KERNEL_SIZE_FIELD_NUMBER: _ClassVar[int]
    MAX_STRIDE_FIELD_NUMBER: _ClassVar[int]
    MAX_DILATION_FIELD_NUMBER: _ClassVar[int]
    MAX_PADDING_FIELD_NUMBER: _ClassVar[int]
    MAX_COUNT_FIELD_NUMBER: _ClassVar[int]
    input_size: _containers.RepeatedScalarFieldContainer[int]
    output_size: _containers.RepeatedScalarFieldContainer[int]
    transposed: bool
    max_kernel_size: int
    max_stride: int
    max_dilation: int
    max_padding: int
    max_count: int
    def __init__(self, input_size: _Optional[_Iterable[int]] = ..., output_size: _Optional[_Iterable[int]] = ..., transposed: bool = ..., max_kernel_size: _Optional[int] = ..., max_stride: _Optional[int] = ..., max_dilation: _Optional[int] = ..., max_padding: _Optional[int] = ..., max_count: _Optional[int] = ...) -> None: ...

class FindLayersResponse(_message.Message):
    __slots__ = ("found",)
    FOUND_FIELD_NUMBER: _ClassVar[int]
    found: FoundLayers
    def __init__(self, found: _Optional[_Union[FoundLayers, _Mapping]] = ...) -> None: ...

class FoundLayers(_message.Message):
    __slots__ = ("layers", "count", "transposed")
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    TRANSPOSED_FIELD_NUMBER: _ClassVar[int]
    layers: _containers.RepeatedCompositeFieldContainer[FoundLayer]
    count: int
    transposed: bool
    def __init__(self, layers: _Optional[_Iterable[_Union[FoundLayer, _Mapping]]] = ..., count: _Optional[int] = ..., transposed: bool = ...) -> None: ...

class FoundLayer(_message.Message):
    __slots__ = ("kernel_size", "stride", "padding", "dilation", "output_padding", "input_low", "input_high")
    KERNEL_SIZE_FIELD_NUMBER: _ClassVar[int]
    STRIDE_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    DILATION_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_PADDING_FIELD_NUMBER: _ClassVar[int]
    INPUT_LOW_FIELD_NUMBER: _ClassVar[int]
    INPUT_HIGH_FIELD_NUMBER: _ClassVar[int]
    kernel_size: int
    stride: int
    padding: _layer_pb2.Padding
    dilation: int
    output_padding: int
    input_low: _containers.RepeatedScalarFieldContainer[int]
    input_high: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, kernel_size: _Optional[int] = ..., stride: _Optional[int] = ..., padding: _Optional[_Union[_layer_pb2.Padding, _Mapping]] = ..., dilation: _Optional[int] = ..., output_padding: _Optional[int] = ..., input_low: _Optional[_Iterable[int]] = ..., input_high: _Optional[_Iterable[int]] = ...) -> None: ...
