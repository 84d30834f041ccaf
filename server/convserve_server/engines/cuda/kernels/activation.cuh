// The activations that follow sums, by their numbers in lowering/activation.py. A NaN stays one.
#pragma once
#include "common.cuh"

namespace activation {

FN float exponential(float x) { return expf(x); }
FN double exponential(double x) { return exp(x); }
FN float exponential_less_one(float x) { return expm1f(x); }
FN double exponential_less_one(double x) { return expm1(x); }
FN float log_one_plus(float x) { return log1pf(x); }
FN double log_one_plus(double x) { return log1p(x); }
FN float error_rest(float x) { return erfcf(x); }
FN double error_rest(double x) { return erfc(x); }
FN float hyperbolic_tangent(float x) { return tanhf(x); }
FN double hyperbolic_tangent(double x) { return tanh(x); }

enum Kind : int64 {
  kNone, kReLU, kReLU6, kLeakyReLU, kGELU, kSiLU, kSigmoid, kTanh, kELU, kSoftplus, kHardSigmoid,
  kHardSwish, kMish
};

// min(max(x, low), high)
template <typename S> FN S clip(S x, S low, S high) { return x < low ? low : x > high ? high : x; }

// log(1 + exp(x)), without overflow
template <typename S> FN S log_sum(S x) {
  return (x < S(0) ? S(0) : x) + log_one_plus(exponential(x < S(0) ? x : -x));
}

// What the activation makes of x, a float or double; alpha and beta are its numbers, if it has any.
template <typename S> FN S apply(int64 kind, S x, S alpha, S beta) {
  switch (kind) {
    case kReLU: return x < S(0) ? S(0) : x;
    case kReLU6: return clip(x, S(0), S(6));
    case kLeakyReLU: return x >= S(0) ? x : alpha * x;
    case kGELU: return x * error_rest(x * S(-0.70710678118654752440)) / S(2);
    case kSiLU: return x / (S(1) + exponential(-x));
    case kSigmoid: return S(1) / (S(1) + exponential(-x));
    case kTanh: return hyperbolic_tangent(x);
    case kELU: return x > S(0) ? x : alpha * exponential_less_one(x);
    case kSoftplus: return log_sum(alpha * x) / alpha;
    case kHardSigmoid: return clip(alpha * x + beta, S(0), S(1));
    case kHardSwish: return x * clip(x / S(6) + S(0.5), S(0), S(1));
    case kMish: return x * hyperbolic_tangent(log_sum(x));
    default: return x;
  }
}

}  // namespace activation
