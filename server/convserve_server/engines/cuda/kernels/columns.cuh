// Columns added into the windows that they were taken from: the adjoint of Unfold.
#pragma once
#include "binary.cuh"
#include "spatial.cuh"

// y (N, C, L0, L1, L2) from x (N, C, K0, K1, K2, W0, W1, W2), of kernel places and windows.
template <typename Y, typename X> struct Fold {
  Tensor y, x;
  Windows windows;

  FN void operator()(int64 i) const {
    using S = Modular<Y>;
    const Place place = place_of(y, i);
    const int64 base = place.image * x.stride[0] + place.channel * x.stride[1];
    S sum = S{};
#pragma unroll 1
    for (int64 t0 = 0; t0 < x.shape[2]; ++t0) {
      const Element w0 = reader(place, 0, t0);
      if (!w0.exists) continue;
#pragma unroll 1
      for (int64 t1 = 0; t1 < x.shape[3]; ++t1) {
        const Element w1 = reader(place, 1, t1);
        if (!w1.exists) continue;
#pragma unroll 1
        for (int64 t2 = 0; t2 < x.shape[4]; ++t2) {
          const Element w2 = reader(place, 2, t2);
          if (w2.exists) sum += to<S>(load<X>(x, base + w0.offset + w1.offset + w2.offset));
        }
      }
    }
    store(y, offset_of(y, place), to<Y>(sum));
  }

  // Along an axis: the tap, and the window that has the element at `place` under it, if there is one.
  // 32 bits hold all sizes and paddings; a division of 64 would spill registers here.
  FN Element reader(const Place& place, int axis, int64 tap) const {
    const int64 from = place.at[axis] + windows.low[axis] - tap * windows.dilation[axis];
    const int64 at = uint32(from < 0 ? 0 : from) / uint32(windows.stride[axis]);
    const bool exists = at * windows.stride[axis] == from && at < x.shape[5 + axis];
    return {exists, tap * x.stride[2 + axis] + at * x.stride[5 + axis]};
  }
};
