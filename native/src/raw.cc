// ESP right in IP, over raw sockets: a batch in one sendmmsg, and one in one recvmmsg, straight into the slots.
#include <napi.h>
#include <time.h>
#include <unistd.h>

#include "outer.h"
#include "parts.h"
#include "sending.h"
#include "view.h"

namespace esplane {

namespace {

constexpr uint32_t kMostMessages = 256;
// With fewer packets than this in one call, more are about to come when traffic is dense.
constexpr uint32_t kFewPackets = 16;
// Fewer than these in the call before: traffic is sparse, and nothing waits.
constexpr uint32_t kDensePackets = 4;

// rawSend(fd, slab, tables, count, next, mtu, headerIncluded, result): sends every packet that goes there (`next`), to where its
// own header says.
napi_value raw_send(napi_env env, napi_callback_info info) {
  size_t argc = 8;
  napi_value argv[8];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  const int fd = i32_of(env, argv[0]);
  const Batch batch = batch_of(env, argv[1], argv[2]);
  const uint32_t count = u32_of(env, argv[3]);
  const int32_t next = i32_of(env, argv[4]);
  const uint32_t mtu = u32_of(env, argv[5]);
  const bool included = i32_of(env, argv[6]) != 0;
  const Bytes result = bytes_of(env, argv[7]);
  if (count > batch.capacity || result.len < sizeof(Sent)) return number(env, -EINVAL);
  Sent* sent = reinterpret_cast<Sent*>(result.at);
  memset(sent, 0, sizeof *sent);
  static thread_local mmsghdr headers[kMostMessages];
  static thread_local sockaddr_in6 to[kMostMessages];
  static thread_local iovec parts[kMostMessages];
  static thread_local Parcel parcels[kMostMessages];
  uint32_t used = 0;
  for (uint32_t i = 0; i < count; i++) {
    if (batch.next[i] != next) continue;
    uint8_t* packet = batch.slab + batch.offset[i];
    Outer outer;
    if (!batch.holds(i) || !read_outer(packet, batch.length[i], &outer) || (!included && outer.protocol != IPPROTO_ESP)) {
      sent->failed++;
      continue;
    }
    if (batch.length[i] > mtu) {
      sent->too_big++;
      continue;
    }
    if (used == kMostMessages) {
      send_all(fd, headers, parcels, used, sent);
      used = 0;
    }
    const uint32_t skip = included ? 0 : outer.header;
    parts[used] = {packet + skip, batch.length[i] - skip};
    msghdr& h = headers[used].msg_hdr;
    memset(&h, 0, sizeof h);
    h.msg_name = &to[used];
    h.msg_namelen = to_sockaddr(outer.dst, outer.v6, 0, &to[used]);
    h.msg_iov = &parts[used];
    h.msg_iovlen = 1;
    parcels[used] = {1, batch.length[i]};
    used++;
  }
  if (used > 0) send_all(fd, headers, parcels, used, sent);
  return number(env, static_cast<int32_t>(sent->packets));
}

// What a receiver remembers between calls.
struct Receiver {
  uint32_t before;    // packets that the last call brought
  uint32_t ignored;   // cut, in the last call
  uint32_t bytes;
};

// rawReceive(fd, slab, tables, headroom, address, coalesceMicros, state): reads what waits, up to a full batch. When
// traffic is dense and few packets wait, it sleeps up to coalesceMicros for more: fuller batches, fewer wake-ups.
// Returns how many packets are in the batch, or -errno without any.
napi_value raw_receive(napi_env env, napi_callback_info info) {
  size_t argc = 7;
  napi_value argv[7];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  const int fd = i32_of(env, argv[0]);
  Batch batch = batch_of(env, argv[1], argv[2]);
  const uint32_t headroom = u32_of(env, argv[3]);
  const Bytes address = bytes_of(env, argv[4]);
  const uint32_t coalesce = u32_of(env, argv[5]);
  const Bytes state = bytes_of(env, argv[6]);
  const bool v6 = address.len == 16;
  const size_t slot = batch.slot();
  if (batch.capacity == 0 || state.len < sizeof(Receiver) || headroom < 40 || headroom >= slot)
    return number(env, -EINVAL);
  Receiver* r = reinterpret_cast<Receiver*>(state.at);
  r->ignored = r->bytes = 0;
  static thread_local mmsghdr headers[kMostMessages];
  static thread_local sockaddr_in6 from[kMostMessages];
  static thread_local iovec parts[kMostMessages];
  struct Control {
    alignas(cmsghdr) uint8_t bytes[CMSG_SPACE(sizeof(int))];
  };
  static thread_local Control control[kMostMessages];
  uint32_t count = 0;
  bool waited = false;
  for (;;) {
    const uint32_t wanted = batch.capacity - count < kMostMessages ? batch.capacity - count : kMostMessages;
    if (wanted == 0) break;
    for (uint32_t k = 0; k < wanted; k++) {
      parts[k] = {batch.slab + (count + k) * slot + headroom, slot - headroom};
      msghdr& h = headers[k].msg_hdr;
      memset(&h, 0, sizeof h);
      h.msg_iov = &parts[k];
      h.msg_iovlen = 1;
      if (v6) {
        h.msg_name = &from[k];
        h.msg_namelen = sizeof from[k];
        h.msg_control = control[k].bytes;
        h.msg_controllen = sizeof control[k].bytes;
      }
    }
    const int n = recvmmsg(fd, headers, wanted, MSG_DONTWAIT, nullptr);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (is_told_by_icmp(errno)) continue;
      if (count > 0) break;
      if (errno == EAGAIN) r->before = 0;
      return number(env, -errno);
    }
    for (int k = 0; k < n; k++) {
      const uint32_t len = headers[k].msg_len;
      if (len == 0 || (headers[k].msg_hdr.msg_flags & MSG_TRUNC) != 0) {
        r->ignored++;
        continue;
      }
      // A packet that was left out leaves a gap: packets stay in slots of their own, in order.
      uint8_t* data = static_cast<uint8_t*>(parts[k].iov_base);
      uint8_t* want = batch.slab + count * slot + headroom;
      if (data != want) memcpy(want, data, len);
      uint32_t at = static_cast<uint32_t>(count * slot + headroom);
      uint32_t whole = len;
      if (v6) {
        // A raw IPv6 socket gives what comes after the header.
        uint8_t tclass = 0;
        for (cmsghdr* c = CMSG_FIRSTHDR(&headers[k].msg_hdr); c != nullptr; c = CMSG_NXTHDR(&headers[k].msg_hdr, c)) {
          if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) tclass = *CMSG_DATA(c);
        }
        at -= 40;
        whole += 40;
        write_ip(batch.slab + at, true, from[k].sin6_addr.s6_addr, address.at, tclass, IPPROTO_ESP, 64, len);
      }
      batch.put(count, at, whole);
      r->bytes += whole;
      count++;
    }
    if (waited || coalesce == 0 || count >= kFewPackets || r->before < kDensePackets) break;
    waited = true;
    const timespec nap = {0, static_cast<long>(coalesce) * 1000};
    nanosleep(&nap, nullptr);
  }
  r->before = count;
  return number(env, static_cast<int32_t>(count));
}

}  // namespace

void add_raw(Napi::Env env, Napi::Object exports) {
  add(env, exports, "rawSend", raw_send);
  add(env, exports, "rawReceive", raw_receive);
}

}  // namespace esplane
