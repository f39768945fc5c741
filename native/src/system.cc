// Descriptors and network namespaces: close, wait for readable, wake, enter a namespace, ask for an MTU.
#include <fcntl.h>
#include <linux/if.h>
#include <napi.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "parts.h"
#include "view.h"

namespace esplane {

// closeFd(fd): 0 or -errno.
static napi_value close_fd(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  return number(env, close(i32_of(env, argv[0])) < 0 ? -errno : 0);
}

// wait(fds, ready, timeoutMs): blocks until one of the descriptors can be read, has failed, or the time is over.
// fds is an Int32Array in a Uint8Array's clothes (little endian, as the host); ready gets 1 where it may be read.
// Returns how many may be read; an interrupted call counts as 0.
static napi_value wait_fds(napi_env env, napi_callback_info info) {
  size_t argc = 3;
  napi_value argv[3];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  const Bytes fds = bytes_of(env, argv[0]);
  const Bytes ready = bytes_of(env, argv[1]);
  constexpr size_t kMost = 64;
  struct pollfd polled[kMost];
  const size_t n = fds.len / 4;
  if (n > kMost || ready.len < n) return number(env, -EINVAL);
  const int32_t* fd = reinterpret_cast<const int32_t*>(fds.at);
  for (size_t i = 0; i < n; i++) polled[i] = {fd[i], POLLIN, 0};
  const int found = poll(polled, n, i32_of(env, argv[2]));
  if (found < 0) return number(env, errno == EINTR ? 0 : -errno);
  for (size_t i = 0; i < n; i++) ready.at[i] = polled[i].revents != 0;
  return number(env, found);
}

// eventFd(): a descriptor that `wake` makes readable.
static napi_value event_fd(napi_env env, napi_callback_info) {
  const int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  return number(env, fd < 0 ? -errno : fd);
}

// wake(fd): makes an event descriptor readable, from any thread.
static napi_value wake(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  const uint64_t one = 1;
  return number(env, write(i32_of(env, argv[0]), &one, sizeof one) < 0 ? -errno : 0);
}

// drain(fd): makes it not readable again.
static napi_value drain(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  uint64_t count = 0;
  return number(env, read(i32_of(env, argv[0]), &count, sizeof count) < 0 && errno != EAGAIN ? -errno : 0);
}

// openNetns(path): a descriptor of a network namespace, such as /run/netns/NAME or /proc/thread-self/ns/net.
static napi_value open_netns(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  char path[512];
  size_t len = 0;
  napi_get_value_string_utf8(env, argv[0], path, sizeof path, &len);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  return number(env, fd < 0 ? -errno : fd);
}

// enterNetns(fd): moves the calling thread, and no other, into a network namespace.
static napi_value enter_netns(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  return number(env, setns(i32_of(env, argv[0]), CLONE_NEWNET) < 0 ? -errno : 0);
}

// interfaceMtu(fd, name): the MTU of an interface in the namespace of a socket, or -ENODEV.
static napi_value interface_mtu(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value argv[2];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  ifreq request;
  memset(&request, 0, sizeof request);
  size_t len = 0;
  napi_get_value_string_utf8(env, argv[1], request.ifr_name, IFNAMSIZ, &len);
  return number(env, ioctl(i32_of(env, argv[0]), SIOCGIFMTU, &request) < 0 ? -errno : request.ifr_mtu);
}

// takeSlice(us): the calling thread asks for the processor in slices of this length. The scheduler then lets it run earlier
// than threads with longer ones, and gives it no larger share. Linux 6.12, sched_setattr(2); -ENOTSUP before.
static napi_value take_slice(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  // struct sched_attr, which C libraries before glibc 2.41 do not have.
  struct {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
  } attributes;
  memset(&attributes, 0, sizeof attributes);
  const uint64_t slice = static_cast<uint64_t>(u32_of(env, argv[0])) * 1000;
  if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) < 0) return number(env, -errno);
  attributes.runtime = slice;
  if (syscall(SYS_sched_setattr, 0, &attributes, 0) < 0) return number(env, -errno);
  if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) < 0) return number(env, -errno);
  return number(env, attributes.runtime == slice ? 0 : -ENOTSUP);
}

void add_system(Napi::Env env, Napi::Object exports) {
  add(env, exports, "closeFd", close_fd);
  add(env, exports, "wait", wait_fds);
  add(env, exports, "eventFd", event_fd);
  add(env, exports, "wake", wake);
  add(env, exports, "drain", drain);
  add(env, exports, "openNetns", open_netns);
  add(env, exports, "enterNetns", enter_netns);
  add(env, exports, "interfaceMtu", interface_mtu);
  add(env, exports, "takeSlice", take_slice);
}

}  // namespace esplane
