// Merges TCP segments and UDP datagrams of one flow back into super-packets, as the kernel's GRO does, without moving their
// bytes.
#pragma once
#include <cstddef>
#include <cstdint>

#include "segment.h"
#include "view.h"

namespace esplane {

// Most segments of one super-packet: its vectors go out in one writev.
constexpr uint32_t kMostSegments = 64;
// Flows that are merged side by side.
constexpr uint32_t kMostGroups = 8;
// IPv4 or IPv6 header without options, TCP header with all options: the longer one, UDP has 8 bytes.
constexpr size_t kMostHeader = 40 + 60;

// Segments that follow each other.
struct Group {
  uint32_t packets[kMostSegments];
  uint32_t count = 0;
  uint32_t head = 0;      // bytes of IP and TCP or UDP header, in every segment
  uint32_t size = 0;      // payload bytes of every segment but the last
  uint32_t payload = 0;   // of all
  uint32_t next_seq = 0;  // TCP's
  bool v6 = false;
  bool udp = false;
  bool open = false;      // may it grow?
};

// What one packet is, as far as merging goes.
struct Segment {
  const uint8_t* at;
  uint32_t len;
  uint32_t head;
  uint32_t payload;
  uint32_t seq;     // TCP's, as the flags are
  uint8_t flags;
  bool v6;
  bool udp;
  bool mergeable;   // TCP or UDP with data, a good checksum, and nothing special
  bool same_flow_matters;  // TCP or UDP at all: it must not overtake its flow
};

// `udp`: whether datagrams may be merged; if not, nothing is said of them.
Segment look_at(const uint8_t* at, uint32_t len, bool udp);
bool same_flow(const uint8_t* a, const uint8_t* b, bool v6, uint32_t ip_len);
// Does `s` go on where the group ends, with the same headers?
bool goes_on(const Batch& batch, const Group& group, const Segment& s);
void start(Group& group, uint32_t packet, const Segment& s);
void append(Group& group, uint32_t packet, const Segment& s);
// Writes header and virtio header of the merged packet; the first segment's bytes are not touched.
void merged_header(const Batch& batch, const Group& group, uint8_t* header, VnetHeader* vnet);

}  // namespace esplane
