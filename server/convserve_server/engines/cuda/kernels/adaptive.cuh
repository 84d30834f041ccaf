// Pooling into so many parts per axis: part i of n takes floor(i * L / n) to ceil((i + 1) * L / n).
// See `spatial.cuh` for places.
#pragma once
#include "rows.cuh"
#include "spatial.cuh"

// The elements of one part, `first` to `end` along each axis.
struct Part { int first[3], end[3]; };

FN Part part_of(const Tensor& target, const Tensor& source, const Place& place) {
  Part part;
#pragma unroll
  for (int axis = 0; axis < 3; ++axis) {
    const int64 size = source.shape[2 + axis], parts = target.shape[2 + axis];
    part.first[axis] = int(divide(place.at[axis] * size, parts));
    part.end[axis] = int(divide((place.at[axis] + 1) * size + parts - 1, parts));
  }
  return part;
}

FN int64 count_of(const Part& part) {
  int64 count = 1;
#pragma unroll
  for (int axis = 0; axis < 3; ++axis) count *= part.end[axis] - part.first[axis];
  return count;
}

// Calls take(offset) for each element of a part, in their logical order.
template <typename Take>
FN void for_each(const Tensor& source, const Place& place, const Part& part, Take take) {
  int64 plane = place.image * source.stride[0] + place.channel * source.stride[1];
#pragma unroll
  for (int axis = 0; axis < 3; ++axis) plane += part.first[axis] * source.stride[2 + axis];
#pragma unroll 1
  for (int a = part.first[0]; a < part.end[0]; ++a, plane += source.stride[2]) {
    int64 line = plane;
#pragma unroll 1
    for (int b = part.first[1]; b < part.end[1]; ++b, line += source.stride[3]) {
      int64 from = line;
#pragma unroll 2
      for (int c = part.first[2]; c < part.end[2]; ++c, from += source.stride[4]) take(from);
    }
  }
}

// The mean of each part.
template <typename Target, typename Source> struct AdaptiveAvgPool {
  Tensor target, source;

  FN void operator()(int64 i) const {
    const Place place = place_of(target, i);
    const Part part = part_of(target, source, place);
    Sum<Source> sum = 0;
    for_each(source, place, part, [&](int64 from) {
      sum += to<Sum<Source>>(load<Source>(source, from));
    });
    store(target, offset_of(target, place), to<Target>(sum / Sum<Source>(count_of(part))));
  }
};

// The largest of each part; a NaN wins.
template <typename T> struct AdaptiveMaxPool {
  Tensor target, source;

  FN void operator()(int64 i) const {
    const Place place = place_of(target, i);
    const Part part = part_of(target, source, place);
    const Place start = {place.image, place.channel, {part.first[0], part.first[1], part.first[2]}};
    Sum<T> largest = to<Sum<T>>(load<T>(source, offset_of(source, start)));
    for_each(source, place, part, [&](int64 from) {
      largest = larger(largest, to<Sum<T>>(load<T>(source, from)));
    });
    store(target, offset_of(target, place), to<T>(largest));
  }
};
