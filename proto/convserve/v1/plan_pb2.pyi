from convserve.v1 import layer_pb2 as _layer_pb2
from convserve.v1 import tensor_pb2 as _tensor_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Ratio(_message.Message):
    __slots__ = ("numerator", "denominator")
    NUMERATOR_FIELD_NUMBER: _ClassVar[int]
    DENOMINATOR_FIELD_NUMBER: _ClassVar[int]
    numerator: int
    denominator: int
    def __init__(self, numerator: _Optional[int] = ..., denominator: _Optional[int] = ...) -> None: ...

class ReceptiveField(_message.Message):
    __slots__ = ("size", "jump", "start")
    SIZE_FIELD_NUMBER: _ClassVar[int]
    JUMP_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    size: _containers.RepeatedScalarFieldContainer[int]
    jump: _containers.RepeatedCompositeFieldContainer[Ratio]
    start: _containers.RepeatedCompositeFieldContainer[Ratio]
    def __init__(self, size: _Optional[_Iterable[int]] = ..., jump: _Optional[_Iterable[_Union[Ratio, _Mapping]]] = ..., start: _Optional[_Iterable[_Union[Ratio, _Mapping]]] = ...) -> None: ...

class LayerPlan(_message.Message):
    __slots__ = ("name", "kind", "inputs", "output", "resolved", "parameters", "parameter_count", "mac_count", "flop_count", "activation_bytes", "weight_bytes", "workspace_bytes", "receptive_field", "engine", "algorithm", "algorithm_reason", "explanation")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    RESOLVED_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    PARAMETER_COUNT_FIELD_NUMBER: _ClassVar[int]
    MAC_COUNT_FIELD_NUMBER: _ClassVar[int]
    FLOP_COUNT_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_BYTES_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_BYTES_FIELD_NUMBER: _ClassVar[int]
    WORKSPACE_BYTES_FIELD_NUMBER: _ClassVar[int]
    RECEPTIVE_FIELD_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    ALGORITHM_REASON_FIELD_NUMBER: _ClassVar[int]
    EXPLANATION_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    output: _tensor_pb2.TensorSpec
    resolved: _layer_pb2.Layer
    parameters: _containers.RepeatedCompositeFieldContainer[_tensor_pb2.TensorSpec]
    parameter_count: int
    mac_count: int
    flop_count: int
    activation_bytes: int
    weight_bytes: int
    workspace_bytes: int
    receptive_field: ReceptiveField
    engine: str
    algorithm: str
    algorithm_reason: str
    explanation: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ..., output: _Optional[_Union[_tensor_pb2.TensorSpec, _Mapping]] = ..., resolved: _Optional[_Union[_layer_pb2.Layer, _Mapping]] = ..., parameters: _Optional[_Iterable[_Union[_tensor_pb2.TensorSpec, _Mapping]]] = ..., parameter_count: _Optional[int] = ..., mac_count: _Optional[int] = ..., flop_count: _Optional[int] = ..., activation_bytes: _Optional[int] = ..., weight_bytes: _Optional[int] = ..., workspace_bytes: _Optional[int] = ..., receptive_field: _Optional[_Union[ReceptiveField, _Mapping]] = ..., engine: _Optional[str] = ..., algorithm: _Optional[str] = ..., algorithm_reason: _Optional[str] = ..., explanation: _Optional[_Iterable[str]] = ...) -> None: ...

class Plan(_message.Message):
    __slots__ = ("inputs", "outputs", "layers", "parameter_count", "mac_count", "flop_count", "weight_bytes", "peak_memory_bytes", "peak_memory_fixed_bytes", "peak_memory_per_sample_bytes", "peak_layer", "receptive_field", "device", "symbolic_batch", "notes")
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    PARAMETER_COUNT_FIELD_NUMBER: _ClassVar[int]
    MAC_COUNT_FIELD_NUMBER: _ClassVar[int]
    FLOP_COUNT_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_BYTES_FIELD_NUMBER: _ClassVar[int]
    PEAK_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    PEAK_MEMORY_FIXED_BYTES_FIELD_NUMBER: _ClassVar[int]
    PEAK_MEMORY_PER_SAMPLE_BYTES_FIELD_NUMBER: _ClassVar[int]
    PEAK_LAYER_FIELD_NUMBER: _ClassVar[int]
    RECEPTIVE_FIELD_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    SYMBOLIC_BATCH_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    inputs: _containers.RepeatedCompositeFieldContainer[_tensor_pb2.TensorSpec]
    outputs: _containers.RepeatedCompositeFieldContainer[_tensor_pb2.TensorSpec]
    layers: _containers.RepeatedCompositeFieldContainer[LayerPlan]
    parameter_count: int
    mac_count: int
    flop_count: int
    weight_bytes: int
    peak_memory_bytes: int
    peak_memory_fixed_bytes: int
    peak_memory_per_sample_bytes: int
    peak_layer: str
    receptive_field: ReceptiveField
    device: str
    symbolic_batch: bool
    notes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, inputs: _Optional[_Iterable[_Union[_tensor_pb2.TensorSpec, _Mapping]]] = ..., outputs: _Optional[_Iterable[_Union[_tensor_pb2.TensorSpec, _Mapping]]] = ..., layers: _Optional[_Iterable[_Union[LayerPlan, _Mapping]]] = ..., parameter_count: _Optional[int] = ..., mac_count: _Optional[int] = ..., flop_count: _Optional[int] = ..., weight_bytes: _Optional[int] = ..., peak_memory_bytes: _Optional[int] = ..., peak_memory_fixed_bytes: _Optional[int] = ..., peak_memory_per_sample_bytes: _Optional[int] = ..., peak_layer: _Optional[str] = ..., receptive_field: _Optional[_Union[ReceptiveField, _Mapping]] = ..., device: _Optional[str] = ..., symbolic_batch: bool = ..., notes: _Optional[_Iterable[str]] = ...) -> None: ...
