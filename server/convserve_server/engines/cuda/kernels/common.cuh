// What every kernel shares: element types, sums, and index arithmetic.
//
// The same sources are compiled for GPUs by NVRTC, which has no headers, and for the processor by a
// C++ compiler. A kernel is a struct of arguments whose operator()(int64 i) computes what belongs to
// index i. Its members are pointers in `Tensor`, int64 and double, in the order of the launch.
//
// No array that is indexed with a number known only at run time may be local: it would lie in
// memory. Loops over axes are unrolled, with the axes that are not there skipped.
#pragma once

#ifdef __CUDACC_RTC__
#define FN __device__ __forceinline__
#else
#include <cmath>
#include <cstring>
#define FN inline
#endif

using int8 = signed char;
using int16 = short;
using int32 = int;
using int64 = long long;
using uint8 = unsigned char;
using uint16 = unsigned short;
using uint32 = unsigned int;
using uint64 = unsigned long long;

struct float16 { uint16 bits; };
struct bfloat16 { uint16 bits; };
struct boolean { uint8 value; };

template <typename T> struct complex { T re, im; };
using complex64 = complex<float>;
using complex128 = complex<double>;

template <typename T> FN complex<T> operator+(complex<T> a, complex<T> b) {
  return {a.re + b.re, a.im + b.im};
}
template <typename T> FN complex<T> operator-(complex<T> a, complex<T> b) {
  return {a.re - b.re, a.im - b.im};
}
template <typename T> FN complex<T> operator*(complex<T> a, complex<T> b) {
  return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}
template <typename T> FN complex<T>& operator+=(complex<T>& a, complex<T> b) { return a = a + b; }

// --- conversions -------------------------------------------------------------------------------

FN uint32 bits_of(float value) {
#ifdef __CUDACC_RTC__
  return __float_as_uint(value);
#else
  uint32 bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
#endif
}

FN float float_of(uint32 bits) {
#ifdef __CUDACC_RTC__
  return __uint_as_float(bits);
#else
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
#endif
}

FN float widen(bfloat16 value) { return float_of(uint32(value.bits) << 16); }

FN float widen(float16 value) {
#ifdef __CUDACC_RTC__
  float result;
  asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(value.bits));
  return result;
#else
  const uint32 sign = uint32(value.bits & 0x8000) << 16, rest = value.bits & 0x7fff;
  if (rest >= 0x7c00) return float_of(sign | 0x7f800000 | (rest & 0x3ff) << 13);
  if (rest >= 0x400) return float_of(sign | ((rest << 13) + (112u << 23)));
  const float small = float(rest) * 0x1p-24f;  // subnormal, exactly
  return sign ? -small : small;
#endif
}

// To the nearest, ties to even.
FN bfloat16 round_to_bfloat16(float value) {
  const uint32 bits = bits_of(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return {uint16(bits >> 16 | 0x40)};
  return {uint16((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

FN float16 round_to_float16(float value) {
#ifdef __CUDACC_RTC__
  float16 result;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(result.bits) : "f"(value));
  return result;
#else
  const uint32 bits = bits_of(value), sign = bits >> 16 & 0x8000, rest = bits & 0x7fffffff;
  if (rest > 0x7f800000) return {uint16(sign | 0x7e00)};
  if (rest >= 0x477ff000) return {uint16(sign | 0x7c00)};  // 65520 and above
  if (rest < 0x38800000) {                                 // below 2^-14: subnormal
    const float magnitude = float_of(rest) * 0x1p24f;
    return {uint16(sign | uint32(std::nearbyint(magnitude)))};
  }
  const uint32 rounded = rest + 0xfff + (rest >> 13 & 1) - (112u << 23);
  return {uint16(sign | rounded >> 13)};
#endif
}

// Target's value of a source's; a fraction is cut off where integers are wanted.
template <typename Target, typename Source> struct Conversion {
  static FN Target of(Source value) { return Target(value); }
};
template <typename T> struct Conversion<T, T> {
  static FN T of(T value) { return value; }
};
template <typename Target> struct Conversion<Target, float16> {
  static FN Target of(float16 value) { return Conversion<Target, float>::of(widen(value)); }
};
template <typename Target> struct Conversion<Target, bfloat16> {
  static FN Target of(bfloat16 value) { return Conversion<Target, float>::of(widen(value)); }
};
template <typename Target> struct Conversion<Target, boolean> {
  static FN Target of(boolean value) { return Conversion<Target, uint8>::of(value.value); }
};
template <typename Source> struct Conversion<float16, Source> {
  static FN float16 of(Source value) { return round_to_float16(Conversion<float, Source>::of(value)); }
};
template <typename Source> struct Conversion<bfloat16, Source> {
  static FN bfloat16 of(Source value) {
    return round_to_bfloat16(Conversion<float, Source>::of(value));
  }
};
template <typename Source> struct Conversion<boolean, Source> {
  static FN boolean of(Source value) { return {uint8(value != Source(0))}; }
};
template <typename T, typename Source> struct Conversion<complex<T>, Source> {
  static FN complex<T> of(Source value) { return {Conversion<T, Source>::of(value), T(0)}; }
};
template <typename T, typename S> struct Conversion<complex<T>, complex<S>> {
  static FN complex<T> of(complex<S> value) { return {T(value.re), T(value.im)}; }
};
// Pairs that two of the above would match.
template <> struct Conversion<float16, float16> { static FN float16 of(float16 v) { return v; } };
template <> struct Conversion<bfloat16, bfloat16> { static FN bfloat16 of(bfloat16 v) { return v; } };
template <> struct Conversion<boolean, boolean> { static FN boolean of(boolean v) { return v; } };
template <> struct Conversion<complex64, complex64> { static FN complex64 of(complex64 v) { return v; } };
template <> struct Conversion<complex128, complex128> { static FN complex128 of(complex128 v) { return v; } };
template <> struct Conversion<float16, bfloat16> { static FN float16 of(bfloat16 v) { return round_to_float16(widen(v)); } };
template <> struct Conversion<bfloat16, float16> { static FN bfloat16 of(float16 v) { return round_to_bfloat16(widen(v)); } };
template <> struct Conversion<float16, boolean> { static FN float16 of(boolean v) { return round_to_float16(v.value); } };
template <> struct Conversion<bfloat16, boolean> { static FN bfloat16 of(boolean v) { return round_to_bfloat16(v.value); } };
template <> struct Conversion<boolean, float16> { static FN boolean of(float16 v) { return {uint8(widen(v) != 0)}; } };
template <> struct Conversion<boolean, bfloat16> { static FN boolean of(bfloat16 v) { return {uint8(widen(v) != 0)}; } };
template <typename T> struct Conversion<complex<T>, float16> { static FN complex<T> of(float16 v) { return {T(widen(v)), T(0)}; } };
template <typename T> struct Conversion<complex<T>, bfloat16> { static FN complex<T> of(bfloat16 v) { return {T(widen(v)), T(0)}; } };
template <typename T> struct Conversion<complex<T>, boolean> { static FN complex<T> of(boolean v) { return {T(v.value), T(0)}; } };

template <typename Target, typename Source> FN Target to(Source value) {
  return Conversion<Target, Source>::of(value);
}

// In which type sums of T are made.
template <typename T> struct SumOf { using type = T; };
template <> struct SumOf<float16> { using type = float; };
template <> struct SumOf<bfloat16> { using type = float; };
template <typename T> using Sum = typename SumOf<T>::type;

// --- tensors and indices -----------------------------------------------------------------------

constexpr int kMaxRank = 8;

// A view: element i lies at data + sum(i * stride).
struct Tensor {
  void* data;
  int64 rank;
  int64 shape[kMaxRank];
  int64 stride[kMaxRank];
};

// a / b of numbers that are not negative: 32 bits are several times as fast where they do.
FN int64 divide(int64 a, int64 b) {
  if (((a | b) >> 32) == 0) return int64(uint32(a) / uint32(b));
  return a / b;
}

FN int64 smaller(int64 a, int64 b) { return a < b ? a : b; }

template <typename T> FN T load(const Tensor& tensor, int64 offset) {
  return static_cast<const T*>(tensor.data)[offset];
}

template <typename T> FN void store(const Tensor& tensor, int64 offset, T value) {
  static_cast<T*>(tensor.data)[offset] = value;
}

// Where the element with index i in the order of the shape lies; the same of others of that shape.
FN int64 offset_of(const Tensor& tensor, int64 i) {
  int64 offset = 0;
#pragma unroll
  for (int axis = kMaxRank - 1; axis >= 0; --axis) {
    if (axis >= tensor.rank) continue;
    const int64 rest = divide(i, tensor.shape[axis]);
    offset += (i - rest * tensor.shape[axis]) * tensor.stride[axis];
    i = rest;
  }
  return offset;
}

struct Offsets { int64 first, second; };

FN Offsets offsets_of(const Tensor& first, const Tensor& second, int64 i) {
  Offsets offsets = {0, 0};
#pragma unroll
  for (int axis = kMaxRank - 1; axis >= 0; --axis) {
    if (axis >= first.rank) continue;
    const int64 rest = divide(i, first.shape[axis]);
    const int64 at = i - rest * first.shape[axis];
    offsets.first += at * first.stride[axis];
    offsets.second += at * second.stride[axis];
    i = rest;
  }
  return offsets;
}

// --- entry points ------------------------------------------------------------------------------

template <typename Body> struct Arguments {
  Body body;
  int64 count;
};

#ifdef __CUDACC_RTC__
#define ENTRY(name, ...)                                                                     \
  extern "C" __global__ void __launch_bounds__(256)                                          \
      name(const __grid_constant__ Arguments<__VA_ARGS__> arguments) {                       \
    const int64 step = int64(gridDim.x) * blockDim.x;                                        \
    for (int64 i = int64(blockIdx.x) * blockDim.x + threadIdx.x; i < arguments.count; i += step) \
      arguments.body(i);                                                                     \
  }
#else
#define ENTRY(name, ...)                                                     \
  extern "C" void name(const Arguments<__VA_ARGS__>* arguments) {            \
    for (int64 i = 0; i < arguments->count; ++i) arguments->body(i);         \
  }
#endif
