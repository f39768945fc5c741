// What all sockets share when they send a batch: messages over iovecs, and what became of them.
#pragma once
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

#include "view.h"

namespace esplane {

// What a send has come to; the caller's buffer of 32-bit words.
struct Sent {
  uint32_t packets;  // given to the kernel
  uint32_t bytes;
  uint32_t too_big;
  uint32_t full;     // met a full queue: not taken
  uint32_t failed;   // refused for good, or nothing that this socket carries
  uint32_t error;    // errno of the last failure
};

// A message and the packets in it.
struct Parcel {
  uint32_t packets;
  uint32_t bytes;
};

// Does a receive that fails so only pass on an ICMP error, for something that was sent? Nothing is wrong with what comes.
inline bool is_told_by_icmp(int error) {
  return error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH || error == EPROTO || error == EMSGSIZE;
}

// Longest wait for room in the socket's buffer.
constexpr int kPatienceMs = 10;

// Sends messages[0..n) in order. A message that cannot be sent does not keep back the others, but a full queue does.
inline void send_all(int fd, mmsghdr* messages, const Parcel* parcels, uint32_t n, Sent* sent) {
  uint32_t at = 0;
  bool waited = false;
  bool again = false;
  while (at < n) {
    const int done = sendmmsg(fd, messages + at, n - at, 0);
    if (done > 0) {
      for (int k = 0; k < done; k++) {
        sent->packets += parcels[at + k].packets;
        sent->bytes += parcels[at + k].bytes;
      }
      at += static_cast<uint32_t>(done);
      waited = again = false;
      continue;
    }
    const int error = errno;
    if (error == EINTR) continue;
    sent->error = static_cast<uint32_t>(error);
    if (error == EAGAIN && !waited) {
      struct pollfd room = {fd, POLLOUT, 0};
      poll(&room, 1, kPatienceMs);
      waited = true;
      continue;
    }
    if (error == EAGAIN || error == ENOBUFS || error == ENOMEM) {
      for (; at < n; at++) sent->full += parcels[at].packets;
      return;
    }
    // An ICMP error that came for an earlier packet is told to the next: it says nothing about this one.
    if ((error == ECONNREFUSED || error == EHOSTUNREACH || error == EPROTO) && !again) {
      again = true;
      continue;
    }
    (error == EMSGSIZE ? sent->too_big : sent->failed) += parcels[at].packets;
    at++;
    again = false;
  }
}

}  // namespace esplane
