// Resizing: each element of y is one of x, or a sum of a few, along up to three axes at once.
//
// Along an axis, element i of y lies at (i * step + start) / parts among those of x: whole numbers,
// so that no place is rounded. Cubic: R. G. Keys, Cubic convolution interpolation (1981).
#pragma once
#include "spatial.cuh"

struct Point { int64 first; double fraction; };

struct Places {
  int64 step[3], start[3], parts[3];

  FN Point point(const Place& place, int axis) const {
    const int64 top = place.at[axis] * step[axis] + start[axis], bottom = parts[axis];
    const int64 first = top >= 0 ? divide(top, bottom) : -divide(bottom - 1 - top, bottom);
    return {first, double(top - first * bottom) / double(bottom)};
  }
};

// Where element `at` along an axis lies; the border is repeated.
FN int64 bordered(const Tensor& x, int axis, int64 at) {
  const int64 last = x.shape[2 + axis] - 1;
  return (at < 0 ? 0 : at > last ? last : at) * x.stride[2 + axis];
}

// y = the element of x there, or the next one.
template <typename T> struct Nearest {
  Tensor y, x;
  Places places;
  int64 rounds_up;

  FN void operator()(int64 i) const {
    const Place place = place_of(y, i);
    int64 from = place.image * x.stride[0] + place.channel * x.stride[1];
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) {
      const Point point = places.point(place, axis);
      from += bordered(x, axis, point.first + (rounds_up && point.fraction > 0 ? 1 : 0));
    }
    store(y, offset_of(y, place), load<T>(x, from));
  }
};

// y = a sum over 1, 2 (linear) or 4 (cubic) elements of x along each axis.
template <typename T> struct Resize {
  Tensor y, x;
  Places places;
  int64 taps[3];
  double cubic;

  FN void operator()(int64 i) const {
    using S = Sum<T>;
    const Place place = place_of(y, i);
    const Point p0 = places.point(place, 0), p1 = places.point(place, 1), p2 = places.point(place, 2);
    const int64 base = place.image * x.stride[0] + place.channel * x.stride[1];
    const int64 target = offset_of(y, place);
    S sum = S(0);
#pragma unroll 1
    for (int64 t0 = 0; t0 < taps[0]; ++t0) {
      const double w0 = weight_of(0, t0, p0);
      const int64 at0 = base + offset(0, t0, p0);
#pragma unroll 1
      for (int64 t1 = 0; t1 < taps[1]; ++t1) {
        const double w1 = w0 * weight_of(1, t1, p1);
        const int64 at1 = at0 + offset(1, t1, p1);
#pragma unroll 1
        for (int64 t2 = 0; t2 < taps[2]; ++t2) {
          const S value = to<S>(load<T>(x, at1 + offset(2, t2, p2)));
          sum += S(w1 * weight_of(2, t2, p2)) * value;
        }
      }
    }
    store(y, target, to<T>(sum));
  }

  FN int64 offset(int axis, int64 tap, const Point& point) const {
    return bordered(x, axis, point.first + tap - (taps[axis] == 4 ? 1 : 0));
  }

  FN double weight_of(int axis, int64 tap, const Point& point) const {
    if (taps[axis] == 1) return 1.0;
    if (taps[axis] == 2) return tap == 0 ? 1.0 - point.fraction : point.fraction;
    const double distance = fabs(point.fraction - double(tap - 1)), a = cubic;
    if (distance <= 1.0) return ((a + 2) * distance - (a + 3)) * distance * distance + 1;
    return ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a;
  }
};
