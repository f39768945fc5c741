#include "checksum.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace esplane {

namespace {

uint64_t sum_plain(const uint8_t* p, size_t len, uint64_t sum) { return sum_bytes(p, len, sum); }

uint64_t copy_plain(uint8_t* to, const uint8_t* p, size_t len, uint64_t sum) {
  memcpy(to, p, len);
  return sum_bytes(p, len, sum);
}

#if defined(__x86_64__)
// 64 bytes a turn: the even and the odd words of 32 bits are added up in lanes of 64.
template <bool kCopy>
__attribute__((target("avx2"))) uint64_t sum_avx2(uint8_t* to, const uint8_t* p, size_t len, uint64_t sum) {
  const __m256i low = _mm256_set1_epi64x(0xffffffff);
  __m256i even0 = _mm256_setzero_si256(), odd0 = even0, even1 = even0, odd1 = even0;
  for (; len >= 64; len -= 64, p += 64) {
    const __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    const __m256i b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32));
    if (kCopy) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), a);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 32), b);
      to += 64;
    }
    even0 = _mm256_add_epi64(even0, _mm256_and_si256(a, low));
    odd0 = _mm256_add_epi64(odd0, _mm256_srli_epi64(a, 32));
    even1 = _mm256_add_epi64(even1, _mm256_and_si256(b, low));
    odd1 = _mm256_add_epi64(odd1, _mm256_srli_epi64(b, 32));
  }
  alignas(32) uint64_t lanes[4];
  _mm256_store_si256(reinterpret_cast<__m256i*>(lanes),
                     _mm256_add_epi64(_mm256_add_epi64(even0, odd0), _mm256_add_epi64(even1, odd1)));
  sum += lanes[0] + lanes[1] + lanes[2] + lanes[3];
  return kCopy ? copy_plain(to, p, len, sum) : sum_bytes(p, len, sum);
}

uint64_t sum_wide(const uint8_t* p, size_t len, uint64_t sum) { return sum_avx2<false>(nullptr, p, len, sum); }

bool has_avx2() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") != 0;
}

const bool kWide = has_avx2();
const Sums kFast = kWide ? Sums{sum_wide, sum_avx2<true>} : Sums{sum_plain, copy_plain};
#else
const Sums kFast = {sum_plain, copy_plain};
#endif

const Sums kPlain = {sum_plain, copy_plain};

}  // namespace

const Sums& sums(bool plain) { return plain ? kPlain : kFast; }

}  // namespace esplane
