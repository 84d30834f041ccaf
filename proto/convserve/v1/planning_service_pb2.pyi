from convserve.v1 import device_pb2 as _device_pb2
from convserve.v1 import layer_pb2 as _layer_pb2
from convserve.v1 import plan_pb2 as _plan_pb2
from convserve.v1 import precision_pb2 as _precision_pb2
from convserve.v1 import tensor_pb2 as _tensor_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

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
