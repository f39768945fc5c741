// ESP (RFC 3948) or VXLAN in UDP: a batch leaves in few system calls (UDP_SEGMENT) and comes in as few (UDP_GRO). The
// kernel makes and takes the IP and UDP headers; what JavaScript sees has them.
#include <fcntl.h>
#include <napi.h>
#include <netinet/udp.h>
#include <unistd.h>

#include "outer.h"
#include "parts.h"
#include "sending.h"
#include "view.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#define UDP_GRO 104
#endif

namespace esplane {

namespace {

constexpr uint32_t kMostSegments = 64;     // of one UDP_SEGMENT message (UDP_MAX_SEGMENTS)
constexpr uint32_t kMostPayload = 65000;   // stays below what fits an IP packet
constexpr uint32_t kMostMessages = 128;
constexpr uint32_t kUdpHeader = 8;
constexpr size_t kControl = 64;

// udpSend(fd, slab, tables, count, next, port, mtu, segment, result): sends every packet that goes there (`next`) and that is
// UDP from `port`, to where its own headers say.
napi_value udp_send(napi_env env, napi_callback_info info) {
  size_t argc = 9;
  napi_value argv[9];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  const int fd = i32_of(env, argv[0]);
  const Batch batch = batch_of(env, argv[1], argv[2]);
  const uint32_t count = u32_of(env, argv[3]);
  const int32_t next = i32_of(env, argv[4]);
  const uint32_t port = u32_of(env, argv[5]);
  const uint32_t mtu = u32_of(env, argv[6]);
  const bool may_segment = i32_of(env, argv[7]) != 0;
  const Bytes result = bytes_of(env, argv[8]);
  if (count > batch.capacity || result.len < sizeof(Sent)) return number(env, -EINVAL);
  Sent* sent = reinterpret_cast<Sent*>(result.at);
  memset(sent, 0, sizeof *sent);

  struct Message {
    sockaddr_in6 to;
    alignas(cmsghdr) uint8_t control[kControl];
    uint32_t size;       // payload of every packet but the last
    uint32_t payload;    // of all
    uint8_t tos;
    bool open;
  };
  static thread_local Message messages[kMostMessages];
  static thread_local mmsghdr headers[kMostMessages];
  static thread_local Parcel parcels[kMostMessages];
  static thread_local iovec parts[1024];
  uint32_t used = 0, used_parts = 0;

  const auto flush = [&] {
    for (uint32_t m = 0; m < used; m++) {
      msghdr& h = headers[m].msg_hdr;
      Message& message = messages[m];
      h.msg_control = nullptr;
      h.msg_controllen = 0;
      size_t at = 0;
      const auto add_control = [&](int level, int type, const void* value, size_t len) {
        cmsghdr* c = reinterpret_cast<cmsghdr*>(message.control + at);
        c->cmsg_level = level;
        c->cmsg_type = type;
        c->cmsg_len = CMSG_LEN(len);
        memcpy(CMSG_DATA(c), value, len);
        at += CMSG_SPACE(len);
      };
      if (parcels[m].packets > 1) {
        const uint16_t size = static_cast<uint16_t>(message.size);
        add_control(SOL_UDP, UDP_SEGMENT, &size, sizeof size);
      }
      if (message.tos != 0) {
        const int tos = message.tos;
        if (message.to.sin6_family == AF_INET6)
          add_control(IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof tos);
        else
          add_control(IPPROTO_IP, IP_TOS, &tos, sizeof tos);
      }
      if (at > 0) {
        h.msg_control = message.control;
        h.msg_controllen = at;
      }
    }
    send_all(fd, headers, parcels, used, sent);
    used = used_parts = 0;
  };

  for (uint32_t i = 0; i < count; i++) {
    if (batch.next[i] != next) continue;
    Outer outer;
    const uint8_t* packet = batch.slab + batch.offset[i];
    if (!batch.holds(i) || !read_outer(packet, batch.length[i], &outer) || outer.protocol != IPPROTO_UDP ||
        outer.header + kUdpHeader > batch.length[i] || load16(packet + outer.header) != port ||
        (!outer.v6 && (load16(packet + 6) & 0x3fff) != 0)) {
      sent->failed++;
      continue;
    }
    // The kernel cuts a datagram that is too long for the path, where its header allows it; one by itself, then.
    const bool is_long = batch.length[i] > mtu;
    if (is_long && (outer.v6 || (packet[6] & 0x40) != 0)) {
      sent->too_big++;
      continue;
    }
    const uint32_t skip = outer.header + kUdpHeader;
    const uint32_t payload = batch.length[i] - skip;
    sockaddr_in6 to;
    const socklen_t to_len = to_sockaddr(outer.dst, outer.v6, load16(packet + outer.header + 2), &to);
    if (used > 0) {
      Message& last = messages[used - 1];
      if (last.open && !is_long && payload <= last.size && payload > 0 && last.tos == outer.tos &&
          parcels[used - 1].packets < kMostSegments && last.payload + payload <= kMostPayload &&
          used_parts < sizeof parts / sizeof *parts && memcmp(&last.to, &to, sizeof to) == 0) {
        parts[used_parts++] = {const_cast<uint8_t*>(packet) + skip, payload};
        headers[used - 1].msg_hdr.msg_iovlen++;
        last.payload += payload;
        last.open = payload == last.size;
        parcels[used - 1].packets++;
        parcels[used - 1].bytes += batch.length[i];
        continue;
      }
    }
    if (used == kMostMessages || used_parts == sizeof parts / sizeof *parts) flush();
    Message& message = messages[used];
    message.to = to;
    message.size = message.payload = payload;
    message.tos = outer.tos;
    message.open = may_segment && !is_long && payload > 0;
    parts[used_parts] = {const_cast<uint8_t*>(packet) + skip, payload};
    msghdr& h = headers[used].msg_hdr;
    memset(&h, 0, sizeof h);
    h.msg_name = &message.to;
    h.msg_namelen = to_len;
    h.msg_iov = &parts[used_parts++];
    h.msg_iovlen = 1;
    parcels[used] = {1, batch.length[i]};
    used++;
  }
  flush();
  return number(env, static_cast<int32_t>(sent->packets));
}

// What a receiver remembers between calls, at the start of its scratch buffer; the datagrams that are not in slots
// yet follow.
struct Receiver {
  uint32_t len;       // bytes that were received in one go; 0 when nothing is left over
  uint32_t done;      // of them in slots
  uint32_t size;      // of each datagram but the last
  uint32_t tos;
  uint32_t ignored;   // since the last call: keepalives, IKE, what does not fit
  uint32_t bytes;     // put into slots by the last call, headers included
  uint32_t port;      // of the sender
  uint32_t expected;  // size of the datagrams that came merged last: what comes next is received right into slots
  uint8_t from[16];
};
constexpr size_t kScratchHead = 64;
// The largest run of datagrams.
constexpr size_t kRoom = 0x10000;
static_assert(sizeof(Receiver) <= kScratchHead, "room for it");

// Is this UDP payload ESP? Keepalives are one byte of ones, IKE begins with four zero bytes (RFC 3948 §2.2, §2.3).
bool is_esp(const uint8_t* p, size_t len) { return len >= 8 && load32(p) != 0; }

// Receives one message: `most` slots from `first` on get `r->expected` bytes each, behind the headers that are still to
// be written; what is longer than all of them goes to `data`. Without an expectation all of it does.
// Returns what recvmsg returned, and how many bytes lie in slots.
ssize_t receive(int fd, const Batch& batch, uint32_t first, uint32_t most, uint32_t headroom, Receiver* r, uint8_t* data,
                size_t room, bool v6, uint32_t* in_slots) {
  sockaddr_in6 from;
  alignas(cmsghdr) uint8_t control[128];
  iovec parts[kMostSegments + 1];
  uint32_t n_parts = 0;
  if (r->expected > 0 && headroom + r->expected <= batch.slot()) {
    for (; n_parts < most && n_parts < kMostSegments; n_parts++)
      parts[n_parts] = {batch.slab + (first + n_parts) * batch.slot() + headroom, r->expected};
  }
  const size_t slots_len = static_cast<size_t>(n_parts) * r->expected;
  parts[n_parts++] = {data, room};
  msghdr h;
  memset(&h, 0, sizeof h);
  h.msg_name = &from;
  h.msg_namelen = sizeof from;
  h.msg_iov = parts;
  h.msg_iovlen = n_parts;
  h.msg_control = control;
  h.msg_controllen = sizeof control;
  const ssize_t n = recvmsg(fd, &h, 0);
  if (n < 0) return n;
  if ((h.msg_flags & MSG_TRUNC) != 0) return 0;
  *in_slots = static_cast<uint32_t>(static_cast<size_t>(n) < slots_len ? static_cast<size_t>(n) : slots_len);
  r->size = static_cast<uint32_t>(n);
  r->tos = 0;
  for (cmsghdr* c = CMSG_FIRSTHDR(&h); c != nullptr; c = CMSG_NXTHDR(&h, c)) {
    if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
      int size;
      memcpy(&size, CMSG_DATA(c), sizeof size);
      if (size > 0) r->size = static_cast<uint32_t>(size);
    } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
      r->tos = *CMSG_DATA(c);
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) {
      int tclass;
      memcpy(&tclass, CMSG_DATA(c), sizeof tclass);
      r->tos = static_cast<uint32_t>(tclass);
    }
  }
  if (v6) {
    r->port = ntohs(from.sin6_port);
    memcpy(r->from, &from.sin6_addr, 16);
  } else {
    const sockaddr_in* v4 = reinterpret_cast<const sockaddr_in*>(&from);
    r->port = ntohs(v4->sin_port);
    memcpy(r->from, &v4->sin_addr, 4);
  }
  return n;
}

// udpReceive(fd, slab, tables, headroom, address, port, scratch, all): reads until nothing waits or the batch is well
// filled. `address` and `port` are our own. Without `all` keepalives and IKE are ignored. Returns how many packets
// are in the batch, or -errno without any.
napi_value udp_receive(napi_env env, napi_callback_info info) {
  size_t argc = 8;
  napi_value argv[8];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  const int fd = i32_of(env, argv[0]);
  Batch batch = batch_of(env, argv[1], argv[2]);
  const uint32_t headroom = u32_of(env, argv[3]);
  const Bytes address = bytes_of(env, argv[4]);
  const uint32_t port = u32_of(env, argv[5]);
  const Bytes scratch = bytes_of(env, argv[6]);
  const bool all = i32_of(env, argv[7]) != 0;
  const bool v6 = address.len == 16;
  const uint32_t head = (v6 ? 40 : 20) + kUdpHeader;
  if (batch.capacity == 0 || scratch.len < kScratchHead + 2 * kRoom || headroom < head || (!v6 && address.len != 4))
    return number(env, -EINVAL);
  Receiver* r = reinterpret_cast<Receiver*>(scratch.at);
  // Left over from the call before, or gathered; and where a message goes that has no slots.
  uint8_t* data = scratch.at + kScratchHead;
  uint8_t* tail = data + kRoom;
  const size_t slot = batch.slot();
  r->ignored = r->bytes = 0;
  uint32_t count = 0;
  const auto in_slot = [&](uint32_t i) { return batch.slab + i * slot + headroom; };
  const auto is_wanted = [&](const uint8_t* p, size_t len) { return all || is_esp(p, len); };
  // Makes the `n` bytes of payload that lie in slot `count` a packet.
  const auto add_packet = [&](uint32_t n) {
    const size_t at = count * slot + headroom - head;
    uint8_t* p = batch.slab + at;
    const uint32_t ip = write_ip(p, v6, r->from, address.at, static_cast<uint8_t>(r->tos), IPPROTO_UDP, 64,
                                 kUdpHeader + n);
    store16(p + ip, r->port);
    store16(p + ip + 2, port);
    store16(p + ip + 4, kUdpHeader + n);
    // No checksum: the kernel has looked at it.
    store16(p + ip + 6, 0);
    batch.put(count, at, head + n);
    r->bytes += head + n;
    count++;
  };
  const uint32_t enough = batch.capacity >= 64 ? batch.capacity - 47 : batch.capacity;
  while (count < enough) {
    if (r->len == 0) {
      uint32_t in_slots = 0;
      const uint32_t expected = r->expected;
      const ssize_t n = receive(fd, batch, count, batch.capacity - count, headroom, r, tail, kRoom, v6, &in_slots);
      if (n < 0) {
        if (errno == EINTR) continue;
        if (is_told_by_icmp(errno)) continue;
        if (count > 0) break;
        return number(env, -errno);
      }
      if (n == 0) {
        r->ignored++;
        continue;
      }
      const uint32_t len = static_cast<uint32_t>(n);
      if (r->size < len) r->expected = r->size;
      if (in_slots == len && (r->size == expected || (r->size == len && len <= expected))) {
        // As expected: every datagram lies in a slot of its own. What is not wanted is stepped over, so the slots
        // behind it move up by one.
        const uint32_t first = count;
        for (uint32_t done = 0, k = 0; done < len; k++) {
          const uint32_t size = len - done < r->size ? len - done : r->size;
          done += size;
          if (!is_wanted(in_slot(first + k), size)) {
            r->ignored++;
            continue;
          }
          if (first + k != count) memcpy(in_slot(count), in_slot(first + k), size);
          add_packet(size);
        }
        continue;
      }
      // Another size than expected, or more than there are slots: one run of bytes again.
      for (uint32_t at = 0, k = 0; at < in_slots; k++) {
        const uint32_t size = in_slots - at < expected ? in_slots - at : expected;
        memcpy(data + at, in_slot(count + k), size);
        at += size;
      }
      memcpy(data + in_slots, tail, len - in_slots);
      r->len = len;
      r->done = 0;
    }
    while (r->done < r->len && count < batch.capacity) {
      const uint32_t n = r->len - r->done < r->size ? r->len - r->done : r->size;
      const uint8_t* payload = data + r->done;
      r->done += n;
      if (!is_wanted(payload, n) || headroom + n > slot) {
        r->ignored++;
        continue;
      }
      memcpy(in_slot(count), payload, n);
      add_packet(n);
    }
    if (r->done < r->len) break;
    r->len = 0;
  }
  return number(env, static_cast<int32_t>(count));
}

}  // namespace

void add_udp(Napi::Env env, Napi::Object exports) {
  add(env, exports, "udpSend", udp_send);
  add(env, exports, "udpReceive", udp_receive);
}

}  // namespace esplane
