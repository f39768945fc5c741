// The Internet checksum (RFC 1071) over long runs: 64-bit sums of 32-bit words, folded at the end.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace esplane {

inline uint16_t load16(const uint8_t* p) { return static_cast<uint16_t>(p[0] << 8 | p[1]); }
inline uint32_t load32(const uint8_t* p) {
  return static_cast<uint32_t>(p[0]) << 24 | p[1] << 16 | p[2] << 8 | p[3];
}
inline void store16(uint8_t* p, uint32_t n) {
  p[0] = static_cast<uint8_t>(n >> 8);
  p[1] = static_cast<uint8_t>(n);
}
inline void store32(uint8_t* p, uint32_t n) {
  store16(p, n >> 16);
  store16(p + 2, n);
}

// Sums `len` bytes as 16-bit words in the host's order; an odd last byte counts as if a zero followed. The sum of
// two runs is the sum of both as long as the first has an even length.
inline uint64_t sum_bytes(const uint8_t* p, size_t len, uint64_t sum = 0) {
  // Four sums side by side, so that the compiler can use vector registers.
  uint64_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
  for (; len >= 32; len -= 32, p += 32) {
    uint32_t w[8];
    memcpy(w, p, 32);
    s0 += static_cast<uint64_t>(w[0]) + w[4];
    s1 += static_cast<uint64_t>(w[1]) + w[5];
    s2 += static_cast<uint64_t>(w[2]) + w[6];
    s3 += static_cast<uint64_t>(w[3]) + w[7];
  }
  sum += s0 + s1 + s2 + s3;
  for (; len >= 4; len -= 4, p += 4) {
    uint32_t w;
    memcpy(&w, p, 4);
    sum += w;
  }
  if (len >= 2) {
    uint16_t w;
    memcpy(&w, p, 2);
    sum += w;
    p += 2;
    len -= 2;
  }
  if (len == 1) {
    uint16_t w = 0;
    memcpy(&w, p, 1);
    sum += w;
  }
  return sum;
}

// The same for long runs, with AVX2 where this CPU has it: `sum` adds up, `copy` puts the bytes at `to` on the way. They must not
// overlap.
struct Sums {
  uint64_t (*sum)(const uint8_t* p, size_t len, uint64_t sum);
  uint64_t (*copy)(uint8_t* to, const uint8_t* p, size_t len, uint64_t sum);
};
// The quickest that runs here, or the plain loop, for tests.
const Sums& sums(bool plain = false);

// Folds a sum of `sum_bytes` to the 16 bits that stand in a header, in network order as a number.
inline uint16_t fold(uint64_t sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  const uint16_t host = static_cast<uint16_t>(sum);
  return load16(reinterpret_cast<const uint8_t*>(&host));
}

// The sum of a TCP or UDP pseudo-header (RFC 9293 §3.1, RFC 8200 §8.1): addresses, length, protocol.
inline uint64_t pseudo_sum(const uint8_t* ip, bool v6, uint8_t protocol, size_t l4_len) {
  const uint64_t addresses = v6 ? sum_bytes(ip + 8, 32) : sum_bytes(ip + 12, 8);
  uint8_t rest[8] = {0};
  store32(rest, static_cast<uint32_t>(l4_len));
  rest[7] = protocol;
  return sum_bytes(rest, sizeof rest, addresses);
}

inline void fill_ipv4_checksum(uint8_t* ip, size_t len) {
  ip[10] = ip[11] = 0;
  store16(ip + 10, static_cast<uint16_t>(~fold(sum_bytes(ip, len))));
}

}  // namespace esplane
