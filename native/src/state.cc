// Memory that outlives the process: a file mapped into it, and the lock that keeps two processes apart.
#include <napi.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>

#include "parts.h"
#include "view.h"

namespace esplane {

static void unmap(napi_env, void* at, void* length) {
  munmap(at, reinterpret_cast<size_t>(length));
}

// mapFile(fd, offset, length): the bytes of a file as an ArrayBuffer that all its mappings share, or -errno. The file must
// be that long: reading behind its end would end the process.
static napi_value map_file(napi_env env, napi_callback_info info) {
  size_t argc = 3;
  napi_value argv[3];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  int64_t offset = 0, length = 0;
  napi_get_value_int64(env, argv[1], &offset);
  napi_get_value_int64(env, argv[2], &length);
  const int fd = i32_of(env, argv[0]);
  struct stat file;
  if (fstat(fd, &file) < 0) return number(env, -errno);
  if (offset < 0 || length <= 0 || offset > file.st_size || length > file.st_size - offset) return number(env, -EINVAL);
  void* at = mmap(nullptr, static_cast<size_t>(length), PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);
  if (at == MAP_FAILED) return number(env, -errno);
  napi_value buffer;
  if (napi_create_external_arraybuffer(env, at, static_cast<size_t>(length), unmap, reinterpret_cast<void*>(length),
                                       &buffer) != napi_ok) {
    munmap(at, static_cast<size_t>(length));
    return number(env, -ENOMEM);
  }
  return buffer;
}

// lockFile(fd): takes the lock of a file or folder, which ends with the descriptor: 0, or -EWOULDBLOCK when another
// process has it.
static napi_value lock_file(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  return number(env, flock(i32_of(env, argv[0]), LOCK_EX | LOCK_NB) < 0 ? -errno : 0);
}

void add_state(Napi::Env env, Napi::Object exports) {
  add(env, exports, "mapFile", map_file);
  add(env, exports, "lockFile", lock_file);
}

}  // namespace esplane
