from convserve.v1 import device_pb2 as _device_pb2
from convserve.v1 import explanation_pb2 as _explanation_pb2
from convserve.v1 import layer_pb2 as _layer_pb2
from convserve.v1 import plan_pb2 as _plan_pb2
from convserve.v1 import precision_pb2 as _precision_pb2
from convserve.v1 import tensor_pb2 as _tensor_pb2
from convserve.v1 import tiles_pb2 as _tiles_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ModelFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODEL_FORMAT_UNSPECIFIED: _ClassVar[ModelFormat]
    MODEL_FORMAT_ONNX: _ClassVar[ModelFormat]
    MODEL_FORMAT_KERAS: _ClassVar[ModelFormat]
    MODEL_FORMAT_CAFFE: _ClassVar[ModelFormat]
    MODEL_FORMAT_DARKNET: _ClassVar[ModelFormat]
MODEL_FORMAT_UNSPECIFIED: ModelFormat
MODEL_FORMAT_ONNX: ModelFormat
MODEL_FORMAT_KERAS: ModelFormat
MODEL_FORMAT_CAFFE: ModelFormat
MODEL_FORMAT_DARKNET: ModelFormat

class PlanRequest(_message.Message):
    __slots__ = ("network", "inputs", "device", "explain", "layout", "training", "optimizer", "precision", "max_batch", "kernels")
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    EXPLAIN_FIELD_NUMBER: _ClassVar[int]
    LAYOUT_FIELD_NUMBER: _ClassVar[int]
    TRAINING_FIELD_NUMBER: _ClassVar[int]
    OPTIMIZER_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    MAX_BATCH_FIELD_NUMBER: _ClassVar[int]
    KERNELS_FIELD_NUMBER: _ClassVar[int]
    network: _layer_pb2.Network
    inputs: _containers.RepeatedCompositeFieldContainer[_tensor_pb2.TensorSpec]
    device: str
    explain: bool
    layout: _tensor_pb2.Layout
    training: bool
    optimizer: str
    precision: _precision_pb2.Precision
    max_batch: bool
    kernels: bool
    def __init__(self, network: _Optional[_Union[_layer_pb2.Network, _Mapping]] = ..., inputs: _Optional[_Iterable[_Union[_tensor_pb2.TensorSpec, _Mapping]]] = ..., device: _Optional[str] = ..., explain: bool = ..., layout: _Optional[_Union[_tensor_pb2.Layout, str]] = ..., training: bool = ..., optimizer: _Optional[str] = ..., precision: _Optional[_Union[_precision_pb2.Precision, str]] = ..., max_batch: bool = ..., kernels: bool = ...) -> None: ...

class PlanResponse(_message.Message):
    __slots__ = ("plan",)
    PLAN_FIELD_NUMBER: _ClassVar[int]
    plan: _plan_pb2.Plan
    def __init__(self, plan: _Optional[_Union[_plan_pb2.Plan, _Mapping]] = ...) -> None: ...

class ListDevicesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListDevicesResponse(_message.Message):
    __slots__ = ("devices",)
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    devices: _containers.RepeatedCompositeFieldContainer[_device_pb2.Device]
    def __init__(self, devices: _Optional[_Iterable[_Union[_device_pb2.Device, _Mapping]]] = ...) -> None: ...

class ImportNetworkRequest(_message.Message):
    __slots__ = ("header", "chunk")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    header: ImportNetworkHeader
    chunk: _tensor_pb2.TensorChunk
    def __init__(self, header: _Optional[_Union[ImportNetworkHeader, _Mapping]] = ..., chunk: _Optional[_Union[_tensor_pb2.TensorChunk, _Mapping]] = ...) -> None: ...

class ImportNetworkHeader(_message.Message):
    __slots__ = ("format", "file_name", "byte_count", "inputs", "without_weights")
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    FILE_NAME_FIELD_NUMBER: _ClassVar[int]
    BYTE_COUNT_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    format: ModelFormat
    file_name: str
    byte_count: int
    inputs: _containers.RepeatedCompositeFieldContainer[InputShape]
    without_weights: bool
    def __init__(self, format: _Optional[_Union[ModelFormat, str]] = ..., file_name: _Optional[str] = ..., byte_count: _Optional[int] = ..., inputs: _Optional[_Iterable[_Union[InputShape, _Mapping]]] = ..., without_weights: bool = ...) -> None: ...

class InputShape(_message.Message):
    __slots__ = ("name", "shape")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    name: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, name: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ...) -> None: ...

class ImportNetworkResponse(_message.Message):
    __slots__ = ("network", "inputs", "weights", "notes")
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    network: _layer_pb2.Network
    inputs: _containers.RepeatedCompositeFieldContainer[_tensor_pb2.TensorSpec]
    weights: _containers.RepeatedCompositeFieldContainer[ImportedWeight]
    notes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, network: _Optional[_Union[_layer_pb2.Network, _Mapping]] = ..., inputs: _Optional[_Iterable[_Union[_tensor_pb2.TensorSpec, _Mapping]]] = ..., weights: _Optional[_Iterable[_Union[ImportedWeight, _Mapping]]] = ..., notes: _Optional[_Iterable[str]] = ...) -> None: ...

class ImportedWeight(_message.Message):
    __slots__ = ("spec", "sha256")
    SPEC_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    spec: _tensor_pb2.TensorSpec
    sha256: bytes
    def __init__(self, spec: _Optional[_Union[_tensor_pb2.TensorSpec, _Mapping]] = ..., sha256: _Optional[bytes] = ...) -> None: ...
