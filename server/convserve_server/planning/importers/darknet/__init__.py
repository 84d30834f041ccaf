"""Darknet's cfg files, of pjreddie's Darknet and of AlexeyAB's."""

from convserve_server.planning.importers.darknet.reader import read_darknet

__all__ = ["read_darknet"]
