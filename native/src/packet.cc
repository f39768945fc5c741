// ESP over AF_PACKET: received from a memory-mapped ring (TPACKET_V3), whole blocks at a time, and sent past the
// queueing discipline. Frames are IP packets; the kernel writes and takes the link-layer header (SOCK_DGRAM).
// Hardware addresses of next hops: neighbours.h.
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <napi.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "neighbours.h"
#include "outer.h"
#include "parts.h"
#include "sending.h"
#include "view.h"

namespace esplane {

namespace {

constexpr uint32_t kBlockSize = 256 << 10;
constexpr uint32_t kBlocks = 32;
constexpr uint32_t kRetireMs = 1;
constexpr uint32_t kMostMessages = 256;

// The sockets of one link, its ring, and its next hops.
struct Ring {
  int fd = -1;
  int silencer = -1;
  int index = 0;
  bool v6 = false;
  bool down = false;       // the device was, when it was last looked at
  uint8_t* map = nullptr;
  uint32_t block = 0;      // the one that is read
  uint32_t taken = 0;      // packets of it that are in slots
  uint8_t* next = nullptr; // where the next one of it starts
  Neighbours neighbours;

  ~Ring() { shut(); }
  void shut() {
    if (map != nullptr) munmap(map, static_cast<size_t>(kBlockSize) * kBlocks);
    if (fd >= 0) close(fd);
    if (silencer >= 0) close(silencer);
    map = nullptr;
    fd = silencer = -1;
    neighbours.shut();
  }
};

Ring* ring_of(napi_env env, napi_value value) {
  void* data = nullptr;
  napi_get_value_external(env, value, &data);
  return static_cast<Ring*>(data);
}

// Lets pass what is ESP, or a fragment of it, for one address. Offsets are from the IP header.
int attach_filter(int fd, const Bytes& address) {
  sock_filter code[16];
  uint16_t n = 0;
  const bool v6 = address.len == 16;
  const uint16_t words = static_cast<uint16_t>(address.len / 4);
  const uint32_t protocol_at = v6 ? 6 : 9, dst_at = v6 ? 24 : 16;
  // The jump to "drop" counts what is left: (words) address tests of two instructions each, then accept.
  code[n++] = BPF_STMT(BPF_LD | BPF_B | BPF_ABS, protocol_at);
  code[n++] = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_ESP, static_cast<uint8_t>(v6 ? 1 : 0), static_cast<uint8_t>(v6 ? 0 : 2 * words + 1));
  // IPv6 fragments name 44 here, and ESP behind.
  if (v6) code[n++] = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 44, 0, static_cast<uint8_t>(2 * words + 1));
  for (uint16_t w = 0; w < words; w++) {
    code[n++] = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, dst_at + 4u * w);
    code[n++] = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, load32(address.at + 4 * w), 0, static_cast<uint8_t>(2 * (words - w - 1) + 1));
  }
  code[n++] = BPF_STMT(BPF_RET | BPF_K, 0xffffffff);
  code[n++] = BPF_STMT(BPF_RET | BPF_K, 0);
  const sock_fprog program = {n, code};
  return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

// A raw socket that takes nothing: while it is there, the kernel does not answer ESP with "protocol unreachable".
int open_silencer(const Bytes& address) {
  const bool v6 = address.len == 16;
  const int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ESP);
  if (fd < 0) return -1;
  sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
  const sock_fprog program = {1, &drop};
  if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0) return fd;
  close(fd);
  return -1;
}

int set_up(Ring* ring, const char* device, const Bytes& address, int mark) {
  ring->v6 = address.len == 16;
  ring->index = static_cast<int>(if_nametoindex(device));
  if (ring->index == 0) return -ENODEV;
  // Protocol 0: nothing comes before the filter is there.
  ring->fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (ring->fd < 0) return -errno;
  const int version = TPACKET_V3, one = 1, buffer = 8 << 20;
  setsockopt(ring->fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer);
  tpacket_req3 request;
  memset(&request, 0, sizeof request);
  request.tp_block_size = kBlockSize;
  request.tp_block_nr = kBlocks;
  request.tp_frame_size = 2048;
  request.tp_frame_nr = kBlockSize / 2048 * kBlocks;
  request.tp_retire_blk_tov = kRetireMs;
  if ((mark != 0 && setsockopt(ring->fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark) < 0) ||
      attach_filter(ring->fd, address) < 0 ||
      setsockopt(ring->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version) < 0 ||
      setsockopt(ring->fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof request) < 0 ||
      setsockopt(ring->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one) < 0)
    return -errno;
  setsockopt(ring->fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one);
  void* map = mmap(nullptr, static_cast<size_t>(kBlockSize) * kBlocks, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, 0);
  if (map == MAP_FAILED) return -errno;
  ring->map = static_cast<uint8_t*>(map);
  ring->silencer = open_silencer(address);
  if (ring->silencer < 0) return -errno;
  const int error = ring->neighbours.open(ring->index, device, address, mark);
  if (error < 0) return error;
  sockaddr_ll to;
  memset(&to, 0, sizeof to);
  to.sll_family = AF_PACKET;
  to.sll_protocol = htons(ring->v6 ? ETH_P_IPV6 : ETH_P_IP);
  to.sll_ifindex = ring->index;
  return bind(ring->fd, reinterpret_cast<sockaddr*>(&to), sizeof to) < 0 ? -errno : 0;
}

// packetOpen(device, address, mark): a ring, or -errno as a number.
napi_value packet_open(napi_env env, napi_callback_info info) {
  size_t argc = 3;
  napi_value argv[3], out;
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  char device[IFNAMSIZ];
  size_t len = 0;
  napi_get_value_string_utf8(env, argv[0], device, sizeof device, &len);
  const Bytes address = bytes_of(env, argv[1]);
  if (address.len != 4 && address.len != 16) return number(env, -EINVAL);
  Ring* ring = new Ring();
  const int error = set_up(ring, device, address, i32_of(env, argv[2]));
  if (error < 0) {
    delete ring;
    return number(env, error);
  }
  napi_create_external(env, ring, [](napi_env, void* data, void*) { delete static_cast<Ring*>(data); }, nullptr, &out);
  return out;
}

// packetFd(ring): the descriptor to wait on.
napi_value packet_fd(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  return number(env, ring_of(env, argv[0])->fd);
}

// packetEvents(ring): the descriptor that is readable when the kernel has news of next hops; packetReceive reads it.
napi_value packet_events(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  return number(env, ring_of(env, argv[0])->neighbours.events());
}

napi_value packet_close(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  ring_of(env, argv[0])->shut();
  return number(env, 0);
}

// Gives one packet to the kernel's IP layer, which finds the hardware address of its next hop and keeps the packet
// until then. Nothing waits: a full buffer is told at once.
void send_over_kernel(int fd, uint8_t* packet, uint32_t len, const Outer& outer, Sent* sent) {
  sockaddr_in6 to;
  const socklen_t to_len = to_sockaddr(outer.dst, outer.v6, 0, &to);
  ssize_t done;
  do done = sendto(fd, packet, len, MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&to), to_len);
  while (done < 0 && errno == EINTR);
  if (done >= 0) {
    sent->packets++;
    sent->bytes += len;
    return;
  }
  const int error = errno;
  sent->error = static_cast<uint32_t>(error);
  const bool is_full = error == EAGAIN || error == ENOBUFS || error == ENOMEM;
  (is_full ? sent->full : error == EMSGSIZE ? sent->too_big : sent->failed)++;
}

// packetSend(ring, slab, tables, count, next, mtu, result): sends every packet that goes there (`next`). One whose next hop does
// not answer counts as failed, with EHOSTUNREACH.
napi_value packet_send(napi_env env, napi_callback_info info) {
  size_t argc = 7;
  napi_value argv[7];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  Ring* ring = ring_of(env, argv[0]);
  const Batch batch = batch_of(env, argv[1], argv[2]);
  const uint32_t count = u32_of(env, argv[3]);
  const int32_t next = i32_of(env, argv[4]);
  const uint32_t mtu = u32_of(env, argv[5]);
  const Bytes result = bytes_of(env, argv[6]);
  if (count > batch.capacity || result.len < sizeof(Sent)) return number(env, -EINVAL);
  Sent* sent = reinterpret_cast<Sent*>(result.at);
  memset(sent, 0, sizeof *sent);
  static thread_local mmsghdr headers[kMostMessages];
  static thread_local sockaddr_ll to[kMostMessages];
  static thread_local iovec parts[kMostMessages];
  static thread_local Parcel parcels[kMostMessages];
  const size_t address_len = ring->v6 ? 16 : 4;
  // Packets that follow each other often go to the same place.
  const uint8_t* before = nullptr;
  const uint8_t* mac = nullptr;
  ring->neighbours.start_batch();
  uint32_t used = 0;
  for (uint32_t i = 0; i < count; i++) {
    if (batch.next[i] != next) continue;
    uint8_t* packet = batch.slab + batch.offset[i];
    Outer outer;
    if (!batch.holds(i) || !read_outer(packet, batch.length[i], &outer) || outer.v6 != ring->v6) {
      sent->failed++;
      continue;
    }
    if (batch.length[i] > mtu) {
      sent->too_big++;
      continue;
    }
    if (before == nullptr || memcmp(before, outer.dst, address_len) != 0) {
      const Neighbours::Way way = ring->neighbours.way(outer.dst, &mac);
      before = way == Neighbours::Way::kDirect ? outer.dst : nullptr;
      if (way == Neighbours::Way::kNone) {
        sent->failed++;
        sent->error = EHOSTUNREACH;
        continue;
      }
      if (way == Neighbours::Way::kKernel) {
        // In order: what came before goes first.
        if (used > 0) send_all(ring->fd, headers, parcels, used, sent);
        used = 0;
        send_over_kernel(ring->neighbours.kernel(), packet, batch.length[i], outer, sent);
        continue;
      }
    }
    if (used == kMostMessages) {
      send_all(ring->fd, headers, parcels, used, sent);
      used = 0;
    }
    sockaddr_ll& hop = to[used];
    memset(&hop, 0, sizeof hop);
    hop.sll_family = AF_PACKET;
    hop.sll_protocol = htons(ring->v6 ? ETH_P_IPV6 : ETH_P_IP);
    hop.sll_ifindex = ring->index;
    hop.sll_halen = 6;
    memcpy(hop.sll_addr, mac, 6);
    parts[used] = {packet, batch.length[i]};
    msghdr& h = headers[used].msg_hdr;
    memset(&h, 0, sizeof h);
    h.msg_name = &hop;
    h.msg_namelen = sizeof hop;
    h.msg_iov = &parts[used];
    h.msg_iovlen = 1;
    parcels[used] = {1, batch.length[i]};
    used++;
  }
  if (used > 0) send_all(ring->fd, headers, parcels, used, sent);
  return number(env, static_cast<int32_t>(sent->packets));
}

// packetReceive(ring, slab, tables, headroom, state): copies the packets of full blocks, up to a full batch. state
// (8 bytes): packets cut or not for us, bytes. Returns how many are in the batch, -EAGAIN without any, or the
// device's error.
napi_value packet_receive(napi_env env, napi_callback_info info) {
  size_t argc = 5;
  napi_value argv[5];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  Ring* ring = ring_of(env, argv[0]);
  Batch batch = batch_of(env, argv[1], argv[2]);
  const uint32_t headroom = u32_of(env, argv[3]);
  const Bytes state = bytes_of(env, argv[4]);
  const size_t slot = batch.slot();
  if (batch.capacity == 0 || headroom >= slot || state.len < 8) return number(env, -EINVAL);
  if (ring->map == nullptr) return number(env, -EBADF);
  uint32_t* said = reinterpret_cast<uint32_t*>(state.at);
  said[0] = said[1] = 0;
  uint32_t count = 0;
  while (count < batch.capacity) {
    uint8_t* base = ring->map + static_cast<size_t>(ring->block) * kBlockSize;
    tpacket_block_desc* block = reinterpret_cast<tpacket_block_desc*>(base);
    tpacket_hdr_v1& head = block->hdr.bh1;
    if ((__atomic_load_n(&head.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER) == 0) break;
    if (ring->taken == 0) ring->next = base + head.offset_to_first_pkt;
    while (ring->taken < head.num_pkts && count < batch.capacity) {
      const tpacket3_hdr* p = reinterpret_cast<const tpacket3_hdr*>(ring->next);
      const uint8_t* data = ring->next + p->tp_net;
      if (p->tp_snaplen != p->tp_len || headroom + p->tp_snaplen > slot) {
        said[0]++;
      } else {
        const size_t at = count * slot + headroom;
        memcpy(batch.slab + at, data, p->tp_snaplen);
        batch.put(count, at, p->tp_snaplen);
        said[1] += p->tp_snaplen;
        count++;
      }
      ring->taken++;
      ring->next += p->tp_next_offset;
    }
    if (ring->taken < head.num_pkts) break;
    ring->taken = 0;
    __atomic_store_n(&head.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
    ring->block = (ring->block + 1) % kBlocks;
  }
  if (count > 0) return number(env, static_cast<int32_t>(count));
  ring->neighbours.follow();
  // A device that goes down says so once; whether it is gone for good is asked as long as it is down. In the
  // socket's own namespace, which need not be this thread's.
  int error = 0;
  socklen_t len = sizeof error;
  if (getsockopt(ring->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == ENETDOWN) ring->down = true;
  if (ring->down) {
    ifreq request;
    memset(&request, 0, sizeof request);
    request.ifr_ifindex = ring->index;
    if (ioctl(ring->fd, SIOCGIFNAME, &request) < 0) return number(env, -ENODEV);
    if (ioctl(ring->fd, SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_UP) != 0) ring->down = false;
  }
  return number(env, -EAGAIN);
}

}  // namespace

void add_packet(Napi::Env env, Napi::Object exports) {
  add(env, exports, "packetOpen", packet_open);
  add(env, exports, "packetFd", packet_fd);
  add(env, exports, "packetEvents", packet_events);
  add(env, exports, "packetClose", packet_close);
  add(env, exports, "packetSend", packet_send);
  add(env, exports, "packetReceive", packet_receive);
}

}  // namespace esplane
