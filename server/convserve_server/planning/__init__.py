"""Planning: shapes, counts, receptive fields and memory, in exact integers and without I/O."""
