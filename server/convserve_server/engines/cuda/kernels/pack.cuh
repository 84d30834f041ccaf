// Several elements at once.
#pragma once
#include "common.cuh"

// Channels that lie side by side, and are read and written at once.
template <typename T, int kCount> struct alignas(sizeof(T) * kCount) Pack {
  T value[kCount];

  static FN const Pack& at(const Tensor& tensor, int64 offset) {
    return *reinterpret_cast<const Pack*>(static_cast<const T*>(tensor.data) + offset);
  }
};
