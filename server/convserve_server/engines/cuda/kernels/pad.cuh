// Elements around the spatial axes.
#pragma once
#include "spatial.cuh"

// Beyond the ends of an axis: `value`, mirrored without the end, the end, or from the other end.
enum Border : int64 { kZeros, kReflect, kReplicate, kCircular };

// target[o] = source[o - low], continued beyond its ends as the mode says: see `Border`.
template <typename T> struct Pad {
  Tensor target, source;
  int64 low[3], mode;
  double value;

  FN void operator()(int64 i) const {
    Place place = place_of(target, i);
    const int64 there = offset_of(target, place);
    bool inside = true;
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) {
      const int64 at = place.at[axis] - low[axis], size = source.shape[2 + axis];
      place.at[axis] = continued(at, size);
      inside = inside && is_inside(place.at[axis], size);
    }
    store(target, there, inside ? load<T>(source, offset_of(source, place)) : to<T>(value));
  }

  FN int64 continued(int64 at, int64 size) const {
    const int64 end = size - 1;
    if (is_inside(at, size)) return at;
    if (mode == kReflect) return at < 0 ? -at : 2 * end - at;
    if (mode == kReplicate) return at < 0 ? 0 : end;
    if (mode == kCircular) return at < 0 ? at + size : at - size;
    return at;
  }
};
