"""Caffe's network definitions in protobuf's text form: `layer` and the older `layers`."""

from convserve_server.planning.importers.caffe.reader import read_caffe

__all__ = ["read_caffe"]
