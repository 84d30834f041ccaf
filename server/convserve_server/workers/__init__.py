"""Processes that compute, and the memory that they share with the front."""
