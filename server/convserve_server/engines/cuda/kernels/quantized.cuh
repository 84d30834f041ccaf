// Around the exact sums of quantized numbers: zero points taken off, and the result rounded.
#pragma once
#include "spatial.cuh"

// target[i] = source[i] - zero[i], which int16 holds for numbers of 8 bits. All have one shape.
template <typename T> struct WithoutZero {
  Tensor target, source, zero;

  FN void operator()(int64 i) const {
    const Offsets at = offsets_of(target, source, i);
    const T from = load<T>(zero, offsets_of(target, zero, i).second);
    store(target, at.first, int16(int16(load<T>(source, at.second)) - int16(from)));
  }
};

// y[n, k, o] = (sums[n, k, o] + bias[k]) * input_scale * weight_scale[k] / output_scale, rounded
// half to even, plus zero, cut to the range from `least` to `most` of Out. ONNX's QLinearConv.
template <typename Out, typename In> struct Quantize {
  Tensor y, sums, bias, input_scale, weight_scale, output_scale, zero;
  int64 least, most;

  FN void operator()(int64 i) const {
    const Place place = place_of(y, i);
    const int64 k = place.channel;
    const int64 sum =
        int64(load<In>(sums, offset_of(sums, place))) + load<int32>(bias, k * bias.stride[0]);
    const double factor = double(load<float>(input_scale, 0)) *
                          double(load<float>(weight_scale, k * weight_scale.stride[0])) /
                          double(load<float>(output_scale, 0));
    const double value = rint(double(sum) * factor) + double(load<Out>(zero, 0));
    const double cut = fmin(fmax(value, double(least)), double(most));
    store(y, offset_of(y, place), Out(cut));
  }
};
