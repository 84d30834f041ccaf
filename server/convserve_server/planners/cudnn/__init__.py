"""cuDNN's own planner, which needs no GPU: it is asked with the properties of one as data.

Only planner processes import this package: planning a convolution holds the interpreter's lock.
"""
