// Convolution by Fourier transforms of blocks. An array is read as one long row: its axes padded with
// zeros to the sizes of the full result, one after the other, so that its convolution with another
// such row is that of the arrays.
//
// Blocks lie as (images, channels, blocks, length), without gaps, and their spectra alike.
#pragma once
#include "spatial.cuh"

// Positions in the long row, of arrays that begin at `start` in the full result.
struct Grid {
  int64 size[kMaxRank], start[kMaxRank];

  FN Element find(const Tensor& tensor, int64 position) const {
    Element element = {position >= 0, 0};
    position = position < 0 ? 0 : position;
#pragma unroll
    for (int axis = kMaxRank - 1; axis >= 0; --axis) {
      if (axis >= tensor.rank) continue;
      const int64 rest = divide(position, size[axis]);
      const int64 at = position - rest * size[axis] - start[axis];
      element.exists = element.exists && is_inside(at, tensor.shape[axis]);
      element.offset += at * tensor.stride[axis];
      position = rest;
    }
    element.exists = element.exists && position == 0;
    return element;
  }
};

struct BlockPlace { int64 image, channel, block, at; };

// Where index i is in blocks of which `length` elements count.
FN BlockPlace place_in(const Tensor& rows, int64 length, int64 i) {
  const int64 row = divide(i, length), channel = divide(row, rows.shape[2]);
  const int64 image = divide(channel, rows.shape[1]);
  return {image, channel - image * rows.shape[1], row - channel * rows.shape[2], i - row * length};
}

FN int64 offset_of(const Tensor& rows, const BlockPlace& place) {
  return place.image * rows.stride[0] + place.channel * rows.stride[1] +
         place.block * rows.stride[2] + place.at;
}

// Blocks of the long rows of arrays, `step` apart from `first` on; zeros beyond the ends. `source` is
// the array of the first image and channel.
template <typename Work, typename In> struct CutBlocks {
  Tensor rows, source;
  int64 image_step, channel_step, first, step;
  Grid grid;

  FN void operator()(int64 i) const {
    const BlockPlace place = place_in(rows, rows.shape[3], i);
    const Element element = grid.find(source, first + place.block * step + place.at);
    Work value = {};
    if (element.exists) {
      const int64 from = place.image * image_step + place.channel * channel_step;
      value = to<Work>(load<In>(source, from + element.offset));
    }
    store(rows, i, value);
  }
};

// target[n, k, b] = sum over c of x[n, c, b] * weight[k, c], c being the channels in the group of k,
// each of which is for so many `outputs`. With one channel in a group, the target may be x.
template <typename T> struct SpectrumProduct {
  Tensor target, x, weight;
  int64 outputs;

  FN void operator()(int64 i) const {
    BlockPlace place = place_in(target, target.shape[3], i);
    int64 factor = place.channel * weight.stride[0] + place.at;
    place.channel = divide(place.channel, outputs) * weight.shape[1];
    int64 from = offset_of(x, place);
    T sum = {};
    for (int64 channel = 0; channel < weight.shape[1]; ++channel) {
      sum += load<T>(x, from) * load<T>(weight, factor);
      from += x.stride[1];
      factor += weight.stride[1];
    }
    store(target, i, sum);
  }
};

FN float scaled(float value, double by) { return value * float(by); }
FN double scaled(double value, double by) { return value * by; }
template <typename T> FN complex<T> scaled(complex<T> value, double by) {
  return {value.re * T(by), value.im * T(by)};
}

// The result's value; integers are rounded to the nearest, ties to even.
template <typename Out> struct Settled {
  template <typename Work> static FN Out of(Work value) { return to<Out>(int64(rint(value))); }
};
#define FLOATING(T)                                                               \
  template <> struct Settled<T> {                                                 \
    template <typename Work> static FN T of(Work value) { return to<T>(value); }  \
  };
FLOATING(float16) FLOATING(bfloat16) FLOATING(float) FLOATING(double)
FLOATING(complex64) FLOATING(complex128)
#undef FLOATING

// Puts `step` elements of each block, from `lead` on, to their places in y: those of block b are at
// position first + b * step of the long row. `y` is the result of the first image and channel; each
// channel has a bias.
template <typename Out, typename Work> struct JoinBlocks {
  Tensor y, rows, bias;
  int64 image_step, channel_step, first, step, lead;
  double scale;
  Grid grid;

  FN void operator()(int64 i) const {
    BlockPlace place = place_in(rows, step, i);
    const Element element = grid.find(y, first + place.block * step + place.at);
    if (!element.exists) return;
    const int64 target = place.image * image_step + place.channel * channel_step + element.offset;
    place.at += lead;
    const Work value = scaled(load<Work>(rows, offset_of(rows, place)), scale);
    const Work added = load<Work>(bias, place.channel * bias.stride[0]);
    store(y, target, Settled<Out>::of(value + added));
  }
};
