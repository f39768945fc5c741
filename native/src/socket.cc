// Opens the sockets of the outside links.
#include <linux/filter.h>
#include <napi.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "outer.h"
#include "parts.h"
#include "view.h"

#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#ifndef IPV6_HDRINCL
#define IPV6_HDRINCL 36
#endif

namespace esplane {

namespace {

constexpr int kBuffer = 8 << 20;

// Room for bursts: beyond the system's limit where we may, up to it where we may not.
void make_room(int fd) {
  if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &kBuffer, sizeof kBuffer) < 0)
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &kBuffer, sizeof kBuffer);
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &kBuffer, sizeof kBuffer) < 0)
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &kBuffer, sizeof kBuffer);
}

bool set(int fd, int level, int option, int value) {
  return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

int fail(int fd) {
  const int error = errno;
  close(fd);
  return -error;
}

// udpOpen(address, port, mark, gro, noDf): a bound socket that does not block. `address` has 4 or 16 bytes.
napi_value udp_open(napi_env env, napi_callback_info info) {
  size_t argc = 5;
  napi_value argv[5];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  const Bytes address = bytes_of(env, argv[0]);
  const int mark = i32_of(env, argv[2]);
  const int discover = i32_of(env, argv[4]) != 0 ? IP_PMTUDISC_DONT : IP_PMTUDISC_WANT;
  if (address.len != 4 && address.len != 16) return number(env, -EINVAL);
  const bool v6 = address.len == 16;
  const int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return number(env, -errno);
  make_room(fd);
  bool good = mark == 0 || set(fd, SOL_SOCKET, SO_MARK, mark);
  // DF on what fits, as Linux sets it on ESP that carries packets with DF, or never; longer datagrams are cut.
  good = good && (v6 ? set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) && set(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1) &&
                           set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_WANT)
                     : set(fd, IPPROTO_IP, IP_RECVTOS, 1) && set(fd, IPPROTO_IP, IP_MTU_DISCOVER, discover));
  good = good && (i32_of(env, argv[3]) == 0 || set(fd, SOL_UDP, UDP_GRO, 1));
  if (!good) return number(env, fail(fd));
  sockaddr_in6 to;
  const socklen_t len = to_sockaddr(address.at, v6, static_cast<uint16_t>(u32_of(env, argv[1])), &to);
  if (bind(fd, reinterpret_cast<sockaddr*>(&to), len) < 0) return number(env, fail(fd));
  return number(env, fd);
}

// rawOpen(address, mark, headerIncluded): a raw socket for protocol 50, bound to `address`, that does not block.
napi_value raw_open(napi_env env, napi_callback_info info) {
  size_t argc = 3;
  napi_value argv[3];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  const Bytes address = bytes_of(env, argv[0]);
  const int mark = i32_of(env, argv[1]);
  const int included = i32_of(env, argv[2]) != 0;
  if (address.len != 4 && address.len != 16) return number(env, -EINVAL);
  const bool v6 = address.len == 16;
  const int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_ESP);
  if (fd < 0) return number(env, -errno);
  make_room(fd);
  bool good = mark == 0 || set(fd, SOL_SOCKET, SO_MARK, mark);
  if (v6)
    good = good && set(fd, IPPROTO_IPV6, IPV6_HDRINCL, included) && set(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
  else
    good = good && set(fd, IPPROTO_IP, IP_HDRINCL, included);
  if (!good) return number(env, fail(fd));
  sockaddr_in6 to;
  const socklen_t len = to_sockaddr(address.at, v6, 0, &to);
  if (bind(fd, reinterpret_cast<sockaddr*>(&to), len) < 0) return number(env, fail(fd));
  return number(env, fd);
}

}  // namespace

void add_socket(Napi::Env env, Napi::Object exports) {
  add(env, exports, "udpOpen", udp_open);
  add(env, exports, "rawOpen", raw_open);
}

}  // namespace esplane
