// A batch normalisation as a part of the convolution before it: weights * scale, and another bias.
#pragma once
#include "common.cuh"

namespace fold {
FN float root(float x) { return sqrtf(x); }
FN double root(double x) { return sqrt(x); }
}  // namespace fold

// scale = weight / sqrt(variance + eps), per channel; S is float or double.
template <typename S> struct FoldScale {
  Tensor scale, weight, variance;
  double eps;

  FN void operator()(int64 i) const {
    store(scale, i, load<S>(weight, i) / fold::root(load<S>(variance, i) + S(eps)));
  }
};

// target = source * scale, element by element: all have one shape.
template <typename T> struct FoldWeight {
  Tensor target, source, scale;

  FN void operator()(int64 i) const {
    const Offsets at = offsets_of(target, source, i);
    const Sum<T> factor = load<Sum<T>>(scale, offset_of(scale, i));
    store(target, at.first, to<T>(to<Sum<T>>(load<T>(source, at.second)) * factor));
  }
};

// target = (bias - mean) * scale + shift, per channel.
template <typename T> struct FoldBias {
  Tensor target, bias, mean, scale, shift;

  FN void operator()(int64 i) const {
    using S = Sum<T>;
    const S centred = to<S>(load<T>(bias, i)) - load<S>(mean, i);
    store(target, i, to<T>(centred * load<S>(scale, i) + load<S>(shift, i)));
  }
};
