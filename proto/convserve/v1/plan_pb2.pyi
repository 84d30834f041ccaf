from convserve.v1 import layer_pb2 as _layer_pb2
from convserve.v1 import tensor_pb2 as _tensor_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Direction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DIRECTION_UNSPECIFIED: _ClassVar[Direction]
    DIRECTION_FORWARD: _ClassVar[Direction]
    DIRECTION_INPUT_GRADIENT: _ClassVar[Direction]
    DIRECTION_WEIGHT_GRADIENT: _ClassVar[Direction]
DIRECTION_UNSPECIFIED: Direction
DIRECTION_FORWARD: Direction
DIRECTION_INPUT_GRADIENT: Direction
DIRECTION_WEIGHT_GRADIENT: Direction

class Ratio(_message.Message):
    __slots__ = ("numerator", "denominator")
    NUMERATOR_FIELD_NUMBER: _ClassVar[int]
    DENOMINATOR_FIELD_NUMBER: _ClassVar[int]
    numerator: int
    denominator: int
    def __init__(self, numerator: _Optional[int] = ..., denominator: _Optional[int] = ...) -> None: ...

class ReceptiveField(_message.Message):
    __slots__ = ("size", "jump", "start", "start_varies", "aligned")
    SIZE_FIELD_NUMBER: _ClassVar[int]
    JUMP_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    START_VARIES_FIELD_NUMBER: _ClassVar[int]
    ALIGNED_FIELD_NUMBER: _ClassVar[int]
    size: _containers.RepeatedScalarFieldContainer[int]
    jump: _containers.RepeatedCompositeFieldContainer[Ratio]
    start: _containers.RepeatedCompositeFieldContainer[Ratio]
    start_varies: _containers.RepeatedScalarFieldContainer[bool]
    aligned: bool
    def __init__(self, size: _Optional[_Iterable[int]] = ..., jump: _Optional[_Iterable[_Union[Ratio, _Mapping]]] = ..., start: _Optional[_Iterable[_Union[Ratio, _Mapping]]] = ..., start_varies: _Optional[_Iterable[bool]] = ..., aligned: bool = ...) -> None: ...

class Count(_message.Message):
    __slots__ = ("convention", "value", "meaning", "tools")
    CONVENTION_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    MEANING_FIELD_NUMBER: _ClassVar[int]
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    convention: str
    value: int
    meaning: str
    tools: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, convention: _Optional[str] = ..., value: _Optional[int] = ..., meaning: _Optional[str] = ..., tools: _Optional[_Iterable[str]] = ...) -> None: ...

class TimeEstimate(_message.Message):
    __slots__ = ("seconds", "seconds_low", "seconds_high", "bound")
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_LOW_FIELD_NUMBER: _ClassVar[int]
    SECONDS_HIGH_FIELD_NUMBER: _ClassVar[int]
    BOUND_FIELD_NUMBER: _ClassVar[int]
    seconds: float
    seconds_low: float
    seconds_high: float
    bound: str
    def __init__(self, seconds: _Optional[float] = ..., seconds_low: _Optional[float] = ..., seconds_high: _Optional[float] = ..., bound: _Optional[str] = ...) -> None: ...

class Quantization(_message.Message):
    __slots__ = ("gemm_m", "gemm_n", "gemm_k", "tile_m", "tile_n", "tile_count", "multiprocessor_count", "wave_count", "efficiency")
    GEMM_M_FIELD_NUMBER: _ClassVar[int]
    GEMM_N_FIELD_NUMBER: _ClassVar[int]
    GEMM_K_FIELD_NUMBER: _ClassVar[int]
    TILE_M_FIELD_NUMBER: _ClassVar[int]
    TILE_N_FIELD_NUMBER: _ClassVar[int]
    TILE_COUNT_FIELD_NUMBER: _ClassVar[int]
    MULTIPROCESSOR_COUNT_FIELD_NUMBER: _ClassVar[int]
    WAVE_COUNT_FIELD_NUMBER: _ClassVar[int]
    EFFICIENCY_FIELD_NUMBER: _ClassVar[int]
    gemm_m: int
    gemm_n: int
    gemm_k: int
    tile_m: int
    tile_n: int
    tile_count: int
    multiprocessor_count: int
    wave_count: int
    efficiency: float
    def __init__(self, gemm_m: _Optional[int] = ..., gemm_n: _Optional[int] = ..., gemm_k: _Optional[int] = ..., tile_m: _Optional[int] = ..., tile_n: _Optional[int] = ..., tile_count: _Optional[int] = ..., multiprocessor_count: _Optional[int] = ..., wave_count: _Optional[int] = ..., efficiency: _Optional[float] = ...) -> None: ...

class Kernel(_message.Message):
    __slots__ = ("direction", "name", "workspace_bytes", "notes", "rank", "chosen", "rejected_because")
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    WORKSPACE_BYTES_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    CHOSEN_FIELD_NUMBER: _ClassVar[int]
    REJECTED_BECAUSE_FIELD_NUMBER: _ClassVar[int]
    direction: Direction
    name: str
    workspace_bytes: int
    notes: _containers.RepeatedScalarFieldContainer[str]
    rank: int
    chosen: bool
    rejected_because: str
    def __init__(self, direction: _Optional[_Union[Direction, str]] = ..., name: _Optional[str] = ..., workspace_bytes: _Optional[int] = ..., notes: _Optional[_Iterable[str]] = ..., rank: _Optional[int] = ..., chosen: bool = ..., rejected_because: _Optional[str] = ...) -> None: ...

class MemoryMoment(_message.Message):
    __slots__ = ("layer", "phase", "weight_bytes", "activation_bytes", "gradient_bytes", "optimizer_bytes", "workspace_bytes")
    LAYER_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_BYTES_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_BYTES_FIELD_NUMBER: _ClassVar[int]
    GRADIENT_BYTES_FIELD_NUMBER: _ClassVar[int]
    OPTIMIZER_BYTES_FIELD_NUMBER: _ClassVar[int]
    WORKSPACE_BYTES_FIELD_NUMBER: _ClassVar[int]
    layer: str
    phase: str
    weight_bytes: int
    activation_bytes: int
    gradient_bytes: int
    optimizer_bytes: int
    workspace_bytes: int
    def __init__(self, layer: _Optional[str] = ..., phase: _Optional[str] = ..., weight_bytes: _Optional[int] = ..., activation_bytes: _Optional[int] = ..., gradient_bytes: _Optional[int] = ..., optimizer_bytes: _Optional[int] = ..., workspace_bytes: _Optional[int] = ...) -> None: ...

class Fit(_message.Message):
    __slots__ = ("device", "memory_bytes", "needed_bytes", "fits", "max_batch", "peak_layer", "reason")
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    NEEDED_BYTES_FIELD_NUMBER: _ClassVar[int]
    FITS_FIELD_NUMBER: _ClassVar[int]
    MAX_BATCH_FIELD_NUMBER: _ClassVar[int]
    PEAK_LAYER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    device: str
    memory_bytes: int
    needed_bytes: int
    fits: bool
    max_batch: int
    peak_layer: str
    reason: str
    def __init__(self, device: _Optional[str] = ..., memory_bytes: _Optional[int] = ..., needed_bytes: _Optional[int] = ..., fits: bool = ..., max_batch: _Optional[int] = ..., peak_layer: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class LayerPlan(_message.Message):
    __slots__ = ("name", "kind", "inputs", "output", "resolved", "parameters", "parameter_count", "mac_count", "flop_count", "activation_bytes", "weight_bytes", "workspace_bytes", "receptive_field", "engine", "algorithm", "algorithm_reason", "explanation", "counts", "time", "quantization", "kernels", "fused_into")
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
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    QUANTIZATION_FIELD_NUMBER: _ClassVar[int]
    KERNELS_FIELD_NUMBER: _ClassVar[int]
    FUSED_INTO_FIELD_NUMBER: _ClassVar[int]
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
    counts: _containers.RepeatedCompositeFieldContainer[Count]
    time: TimeEstimate
    quantization: Quantization
    kernels: _containers.RepeatedCompositeFieldContainer[Kernel]
    fused_into: str
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ..., output: _Optional[_Union[_tensor_pb2.TensorSpec, _Mapping]] = ..., resolved: _Optional[_Union[_layer_pb2.Layer, _Mapping]] = ..., parameters: _Optional[_Iterable[_Union[_tensor_pb2.TensorSpec, _Mapping]]] = ..., parameter_count: _Optional[int] = ..., mac_count: _Optional[int] = ..., flop_count: _Optional[int] = ..., activation_bytes: _Optional[int] = ..., weight_bytes: _Optional[int] = ..., workspace_bytes: _Optional[int] = ..., receptive_field: _Optional[_Union[ReceptiveField, _Mapping]] = ..., engine: _Optional[str] = ..., algorithm: _Optional[str] = ..., algorithm_reason: _Optional[str] = ..., explanation: _Optional[_Iterable[str]] = ..., counts: _Optional[_Iterable[_Union[Count, _Mapping]]] = ..., time: _Optional[_Union[TimeEstimate, _Mapping]] = ..., quantization: _Optional[_Union[Quantization, _Mapping]] = ..., kernels: _Optional[_Iterable[_Union[Kernel, _Mapping]]] = ..., fused_into: _Optional[str] = ...) -> None: ...

class Plan(_message.Message):
    __slots__ = ("inputs", "outputs", "layers", "parameter_count", "mac_count", "flop_count", "weight_bytes", "peak_memory_bytes", "peak_memory_fixed_bytes", "peak_memory_per_sample_bytes", "peak_layer", "receptive_field", "device", "symbolic_batch", "notes", "timeline", "training", "optimizer", "fit", "time", "engine_bytes")
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
    TIMELINE_FIELD_NUMBER: _ClassVar[int]
    TRAINING_FIELD_NUMBER: _ClassVar[int]
    OPTIMIZER_FIELD_NUMBER: _ClassVar[int]
    FIT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    ENGINE_BYTES_FIELD_NUMBER: _ClassVar[int]
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
    timeline: _containers.RepeatedCompositeFieldContainer[MemoryMoment]
    training: bool
    optimizer: str
    fit: Fit
    time: TimeEstimate
    engine_bytes: int
    def __init__(self, inputs: _Optional[_Iterable[_Union[_tensor_pb2.TensorSpec, _Mapping]]] = ..., outputs: _Optional[_Iterable[_Union[_tensor_pb2.TensorSpec, _Mapping]]] = ..., layers: _Optional[_Iterable[_Union[LayerPlan, _Mapping]]] = ..., parameter_count: _Optional[int] = ..., mac_count: _Optional[int] = ..., flop_count: _Optional[int] = ..., weight_bytes: _Optional[int] = ..., peak_memory_bytes: _Optional[int] = ..., peak_memory_fixed_bytes: _Optional[int] = ..., peak_memory_per_sample_bytes: _Optional[int] = ..., peak_layer: _Optional[str] = ..., receptive_field: _Optional[_Union[ReceptiveField, _Mapping]] = ..., device: _Optional[str] = ..., symbolic_batch: bool = ..., notes: _Optional[_Iterable[str]] = ..., timeline: _Optional[_Iterable[_Union[MemoryMoment, _Mapping]]] = ..., training: bool = ..., optimizer: _Optional[str] = ..., fit: _Optional[_Union[Fit, _Mapping]] = ..., time: _Optional[_Union[TimeEstimate, _Mapping]] = ..., engine_bytes: _Optional[int] = ...) -> None: ...
