// Pooling over windows, and where their maxima are. See `spatial.cuh` for places and windows.
//
// The taps in the padding are never visited. A pack is as many neighbouring channels as 16 bytes
// hold, which one thread reads and writes at once; views of packs step over the others.
#pragma once
#include "pack.cuh"
#include "rows.cuh"
#include "spatial.cuh"

// How many taps of a window lie less than `distance`, of 32 bits, behind its first one.
FN int64 taps_before(int64 distance, int64 dilation) {
  return distance <= 0 ? 0 : int64(uint32(distance - 1) / uint32(dilation)) + 1;
}

// Sources have three more axes, the taps of a window: (N, C, L0, L1, L2, T0, T1, T2).
struct PoolWindows : Windows {
  // Where the first tap reads along an axis; it may be outside, in the padding.
  FN int64 start(int axis, const Place& place) const {
    return place.at[axis] * stride[axis] - low[axis];
  }

  // Taps that lie no further outside than `low` and `high`.
  FN int count_within(
      int axis, const Tensor& source, const Place& place, int64 low, int64 high
  ) const {
    const int64 from = start(axis, place), end = source.shape[2 + axis] + high - from;
    const int64 last = smaller(source.shape[5 + axis], taps_before(end, dilation[axis]));
    const int64 count = last - taps_before(-low - from, dilation[axis]);
    return count < 0 ? 0 : int(count);
  }
};

// Calls take(offset, number) for each tap inside, in their order. The number of the element at
// (c, at) is sum(at * numbering).
template <typename Take>
FN void for_each_tap(
    const PoolWindows& windows, const Tensor& source, const Place& place,
    const int64 (&numbering)[3], Take take
) {
  int64 from = place.image * source.stride[0] + place.channel * source.stride[1];
  int64 number = 0;
  int count[3];
#pragma unroll
  for (int axis = 0; axis < 3; ++axis) {
    const int64 dilation = windows.dilation[axis], start = windows.start(axis, place);
    const int64 first = start + taps_before(-start, dilation) * dilation;
    count[axis] = windows.count_within(axis, source, place, 0, 0);
    from += first * source.stride[2 + axis];
    number += first * numbering[axis];
  }
  int b = 0, c = 0;  // one loop, for its few registers
#pragma unroll 1
  for (int64 rest = int64(count[0]) * count[1] * count[2]; rest > 0; --rest) {
    take(from, number);
    from += source.stride[7];
    number += windows.dilation[2] * numbering[2];
    if (++c < count[2]) continue;
    from += source.stride[6] - c * source.stride[7];
    number += windows.dilation[1] * numbering[1] - c * windows.dilation[2] * numbering[2];
    c = 0;
    if (++b < count[1]) continue;
    from += source.stride[5] - b * source.stride[6];
    number += windows.dilation[0] * numbering[0] - b * windows.dilation[1] * numbering[1];
    b = 0;
  }
}

// The largest; `lowest` is what never wins.
template <typename T> struct Largest {
  using State = Sum<T>;
  double lowest;

  FN State divisor(const PoolWindows&, const Tensor&, const Place&) const { return State(1); }
  FN State start() const { return State(lowest); }
  FN State take(State state, State value) const { return larger(state, value); }
  FN State end(State state, State) const { return state; }
};

// The sum divided by the number of taps within the margins.
template <typename T> struct Mean {
  using State = Sum<T>;
  int64 low[3], high[3];

  FN State divisor(const PoolWindows& windows, const Tensor& source, const Place& place) const {
    State count = 1;
#pragma unroll
    for (int axis = 0; axis < 3; ++axis)
      count *= State(windows.count_within(axis, source, place, low[axis], high[axis]));
    return count;
  }
  FN State start() const { return State(0); }
  FN State take(State state, State value) const { return state + value; }
  FN State end(State state, State divisor) const { return state / divisor; }
};

// (sum |x|^p)^(1 / p), in double: see `rows.cuh`.
struct Norm {
  using State = double;
  int64 p;

  FN State divisor(const PoolWindows&, const Tensor&, const Place&) const { return 1; }
  FN State start() const { return 0; }
  FN State take(State state, State value) const { return state + raised(fabs(value), p); }
  FN State end(State state, State) const { return rooted(state, p); }
};

template <typename T, int kCount, typename Reduction> struct WindowPool {
  using State = typename Reduction::State;
  using Elements = Pack<T, kCount>;
  Tensor target, source;
  PoolWindows windows;
  Reduction reduction;

  FN void operator()(int64 i) const {
    const Place place = place_of(target, i);
    const int64 at = offset_of(target, place);
    const State divisor = reduction.divisor(windows, source, place);
    State states[kCount];
#pragma unroll
    for (int each = 0; each < kCount; ++each) states[each] = reduction.start();
    const int64 none[3] = {0, 0, 0};
    for_each_tap(windows, source, place, none, [&](int64 from, int64) { take(states, from); });
    finish(states, at, divisor);
  }

  FN void take(State (&states)[kCount], int64 from) const {
    const Elements elements = Elements::at(source, from);
#pragma unroll
    for (int each = 0; each < kCount; ++each)
      states[each] = reduction.take(states[each], to<State>(elements.value[each]));
  }

  FN void finish(const State (&states)[kCount], int64 at, State divisor) const {
    Elements results;
#pragma unroll
    for (int each = 0; each < kCount; ++each)
      results.value[each] = to<T>(reduction.end(states[each], divisor));
    *reinterpret_cast<Elements*>(static_cast<T*>(target.data) + at) = results;
  }
};

template <typename T> constexpr int kPackSize = 16 / sizeof(T);

template <typename T> using MaxPool = WindowPool<T, 1, Largest<T>>;
template <typename T> using AvgPool = WindowPool<T, 1, Mean<T>>;
template <typename T> using LpPool = WindowPool<T, 1, Norm>;
template <typename T> using PackedMaxPool = WindowPool<T, kPackSize<T>, Largest<T>>;
template <typename T> using PackedAvgPool = WindowPool<T, kPackSize<T>, Mean<T>>;

// The number of the first largest element of each window, the first NaN if there is one; -1 where
// all taps are in the padding. The element at (c, at) has the number c * channel + sum(at * axes).
template <typename T> struct MaxPoolIndices {
  Tensor target, source;
  PoolWindows windows;
  int64 channel, axes[3];

  FN void operator()(int64 i) const {
    const Place place = place_of(target, i);
    const int64 at = offset_of(target, place);
    Sum<T> largest = Sum<T>(0);
    int64 found = -1;
    for_each_tap(windows, source, place, axes, [&](int64 from, int64 number) {
      const Sum<T> value = to<Sum<T>>(load<T>(source, from));
      if (found >= 0 && !(value > largest) && !(is_nan(value) && !is_nan(largest))) return;
      largest = value;
      found = place.channel * channel + number;
    });
    store(target, at, found);
  }
};
