// Values between the elements, where a deformable convolution's taps read.
#pragma once
#include "spatial.cuh"

// columns[n, c, h, w, tap] = mask * x[n, c] at the place of the tap moved by its offset: bilinear,
// with zeros outside. offset is (N, 2 * groups * taps, H', W'), per tap y before x, mask (N, groups
// * taps, H', W'); a group of offsets moves `channels` channels. Places are computed in float64: in
// float32 they would lose the digits of the offset far from the origin.
template <typename T> struct Deform {
  Tensor columns, x, offset, mask;
  int64 channels, kernel_width, stride[2], low[2], dilation[2];

  FN void operator()(int64 i) const {
    const Place place = place_of(columns, i);
    const int64 tap = place.at[2], group = divide(place.channel, channels);
    const int64 row_tap = divide(tap, kernel_width), number = group * columns.shape[4] + tap;
    const double row = moved(place, 0, row_tap, 2 * number);
    const double column = moved(place, 1, tap - row_tap * kernel_width, 2 * number + 1);
    const Sum<T> weight = to<Sum<T>>(load<T>(mask, offset_at(mask, place, number)));
    store(columns, offset_of(columns, place), weight * between(place, row, column));
  }

  FN double moved(const Place& place, int axis, int64 tap, int64 channel) const {
    const int64 at = place.at[axis] * stride[axis] - low[axis] + tap * dilation[axis];
    return double(at) + to<double>(load<T>(offset, offset_at(offset, place, channel)));
  }

  FN int64 offset_at(const Tensor& tensor, const Place& place, int64 channel) const {
    return place.image * tensor.stride[0] + channel * tensor.stride[1] +
           place.at[0] * tensor.stride[2] + place.at[1] * tensor.stride[3];
  }

  // A place that is not a number is outside.
  FN Sum<T> between(const Place& place, double row, double column) const {
    if (!(row > -1 && row < x.shape[2] && column > -1 && column < x.shape[3])) return 0;
    const int64 image = place.image * x.stride[0] + place.channel * x.stride[1];
    const double top = floor(row), left = floor(column);
    Sum<T> sum = 0;
#pragma unroll
    for (int corner = 0; corner < 4; ++corner) {
      const double a = top + corner / 2, b = left + corner % 2;
      if (a < 0 || a >= x.shape[2] || b < 0 || b >= x.shape[3]) continue;
      const double share = (1 - fabs(row - a)) * (1 - fabs(column - b));
      const int64 at = image + int64(a) * x.stride[2] + int64(b) * x.stride[3];
      sum += Sum<T>(share) * to<Sum<T>>(load<T>(x, at));
    }
    return sum;
  }
};
