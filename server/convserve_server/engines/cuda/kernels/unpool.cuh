// Values put where indices name their places. See `spatial.cuh` for places.
//
// Of several values for one place the last one stays, in the order of their numbers in the sample:
// every place is claimed by a number first, of which the largest wins whatever the order of the
// claims, and then each place reads its value.
#pragma once
#include "spatial.cuh"

FN int64 positions_of(const Tensor& tensor) {
  return tensor.shape[2] * tensor.shape[3] * tensor.shape[4];
}

// The place at a position of a channel, counted in C order.
FN Place place_at(const Tensor& tensor, int64 image, int64 channel, int64 position) {
  const int64 line = divide(position, tensor.shape[4]), plane = divide(line, tensor.shape[3]);
  return {image, channel,
          {plane, line - plane * tensor.shape[3], position - line * tensor.shape[4]}};
}

FN void raise_to(int64* target, int64 value) {
#ifdef __CUDACC_RTC__
  atomicMax(target, value);
#else
  if (value > *target) *target = value;
#endif
}

// claims[place] = the largest number whose index names the place; they hold -1 before. An index is
// within the channel's plane or, if `in_sample`, within the sample; others claim nothing.
template <typename Index> struct ClaimPlaces {
  Tensor claims, indices;
  int64 in_sample;

  FN void operator()(int64 i) const {
    const Place place = place_of(indices, i);
    const int64 index = to<int64>(load<Index>(indices, offset_of(indices, place)));
    const int64 plane = positions_of(claims);
    if (!is_inside(index, in_sample ? claims.shape[1] * plane : plane)) return;
    const int64 ahead = in_sample ? divide(index, plane) : 0;
    const int64 channel = in_sample ? ahead : place.channel;
    const Place claimed = place_at(claims, place.image, channel, index - ahead * plane);
    const int64 line = place.at[0] * indices.shape[3] + place.at[1];
    const int64 position = line * indices.shape[4] + place.at[2];
    const int64 number = place.channel * positions_of(indices) + position;
    raise_to(static_cast<int64*>(claims.data) + offset_of(claims, claimed), number);
  }
};

// Each place's value, or zero.
template <typename T> struct Unpool {
  Tensor target, claims, source;

  FN void operator()(int64 i) const {
    const Place place = place_of(target, i);
    const int64 number = load<int64>(claims, offset_of(claims, place));
    T value = {};
    if (number >= 0) {
      const int64 channel = divide(number, positions_of(source));
      const int64 position = number - channel * positions_of(source);
      const Place from = place_at(source, place.image, channel, position);
      value = load<T>(source, offset_of(source, from));
    }
    store(target, offset_of(target, place), value);
  }
};
