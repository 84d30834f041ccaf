// Arithmetic of two tensors, element by element.
#pragma once
#include "common.cuh"

// In which type sums and products are made: integers modulo 2^64, so that they wrap around.
template <typename T> struct ModularOf { using type = Sum<T>; };
#define WRAPS(T) template <> struct ModularOf<T> { using type = uint64; };
WRAPS(int8) WRAPS(int16) WRAPS(int32) WRAPS(int64)
WRAPS(uint8) WRAPS(uint16) WRAPS(uint32) WRAPS(uint64)
#undef WRAPS
template <typename T> using Modular = typename ModularOf<T>::type;

template <typename S> FN S quotient(S a, S b) { return a / b; }

FN uint64 quotient(uint64 a, uint64) { return a; }  // integers are not divided

// By the larger part of the divisor: R. L. Smith, Algorithm 116 (1962).
template <typename T> FN complex<T> quotient(complex<T> a, complex<T> b) {
  if (fabs(double(b.re)) >= fabs(double(b.im))) {
    const T ratio = b.im / b.re, whole = b.re + b.im * ratio;
    return {(a.re + a.im * ratio) / whole, (a.im - a.re * ratio) / whole};
  }
  const T ratio = b.re / b.im, whole = b.re * ratio + b.im;
  return {(a.re * ratio + a.im) / whole, (a.im * ratio - a.re) / whole};
}

enum Operator : int64 { kAdd, kMul, kSub, kDiv };

// y = a op b. All have one shape.
template <typename Y, typename A, typename B> struct Binary {
  Tensor y, a, b;
  int64 kind;

  FN void operator()(int64 i) const {
    using S = Modular<Y>;
    const Offsets at = offsets_of(y, a, i);
    const S left = to<S>(load<A>(a, at.second)), right = to<S>(load<B>(b, offset_of(b, i)));
    store(y, at.first, to<Y>(combined(left, right)));
  }

  template <typename S> FN S combined(S left, S right) const {
    switch (kind) {
      case kAdd: return left + right;
      case kMul: return left * right;
      case kSub: return left - right;
      default: return quotient(left, right);
    }
  }
};
