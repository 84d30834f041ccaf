from convserve.v1 import device_pb2 as _device_pb2
from convserve.v1 import layer_pb2 as _layer_pb2
from convserve.v1 import operation_pb2 as _operation_pb2
from convserve.v1 import precision_pb2 as _precision_pb2
from convserve.v1 import tensor_pb2 as _tensor_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RunOptions(_message.Message):
    __slots__ = ("device", "precision", "layout", "batch_invariant", "priority")
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    LAYOUT_FIELD_NUMBER: _ClassVar[int]
    BATCH_INVARIANT_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    device: str
    precision: _precision_pb2.Precision
    layout: _tensor_pb2.Layout
    batch_invariant: bool
    priority: int
    def __init__(self, device: _Optional[str] = ..., precision: _Optional[_Union[_precision_pb2.Precision, str]] = ..., layout: _Optional[_Union[_tensor_pb2.Layout, str]] = ..., batch_invariant: bool = ..., priority: _Optional[int] = ...) -> None: ...

class RunHeader(_message.Message):
    __slots__ = ("network", "model_id", "operation", "tensors", "options", "digests")
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    TENSORS_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    DIGESTS_FIELD_NUMBER: _ClassVar[int]
    network: _layer_pb2.Network
    model_id: str
    operation: _operation_pb2.Operation
    tensors: _containers.RepeatedCompositeFieldContainer[_tensor_pb2.TensorSpec]
    options: RunOptions
    digests: _containers.RepeatedCompositeFieldContainer[TensorDigest]
    def __init__(self, network: _Optional[_Union[_layer_pb2.Network, _Mapping]] = ..., model_id: _Optional[str] = ..., operation: _Optional[_Union[_operation_pb2.Operation, _Mapping]] = ..., tensors: _Optional[_Iterable[_Union[_tensor_pb2.TensorSpec, _Mapping]]] = ..., options: _Optional[_Union[RunOptions, _Mapping]] = ..., digests: _Optional[_Iterable[_Union[TensorDigest, _Mapping]]] = ...) -> None: ...

class TensorDigest(_message.Message):
    __slots__ = ("tensor", "sha256", "sent")
    TENSOR_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    SENT_FIELD_NUMBER: _ClassVar[int]
    tensor: int
    sha256: bytes
    sent: bool
    def __init__(self, tensor: _Optional[int] = ..., sha256: _Optional[bytes] = ..., sent: bool = ...) -> None: ...

class RunRequest(_message.Message):
    __slots__ = ("header", "chunk")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    header: RunHeader
    chunk: _tensor_pb2.TensorChunk
    def __init__(self, header: _Optional[_Union[RunHeader, _Mapping]] = ..., chunk: _Optional[_Union[_tensor_pb2.TensorChunk, _Mapping]] = ...) -> None: ...

class RunResponse(_message.Message):
    __slots__ = ("accepted", "chunk", "summary")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    accepted: RunAccepted
    chunk: _tensor_pb2.TensorChunk
    summary: CallRecord
    def __init__(self, accepted: _Optional[_Union[RunAccepted, _Mapping]] = ..., chunk: _Optional[_Union[_tensor_pb2.TensorChunk, _Mapping]] = ..., summary: _Optional[_Union[CallRecord, _Mapping]] = ...) -> None: ...

class RunAccepted(_message.Message):
    __slots__ = ("outputs",)
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    outputs: _containers.RepeatedCompositeFieldContainer[_tensor_pb2.TensorSpec]
    def __init__(self, outputs: _Optional[_Iterable[_Union[_tensor_pb2.TensorSpec, _Mapping]]] = ...) -> None: ...

class CallRecord(_message.Message):
    __slots__ = ("request_id", "device", "steps", "decode_seconds", "queue_seconds", "compute_seconds", "encode_seconds", "batch_size", "transfer_seconds", "tile_count")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    DECODE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    QUEUE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    ENCODE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_SECONDS_FIELD_NUMBER: _ClassVar[int]
    TILE_COUNT_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    device: str
    steps: _containers.RepeatedCompositeFieldContainer[StepRecord]
    decode_seconds: float
    queue_seconds: float
    compute_seconds: float
    encode_seconds: float
    batch_size: int
    transfer_seconds: float
    tile_count: int
    def __init__(self, request_id: _Optional[str] = ..., device: _Optional[str] = ..., steps: _Optional[_Iterable[_Union[StepRecord, _Mapping]]] = ..., decode_seconds: _Optional[float] = ..., queue_seconds: _Optional[float] = ..., compute_seconds: _Optional[float] = ..., encode_seconds: _Optional[float] = ..., batch_size: _Optional[int] = ..., transfer_seconds: _Optional[float] = ..., tile_count: _Optional[int] = ...) -> None: ...

class StepRecord(_message.Message):
    __slots__ = ("name", "engine", "algorithm")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    name: str
    engine: str
    algorithm: str
    def __init__(self, name: _Optional[str] = ..., engine: _Optional[str] = ..., algorithm: _Optional[str] = ...) -> None: ...

class RunInlineRequest(_message.Message):
    __slots__ = ("header", "data", "shared")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    SHARED_FIELD_NUMBER: _ClassVar[int]
    header: RunHeader
    data: _containers.RepeatedScalarFieldContainer[bytes]
    shared: Shared
    def __init__(self, header: _Optional[_Union[RunHeader, _Mapping]] = ..., data: _Optional[_Iterable[bytes]] = ..., shared: _Optional[_Union[Shared, _Mapping]] = ...) -> None: ...

class Shared(_message.Message):
    __slots__ = ("lease_id", "tensors", "output_offset", "output_bytes")
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    TENSORS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_OFFSET_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_BYTES_FIELD_NUMBER: _ClassVar[int]
    lease_id: str
    tensors: _containers.RepeatedCompositeFieldContainer[SharedTensor]
    output_offset: int
    output_bytes: int
    def __init__(self, lease_id: _Optional[str] = ..., tensors: _Optional[_Iterable[_Union[SharedTensor, _Mapping]]] = ..., output_offset: _Optional[int] = ..., output_bytes: _Optional[int] = ...) -> None: ...

class SharedTensor(_message.Message):
    __slots__ = ("tensor", "offset")
    TENSOR_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    tensor: int
    offset: int
    def __init__(self, tensor: _Optional[int] = ..., offset: _Optional[int] = ...) -> None: ...

class LeaseRequest(_message.Message):
    __slots__ = ("byte_count",)
    BYTE_COUNT_FIELD_NUMBER: _ClassVar[int]
    byte_count: int
    def __init__(self, byte_count: _Optional[int] = ...) -> None: ...

class LeaseResponse(_message.Message):
    __slots__ = ("lease_id", "byte_count", "socket_path", "ticket")
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    BYTE_COUNT_FIELD_NUMBER: _ClassVar[int]
    SOCKET_PATH_FIELD_NUMBER: _ClassVar[int]
    TICKET_FIELD_NUMBER: _ClassVar[int]
    lease_id: str
    byte_count: int
    socket_path: str
    ticket: bytes
    def __init__(self, lease_id: _Optional[str] = ..., byte_count: _Optional[int] = ..., socket_path: _Optional[str] = ..., ticket: _Optional[bytes] = ...) -> None: ...

class RunInlineResponse(_message.Message):
    __slots__ = ("outputs", "data", "summary", "offsets")
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    OFFSETS_FIELD_NUMBER: _ClassVar[int]
    outputs: _containers.RepeatedCompositeFieldContainer[_tensor_pb2.TensorSpec]
    data: _containers.RepeatedScalarFieldContainer[bytes]
    summary: CallRecord
    offsets: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, outputs: _Optional[_Iterable[_Union[_tensor_pb2.TensorSpec, _Mapping]]] = ..., data: _Optional[_Iterable[bytes]] = ..., summary: _Optional[_Union[CallRecord, _Mapping]] = ..., offsets: _Optional[_Iterable[int]] = ...) -> None: ...

class LoadModelRequest(_message.Message):
    __slots__ = ("header", "chunk")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    header: LoadModelHeader
    chunk: _tensor_pb2.TensorChunk
    def __init__(self, header: _Optional[_Union[LoadModelHeader, _Mapping]] = ..., chunk: _Optional[_Union[_tensor_pb2.TensorChunk, _Mapping]] = ...) -> None: ...

class LoadModelHeader(_message.Message):
    __slots__ = ("network", "weights", "options", "digests")
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    DIGESTS_FIELD_NUMBER: _ClassVar[int]
    network: _layer_pb2.Network
    weights: _containers.RepeatedCompositeFieldContainer[_tensor_pb2.TensorSpec]
    options: RunOptions
    digests: _containers.RepeatedCompositeFieldContainer[TensorDigest]
    def __init__(self, network: _Optional[_Union[_layer_pb2.Network, _Mapping]] = ..., weights: _Optional[_Iterable[_Union[_tensor_pb2.TensorSpec, _Mapping]]] = ..., options: _Optional[_Union[RunOptions, _Mapping]] = ..., digests: _Optional[_Iterable[_Union[TensorDigest, _Mapping]]] = ...) -> None: ...

class LoadModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: Model
    def __init__(self, model: _Optional[_Union[Model, _Mapping]] = ...) -> None: ...

class Model(_message.Message):
    __slots__ = ("id", "weight_bytes", "parameter_count", "layer_count", "inputs", "outputs")
    ID_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_BYTES_FIELD_NUMBER: _ClassVar[int]
    PARAMETER_COUNT_FIELD_NUMBER: _ClassVar[int]
    LAYER_COUNT_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    id: str
    weight_bytes: int
    parameter_count: int
    layer_count: int
    inputs: _containers.RepeatedScalarFieldContainer[str]
    outputs: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[str] = ..., weight_bytes: _Optional[int] = ..., parameter_count: _Optional[int] = ..., layer_count: _Optional[int] = ..., inputs: _Optional[_Iterable[str]] = ..., outputs: _Optional[_Iterable[str]] = ...) -> None: ...

class UnloadModelRequest(_message.Message):
    __slots__ = ("model_id",)
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    model_id: str
    def __init__(self, model_id: _Optional[str] = ...) -> None: ...

class UnloadModelResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models", "next_page_token")
    MODELS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[Model]
    next_page_token: str
    def __init__(self, models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetServerInfoRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetServerInfoResponse(_message.Message):
    __slots__ = ("version", "engines", "devices", "limits", "libraries")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ENGINES_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    LIBRARIES_FIELD_NUMBER: _ClassVar[int]
    version: str
    engines: _containers.RepeatedScalarFieldContainer[str]
    devices: _containers.RepeatedCompositeFieldContainer[_device_pb2.Device]
    limits: Limits
    libraries: _containers.RepeatedCompositeFieldContainer[Library]
    def __init__(self, version: _Optional[str] = ..., engines: _Optional[_Iterable[str]] = ..., devices: _Optional[_Iterable[_Union[_device_pb2.Device, _Mapping]]] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., libraries: _Optional[_Iterable[_Union[Library, _Mapping]]] = ...) -> None: ...

class Library(_message.Message):
    __slots__ = ("name", "version")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("max_inline_bytes", "max_message_bytes", "chunk_bytes", "tensor_pool_bytes", "max_rank", "max_layers", "max_call_seconds", "worker_memory_bytes", "max_request_bytes", "max_tensors", "max_inputs", "max_lease_bytes")
    MAX_INLINE_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_MESSAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    CHUNK_BYTES_FIELD_NUMBER: _ClassVar[int]
    TENSOR_POOL_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_RANK_FIELD_NUMBER: _ClassVar[int]
    MAX_LAYERS_FIELD_NUMBER: _ClassVar[int]
    MAX_CALL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    WORKER_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_REQUEST_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_TENSORS_FIELD_NUMBER: _ClassVar[int]
    MAX_INPUTS_FIELD_NUMBER: _ClassVar[int]
    MAX_LEASE_BYTES_FIELD_NUMBER: _ClassVar[int]
    max_inline_bytes: int
    max_message_bytes: int
    chunk_bytes: int
    tensor_pool_bytes: int
    max_rank: int
    max_layers: int
    max_call_seconds: float
    worker_memory_bytes: int
    max_request_bytes: int
    max_tensors: int
    max_inputs: int
    max_lease_bytes: int
    def __init__(self, max_inline_bytes: _Optional[int] = ..., max_message_bytes: _Optional[int] = ..., chunk_bytes: _Optional[int] = ..., tensor_pool_bytes: _Optional[int] = ..., max_rank: _Optional[int] = ..., max_layers: _Optional[int] = ..., max_call_seconds: _Optional[float] = ..., worker_memory_bytes: _Optional[int] = ..., max_request_bytes: _Optional[int] = ..., max_tensors: _Optional[int] = ..., max_inputs: _Optional[int] = ..., max_lease_bytes: _Optional[int] = ...) -> None: ...
