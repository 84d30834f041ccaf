"""The engine of NVIDIA's GPUs: cuDNN for dense convolutions, kernels of our own for the rest.

A program becomes a `Recipe` (`lowering/`): commands on buffers, pure data, made without any GPU.
A `Device` (`device.py`) carries recipes out: `cuda_device.py` on a GPU, and in tests the host, with
the same kernels compiled for it. Of this package only `cuda_lane.py` imports CuPy and cuDNN.
"""
