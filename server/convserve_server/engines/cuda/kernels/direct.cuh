// Convolution by its definition, its transpose, and the gradient of its weight: for the element
// types that cuDNN does not take, and where it has no plan. Sums are made in the order of the taps,
// then of the channels.
//
// Shapes: x (N, C, *L), weight (K, C / groups, *kernel), y (N, K, *L'); see `spatial.cuh`. Operands
// of type In are converted to the sums of Out, which hold them. `outputs` are the channels of y in
// a group. Results of long sums are made in parts, which lie one after the other along axis 0: each
// has `length` of the channels or windows that are summed. What is `added`, to the first, has the
// type of the sums.
#pragma once
#include "spatial.cuh"

// Integers are computed modulo 2^32 and 2^64.
template <typename T> FN T plus(T a, T b) { return a + b; }
FN int32 plus(int32 a, int32 b) { return int32(uint32(a) + uint32(b)); }
FN int64 plus(int64 a, int64 b) { return int64(uint64(a) + uint64(b)); }

template <typename T> FN T times(T a, T b) { return a * b; }
FN int32 times(int32 a, int32 b) { return int32(uint32(a) * uint32(b)); }
FN int64 times(int64 a, int64 b) { return int64(uint64(a) * uint64(b)); }

template <typename T> FN T conjugate(T value) { return value; }
template <typename T> FN complex<T> conjugate(complex<T> value) { return {value.re, -value.im}; }

// The sum, and the products of `count` weights, `step` apart, with neighbouring channels of x.
template <typename In, typename S>
FN S add_products(
    S sum, const Tensor& weight, int64 factor, int64 step, const Tensor& x, int64 from, int64 count
) {
#pragma unroll 2
  for (int64 channel = 0; channel < count; ++channel) {
    sum = plus(sum, times(to<S>(load<In>(weight, factor)), to<S>(load<In>(x, from))));
    factor += step;
    from += x.stride[1];
  }
  return sum;
}

// y[n, k, o] = added[n, k, o] + sum over c and t of weight[k, c, t] * x[n, c, i], c being the
// channels in the group of k, and i what the window at o reads with t.
template <typename Out, typename In> struct DirectConv {
  Tensor y, x, weight, added;
  int64 outputs, length;
  Windows windows;

  FN void operator()(int64 i) const {
    const Place place = place_of(y, i);
    const int64 part = divide(place.image, x.shape[0]), image = place.image - part * x.shape[0];
    const int64 start = part * length;
    const int64 count = smaller(length, weight.shape[1] - start);
    const int64 channel = divide(place.channel, outputs) * weight.shape[1] + start;
    const int64 from = image * x.stride[0] + channel * x.stride[1];
    const int64 taps = tap_count(weight);
    Place tap = {place.channel, start, {0, 0, 0}};
    Sum<Out> sum = part ? Sum<Out>{} : load<Sum<Out>>(added, offset_of(added, place));
    for (int64 t = 0; t < taps; ++t) {
      const Element element = windows.read(x, place, tap);
      if (element.exists)
        sum = add_products<In>(
            sum, weight, offset_of(weight, tap), weight.stride[1], x, from + element.offset, count
        );
      advance(tap, weight);
    }
    store(y, offset_of(y, place), to<Out>(sum));
  }
};

// x[n, c, i] = added[n, c, i] + sum over k and t of weight[k, c, t] * y[n, k, o], k being the
// channels in the group of c, and o the window that reads i with t.
template <typename Out, typename In> struct DirectSpread {
  Tensor x, y, weight, added;
  int64 outputs, length;
  Windows windows;

  FN void operator()(int64 i) const {
    const Place place = place_of(x, i);
    const int64 part = divide(place.image, y.shape[0]), image = place.image - part * y.shape[0];
    const int64 start = part * length, count = smaller(length, outputs - start);
    const int64 group = divide(place.channel, weight.shape[1]);
    const int64 k = group * outputs + start;
    const int64 from = image * y.stride[0] + k * y.stride[1];
    const int64 taps = tap_count(weight);
    Place tap = {k, place.channel - group * weight.shape[1], {0, 0, 0}};
    Sum<Out> sum = part ? Sum<Out>{} : load<Sum<Out>>(added, offset_of(added, place));
    for (int64 t = 0; t < taps; ++t) {
      const Element element = windows.reader(y, place, tap);
      if (element.exists)
        sum = add_products<In>(
            sum, weight, offset_of(weight, tap), weight.stride[0], y, from + element.offset, count
        );
      advance(tap, weight);
    }
    store(x, offset_of(x, place), to<Out>(sum));
  }
};

// weight[part * K + k, c, t] = sum over the part's windows (n, o), of `total`, of y[n, k, o] *
// conj(x[n, c, i]), i being what the window reads with t.
template <typename Out, typename In> struct DirectWeight {
  Tensor weight, x, y;
  int64 outputs, length, total;
  Windows windows;

  FN void operator()(int64 i) const {
    const Place tap = place_of(weight, i);
    const int64 part = divide(tap.image, y.shape[1]), k = tap.image - part * y.shape[1];
    const int64 channel = divide(k, outputs) * weight.shape[1] + tap.channel;
    const int64 start = part * length, end = smaller(start + length, total);
    Place place = place_of_position(y, start);
    place.channel = k;
    Sum<Out> sum = {};
    for (int64 window = start; window < end; ++window) {
      const Element element = windows.read(x, place, tap);
      if (element.exists) {
        const int64 from = place.image * x.stride[0] + channel * x.stride[1] + element.offset;
        const Sum<Out> a = to<Sum<Out>>(load<In>(y, offset_of(y, place)));
        sum = plus(sum, times(a, conjugate(to<Sum<Out>>(load<In>(x, from)))));
      }
      advance(place, y);
    }
    store(weight, offset_of(weight, tap), to<Out>(sum));
  }
};

// target[i] = conj(source[i])
template <typename T> struct Conjugate {
  Tensor target, source;

  FN void operator()(int64 i) const {
    const Offsets at = offsets_of(target, source, i);
    store(target, at.first, conjugate(load<T>(source, at.second)));
  }
};

// target[i] = sum of parts[part][i] over all `count` parts, which lie `step` elements apart, and of
// which `parts` is the first.
template <typename Out, typename Part> struct AddParts {
  Tensor target, parts;
  int64 count, step;

  FN void operator()(int64 i) const {
    const Offsets at = offsets_of(target, parts, i);
    Sum<Out> sum = {};
    for (int64 part = 0; part < count; ++part)
      sum = plus(sum, to<Sum<Out>>(load<Part>(parts, at.second + part * step)));
    store(target, at.first, to<Out>(sum));
  }
};
