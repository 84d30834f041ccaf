// What is done to the sums of a convolution, in one pass.
#pragma once
#include "activation.cuh"
#include "pack.cuh"

// y = activation(y + bias + residual), where it lies, kCount elements at an index. All elements of y
// lie one after the other, with the channels the fastest, and those of the residual alike. A bias or
// residual is there where `has_` says so.
template <typename T, int kCount> struct EpilogueOf {
  using S = Sum<T>;
  using Values = Pack<T, kCount>;
  Tensor y, bias, residual;
  int64 channels, has_bias, has_residual, kind;
  double alpha, beta;

  FN void operator()(int64 i) const {
    const int64 start = i * kCount, channel = start - divide(start, channels) * channels;
    Values values = Values::at(y, start);
    S sums[kCount];
#pragma unroll
    for (int each = 0; each < kCount; ++each) sums[each] = to<S>(values.value[each]);
    if (has_bias) add(sums, Values::at(bias, channel));
    if (has_residual) add(sums, Values::at(residual, start));
#pragma unroll
    for (int each = 0; each < kCount; ++each)
      values.value[each] = to<T>(activation::apply(kind, sums[each], S(alpha), S(beta)));
    *reinterpret_cast<Values*>(static_cast<T*>(y.data) + start) = values;
  }

  FN void add(S (&sums)[kCount], const Values& values) const {
#pragma unroll
    for (int each = 0; each < kCount; ++each) sums[each] += to<S>(values.value[each]);
  }
};

template <typename T> struct Epilogue : EpilogueOf<T, 1> {};
// 16 bytes at once: of channels of which the number is a multiple of so many.
template <typename T> struct EpiloguePacked : EpilogueOf<T, 16 / sizeof(T)> {};
