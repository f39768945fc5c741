// Splits the super-packets that a TUN device hands over (TSO, USO) into packets of their own, in batch slots.
#pragma once
#include <cstddef>
#include <cstdint>

#include "view.h"

namespace esplane {

// struct virtio_net_hdr, as it stands before every packet (virtio 1.2 §5.1.6, little endian).
struct VnetHeader {
  uint8_t flags;
  uint8_t gso_type;
  uint16_t hdr_len;
  uint16_t gso_size;
  uint16_t csum_start;
  uint16_t csum_offset;
};
static_assert(sizeof(VnetHeader) == 10, "as on the wire");

constexpr uint8_t kNeedsCsum = 1;
constexpr uint8_t kGsoNone = 0, kGsoTcp4 = 1, kGsoTcp6 = 4, kGsoUdpL4 = 5, kGsoEcn = 0x80;

constexpr int kTooLong = -2;

// Splits packet[0..len) behind `header` into slots from batch slot `count` on.
// `done` is how much of the payload earlier calls have put into slots; it grows. Returns the new count, and sets
// `finished` when the whole packet is in slots. Returns -1 when the packet makes no sense, kTooLong when it, or a segment
// of it, is longer than a slot.
int segment(const VnetHeader& header, const uint8_t* packet, size_t len, Batch& batch, uint32_t count,
            uint32_t headroom, uint32_t* done, bool* finished);

}  // namespace esplane
