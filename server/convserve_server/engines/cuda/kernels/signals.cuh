// The convolution of two signals of any rank by its definition, and how large values are.
#pragma once
#include "direct.cuh"

// y[o] = sum over t of a[o + start - t] * v[t], of products that exist. Part k of y has the taps from
// k * length on, of all `taps`; its elements follow each other, and those of part k those of part
// k - 1, each of so many `outputs`. All have 8 axes, of which those before `used` are of size 1.
template <typename Out, typename In> struct SignalSum {
  static constexpr int kLast = kMaxRank - 1;
  Tensor y, a, v;
  int64 outputs, taps, length, used;
  int64 start[kMaxRank];

  FN void operator()(int64 i) const {
    const int64 part = divide(i, outputs), place = i - part * outputs;
    const int64 begin = part * length, end = begin + length < taps ? begin + length : taps;
    const int64 outer = divide(place, y.shape[kLast]);
    const int64 at = place - outer * y.shape[kLast] + start[kLast];
    Sum<Out> sum = {};
    for (int64 tap = begin; tap < end;) {
      const int64 row = divide(tap, v.shape[kLast]), first = tap - row * v.shape[kLast];
      const int64 rest = v.shape[kLast] - first, stop = first + (end - tap < rest ? end - tap : rest);
      sum = over_row(sum, outer, row, at, first, stop);
      tap += stop - first;
    }
    store(y, i, to<Out>(sum));
  }

  // The taps from `first` to `stop` of a row of v, along the last axis.
  FN Sum<Out> over_row(
      Sum<Out> sum, int64 outer, int64 row, int64 at, int64 first, int64 stop) const {
    int64 from = 0, factor = 0;
    bool exists = true;
#pragma unroll
    for (int axis = kLast - 1; axis >= 0; --axis) {
      if (axis < used) continue;
      const int64 rest = divide(outer, y.shape[axis]), rows = divide(row, v.shape[axis]);
      const int64 tap = row - rows * v.shape[axis];
      const int64 place = outer - rest * y.shape[axis] + start[axis] - tap;
      exists = exists && place >= 0 && place < a.shape[axis];
      from += place * a.stride[axis];
      factor += tap * v.stride[axis];
      outer = rest;
      row = rows;
    }
    if (!exists) return sum;
    const int64 least = at - a.shape[kLast] + 1;
    const int64 low = first > least ? first : least, high = stop < at + 1 ? stop : at + 1;
    from += (at - low) * a.stride[kLast];
    factor += low * v.stride[kLast];
#pragma unroll 4
    for (int64 tap = low; tap < high; ++tap) {
      const Sum<Out> value = to<Sum<Out>>(load<In>(a, from));
      sum = plus(sum, times(value, to<Sum<Out>>(load<In>(v, factor))));
      from -= a.stride[kLast];
      factor += v.stride[kLast];
    }
    return sum;
  }
};

template <typename T> FN double magnitude(T value) { return fabs(to<double>(value)); }
template <typename T> FN double magnitude(complex<T> value) {
  const double re = fabs(double(value.re)), im = fabs(double(value.im));
  return im > re || im != im ? im : re;
}

// values[i]: the largest magnitude of source[i], source[i + n], ..., n being how many values there
// are; of complex numbers, of their parts. A NaN wins.
template <typename T> struct Peaks {
  Tensor values, source;
  int64 count;

  FN void operator()(int64 i) const {
    double largest = 0;
    for (int64 j = i; j < count; j += values.shape[0]) {
      const double value = magnitude(load<T>(source, offset_of(source, j)));
      if (value > largest || value != value) largest = value;
    }
    store(values, i, largest);
  }
};
