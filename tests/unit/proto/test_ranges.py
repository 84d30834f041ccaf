from itertools import pairwise

from convserve.ranges import Ranges
from hypothesis import given
from hypothesis import strategies as st

EDGES = st.tuples(st.integers(0, 20), st.integers(1, 10)).map(lambda x: (x[0], x[0] + x[1]))


@given(st.lists(st.tuples(st.sampled_from(["add", "remove"]), EDGES), max_size=30))
def test_ranges_are_what_a_set_of_bytes_would_be(steps):
    ranges, model = Ranges(), set()
    for action, (start, end) in steps:
        getattr(ranges, action)(start, end)
        if action == "add":
            model |= set(range(start, end))
        else:
            model -= set(range(start, end))
        found = list(ranges)
        assert [b for start, end in found for b in range(start, end)] == sorted(model)
        assert all(a[1] < b[0] for a, b in pairwise(found))
        assert ranges.byte_count == len(model)
        assert list(reversed(ranges)) == found[::-1]
