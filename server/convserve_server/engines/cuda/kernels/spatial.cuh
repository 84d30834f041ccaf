// Places in tensors (N, C, L0, L1, L2), and the windows that slide over them.
//
// A tensor with fewer spatial axes has axes of size 1 before its own.
#pragma once
#include "common.cuh"

struct Place { int64 image, channel, at[3]; };

// Where position i of all images is, in channel 0.
FN Place place_of_position(const Tensor& tensor, int64 i) {
  Place place = {0, 0, {0, 0, 0}};
#pragma unroll
  for (int axis = 2; axis >= 0; --axis) {
    const int64 outer = divide(i, tensor.shape[2 + axis]);
    place.at[axis] = i - outer * tensor.shape[2 + axis];
    i = outer;
  }
  place.image = i;
  return place;
}

// Where index i is, with the channels the fastest, so that neighbours lie side by side.
FN Place place_of(const Tensor& tensor, int64 i) {
  const int64 position = divide(i, tensor.shape[1]);
  Place place = place_of_position(tensor, position);
  place.channel = i - position * tensor.shape[1];
  return place;
}

FN int64 offset_of(const Tensor& tensor, const Place& place) {
  int64 offset = place.image * tensor.stride[0] + place.channel * tensor.stride[1];
#pragma unroll
  for (int axis = 0; axis < 3; ++axis) offset += place.at[axis] * tensor.stride[2 + axis];
  return offset;
}

// The next place in the order of `place_of`, in the same channel.
FN void advance(Place& place, const Tensor& tensor) {
  if (++place.at[2] < tensor.shape[4]) return;
  place.at[2] = 0;
  if (++place.at[1] < tensor.shape[3]) return;
  place.at[1] = 0;
  if (++place.at[0] < tensor.shape[2]) return;
  place.at[0] = 0;
  ++place.image;
}

FN bool is_inside(int64 place, int64 size) { return place >= 0 && place < size; }

// An offset along the spatial axes, if there is an element.
struct Element {
  bool exists;
  int64 offset;
};

// Windows along the three axes: the one at o has its tap t at o * stride - low + t * dilation.
struct Windows {
  int64 stride[3], low[3], dilation[3];

  // What a tap of the window at `place` reads of x; it does not exist in the padding.
  FN Element read(const Tensor& x, const Place& place, const Place& tap) const {
    Element element = {true, 0};
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) {
      const int64 at = place.at[axis] * stride[axis] - low[axis] + tap.at[axis] * dilation[axis];
      element.exists = element.exists && is_inside(at, x.shape[2 + axis]);
      element.offset += at * x.stride[2 + axis];
    }
    return element;
  }

  // The window, of which y holds the result, that reads the element at `place` with a tap.
  FN Element reader(const Tensor& y, const Place& place, const Place& tap) const {
    Element element = {true, 0};
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) {
      const int64 from = place.at[axis] + low[axis] - tap.at[axis] * dilation[axis];
      const int64 at = divide(from < 0 ? 0 : from, stride[axis]);
      element.exists = element.exists && at * stride[axis] == from && at < y.shape[2 + axis];
      element.offset += at * y.stride[2 + axis];
    }
    return element;
  }
};

FN int64 tap_count(const Tensor& weight) {
  return weight.shape[2] * weight.shape[3] * weight.shape[4];
}
