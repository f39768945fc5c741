#include "segment.h"

#include <cstring>

#include "checksum.h"

namespace esplane {

namespace {

constexpr uint8_t kTcp = 6, kUdp = 17;
constexpr uint8_t kFin = 0x01, kPsh = 0x08, kCwr = 0x80;

// Takes a slot for `len` bytes, as Batch.reserve does. Returns where the packet goes, or nullptr.
uint8_t* reserve(Batch& batch, uint32_t slot, uint32_t headroom, size_t len) {
  const size_t size = batch.slot();
  if (slot >= batch.capacity || headroom + len + batch.tailroom > size) return nullptr;
  const size_t at = slot * size + headroom;
  batch.put(slot, at, len);
  return batch.slab + at;
}

// A packet as it is, with its checksum completed where that was left to the device.
int copy_one(const VnetHeader& header, const uint8_t* packet, size_t len, Batch& batch, uint32_t count,
             uint32_t headroom) {
  uint8_t* to = reserve(batch, count, headroom, len);
  if (to == nullptr) return kTooLong;
  if ((header.flags & kNeedsCsum) == 0) {
    memcpy(to, packet, len);
    return static_cast<int>(count + 1);
  }
  const size_t start = header.csum_start;
  const size_t field = start + header.csum_offset;
  if (start > len || field + 2 > len) return -1;
  memcpy(to, packet, start);
  uint16_t sum = static_cast<uint16_t>(~fold(sums().copy(to + start, packet + start, len - start, 0)));
  // UDP writes a sum of zero as all ones: zero means none (RFC 768).
  if (sum == 0 && header.csum_offset == 6) sum = 0xffff;
  store16(to + field, sum);
  return static_cast<int>(count + 1);
}

}  // namespace

int segment(const VnetHeader& header, const uint8_t* packet, size_t len, Batch& batch, uint32_t count,
            uint32_t headroom, uint32_t* done, bool* finished) {
  *finished = true;
  const uint8_t type = header.gso_type & static_cast<uint8_t>(~kGsoEcn);
  if (len < 20) return -1;
  if (type == kGsoNone) return copy_one(header, packet, len, batch, count, headroom);

  const bool v6 = packet[0] >> 4 == 6;
  const bool is_tcp = type == kGsoTcp4 || type == kGsoTcp6;
  if (!is_tcp && type != kGsoUdpL4) return -1;
  if (is_tcp && v6 != (type == kGsoTcp6)) return -1;
  if (!v6 && packet[0] >> 4 != 4) return -1;
  const size_t ip_len = v6 ? 40 : (packet[0] & 15) * 4;
  const size_t l4 = header.csum_start;
  if (ip_len < 20 || l4 < ip_len || l4 + (is_tcp ? 20 : 8) > len) return -1;
  const size_t l4_len = is_tcp ? (packet[l4 + 12] >> 4) * 4 : 8;
  const size_t head = l4 + l4_len;
  if (l4_len < (is_tcp ? 20u : 8u) || head > len) return -1;
  const size_t size = header.gso_size;
  const size_t payload = len - head;
  if (size == 0 || head + size > 0xffff) return -1;
  if (payload == 0) return copy_one(header, packet, len, batch, count, headroom);

  const uint8_t protocol = is_tcp ? kTcp : kUdp;
  uint64_t addresses = 0;
  {
    // Without length: that is each segment's own.
    uint8_t tail[2] = {0, protocol};
    addresses = sum_bytes(tail, 2, v6 ? sum_bytes(packet + 8, 32) : sum_bytes(packet + 12, 8));
  }
  const uint16_t id = v6 ? 0 : load16(packet + 4);
  const uint32_t seq = is_tcp ? load32(packet + l4 + 4) : 0;
  const uint8_t flags = is_tcp ? packet[l4 + 13] : 0;

  while (*done < payload) {
    const size_t at = *done;
    const size_t n = payload - at < size ? payload - at : size;
    const size_t total = head + n;
    if (count >= batch.capacity) {
      *finished = false;
      return static_cast<int>(count);
    }
    uint8_t* to = reserve(batch, count, headroom, total);
    if (to == nullptr) return kTooLong;
    memcpy(to, packet, head);
    // Headers have an even length, so that both sums are of whole words.
    const uint64_t data = sums().copy(to + head, packet + head + at, n, addresses);
    if (v6) {
      store16(to + 4, static_cast<uint32_t>(total - 40));
    } else {
      store16(to + 2, static_cast<uint32_t>(total));
      store16(to + 4, id + static_cast<uint32_t>(at / size));
      fill_ipv4_checksum(to, ip_len);
    }
    uint8_t length_word[2];
    store16(length_word, static_cast<uint32_t>(l4_len + n));
    uint8_t* l4_at = to + l4;
    uint8_t* sum_at;
    if (is_tcp) {
      store32(l4_at + 4, seq + static_cast<uint32_t>(at));
      uint8_t f = flags;
      if (at + n < payload) f &= static_cast<uint8_t>(~(kFin | kPsh));
      if (at > 0) f &= static_cast<uint8_t>(~kCwr);
      l4_at[13] = f;
      sum_at = l4_at + 16;
    } else {
      store16(l4_at + 4, static_cast<uint32_t>(l4_len + n));
      sum_at = l4_at + 6;
    }
    sum_at[0] = sum_at[1] = 0;
    const uint64_t sum = sum_bytes(length_word, 2, data);
    uint16_t check = static_cast<uint16_t>(~fold(sum_bytes(l4_at, l4_len, sum)));
    if (check == 0 && !is_tcp) check = 0xffff;
    store16(sum_at, check);
    count++;
    *done = static_cast<uint32_t>(at + n);
  }
  return static_cast<int>(count);
}

}  // namespace esplane
