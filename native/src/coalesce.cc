#include "coalesce.h"

#include <cstring>

#include "checksum.h"

namespace esplane {

namespace {

constexpr uint8_t kTcp = 6, kUdp = 17;
constexpr uint32_t kUdpHeader = 8;
constexpr uint8_t kPsh = 0x08, kAck = 0x10, kEce = 0x40;

uint32_t ip_length(const Group& group) { return group.v6 ? 40 : 20; }

}  // namespace

Segment look_at(const uint8_t* at, uint32_t len, bool udp) {
  Segment s = {at, len, 0, 0, 0, 0, false, false, false, false};
  if (len < 20) return s;
  s.v6 = at[0] >> 4 == 6;
  const uint32_t ip_len = s.v6 ? 40 : 20;
  if ((!s.v6 && at[0] != 0x45) || len < ip_len + kUdpHeader) return s;
  if (s.v6 ? load16(at + 4) != len - 40 : load16(at + 2) != len) return s;
  const uint8_t protocol = at[s.v6 ? 6 : 9];
  s.udp = protocol == kUdp && udp;
  if (!s.udp && protocol != kTcp) return s;
  s.same_flow_matters = true;
  // No fragments, and none of the reserved bit.
  if (!s.v6 && (load16(at + 6) & 0xbfff) != 0) return s;
  const uint8_t* l4 = at + ip_len;
  const uint32_t l4_len = len - ip_len;
  if (s.udp) {
    if (load16(l4 + 4) != l4_len) return s;
    s.head = ip_len + kUdpHeader;
  } else {
    if (l4_len < 20) return s;
    const uint32_t tcp_len = (l4[12] >> 4) * 4;
    if (tcp_len < 20 || tcp_len > l4_len) return s;
    s.head = ip_len + tcp_len;
    s.seq = load32(l4 + 4);
    s.flags = l4[13];
  }
  s.payload = len - s.head;
  if (s.payload == 0) return s;
  // TCP that carries data in the middle of a connection: CWR starts nothing and ends nothing. UDP with a checksum: what has none
  // would get one.
  if (s.udp ? load16(l4 + 6) == 0 : (s.flags & ~(kPsh | kEce)) != kAck) return s;
  // The kernel takes a merged packet's checksum for good, so each segment's must be.
  s.mergeable = fold(sums().sum(l4, l4_len, pseudo_sum(at, s.v6, protocol, l4_len))) == 0xffff;
  return s;
}

bool same_flow(const uint8_t* a, const uint8_t* b, bool v6, uint32_t ip_len) {
  if ((b[0] >> 4 == 6) != v6) return false;
  const bool addresses = v6 ? memcmp(a + 8, b + 8, 32) == 0 : memcmp(a + 12, b + 12, 8) == 0;
  return addresses && memcmp(a + ip_len, b + ip_len, 4) == 0;
}

bool goes_on(const Batch& batch, const Group& group, const Segment& s) {
  if (!group.open || group.count == kMostSegments || s.v6 != group.v6 || s.udp != group.udp) return false;
  if (s.head != group.head || s.payload > group.size || (!s.udp && s.seq != group.next_seq)) return false;
  if (group.head + group.payload + s.payload > 0xffff) return false;
  const uint8_t* first = batch.slab + batch.offset[group.packets[0]];
  const uint32_t ip_len = ip_length(group);
  if (!same_flow(first, s.at, group.v6, ip_len)) return false;
  if (group.v6) {
    // Version, traffic class (with ECN), flow label; next header and hop limit.
    if (memcmp(first, s.at, 4) != 0 || memcmp(first + 6, s.at + 6, 2) != 0) return false;
  } else {
    if (first[1] != s.at[1] || first[6] != s.at[6] || first[8] != s.at[8]) return false;
    // The kernel gives the pieces consecutive ids when it splits the packet again. With DF a fixed id will do.
    const uint16_t id = load16(first + 4);
    const uint16_t want = static_cast<uint16_t>(id + group.count);
    const uint16_t is = load16(s.at + 4);
    if (is != want && !((first[6] & 0x40) != 0 && is == id && id == 0)) return false;
  }
  if (s.udp) return true;
  const uint8_t* a = first + ip_len;
  const uint8_t* b = s.at + ip_len;
  // Acknowledgement, data offset, flags but PSH, window; then all options. Urgent pointer: URG is never merged.
  if (memcmp(a + 8, b + 8, 5) != 0 || memcmp(a + 14, b + 14, 2) != 0) return false;
  if (((a[13] ^ b[13]) & ~kPsh) != 0) return false;
  return memcmp(a + 20, b + 20, group.head - ip_len - 20) == 0;
}

void start(Group& group, uint32_t packet, const Segment& s) {
  group.packets[0] = packet;
  group.count = 1;
  group.head = s.head;
  group.size = s.payload;
  group.payload = s.payload;
  group.next_seq = s.seq + s.payload;
  group.v6 = s.v6;
  group.udp = s.udp;
  group.open = s.mergeable && (s.flags & kPsh) == 0;
}

void append(Group& group, uint32_t packet, const Segment& s) {
  group.packets[group.count++] = packet;
  group.payload += s.payload;
  group.next_seq = s.seq + s.payload;
  // A shorter segment, or one to be pushed, is the last.
  group.open = s.payload == group.size && (s.flags & kPsh) == 0;
}

void merged_header(const Batch& batch, const Group& group, uint8_t* header, VnetHeader* vnet) {
  const uint8_t* first = batch.slab + batch.offset[group.packets[0]];
  const uint8_t* last = batch.slab + batch.offset[group.packets[group.count - 1]];
  const uint32_t ip_len = ip_length(group);
  memcpy(header, first, group.head);
  const uint32_t total = group.head + group.payload;
  if (group.v6) {
    store16(header + 4, total - 40);
  } else {
    store16(header + 2, total);
    fill_ipv4_checksum(header, ip_len);
  }
  uint8_t* l4 = header + ip_len;
  if (group.udp)
    store16(l4 + 4, total - ip_len);
  else
    l4[13] = static_cast<uint8_t>(l4[13] | (last[ip_len + 13] & kPsh));
  const uint32_t sum_at = group.udp ? 6 : 16;
  // The pseudo-header's sum, not complemented: the code that splits or reads the packet goes on from there.
  store16(l4 + sum_at, fold(pseudo_sum(header, group.v6, group.udp ? kUdp : kTcp, total - ip_len)));
  vnet->flags = kNeedsCsum;
  vnet->gso_type = group.udp ? kGsoUdpL4 : group.v6 ? kGsoTcp6 : kGsoTcp4;
  vnet->hdr_len = static_cast<uint16_t>(group.head);
  vnet->gso_size = static_cast<uint16_t>(group.size);
  vnet->csum_start = static_cast<uint16_t>(ip_len);
  vnet->csum_offset = static_cast<uint16_t>(sum_at);
}

}  // namespace esplane
