// Copies between views: casts, transposes, slices, repeats; and filling with one value.
#pragma once
#include "common.cuh"

// target[i] = source[i], converted. Both have one shape.
template <typename Target, typename Source> struct Copy {
  Tensor target, source;

  FN void operator()(int64 i) const {
    const Offsets at = offsets_of(target, source, i);
    store(target, at.first, to<Target>(load<Source>(source, at.second)));
  }
};

// target[i] = value
template <typename T> struct Fill {
  Tensor target;
  double value;

  FN void operator()(int64 i) const { store(target, offset_of(target, i), to<T>(value)); }
};
