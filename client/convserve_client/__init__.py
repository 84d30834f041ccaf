"""convserve from Python: convolutions and plans by a server, NumPy in and NumPy out.

```python
import numpy as np
import convserve_client as cs

with cs.connect("localhost:50051") as client:  # or cs.local(): a server of your own
    x, weight = np.random.rand(8, 3, 224, 224), np.random.rand(64, 3, 7, 7)
    y = client.conv(x, weight, stride=2, padding=3, activation="relu")

    net = cs.Network([cs.Conv(64, 7, stride=2, padding=3), cs.ReLU(), cs.MaxPool(3, stride=2)])
    print(client.plan(net, input_shape=("N", 3, 224, 224)))
    with client.load(net, {"conv1.weight": weight, "conv1.bias": np.zeros(64)}) as model:
        y = model(x)
```

Every error is a `ConvserveError`; `convserve.errors` shows the tree.
"""

from convserve import __version__
from convserve import layers as _layers
from convserve.errors import (
    AreaTooSmallError,
    ByteCountError,
    CallCancelledError,
    ChecksumError,
    ConvserveError,
    DeadlineExceededError,
    DeviceNotFoundError,
    DrainingError,
    DTypeError,
    FailedPreconditionError,
    InlineTooLargeError,
    InternalError,
    InvalidArgumentError,
    InvalidLayerError,
    InvalidNetworkError,
    LeaseNotFoundError,
    MalformedRequestError,
    ModelNotFoundError,
    NotBuiltError,
    NotFoundError,
    NotLocalError,
    OverloadedError,
    QuotaError,
    ResourceExhaustedError,
    ShapeError,
    TensorMissingError,
    TooLargeError,
    UnauthenticatedError,
    UnavailableError,
    UnreachableError,
    UnsupportedError,
    WorkerDiedError,
)
from convserve.explanations import Explanation, FoundLayer, FoundLayers
from convserve.layers import *  # noqa: F403  # every kind of layer, also those to come
from convserve.networks import Network
from convserve.plans import LayerPlan, Plan, ReceptiveField
from convserve.runs import CallRecord, StepRecord
from convserve.servers import Device, Limits, ModelInfo, ServerInfo
from convserve.tensors import TensorSpec
from convserve.tilings import Tile, TileAxis, TilePlan, TileTrack

from convserve_client._client import AsyncClient, AsyncModel, Client, Model
from convserve_client._config import TLS
from convserve_client._connect import connect, connect_async, local
from convserve_client._imported import ImportedNetwork, ImportedWeight
from convserve_client._torch import TorchNetwork, from_torch

__all__ = [
    "TLS",
    "AreaTooSmallError",
    "AsyncClient",
    "AsyncModel",
    "ByteCountError",
    "CallCancelledError",
    "CallRecord",
    "ChecksumError",
    "Client",
    "ConvserveError",
    "DTypeError",
    "DeadlineExceededError",
    "Device",
    "DeviceNotFoundError",
    "DrainingError",
    "Explanation",
    "FailedPreconditionError",
    "FoundLayer",
    "FoundLayers",
    "ImportedNetwork",
    "ImportedWeight",
    "InlineTooLargeError",
    "InternalError",
    "InvalidArgumentError",
    "InvalidLayerError",
    "InvalidNetworkError",
    "LayerPlan",
    "LeaseNotFoundError",
    "Limits",
    "MalformedRequestError",
    "Model",
    "ModelInfo",
    "ModelNotFoundError",
    "Network",
    "NotBuiltError",
    "NotFoundError",
    "NotLocalError",
    "OverloadedError",
    "Plan",
    "QuotaError",
    "ReceptiveField",
    "ResourceExhaustedError",
    "ServerInfo",
    "ShapeError",
    "StepRecord",
    "TensorMissingError",
    "TensorSpec",
    "Tile",
    "TileAxis",
    "TilePlan",
    "TileTrack",
    "TooLargeError",
    "TorchNetwork",
    "UnauthenticatedError",
    "UnavailableError",
    "UnreachableError",
    "UnsupportedError",
    "WorkerDiedError",
    "__version__",
    "connect",
    "connect_async",
    "from_torch",
    "local",
]
__all__ += _layers.__all__
