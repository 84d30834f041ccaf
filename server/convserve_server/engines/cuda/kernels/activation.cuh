// The activations that follow sums, by their numbers in lowering/activation.py. A NaN stays one.
#pragma once
#include "maths.cuh"

namespace activation {

enum Kind : int64 {
  kNone, kReLU, kReLU6, kLeakyReLU, kGELU, kSiLU, kSigmoid, kTanh, kELU, kSoftplus, kHardSigmoid,
  kHardSwish, kMish
};

// min(max(x, low), high)
template <typename S> FN S clip(S x, S low, S high) { return x < low ? low : x > high ? high : x; }

// log(1 + exp(x)), without overflow
template <typename S> FN S log_sum(S x) {
  return (x < S(0) ? S(0) : x) + maths::log_one_plus(maths::exponential(x < S(0) ? x : -x));
}

// What the activation makes of x, a float or double; alpha and beta are its numbers, if it has any.
template <typename S> FN S apply(int64 kind, S x, S alpha, S beta) {
  switch (kind) {
    case kReLU: return x < S(0) ? S(0) : x;
    case kReLU6: return clip(x, S(0), S(6));
    case kLeakyReLU: return x >= S(0) ? x : alpha * x;
    case kGELU: return x * maths::error_rest(x * S(-0.70710678118654752440)) / S(2);
    case kSiLU: return x / (S(1) + maths::exponential(-x));
    case kSigmoid: return S(1) / (S(1) + maths::exponential(-x));
    case kTanh: return maths::hyperbolic_tangent(x);
    case kELU: return x > S(0) ? x : alpha * maths::exponential_less_one(x);
    case kSoftplus: return log_sum(alpha * x) / alpha;
    case kHardSigmoid: return clip(alpha * x + beta, S(0), S(1));
    case kHardSwish: return x * clip(x / S(6) + S(0.5), S(0), S(1));
    case kMish: return x * maths::hyperbolic_tangent(log_sum(x));
    default: return x;
  }
}

}  // namespace activation
