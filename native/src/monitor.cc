// A packet socket that only listens, as tcpdump's: every frame of an interface that a filter lets pass, in both
// directions, as records of a pcap file.
#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <napi.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "parts.h"
#include "view.h"

#ifndef ARPHRD_RAWIP
#define ARPHRD_RAWIP 519
#endif

namespace esplane {

namespace {

constexpr int kBuffer = 32 << 20;
constexpr size_t kRecordHeader = 16;
constexpr size_t kCookedHeader = 20;
constexpr size_t kTagLen = 4;
// Longest frame: what segmentation offload leaves in one piece, with room for headers.
constexpr size_t kMostFrame = 0x1'0000 + 256;
// LINKTYPE_ numbers.
constexpr int kEthernet = 1, kRawIp = 101, kCooked2 = 276;

// What the first header of an interface's frames is; -errno when it cannot be asked.
int link_type(int fd, const char* device) {
  ifreq request;
  memset(&request, 0, sizeof request);
  memcpy(request.ifr_name, device, strnlen(device, IFNAMSIZ - 1));
  if (ioctl(fd, SIOCGIFHWADDR, &request) < 0) return -errno;
  switch (request.ifr_hwaddr.sa_family) {
    case ARPHRD_ETHER:
    case ARPHRD_LOOPBACK:
      return kEthernet;
    case ARPHRD_NONE:
    case ARPHRD_RAWIP:
      return kRawIp;
    default:
      return kCooked2;
  }
}

int set_up(int fd, int index, bool promiscuous, const Bytes& filter) {
  const int one = 1;
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &kBuffer, sizeof kBuffer) < 0)
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &kBuffer, sizeof kBuffer);
  const sock_fprog program = {static_cast<unsigned short>(filter.len / sizeof(sock_filter)),
                              reinterpret_cast<sock_filter*>(filter.at)};
  if (setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &one, sizeof one) < 0 ||
      setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof one) < 0 ||
      (filter.len > 0 && setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0))
    return -errno;
  if (promiscuous) {
    packet_mreq request;
    memset(&request, 0, sizeof request);
    request.mr_ifindex = index;
    request.mr_type = PACKET_MR_PROMISC;
    if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request, sizeof request) < 0) return -errno;
  }
  sockaddr_ll to;
  memset(&to, 0, sizeof to);
  to.sll_family = AF_PACKET;
  to.sll_protocol = htons(ETH_P_ALL);
  to.sll_ifindex = index;
  return bind(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) < 0 ? -errno : 0;
}

// monitorOpen(device, promiscuous, filter, type): a descriptor that does not block. `device` "any" is all of them.
// `filter` is a classic BPF program, or empty; `type` (4 bytes) gets the LINKTYPE_ number of the frames.
napi_value monitor_open(napi_env env, napi_callback_info info) {
  size_t argc = 4;
  napi_value argv[4];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  char device[IFNAMSIZ];
  size_t len = 0;
  napi_get_value_string_utf8(env, argv[0], device, sizeof device, &len);
  const bool any = strcmp(device, "any") == 0;
  const Bytes filter = bytes_of(env, argv[2]), type = bytes_of(env, argv[3]);
  if (type.len < 4) return number(env, -EINVAL);
  // Protocol 0: nothing comes before the filter is there. The type of the socket depends on the device.
  const int probe = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (probe < 0) return number(env, -errno);
  const int index = any ? 0 : static_cast<int>(if_nametoindex(device));
  const int link = any ? kCooked2 : index == 0 ? -ENODEV : link_type(probe, device);
  close(probe);
  if (link < 0) return number(env, link);
  const int fd = socket(AF_PACKET, (link == kEthernet ? SOCK_RAW : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return number(env, -errno);
  const int error = set_up(fd, index, i32_of(env, argv[1]) != 0 && !any, filter);
  if (error < 0) {
    close(fd);
    return number(env, error);
  }
  const int32_t said = link;
  memcpy(type.at, &said, 4);
  return number(env, fd);
}

void put16(uint8_t* at, uint16_t value) {
  at[0] = static_cast<uint8_t>(value >> 8);
  at[1] = static_cast<uint8_t>(value);
}

void put_cooked(uint8_t* at, const sockaddr_ll& from) {
  memset(at, 0, kCookedHeader);
  memcpy(at, &from.sll_protocol, 2);
  put16(at + 6, static_cast<uint16_t>(from.sll_ifindex));
  put16(at + 4, static_cast<uint16_t>(static_cast<uint32_t>(from.sll_ifindex) >> 16));
  put16(at + 8, from.sll_hatype);
  at[10] = from.sll_pkttype;
  at[11] = from.sll_halen;
  memcpy(at + 12, from.sll_addr, from.sll_halen < 8 ? from.sll_halen : 8);
}

// Reads one frame to `at`, where a record header and the longest frame have room. Returns the record's length, 0 for a
// frame that is passed over, or -errno.
ssize_t read_one(int fd, int link, uint8_t* at) {
  const size_t before = kRecordHeader + (link == kEthernet ? kTagLen : link == kCooked2 ? kCookedHeader : 0);
  sockaddr_ll from;
  alignas(cmsghdr) char control[256];
  iovec part = {at + before, kMostFrame};
  msghdr message;
  memset(&message, 0, sizeof message);
  message.msg_name = &from;
  message.msg_namelen = sizeof from;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t wire = recvmsg(fd, &message, MSG_TRUNC);
  if (wire < 0) return -errno;
  // What a host sends to itself is seen twice.
  if (from.sll_hatype == ARPHRD_LOOPBACK && from.sll_pkttype == PACKET_OUTGOING) return 0;
  timespec when = {0, 0};
  bool tagged = false;
  uint16_t tag = 0, tag_type = ETH_P_8021Q;
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) memcpy(&when, CMSG_DATA(c), sizeof when);
    if (c->cmsg_level == SOL_PACKET && c->cmsg_type == PACKET_AUXDATA) {
      tpacket_auxdata aux;
      memcpy(&aux, CMSG_DATA(c), sizeof aux);
      tagged = (aux.tp_status & TP_STATUS_VLAN_VALID) != 0;
      tag = aux.tp_vlan_tci;
      if ((aux.tp_status & TP_STATUS_VLAN_TPID_VALID) != 0) tag_type = aux.tp_vlan_tpid;
    }
  }
  size_t captured = static_cast<size_t>(wire) < kMostFrame ? static_cast<size_t>(wire) : kMostFrame;
  size_t original = static_cast<size_t>(wire);
  uint8_t* frame = at + kRecordHeader;
  if (link == kCooked2) {
    put_cooked(frame, from);
    captured += kCookedHeader;
    original += kCookedHeader;
  } else if (link == kEthernet && tagged && captured >= 12) {
    // The kernel took the tag out: put it back where it was.
    memmove(frame, frame + kTagLen, 12);
    put16(frame + 12, tag_type);
    put16(frame + 14, tag);
    captured += kTagLen;
    original += kTagLen;
  } else if (link == kEthernet) {
    memmove(frame, frame + kTagLen, captured);
  }
  const uint32_t header[4] = {static_cast<uint32_t>(when.tv_sec), static_cast<uint32_t>(when.tv_nsec),
                              static_cast<uint32_t>(captured), static_cast<uint32_t>(original)};
  memcpy(at, header, sizeof header);
  return static_cast<ssize_t>(kRecordHeader + captured);
}

// monitorRead(fd, type, buffer): fills `buffer` with whole records of a pcap file (host byte order, nanoseconds).
// Returns their bytes, 0 when nothing waits, or -errno: ENODEV when the interface is gone.
napi_value monitor_read(napi_env env, napi_callback_info info) {
  size_t argc = 3;
  napi_value argv[3];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  const int fd = i32_of(env, argv[0]), link = i32_of(env, argv[1]);
  const Bytes buffer = bytes_of(env, argv[2]);
  constexpr size_t room = kRecordHeader + kCookedHeader + kMostFrame;
  if (buffer.len < room) return number(env, -EINVAL);
  size_t used = 0;
  while (buffer.len - used >= room) {
    const ssize_t n = read_one(fd, link, buffer.at + used);
    if (n == -EINTR) continue;
    if (n == -EAGAIN) break;
    if (n < 0) {
      // What was read comes first; the error of an interface that is gone is told again below.
      if (used > 0) break;
      return number(env, static_cast<int32_t>(n));
    }
    used += static_cast<size_t>(n);
  }
  return number(env, static_cast<int32_t>(used));
}

// monitorGone(fd): 1 when the interface that the socket is bound to is no more.
napi_value monitor_gone(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  sockaddr_ll bound;
  socklen_t len = sizeof bound;
  if (getsockname(i32_of(env, argv[0]), reinterpret_cast<sockaddr*>(&bound), &len) < 0) return number(env, -errno);
  return number(env, bound.sll_ifindex < 0 ? 1 : 0);
}

// monitorDropped(fd): frames that found the buffer full since the last call.
napi_value monitor_dropped(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  tpacket_stats stats;
  socklen_t len = sizeof stats;
  if (getsockopt(i32_of(env, argv[0]), SOL_PACKET, PACKET_STATISTICS, &stats, &len) < 0) return number(env, -errno);
  return number(env, static_cast<int32_t>(stats.tp_drops));
}

}  // namespace

void add_monitor(Napi::Env env, Napi::Object exports) {
  add(env, exports, "monitorOpen", monitor_open);
  add(env, exports, "monitorRead", monitor_read);
  add(env, exports, "monitorGone", monitor_gone);
  add(env, exports, "monitorDropped", monitor_dropped);
}

}  // namespace esplane
