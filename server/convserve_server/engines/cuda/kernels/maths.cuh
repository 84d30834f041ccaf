// Functions of C's library, by one name for float and double.
#pragma once
#include "common.cuh"

#define MATHS(name, function)                       \
  FN float name(float x) { return function##f(x); } \
  FN double name(double x) { return function(x); }

namespace maths {

MATHS(exponential, exp)
MATHS(exponential_less_one, expm1)
MATHS(logarithm, log)
MATHS(log_one_plus, log1p)
MATHS(error, erf)
MATHS(error_rest, erfc)
MATHS(hyperbolic_tangent, tanh)
MATHS(root, sqrt)

FN float power(float x, float exponent) { return powf(x, exponent); }
FN double power(double x, double exponent) { return pow(x, exponent); }

}  // namespace maths

#undef MATHS
