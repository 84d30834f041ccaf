from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class Device(_message.Message):
    __slots__ = ("name", "engine", "description", "memory_bytes", "thread_count", "available")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    THREAD_COUNT_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    name: str
    engine: str
    description: str
    memory_bytes: int
    thread_count: int
    available: bool
    def __init__(self, name: _Optional[str] = ..., engine: _Optional[str] = ..., description: _Optional[str] = ..., memory_bytes: _Optional[int] = ..., thread_count: _Optional[int] = ..., available: bool = ...) -> None: ...
