// Functions of each element, in one pass. Where both lie alike, neighbouring indices are neighbours.
#pragma once
#include "activation.cuh"

namespace function {

enum Kind : int64 { kExp, kSqrt, kPower, kLog, kErf, kRescale };

template <typename S> FN S apply(int64 kind, S x, S alpha, S beta) {
  switch (kind) {
    case kExp: return maths::exponential(x);
    case kSqrt: return maths::root(x);
    case kPower: return maths::power(x, alpha);
    case kLog: return maths::logarithm(x);
    case kErf: return maths::error(x);
    default: return x * alpha + beta;
  }
}

}  // namespace function

// y = Applied::of(kind, x, alpha, beta)
template <typename T, typename Applied> struct Each {
  Tensor y, x;
  int64 kind;
  double alpha, beta;

  FN void operator()(int64 i) const {
    using S = Sum<T>;
    const Offsets at = offsets_of(y, x, i);
    const S value = to<S>(load<T>(x, at.second));
    store(y, at.first, to<T>(Applied::of(kind, value, S(alpha), S(beta))));
  }
};

struct Activation {
  template <typename S> static FN S of(int64 kind, S x, S alpha, S beta) {
    return activation::apply(kind, x, alpha, beta);
  }
};

struct Formula {
  template <typename S> static FN S of(int64 kind, S x, S alpha, S beta) {
    return function::apply(kind, x, alpha, beta);
  }
};

template <typename T> using Activate = Each<T, Activation>;
template <typename T> using Function = Each<T, Formula>;

// y = min(max(x, low), high), each where there is one. A NaN stays one.
template <typename T> struct Bound {
  Tensor y, x;
  int64 has_low, has_high;
  double low, high;

  FN void operator()(int64 i) const {
    using S = Sum<T>;
    const Offsets at = offsets_of(y, x, i);
    S value = to<S>(load<T>(x, at.second));
    if (has_low && value < S(low)) value = S(low);
    if (has_high && value > S(high)) value = S(high);
    store(y, at.first, to<T>(value));
  }
};

// y = |x|. The least integer of a type has none there, and stays.
template <typename T> struct Absolute {
  Tensor y, x;

  FN void operator()(int64 i) const {
    using S = Sum<T>;
    const Offsets at = offsets_of(y, x, i);
    const S value = to<S>(load<T>(x, at.second));
    store(y, at.first, to<T>(value < S(0) ? S(S(0) - value) : value));
  }
};

// y = x where x >= 0, else slope * x.
template <typename T> struct SlopedReLU {
  Tensor y, x, slope;

  FN void operator()(int64 i) const {
    using S = Sum<T>;
    const Offsets at = offsets_of(y, x, i);
    const S value = to<S>(load<T>(x, at.second));
    const S factor = load<S>(slope, offset_of(slope, i));
    store(y, at.first, to<T>(value >= S(0) ? value : factor * value));
  }
};

// y = x * factor + shift, where there is a shift.
template <typename T> struct Affine {
  Tensor y, x, factor, shift;
  int64 has_shift;

  FN void operator()(int64 i) const {
    using S = Sum<T>;
    const Offsets at = offsets_of(y, x, i), by = offsets_of(factor, shift, i);
    S value = to<S>(load<T>(x, at.second)) * load<S>(factor, by.first);
    if (has_shift) value += load<S>(shift, by.second);
    store(y, at.first, to<T>(value));
  }
};
