from convserve.v1 import layer_pb2 as _layer_pb2
from convserve.v1 import tensor_pb2 as _tensor_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PlanTilesRequest(_message.Message):
    __slots__ = ("network", "inputs", "memory_limit_bytes", "axes", "layers")
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_LIMIT_BYTES_FIELD_NUMBER: _ClassVar[int]
    AXES_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    network: _layer_pb2.Network
    inputs: _containers.RepeatedCompositeFieldContainer[_tensor_pb2.TensorSpec]
    memory_limit_bytes: int
    axes: _containers.RepeatedScalarFieldContainer[int]
    layers: bool
    def __init__(self, network: _Optional[_Union[_layer_pb2.Network, _Mapping]] = ..., inputs: _Optional[_Iterable[_Union[_tensor_pb2.TensorSpec, _Mapping]]] = ..., memory_limit_bytes: _Optional[int] = ..., axes: _Optional[_Iterable[int]] = ..., layers: bool = ...) -> None: ...

class PlanTilesResponse(_message.Message):
    __slots__ = ("plan",)
    PLAN_FIELD_NUMBER: _ClassVar[int]
    plan: TilePlan
    def __init__(self, plan: _Optional[_Union[TilePlan, _Mapping]] = ...) -> None: ...

class TilePlan(_message.Message):
    __slots__ = ("inputs", "outputs", "tile_inputs", "tile_outputs", "axes", "memory_limit_bytes", "peak_memory_bytes", "row_memory_bytes", "flop_count", "row_flop_count", "notes")
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    TILE_INPUTS_FIELD_NUMBER: _ClassVar[int]
    TILE_OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    AXES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_LIMIT_BYTES_FIELD_NUMBER: _ClassVar[int]
    PEAK_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    ROW_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    FLOP_COUNT_FIELD_NUMBER: _ClassVar[int]
    ROW_FLOP_COUNT_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    inputs: _containers.RepeatedCompositeFieldContainer[_tensor_pb2.TensorSpec]
    outputs: _containers.RepeatedCompositeFieldContainer[_tensor_pb2.TensorSpec]
    tile_inputs: _containers.RepeatedCompositeFieldContainer[_tensor_pb2.TensorSpec]
    tile_outputs: _containers.RepeatedCompositeFieldContainer[_tensor_pb2.TensorSpec]
    axes: _containers.RepeatedCompositeFieldContainer[TileAxis]
    memory_limit_bytes: int
    peak_memory_bytes: int
    row_memory_bytes: int
    flop_count: int
    row_flop_count: int
    notes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, inputs: _Optional[_Iterable[_Union[_tensor_pb2.TensorSpec, _Mapping]]] = ..., outputs: _Optional[_Iterable[_Union[_tensor_pb2.TensorSpec, _Mapping]]] = ..., tile_inputs: _Optional[_Iterable[_Union[_tensor_pb2.TensorSpec, _Mapping]]] = ..., tile_outputs: _Optional[_Iterable[_Union[_tensor_pb2.TensorSpec, _Mapping]]] = ..., axes: _Optional[_Iterable[_Union[TileAxis, _Mapping]]] = ..., memory_limit_bytes: _Optional[int] = ..., peak_memory_bytes: _Optional[int] = ..., row_memory_bytes: _Optional[int] = ..., flop_count: _Optional[int] = ..., row_flop_count: _Optional[int] = ..., notes: _Optional[_Iterable[str]] = ...) -> None: ...

class TileAxis(_message.Message):
    __slots__ = ("axis", "count", "spread", "tracks")
    AXIS_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    SPREAD_FIELD_NUMBER: _ClassVar[int]
    TRACKS_FIELD_NUMBER: _ClassVar[int]
    axis: int
    count: int
    spread: int
    tracks: _containers.RepeatedCompositeFieldContainer[TileTrack]
    def __init__(self, axis: _Optional[int] = ..., count: _Optional[int] = ..., spread: _Optional[int] = ..., tracks: _Optional[_Iterable[_Union[TileTrack, _Mapping]]] = ...) -> None: ...

class TileTrack(_message.Message):
    __slots__ = ("name", "length", "tile_length", "period", "low", "high", "padding_low", "padding_high")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    TILE_LENGTH_FIELD_NUMBER: _ClassVar[int]
    PERIOD_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    PADDING_LOW_FIELD_NUMBER: _ClassVar[int]
    PADDING_HIGH_FIELD_NUMBER: _ClassVar[int]
    name: str
    length: int
    tile_length: int
    period: int
    low: int
    high: int
    padding_low: int
    padding_high: int
    def __init__(self, name: _Optional[str] = ..., length: _Optional[int] = ..., tile_length: _Optional[int] = ..., period: _Optional[int] = ..., low: _Optional[int] = ..., high: _Optional[int] = ..., padding_low: _Optional[int] = ..., padding_high: _Optional[int] = ...) -> None: ...
