// Normalisation by the input's own statistics. See `rows.cuh` for axes and parts.
//
// The statistics of a part are its count, its mean, and the sum of squared differences from it. A
// part is read once, all values less its first one: as this is one of them, its distance from the
// mean is at most sqrt(count) deviations, so little cancels. Parts are joined by formulas (2.1) of
// T. Chan, G. Golub and R. LeVeque, Updating formulae and a pairwise algorithm for computing sample
// variances (1979); shifted data: the same, Algorithms for computing the sample variance, The
// American Statistician 37 (1983).
#pragma once
#include "maths.cuh"
#include "pack.cuh"
#include "rows.cuh"

struct Statistics { double count, mean, squares; };

FN Statistics joined(Statistics a, Statistics b) {
  const double count = a.count + b.count, difference = b.mean - a.mean, share = b.count / count;
  return {count, a.mean + difference * share,
          a.squares + b.squares + difference * difference * a.count * share};
}

FN Statistics load_statistics(const Tensor& tensor, int64 offset) {
  return {load<double>(tensor, offset), load<double>(tensor, offset + 1),
          load<double>(tensor, offset + 2)};
}

// With an `eps`, which ends the reduction, 1 / sqrt(variance + eps) in the place of the squares.
FN void store_statistics(const Tensor& tensor, int64 offset, Statistics it, double eps) {
  store(tensor, offset, it.count);
  store(tensor, offset + 1, it.mean);
  store(tensor, offset + 2, eps > 0 ? 1 / sqrt(it.squares / it.count + eps) : it.squares);
}

// Of elements: the target is (outer, parts, inner, 3).
template <typename T> struct Moments {
  Tensor target, source;
  double eps;

  FN void operator()(int64 i) const {
    const Row row = row_of(target, i);
    int64 from = offset_of(source, row);
    const double first = to<double>(load<T>(source, from));
    double count = 0, sum = 0, squares = 0;
    for (int64 term = row.middle; term < source.shape[1]; term += target.shape[1]) {
      const double value = to<double>(load<T>(source, from)) - first;
      count += 1;
      sum += value;
      squares += value * value;
      from += target.shape[1] * source.stride[1];
    }
    const double rest = squares - sum * (sum / count);
    const Statistics statistics = {count, first + sum / count, rest < 0 ? 0 : rest};
    store_statistics(target, offset_of(target, row), statistics, eps);
  }
};

// Of statistics of parts: both are (outer, parts, inner, 3).
template <typename T> struct JoinedMoments {
  Tensor target, source;
  double eps;

  FN void operator()(int64 i) const {
    const Row row = row_of(target, i);
    int64 from = offset_of(source, row);
    Statistics statistics = load_statistics(source, from);
    for (int64 term = row.middle + target.shape[1]; term < source.shape[1];
         term += target.shape[1]) {
      from += target.shape[1] * source.stride[1];
      statistics = joined(statistics, load_statistics(source, from));
    }
    store_statistics(target, offset_of(target, row), statistics, eps);
  }
};

// (x - mean) / sqrt(variance + eps), of kCount neighbours along the inner axis at once. `moments`
// are (outer, 1, groups, 3), and a group has so many `members` along the inner axis. The difference
// is made in double: a large mean has few digits behind the point in float32.
template <typename T, int kCount> struct NormaliseOf {
  using Values = Pack<T, kCount>;
  Tensor target, source, moments;
  int64 members;

  FN Row first_of(int64 i) const {
    const int64 packs = divide(target.shape[2], kCount), rest = divide(i, packs);
    const int64 outer = divide(rest, target.shape[1]);
    return {outer, rest - outer * target.shape[1], (i - rest * packs) * kCount};
  }

  // finish(value, row) is what is stored of each.
  template <typename Finish> FN void compute(int64 i, Finish finish) const {
    Row row = first_of(i);
    const int64 at = offset_of(target, row);
    const Values read = Values::at(source, offset_of(source, row));
    const int64 group = divide(row.inner, members);
    int64 member = row.inner - group * members;
    int64 from = row.outer * moments.stride[0] + group * moments.stride[2];
    Values made;
#pragma unroll
    for (int each = 0; each < kCount; ++each) {
      const double x = to<double>(read.value[each]);
      const Sum<T> difference = Sum<T>(x - load<double>(moments, from + 1));
      const Sum<T> value = difference * Sum<T>(load<double>(moments, from + 2));
      made.value[each] = to<T>(finish(value, row));
      ++row.inner;
      if (++member < members) continue;
      member = 0;
      from += moments.stride[2];
    }
    *reinterpret_cast<Values*>(static_cast<T*>(target.data) + at) = made;
  }

  FN void operator()(int64 i) const {
    compute(i, [](Sum<T> value, const Row&) { return value; });
  }
};

// The same, times `weight`, plus `bias`: both of the type of sums, and of the target's shape.
template <typename T, int kCount> struct NormaliseAffineOf {
  NormaliseOf<T, kCount> plain;
  Tensor weight, bias;

  FN void operator()(int64 i) const {
    plain.compute(i, [&](Sum<T> value, const Row& row) {
      const Sum<T> factor = load<Sum<T>>(weight, offset_of(weight, row));
      return value * factor + load<Sum<T>>(bias, offset_of(bias, row));
    });
  }
};

template <typename T> using Normalise = NormaliseOf<T, 1>;
template <typename T> using NormaliseAffine = NormaliseAffineOf<T, 1>;
template <typename T> using PackedNormalise = NormaliseOf<T, 16 / sizeof(T)>;
template <typename T> using PackedNormaliseAffine = NormaliseAffineOf<T, 16 / sizeof(T)>;

// x / (k + share * sum(x^2))^beta: the sum is over the channels, along the middle axis, from
// `before` before each one to `after` behind it.
template <typename T> struct LocalResponseNorm {
  Tensor target, source;
  int64 before, after;
  double share, k, beta;

  FN void operator()(int64 i) const {
    const Row row = row_of(target, i);
    const int64 centre = offset_of(source, row), stride = source.stride[1];
    const int64 first = row.middle < before ? -row.middle : -before;
    const int64 room = source.shape[1] - 1 - row.middle, last = room < after ? room : after;
    Sum<T> sum = 0;
    for (int64 shift = first; shift <= last; ++shift) {
      const Sum<T> value = to<Sum<T>>(load<T>(source, centre + shift * stride));
      sum += value * value;
    }
    const Sum<T> divisor = maths::power(Sum<T>(k) + Sum<T>(share) * sum, Sum<T>(beta));
    const Sum<T> x = to<Sum<T>>(load<T>(source, centre));
    store(target, offset_of(target, row), to<T>(x / divisor));
  }
};
