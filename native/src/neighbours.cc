#include "neighbours.h"

#include <arpa/inet.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "outer.h"

namespace esplane {

namespace {

// Next hops, and routes, that are kept. Packets to more of them go through the kernel.
constexpr size_t kMost = 1 << 16;
constexpr size_t kFirstSweep = 1024;
constexpr uint32_t kNoHop = 0xffffffff;
// Packets to one next hop that the kernel gets to keep while it asks. It would keep about a hundred, but all of them
// count against one send buffer, which next hops that do not answer must not fill for the others.
constexpr uint8_t kCredit = 16;
constexpr int kSendBuffer = 32 << 20;
constexpr int kEventBuffer = 4 << 20;
// A next hop that does not answer is asked for after 1, 2, 4, 8, 8 … s; one that is not certain, every second.
constexpr uint32_t kFirstWait = 1000;
constexpr uint32_t kLongestWait = 8000;
constexpr uint32_t kConfirmEvery = 1000;
// ms after which a route is asked for again though no event said so: an ICMP redirect makes none.
constexpr uint64_t kRouteFresh = 30'000;
// Routes that one batch may ask for: a few microseconds each.
constexpr uint32_t kBudget = 64;
constexpr size_t kBuffer = 32 << 10;
// Reads of one look at the news: packets do not wait for a flood of them.
constexpr int kMostReads = 64;
constexpr uint16_t kValid = NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY;

uint64_t now_ms() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1000 + static_cast<uint64_t>(t.tv_nsec) / 1'000'000;
}

uint64_t random_seed() {
  uint64_t seed = 0;
  if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != sizeof seed) seed = reinterpret_cast<uintptr_t>(&seed) ^ now_ms();
  return seed;
}

// A socket for netlink that does not block.
int open_netlink() {
  const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) return -errno;
  sockaddr_nl us;
  memset(&us, 0, sizeof us);
  us.nl_family = AF_NETLINK;
  if (bind(fd, reinterpret_cast<sockaddr*>(&us), sizeof us) == 0) return fd;
  const int error = errno;
  close(fd);
  return -error;
}

// Reads messages that come from the kernel. Returns bytes, 0 for those of others, or -errno.
ssize_t read_kernel(int fd, uint8_t* buffer) {
  sockaddr_nl from;
  socklen_t len = sizeof from;
  ssize_t n;
  do n = recvfrom(fd, buffer, kBuffer, MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&from), &len);
  while (n < 0 && errno == EINTR);
  if (n < 0) return -errno;
  return from.nl_pid == 0 ? n : 0;
}

// Attributes of a message from `at` on, by number; those above `most` are passed over.
struct Attributes {
  static constexpr uint16_t kMostTypes = 32;
  const rtattr* by_type[kMostTypes] = {};

  Attributes(const uint8_t* message, size_t at, size_t len) {
    at = NLMSG_ALIGN(at);
    while (at + sizeof(rtattr) <= len) {
      const rtattr* a = reinterpret_cast<const rtattr*>(message + at);
      if (a->rta_len < sizeof(rtattr) || at + a->rta_len > len) return;
      const uint16_t type = a->rta_type & NLA_TYPE_MASK;
      if (type < kMostTypes) by_type[type] = a;
      at += RTA_ALIGN(a->rta_len);
    }
  }
  static const uint8_t* data(const rtattr* a) { return reinterpret_cast<const uint8_t*>(a) + RTA_LENGTH(0); }
  size_t len(uint16_t type) const { return by_type[type] == nullptr ? 0 : by_type[type]->rta_len - RTA_LENGTH(0); }
  const uint8_t* at(uint16_t type) const { return data(by_type[type]); }
};

// A request under construction.
struct Request {
  alignas(nlmsghdr) uint8_t bytes[256] = {};

  Request(uint16_t type, uint16_t flags, uint32_t sequence, size_t body) {
    header()->nlmsg_len = static_cast<uint32_t>(NLMSG_LENGTH(body));
    header()->nlmsg_type = type;
    header()->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
    header()->nlmsg_seq = sequence;
  }
  nlmsghdr* header() { return reinterpret_cast<nlmsghdr*>(bytes); }
  void* body() { return bytes + NLMSG_HDRLEN; }
  void put(uint16_t type, const void* data, size_t len) {
    const size_t at = NLMSG_ALIGN(header()->nlmsg_len);
    rtattr* a = reinterpret_cast<rtattr*>(bytes + at);
    a->rta_type = type;
    a->rta_len = static_cast<uint16_t>(RTA_LENGTH(len));
    memcpy(bytes + at + RTA_LENGTH(0), data, len);
    header()->nlmsg_len = static_cast<uint32_t>(at + RTA_LENGTH(len));
  }
  bool send_to(int fd) {
    const size_t len = header()->nlmsg_len;
    return send(fd, bytes, len, MSG_DONTWAIT) == static_cast<ssize_t>(len);
  }
};

// A raw socket that takes whole IP packets and routes them as the packet link's: by its device, address and mark.
int open_kernel(const char* device, const Bytes& address, int mark) {
  const bool v6 = address.len == 16;
  const int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_RAW);
  if (fd < 0) return -errno;
  const int one = 1;
  if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, static_cast<socklen_t>(strlen(device) + 1)) < 0 ||
      (mark != 0 && setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark) < 0)) {
    const int error = errno;
    close(fd);
    return -error;
  }
  if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &kSendBuffer, sizeof kSendBuffer) < 0)
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &kSendBuffer, sizeof kSendBuffer);
  // Connection tracking would reassemble fragments.
  if (!v6) setsockopt(fd, IPPROTO_IP, IP_NODEFRAG, &one, sizeof one);
  // For rules by source address. An address that is not there yet does without them.
  sockaddr_in6 us;
  const socklen_t len = to_sockaddr(address.at, v6, 0, &us);
  if (bind(fd, reinterpret_cast<sockaddr*>(&us), len) < 0) errno = 0;
  return fd;
}

}  // namespace

AddressKey key_of(const uint8_t* address, bool v6) {
  AddressKey key;
  if (v6) {
    memcpy(&key.high, address, 8);
    memcpy(&key.low, address + 8, 8);
  } else {
    const uint8_t mapped[8] = {0, 0, 0xff, 0xff, address[0], address[1], address[2], address[3]};
    memcpy(&key.low, mapped, 8);
  }
  return key;
}

Neighbours::Neighbours() : sweep_at_(kFirstSweep), index_of_(random_seed()), routes_(random_seed()) {}

void Neighbours::shut() {
  for (int* fd : {&events_, &asks_, &kernel_}) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
  }
}

int Neighbours::open(int index, const char* device, const Bytes& address, int mark) {
  index_ = index;
  v6_ = address.len == 16;
  memcpy(address_, address.at, address.len);
  mark_ = static_cast<uint32_t>(mark);
  if ((kernel_ = open_kernel(device, address, mark)) < 0) return kernel_;
  if ((asks_ = open_netlink()) < 0) return asks_;
  if ((events_ = open_netlink()) < 0) return events_;
  if (setsockopt(events_, SOL_SOCKET, SO_RCVBUFFORCE, &kEventBuffer, sizeof kEventBuffer) < 0)
    setsockopt(events_, SOL_SOCKET, SO_RCVBUF, &kEventBuffer, sizeof kEventBuffer);
  // Events first, then the table: what changes while it is read comes after it.
  const int groups[] = {
      RTNLGRP_NEIGH,
      RTNLGRP_LINK,
      v6_ ? RTNLGRP_IPV6_ROUTE : RTNLGRP_IPV4_ROUTE,
      v6_ ? RTNLGRP_IPV6_RULE : RTNLGRP_IPV4_RULE,
      // The kernel takes away an interface's IPv4 routes with its addresses, and says so of the addresses only.
      v6_ ? RTNLGRP_IPV6_IFADDR : RTNLGRP_IPV4_IFADDR,
      RTNLGRP_NEXTHOP,
  };
  for (const int group : groups) {
    const bool joined = setsockopt(events_, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) == 0;
    // Next hop objects came with Linux 5.3.
    if (!joined && group != RTNLGRP_NEXTHOP) return -errno;
  }
  ifreq request;
  memset(&request, 0, sizeof request);
  memcpy(request.ifr_name, device, strnlen(device, IFNAMSIZ - 1));
  if (ioctl(kernel_, SIOCGIFHWADDR, &request) < 0) return -errno;
  const bool ethernet = request.ifr_hwaddr.sa_family == ARPHRD_ETHER;
  if (ioctl(kernel_, SIOCGIFFLAGS, &request) < 0) return -errno;
  resolves_ = ethernet && (request.ifr_flags & (IFF_NOARP | IFF_LOOPBACK)) == 0;
  now_ = now_ms();
  read_table();
  // A table larger than this comes with the first news.
  for (int k = 0; k < kMostReads && reading_; k++) follow();
  return 0;
}

// Asks for the whole table. The kernel writes the answer as it is read.
void Neighbours::read_table() {
  Request request(RTM_GETNEIGH, NLM_F_DUMP, ++sequence_, sizeof(ndmsg));
  const uint32_t index = static_cast<uint32_t>(index_);
  request.put(NDA_IFINDEX, &index, sizeof index);
  reread_ = false;
  reading_ = request.send_to(events_);
  // Tried again with the next news.
  if (!reading_) reread_ = true;
}

// Events were lost: what is known may have changed.
void Neighbours::lose_track() {
  generation_++;
  for (Hop& hop : hops_) {
    hop.certain = hop.told = false;
    hop.again = 0;
  }
  reread_ = true;
}

void Neighbours::follow() {
  alignas(nlmsghdr) static thread_local uint8_t buffer[kBuffer];
  for (int reads = 0; reads < kMostReads; reads++) {
    const ssize_t n = read_kernel(events_, buffer);
    if (n == -ENOBUFS) lose_track();
    else if (n < 0) break;
    else take(buffer, static_cast<size_t>(n));
    if (reread_ && !reading_) read_table();
  }
}

void Neighbours::take(const uint8_t* bytes, size_t len) {
  size_t at = 0;
  while (at + sizeof(nlmsghdr) <= len) {
    const nlmsghdr* h = reinterpret_cast<const nlmsghdr*>(bytes + at);
    if (h->nlmsg_len < sizeof(nlmsghdr) || h->nlmsg_len > len - at) return;
    const uint8_t* message = bytes + at;
    switch (h->nlmsg_type) {
      case RTM_NEWNEIGH:
      case RTM_DELNEIGH:
        take_neighbour(message, h->nlmsg_len, h->nlmsg_type == RTM_DELNEIGH);
        break;
      case NLMSG_ERROR:
      case NLMSG_DONE:
        reading_ = false;
        break;
      case RTM_NEWLINK:
        take_device(message, h->nlmsg_len);
        [[fallthrough]];
      default:
        // Links, addresses, routes, rules, next hop objects: all of them can change a route.
        generation_++;
    }
    at += NLMSG_ALIGN(h->nlmsg_len);
  }
}

void Neighbours::take_device(const uint8_t* message, size_t len) {
  if (len < NLMSG_LENGTH(sizeof(ifinfomsg))) return;
  const ifinfomsg* link = reinterpret_cast<const ifinfomsg*>(message + NLMSG_HDRLEN);
  if (link->ifi_family != AF_UNSPEC || link->ifi_index != index_) return;
  resolves_ = link->ifi_type == ARPHRD_ETHER && (link->ifi_flags & (IFF_NOARP | IFF_LOOPBACK)) == 0;
}

void Neighbours::take_neighbour(const uint8_t* message, size_t len, bool gone) {
  if (len < NLMSG_LENGTH(sizeof(ndmsg))) return;
  const ndmsg* n = reinterpret_cast<const ndmsg*>(message + NLMSG_HDRLEN);
  const bool v6 = n->ndm_family == AF_INET6;
  if (n->ndm_ifindex != index_ || (!v6 && n->ndm_family != AF_INET) || (n->ndm_flags & NTF_PROXY) != 0) return;
  const Attributes a(message, NLMSG_LENGTH(sizeof(ndmsg)), len);
  if (a.len(NDA_DST) != (v6 ? 16u : 4u)) return;
  const AddressKey key = key_of(a.at(NDA_DST), v6);
  const bool valid = !gone && (n->ndm_state & kValid) != 0 && a.len(NDA_LLADDR) == 6;
  const uint32_t* found = index_of_.find(key);
  if (found == nullptr && !valid) return;
  const uint32_t at = found == nullptr ? hop_at(key) : *found;
  if (at == kNoHop) return;
  Hop& hop = hops_[at];
  hop.told = valid;
  if (valid) {
    memcpy(hop.mac, a.at(NDA_LLADDR), 6);
    hop.known = true;
    hop.certain = (n->ndm_state & NUD_STALE) == 0;
    hop.credit = kCredit;
    hop.wait = kFirstWait;
  } else {
    hop.certain = false;
    // The kernel forgets neighbours that it does not see in use. That alone makes no address wrong: it stays until
    // the kernel has asked for it again, by the next packet. An address that does not answer is wrong.
    if (!gone) hop.known = false;
  }
  if (hop.known) hop.again = 0;
}

// The place of a next hop, new where there was none; kNoHop when there are too many.
uint32_t Neighbours::hop_at(const AddressKey& key) {
  const uint32_t* found = index_of_.find(key);
  if (found != nullptr) return *found;
  if (hops_.size() >= sweep_at_ && !sweep()) return kNoHop;
  const uint32_t at = static_cast<uint32_t>(hops_.size());
  Hop hop;
  hop.address = key;
  hop.credit = kCredit;
  hop.wait = kFirstWait;
  hop.again = now_ + kFirstWait;
  hops_.push_back(hop);
  index_of_.at(key) = at;
  return at;
}

// Forgets the next hops that the kernel does not have, and all routes, which are asked for again. True when there is
// room for another.
bool Neighbours::sweep() {
  size_t kept = 0;
  index_of_.clear();
  for (const Hop& hop : hops_) {
    if (!hop.told) continue;
    hops_[kept] = hop;
    index_of_.at(hop.address) = static_cast<uint32_t>(kept);
    kept++;
  }
  hops_.resize(kept);
  routes_.clear();
  sweep_at_ = 2 * kept < kFirstSweep ? kFirstSweep : 2 * kept < kMost ? 2 * kept : kMost;
  return kept < sweep_at_;
}

// Asks the kernel which next hop takes packets for an address. It answers within the call: nothing waits, and IPv4 and
// IPv6 routes are looked up without the lock that changes of the network take. False without one on this interface.
bool Neighbours::ask_route(const uint8_t* dst, AddressKey* hop) {
  alignas(nlmsghdr) static thread_local uint8_t buffer[kBuffer];
  const uint8_t len = v6_ ? 16 : 4;
  const uint32_t sequence = ++sequence_, index = static_cast<uint32_t>(index_);
  Request request(RTM_GETROUTE, 0, sequence, sizeof(rtmsg));
  rtmsg* r = static_cast<rtmsg*>(request.body());
  r->rtm_family = v6_ ? AF_INET6 : AF_INET;
  r->rtm_dst_len = r->rtm_src_len = static_cast<uint8_t>(len * 8);
  request.put(RTA_DST, dst, len);
  request.put(RTA_SRC, address_, len);
  request.put(RTA_OIF, &index, sizeof index);
  if (mark_ != 0) request.put(RTA_MARK, &mark_, sizeof mark_);
  if (!request.send_to(asks_)) return false;
  for (;;) {
    const ssize_t n = read_kernel(asks_, buffer);
    if (n < 0) return false;
    const nlmsghdr* h = reinterpret_cast<const nlmsghdr*>(buffer);
    // An answer to an earlier question, which did not come in time.
    if (n < NLMSG_HDRLEN || h->nlmsg_seq != sequence || h->nlmsg_len > static_cast<size_t>(n)) continue;
    if (h->nlmsg_type != RTM_NEWROUTE || h->nlmsg_len < NLMSG_LENGTH(sizeof(rtmsg))) return false;
    const rtmsg* said = reinterpret_cast<const rtmsg*>(buffer + NLMSG_HDRLEN);
    const Attributes a(buffer, NLMSG_LENGTH(sizeof(rtmsg)), h->nlmsg_len);
    uint32_t over = 0;
    if (a.len(RTA_OIF) == 4) memcpy(&over, a.at(RTA_OIF), 4);
    if (said->rtm_type != RTN_UNICAST || over != index) return false;
    const size_t via = a.len(RTA_VIA);
    if (a.len(RTA_GATEWAY) == len) *hop = key_of(a.at(RTA_GATEWAY), v6_);
    else if (via == sizeof(rtvia) + 16) *hop = key_of(a.at(RTA_VIA) + sizeof(rtvia), true);
    else if (via == sizeof(rtvia) + 4) *hop = key_of(a.at(RTA_VIA) + sizeof(rtvia), false);
    else *hop = key_of(dst, v6_);
    return true;
  }
}

// The next hop for an address; kNoHop without one, or when it is not known and this batch has asked enough.
uint32_t Neighbours::route_to(const AddressKey& key, const uint8_t* dst) {
  const Route* old = routes_.find(key);
  const bool isFresh = old != nullptr && old->generation == generation_ && now_ - old->asked < kRouteFresh;
  if (isFresh) return old->hop;
  if (budget_ == 0 || (old == nullptr && routes_.size() >= kMost)) return old == nullptr ? kNoHop : old->hop;
  budget_--;
  AddressKey hop;
  // This may clear the routes.
  const uint32_t at = ask_route(dst, &hop) ? hop_at(hop) : kNoHop;
  routes_.at(key) = {at, generation_, now_};
  return at;
}

void Neighbours::start_batch() {
  now_ = now_ms();
  budget_ = kBudget;
  followed_ = false;
}

Neighbours::Way Neighbours::way(const uint8_t* dst, const uint8_t** mac) {
  if (!resolves_) return Way::kKernel;
  const AddressKey key = key_of(dst, v6_);
  uint32_t at = route_to(key, dst);
  if (!followed_ && (at == kNoHop || !hops_[at].certain)) {
    // There may be news about it.
    followed_ = true;
    follow();
    at = route_to(key, dst);
  }
  return at == kNoHop ? Way::kKernel : way_over(&hops_[at], mac);
}

Neighbours::Way Neighbours::way_over(Hop* hop, const uint8_t** mac) {
  *mac = hop->mac;
  if (hop->certain) return Way::kDirect;
  if (hop->known) {
    if (now_ < hop->again) return Way::kDirect;
    hop->again = now_ + kConfirmEvery;
    return Way::kKernel;
  }
  if (hop->credit > 0) {
    hop->credit--;
    return Way::kKernel;
  }
  if (now_ < hop->again) return Way::kNone;
  hop->again = now_ + hop->wait;
  hop->wait = hop->wait * 2 < kLongestWait ? hop->wait * 2 : kLongestWait;
  return Way::kKernel;
}

}  // namespace esplane
