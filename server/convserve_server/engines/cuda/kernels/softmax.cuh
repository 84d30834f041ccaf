// The two elementwise parts of a softmax over the middle one of three axes (outer, terms, inner).
#pragma once
#include "activation.cuh"
#include "rows.cuh"

// y = exp(x - largest of its row), in the type of sums.
template <typename T> struct ShiftedExp {
  Tensor y, x, largest;

  FN void operator()(int64 i) const {
    using S = Sum<T>;
    const Offsets at = offsets_of(y, x, i);
    const S top = to<S>(load<T>(largest, offset_of(largest, i)));
    store(y, at.first, activation::exponential(to<S>(load<T>(x, at.second)) - top));
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

// The sums of the terms, of integers modulo 2^64, and of complex numbers.
template <typename T> struct AddRows {
  Tensor target, source;

  FN void operator()(int64 i) const {
    const Row row = row_of(target, i);
    int64 from = offset_of(source, row);
    T sum = T{};
    for (int64 term = row.middle; term < source.shape[1]; term += target.shape[1]) {
      sum += load<T>(source, from);
      from += target.shape[1] * source.stride[1];
    }
    store(target, offset_of(target, row), sum);
  }
};
