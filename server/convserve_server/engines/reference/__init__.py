"""The reference engine: NumPy, one function per kind, written to be read. The oracle of the others.

Every function takes the resolved layer (or operation), the spec of its output, and arrays channels
first. It computes in the widest type of the output's class, float64, complex128 or int64, and
returns that; whoever calls rounds once, to the output's dtype. No function writes its arguments.
"""
