// The two elementwise parts of a softmax over the middle one of three axes (outer, terms, inner).
#pragma once
#include "maths.cuh"
#include "rows.cuh"

// y = exp(x - largest of its row), in the type of sums.
template <typename T> struct ShiftedExp {
  Tensor y, x, largest;

  FN void operator()(int64 i) const {
    using S = Sum<T>;
    const Offsets at = offsets_of(y, x, i);
    const S top = to<S>(load<T>(largest, offset_of(largest, i)));
    store(y, at.first, maths::exponential(to<S>(load<T>(x, at.second)) - top));
  }
};

// y = x / sum of its row.
template <typename T> struct Share {
  Tensor y, x, sum;

  FN void operator()(int64 i) const {
    using S = Sum<T>;
    const Offsets at = offsets_of(y, x, i);
    store(y, at.first, to<T>(load<S>(x, at.second) / load<S>(sum, offset_of(sum, i))));
  }
};
