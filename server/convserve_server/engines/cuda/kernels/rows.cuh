// Reductions over the middle one of three axes, (outer, terms, inner), into so many parts.
//
// Part k of n takes the terms k, k + n, k + 2n and so on, in this order: neighbouring indices read
// what lies side by side, and the result is the same at every run. Sums are made in double whatever
// the elements are: powers of large float32 numbers overflow in their own type, and on the GPUs
// that this is built for the memory is the limit even so.
#pragma once
#include "common.cuh"

struct Row { int64 outer, middle, inner; };

FN Row row_of(const Tensor& tensor, int64 i) {
  const int64 rest = divide(i, tensor.shape[2]), outer = divide(rest, tensor.shape[1]);
  return {outer, rest - outer * tensor.shape[1], i - rest * tensor.shape[2]};
}

FN int64 offset_of(const Tensor& tensor, const Row& row) {
  return row.outer * tensor.stride[0] + row.middle * tensor.stride[1] +
         row.inner * tensor.stride[2];
}

template <typename T> FN bool is_nan(T) { return false; }
FN bool is_nan(float value) { return value != value; }
FN bool is_nan(double value) { return value != value; }

// The larger of two; a NaN wins.
template <typename T> FN T larger(T a, T b) { return b > a || is_nan(b) ? b : a; }

// x^p for p of at least 1
FN double raised(double x, int64 p) {
  double result = 1;
  while (true) {
    if (p & 1) result *= x;
    p >>= 1;
    if (p == 0) return result;
    x *= x;
  }
}

// x^(1 / p)
FN double rooted(double x, int64 p) {
  return p == 1 ? x : p == 2 ? sqrt(x) : pow(x, 1.0 / double(p));
}

// The sums of terms, or of |term|^power if there is a power, divided and rooted.
template <typename Target, typename Source> struct SumRows {
  Tensor target, source;
  int64 power, root;
  double divisor;

  FN void operator()(int64 i) const {
    const Row row = row_of(target, i);
    int64 from = offset_of(source, row);
    double sum = 0;
    for (int64 term = row.middle; term < source.shape[1]; term += target.shape[1]) {
      const double value = to<double>(load<Source>(source, from));
      sum += power == 0 ? value : raised(fabs(value), power);
      from += target.shape[1] * source.stride[1];
    }
    store(target, offset_of(target, row), to<Target>(rooted(sum / divisor, root)));
  }
};

// The largest of the terms; a NaN wins.
template <typename T> struct LargestRows {
  Tensor target, source;

  FN void operator()(int64 i) const {
    const Row row = row_of(target, i);
    int64 from = offset_of(source, row);
    Sum<T> largest = to<Sum<T>>(load<T>(source, from));
    for (int64 term = row.middle; term < source.shape[1]; term += target.shape[1]) {
      largest = larger(largest, to<Sum<T>>(load<T>(source, from)));
      from += target.shape[1] * source.stride[1];
    }
    store(target, offset_of(target, row), to<T>(largest));
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
