// The outer IP header of a packet, as far as a socket needs it; and a header made anew where a socket keeps it back.
#pragma once
#include <netinet/in.h>

#include <cstring>

#include "checksum.h"

namespace esplane {

struct Outer {
  bool v6 = false;
  uint8_t protocol = 0;
  uint8_t tos = 0;         // traffic class
  uint32_t header = 0;     // bytes
  const uint8_t* dst = nullptr;
};

// Reads the header of packet[0..len). False when it is none, its length lies beyond the packet, or it has
// extensions or is a fragment.
inline bool read_outer(const uint8_t* p, size_t len, Outer* out) {
  if (len < 20) return false;
  if (p[0] >> 4 == 4) {
    out->v6 = false;
    out->header = (p[0] & 15) * 4;
    if (out->header < 20 || out->header > len) return false;
    out->protocol = p[9];
    out->tos = p[1];
    out->dst = p + 16;
    return true;
  }
  if (p[0] >> 4 != 6 || len < 40) return false;
  out->v6 = true;
  out->header = 40;
  out->protocol = p[6];
  out->tos = static_cast<uint8_t>(p[0] << 4 | p[1] >> 4);
  out->dst = p + 24;
  return true;
}

inline socklen_t to_sockaddr(const uint8_t* address, bool v6, uint16_t port, sockaddr_in6* to) {
  memset(to, 0, sizeof *to);
  if (v6) {
    to->sin6_family = AF_INET6;
    to->sin6_port = htons(port);
    memcpy(&to->sin6_addr, address, 16);
    return sizeof(sockaddr_in6);
  }
  sockaddr_in* v4 = reinterpret_cast<sockaddr_in*>(to);
  v4->sin_family = AF_INET;
  v4->sin_port = htons(port);
  memcpy(&v4->sin_addr, address, 4);
  return sizeof(sockaddr_in);
}

// Writes an IP header without options for `payload` bytes that follow. Returns its length.
inline uint32_t write_ip(uint8_t* p, bool v6, const uint8_t* src, const uint8_t* dst, uint8_t tos, uint8_t protocol,
                         uint8_t ttl, size_t payload) {
  if (v6) {
    p[0] = static_cast<uint8_t>(0x60 | tos >> 4);
    p[1] = static_cast<uint8_t>(tos << 4);
    p[2] = p[3] = 0;
    store16(p + 4, static_cast<uint32_t>(payload));
    p[6] = protocol;
    p[7] = ttl;
    memcpy(p + 8, src, 16);
    memcpy(p + 24, dst, 16);
    return 40;
  }
  p[0] = 0x45;
  p[1] = tos;
  store16(p + 2, static_cast<uint32_t>(20 + payload));
  p[4] = p[5] = 0;
  p[6] = 0x40;
  p[7] = 0;
  p[8] = ttl;
  p[9] = protocol;
  memcpy(p + 12, src, 4);
  memcpy(p + 16, dst, 4);
  fill_ipv4_checksum(p, 20);
  return 20;
}

}  // namespace esplane
