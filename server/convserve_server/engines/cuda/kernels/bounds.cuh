// What an exact bound of integer results is made from: extremes, and sums of absolute values.
#pragma once
#include "common.cuh"

// values[0][i] and values[1][i]: the smallest and the largest of source[i], source[i + n], ..., n
// being how many there are of each. They are no more than the `count` elements of the source.
template <typename T> struct Extremes {
  Tensor values, source;
  int64 count;

  FN void operator()(int64 i) const {
    T least = load<T>(source, offset_of(source, i)), most = least;
    for (int64 j = i; j < count; j += values.shape[1]) {
      const T value = load<T>(source, offset_of(source, j));
      least = value < least ? value : least;
      most = value > most ? value : most;
    }
    store(values, i * values.stride[1], least);
    store(values, values.stride[0] + i * values.stride[1], most);
  }
};

// sums[row][part] = sum of |source[row][term]| over the part's `length` of all `terms`.
template <typename T> struct AbsoluteSums {
  Tensor sums, source;
  int64 terms, length;

  FN void operator()(int64 i) const {
    const int64 row = divide(i, sums.shape[1]);
    const int64 start = (i - row * sums.shape[1]) * length;
    const int64 end = start + length < terms ? start + length : terms;
    double sum = 0;
    for (int64 term = start; term < end; ++term) {
      const double value = double(load<T>(source, offset_of(source, row * terms + term)));
      sum += value < 0 ? -value : value;
    }
    store(sums, i, sum);
  }
};
