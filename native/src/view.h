// What crosses from JavaScript: typed arrays, as pointer and length. Nothing here allocates or throws.
#pragma once
#include <napi.h>

#include <cstddef>
#include <cstdint>

namespace esplane {

// The bytes of a Uint8Array, whichever buffer it lies in. Empty when the value is no typed array.
struct Bytes {
  uint8_t* at = nullptr;
  size_t len = 0;
};

inline Bytes bytes_of(napi_env env, napi_value value) {
  Bytes b;
  void* data = nullptr;
  size_t length = 0;
  napi_typedarray_type type;
  if (napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr) != napi_ok) return b;
  if (type != napi_uint8_array) return b;
  b.at = static_cast<uint8_t*>(data);
  b.len = length;
  return b;
}

inline uint32_t u32_of(napi_env env, napi_value value) {
  uint32_t n = 0;
  napi_get_value_uint32(env, value, &n);
  return n;
}

inline int32_t i32_of(napi_env env, napi_value value) {
  int32_t n = 0;
  napi_get_value_int32(env, value, &n);
  return n;
}

inline napi_value number(napi_env env, int32_t n) {
  napi_value v;
  napi_create_int32(env, n, &v);
  return v;
}

// A `Batch` of src/wire/packet.ts: the slab, and its columns of 4 bytes a slot, which lie one after another in one
// buffer: offset, length, mark, sa, next, verdict.
constexpr int32_t kOn = -1;

struct Batch {
  uint8_t* slab = nullptr;
  size_t slab_len = 0;
  uint32_t capacity = 0;
  uint32_t* offset = nullptr;
  uint32_t* length = nullptr;
  uint32_t* mark = nullptr;
  int32_t* sa = nullptr;
  int32_t* next = nullptr;
  int32_t* verdict = nullptr;
  // Bytes that whoever fills a slot leaves free at its end.
  uint32_t tailroom = 0;

  // Slots have one size; packet i lies in [i * slot, (i + 1) * slot).
  size_t slot() const { return capacity == 0 ? 0 : slab_len / capacity; }
  // Makes the `len` bytes at `at` packet i, new and undecided, as Batch.reserve in JavaScript does.
  void put(uint32_t i, size_t at, size_t len) {
    offset[i] = static_cast<uint32_t>(at);
    length[i] = static_cast<uint32_t>(len);
    mark[i] = 0;
    sa[i] = -1;
    next[i] = kOn;
    verdict[i] = 0;
  }
  // Does packet i lie in the slab? What JavaScript says is checked before it is used.
  bool holds(uint32_t i) const {
    return static_cast<size_t>(offset[i]) + length[i] <= slab_len;
  }
};

constexpr size_t kTableBytes = 6 * 4;

inline Batch batch_of(napi_env env, napi_value slab, napi_value tables) {
  Batch b;
  const Bytes s = bytes_of(env, slab);
  const Bytes t = bytes_of(env, tables);
  const size_t n = t.len / kTableBytes;
  if (s.at == nullptr || t.at == nullptr || n == 0) return b;
  b.slab = s.at;
  b.slab_len = s.len;
  b.capacity = static_cast<uint32_t>(n);
  b.offset = reinterpret_cast<uint32_t*>(t.at);
  b.length = b.offset + n;
  b.mark = b.length + n;
  b.sa = reinterpret_cast<int32_t*>(b.mark + n);
  b.next = b.sa + n;
  b.verdict = b.next + n;
  return b;
}

}  // namespace esplane
