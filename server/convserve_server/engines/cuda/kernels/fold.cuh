// A batch normalisation as a scale and a bias, and as a part of the convolution before it.
#pragma once
#include "maths.cuh"

// scale = weight / sqrt(variance + eps), per channel; S is float or double.
template <typename S> struct FoldScale {
  Tensor scale, weight, variance;
  double eps;

  FN void operator()(int64 i) const {
    const S factor = load<S>(weight, i * weight.stride[0]);
    store(scale, i, factor / maths::root(load<S>(variance, i) + S(eps)));
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
    const S centred = to<S>(load<T>(bias, i * bias.stride[0])) - load<S>(mean, i);
    const S added = load<S>(shift, i * shift.stride[0]);
    store(target, i, to<T>(centred * load<S>(scale, i) + added));
  }
};
