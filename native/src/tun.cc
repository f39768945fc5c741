// TUN devices: open one, read packets and super-packets into a batch, write a batch with its TCP segments merged.
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <napi.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "checksum.h"
#include "coalesce.h"
#include "parts.h"
#include "segment.h"
#include "view.h"

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

namespace esplane {

namespace {

constexpr int kVnetHeader = 1, kMultiQueue = 2;

// tunOpen(name, flags, nameOut): a descriptor, not blocking. flags: 1 for virtio headers, 2 for several queues.
// nameOut (16 bytes) gets the name that the kernel chose.
napi_value tun_open(napi_env env, napi_callback_info info) {
  size_t argc = 3;
  napi_value argv[3];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  struct ifreq request;
  memset(&request, 0, sizeof request);
  size_t len = 0;
  napi_get_value_string_utf8(env, argv[0], request.ifr_name, IFNAMSIZ, &len);
  const int flags = i32_of(env, argv[1]);
  const Bytes name = bytes_of(env, argv[2]);
  if (name.len < IFNAMSIZ) return number(env, -EINVAL);
  const int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return number(env, -errno);
  request.ifr_flags = static_cast<short>(IFF_TUN | IFF_NO_PI | (flags & kVnetHeader ? IFF_VNET_HDR : 0) |
                                         (flags & kMultiQueue ? IFF_MULTI_QUEUE : 0));
  if (ioctl(fd, TUNSETIFF, &request) < 0) {
    const int error = errno;
    close(fd);
    return number(env, -error);
  }
  memcpy(name.at, request.ifr_name, IFNAMSIZ);
  return number(env, fd);
}

// tunOffload(fd, uso): asks for checksums and TCP segmentation to be left to us; with uso, UDP segmentation too.
napi_value tun_offload(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value argv[2];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  const unsigned uso = i32_of(env, argv[1]) ? TUN_F_USO4 | TUN_F_USO6 : 0;
  const unsigned offloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN | uso;
  return number(env, ioctl(i32_of(env, argv[0]), TUNSETOFFLOAD, offloads) < 0 ? -errno : 0);
}

// What a reader remembers between calls, at the start of its scratch buffer; the super-packet that is being split
// follows.
struct Reader {
  uint32_t len;       // bytes behind, virtio header included; 0 when nothing is left over
  uint32_t done;      // payload bytes of it that are in slots already
  uint32_t ignored;   // packets that made no sense, in the last call
  uint32_t bytes;     // of the packets that the last call put into slots
};
constexpr size_t kScratchHead = 64;

// tunRead(fd, slab, tables, headroom, tailroom, scratch, vnet): reads until nothing waits or the batch is well filled.
// Returns how many packets are in the batch, or -errno when there are none. -EMSGSIZE: the next packet is longer than a
// slot; it waits for a batch with longer ones.
napi_value tun_read(napi_env env, napi_callback_info info) {
  size_t argc = 7;
  napi_value argv[7];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  const int fd = i32_of(env, argv[0]);
  Batch batch = batch_of(env, argv[1], argv[2]);
  const uint32_t headroom = u32_of(env, argv[3]);
  batch.tailroom = u32_of(env, argv[4]);
  const Bytes scratch = bytes_of(env, argv[5]);
  const bool vnet = i32_of(env, argv[6]) != 0;
  if (batch.capacity == 0 || scratch.len < kScratchHead + 1024) return number(env, -EINVAL);
  Reader* reader = reinterpret_cast<Reader*>(scratch.at);
  uint8_t* packet = scratch.at + kScratchHead;
  const size_t room = scratch.len - kScratchHead;
  const size_t vnet_len = vnet ? sizeof(VnetHeader) : 0;
  reader->ignored = 0;
  reader->bytes = 0;
  uint32_t count = 0;
  // A super-packet has some 45 segments: what is split over two batches cannot leave in one piece.
  const uint32_t enough = batch.capacity >= 64 ? batch.capacity - 47 : batch.capacity;
  while (count < enough) {
    if (reader->len == 0) {
      const ssize_t n = read(fd, packet, room);
      if (n < 0) {
        if (errno == EINTR) continue;
        if (count > 0) break;
        return number(env, -errno);
      }
      if (static_cast<size_t>(n) <= vnet_len) {
        reader->ignored++;
        continue;
      }
      reader->len = static_cast<uint32_t>(n);
      reader->done = 0;
    }
    VnetHeader header;
    memset(&header, 0, sizeof header);
    if (vnet) memcpy(&header, packet, sizeof header);
    bool finished = true;
    const int after = segment(header, packet + vnet_len, reader->len - vnet_len, batch, count, headroom,
                              &reader->done, &finished);
    if (after == kTooLong) {
      if (count == 0) return number(env, -EMSGSIZE);
      break;
    }
    if (after < 0) {
      reader->ignored++;
      reader->len = 0;
      continue;
    }
    count = static_cast<uint32_t>(after);
    if (!finished) break;
    reader->len = 0;
  }
  for (uint32_t i = 0; i < count; i++) reader->bytes += batch.length[i];
  return number(env, static_cast<int32_t>(count));
}

// One writev, of one packet or of a merged one. Returns 0 or errno.
int write_group(int fd, bool vnet, const Batch& batch, const Group& group) {
  struct iovec parts[2 + kMostSegments];
  VnetHeader header;
  memset(&header, 0, sizeof header);
  uint8_t merged[kMostHeader];
  int n = 0;
  if (vnet) parts[n++] = {&header, sizeof header};
  if (group.count == 1) {
    const uint32_t i = group.packets[0];
    parts[n++] = {batch.slab + batch.offset[i], batch.length[i]};
  } else {
    merged_header(batch, group, merged, &header);
    parts[n++] = {merged, group.head};
    for (uint32_t k = 0; k < group.count; k++) {
      const uint32_t i = group.packets[k];
      parts[n++] = {batch.slab + batch.offset[i] + group.head, batch.length[i] - group.head};
    }
  }
  while (writev(fd, parts, n) < 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

// The device has virtio headers (1), and takes UDP datagrams in one piece.
constexpr int32_t kMergeUdp = 2;

// What a write has come to.
struct Written {
  uint32_t packets;
  uint32_t full;
  uint32_t failed;
  uint32_t error;   // errno of the last failure
  uint32_t bytes;
};

void account(Written* written, int error, const Batch& batch, const Group& group) {
  const uint32_t packets = group.count;
  if (error == 0) {
    written->packets += packets;
    for (uint32_t k = 0; k < packets; k++) written->bytes += batch.length[group.packets[k]];
    return;
  }
  written->error = static_cast<uint32_t>(error);
  if (error == EAGAIN || error == ENOBUFS || error == ENOMEM)
    written->full += packets;
  else
    written->failed += packets;
}

// tunWrite(fd, slab, tables, count, next, vnet, result): writes the packets that go there (`next`), TCP segments merged, and with
// kMergeUdp in `vnet` UDP datagrams, too (Linux 6.2). The order within a flow stays. result (20 bytes) gets: packets written, met a full queue, failed, last errno, bytes written.
napi_value tun_write(napi_env env, napi_callback_info info) {
  size_t argc = 7;
  napi_value argv[7];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  const int fd = i32_of(env, argv[0]);
  const Batch batch = batch_of(env, argv[1], argv[2]);
  const uint32_t count = u32_of(env, argv[3]);
  const int32_t next = i32_of(env, argv[4]);
  const int32_t vnet = i32_of(env, argv[5]);
  const Bytes result = bytes_of(env, argv[6]);
  if (count > batch.capacity || result.len < sizeof(Written)) return number(env, -EINVAL);
  Written* written = reinterpret_cast<Written*>(result.at);
  memset(written, 0, sizeof *written);
  Group groups[kMostGroups];
  uint32_t used = 0;
  const auto flush = [&](uint32_t g) {
    account(written, write_group(fd, vnet != 0, batch, groups[g]), batch, groups[g]);
    for (uint32_t k = g + 1; k < used; k++) groups[k - 1] = groups[k];
    used--;
  };
  for (uint32_t i = 0; i < count; i++) {
    if (batch.next[i] != next || !batch.holds(i)) continue;
    const Segment s = look_at(batch.slab + batch.offset[i], batch.length[i], vnet == kMergeUdp);
    uint32_t mine = kMostGroups;
    if (vnet != 0 && s.same_flow_matters && s.head > 0) {
      for (uint32_t g = 0; g < used; g++) {
        const uint8_t* first = batch.slab + batch.offset[groups[g].packets[0]];
        if (same_flow(first, s.at, s.v6, s.v6 ? 40 : 20) && groups[g].v6 == s.v6) mine = g;
      }
      if (mine < kMostGroups) {
        if (s.mergeable && goes_on(batch, groups[mine], s)) {
          append(groups[mine], i, s);
          continue;
        }
        flush(mine);
      }
      if (s.mergeable) {
        if (used == kMostGroups) flush(0);
        start(groups[used++], i, s);
        continue;
      }
    }
    Group alone;
    alone.packets[0] = i;
    alone.count = 1;
    account(written, write_group(fd, vnet != 0, batch, alone), batch, alone);
  }
  while (used > 0) flush(0);
  return number(env, static_cast<int32_t>(written->packets));
}

// tunSplit(header, packet, slab, tables, headroom, from): what tunRead does with one packet, without a device.
// header: the 10 bytes of a virtio header. `from` is the payload that is split already. Returns the count of
// packets, or -EINVAL for a packet that makes no sense.
napi_value tun_split(napi_env env, napi_callback_info info) {
  size_t argc = 6;
  napi_value argv[6];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  const Bytes head = bytes_of(env, argv[0]);
  const Bytes packet = bytes_of(env, argv[1]);
  Batch batch = batch_of(env, argv[2], argv[3]);
  uint32_t done = u32_of(env, argv[5]);
  if (head.len < sizeof(VnetHeader) || batch.capacity == 0) return number(env, -EINVAL);
  VnetHeader header;
  memcpy(&header, head.at, sizeof header);
  bool finished = true;
  const int n = segment(header, packet.at, packet.len, batch, 0, u32_of(env, argv[4]), &done, &finished);
  return number(env, n < 0 ? -EINVAL : n);
}

// tunSum(bytes, to, plain): the sum over `bytes` as the functions above take it, for tests. Where `to` has as many bytes they are
// copied on the way. plain: not 0 for the loop that runs on any CPU.
napi_value tun_sum(napi_env env, napi_callback_info info) {
  size_t argc = 3;
  napi_value argv[3];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  const Bytes bytes = bytes_of(env, argv[0]);
  const Bytes to = bytes_of(env, argv[1]);
  const Sums& by = sums(i32_of(env, argv[2]) != 0);
  if (to.len != 0 && to.len != bytes.len) return number(env, -EINVAL);
  return number(env, fold(to.len == 0 ? by.sum(bytes.at, bytes.len, 0) : by.copy(to.at, bytes.at, bytes.len, 0)));
}

}  // namespace

void add_tun(Napi::Env env, Napi::Object exports) {
  add(env, exports, "tunOpen", tun_open);
  add(env, exports, "tunOffload", tun_offload);
  add(env, exports, "tunRead", tun_read);
  add(env, exports, "tunWrite", tun_write);
  add(env, exports, "tunSplit", tun_split);
  add(env, exports, "tunSum", tun_sum);
}

}  // namespace esplane
