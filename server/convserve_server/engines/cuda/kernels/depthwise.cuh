// Depthwise convolution, with a bias and an activation, in one pass over the memory.
#pragma once
#include "activation.cuh"
#include "pack.cuh"
#include "spatial.cuh"

constexpr int kRun = 4;  // windows along the last axis that one index computes

// y[n, k, o] = activation(bias[k] + sum over t of weight[k, t] * x[n, k / multiplier, ...]), with
// weight (K, 1, *kernel). An index computes kCount channels of kRun windows, so that what it reads
// of the weights and works out of places serves several sums.
template <typename T, int kCount> struct DepthwiseOf {
  using S = Sum<T>;
  using Values = Pack<T, kCount>;
  Tensor y, x, weight, bias;
  int64 multiplier, kind;
  double alpha, beta;
  Windows windows;

  FN void operator()(int64 i) const {
    const Place place = first_of(i);
    const int64 from = place.image * x.stride[0] + divide(place.channel, multiplier) * x.stride[1];
    const int64 taps = tap_count(weight);
    Place tap = {place.channel, 0, {0, 0, 0}};
    S sums[kRun][kCount] = {};
    for (int64 t = 0; t < taps; ++t) {
      add_tap(sums, place, tap, from);
      advance(tap, weight);
    }
    finish(sums, place);
  }

  // The first element of run i, in the order of `place_of`.
  FN Place first_of(int64 i) const {
    const int64 packs = divide(y.shape[1], kCount), runs = divide(y.shape[4] + kRun - 1, kRun);
    int64 rest = divide(i, packs);
    Place place;
    place.channel = (i - rest * packs) * kCount;
    i = divide(rest, runs);
    place.at[2] = (rest - i * runs) * kRun;
    rest = divide(i, y.shape[3]);
    place.at[1] = i - rest * y.shape[3];
    place.image = divide(rest, y.shape[2]);
    place.at[0] = rest - place.image * y.shape[2];
    return place;
  }

  FN void add_tap(S (&sums)[kRun][kCount], Place place, const Place& tap, int64 from) const {
    const Values factors = Values::at(weight, offset_of(weight, tap));
#pragma unroll
    for (int run = 0; run < kRun; ++run) {
      const Element element = windows.read(x, place, tap);
      ++place.at[2];
      if (!element.exists) continue;
      const Values values = Values::at(x, from + element.offset);
#pragma unroll
      for (int each = 0; each < kCount; ++each)
        sums[run][each] += to<S>(factors.value[each]) * to<S>(values.value[each]);
    }
  }

  FN void finish(const S (&sums)[kRun][kCount], Place place) const {
    S added[kCount];
#pragma unroll
    for (int each = 0; each < kCount; ++each)
      added[each] = to<S>(load<T>(bias, (place.channel + each) * bias.stride[0]));
    const int64 start = offset_of(y, place);
#pragma unroll
    for (int run = 0; run < kRun; ++run) {
      if (place.at[2] + run >= y.shape[4]) break;
      Values values;
#pragma unroll
      for (int each = 0; each < kCount; ++each)
        values.value[each] =
            to<T>(activation::apply(kind, sums[run][each] + added[each], S(alpha), S(beta)));
      *reinterpret_cast<Values*>(static_cast<T*>(y.data) + start + run * y.stride[4]) = values;
    }
  }
};

template <typename T> struct Depthwise : DepthwiseOf<T, 1> {};
// Four channels at once: they lie side by side, and their number is a multiple of it.
template <typename T> struct DepthwisePacked : DepthwiseOf<T, 4> {};
