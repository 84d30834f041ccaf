from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor

class Precision(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PRECISION_UNSPECIFIED: _ClassVar[Precision]
    PRECISION_STRICT: _ClassVar[Precision]
    PRECISION_TF32: _ClassVar[Precision]
    PRECISION_BFLOAT16: _ClassVar[Precision]
    PRECISION_FLOAT16: _ClassVar[Precision]
PRECISION_UNSPECIFIED: Precision
PRECISION_STRICT: Precision
PRECISION_TF32: Precision
PRECISION_BFLOAT16: Precision
PRECISION_FLOAT16: Precision
