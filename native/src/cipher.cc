// Seals and opens a whole job table in one call, and times the bare ciphers for the benchmark.
#include <napi.h>
#include <time.h>

#include <cerrno>
#include <cstring>
#include <new>
#include <vector>

#include "keys.h"
#include "parts.h"
#include "view.h"

namespace esplane {

namespace {

// A `JobTable` of src/crypto/engine.ts: its tables, one after another in one buffer of 43 bytes a row.
struct Jobs {
  uint32_t capacity = 0;
  const uint32_t* text_at = nullptr;
  const uint32_t* text_len = nullptr;
  const int32_t* key = nullptr;
  const uint8_t* nonce = nullptr;
  const uint8_t* aad = nullptr;
  const uint8_t* aad_len = nullptr;
  const uint8_t* icv_len = nullptr;
  uint8_t* verdict = nullptr;
};
constexpr size_t kRowBytes = 16 + kNonceLen + kAadLen + 3;
constexpr uint8_t kOk = 0, kBadIcv = 1;

Jobs jobs_of(napi_env env, napi_value value) {
  Jobs jobs;
  const Bytes b = bytes_of(env, value);
  const size_t n = b.len / kRowBytes;
  if (b.at == nullptr || n == 0) return jobs;
  jobs.capacity = static_cast<uint32_t>(n);
  jobs.text_at = reinterpret_cast<const uint32_t*>(b.at);
  jobs.text_len = jobs.text_at + n;
  jobs.key = reinterpret_cast<const int32_t*>(jobs.text_len + n);
  jobs.nonce = b.at + 16 * n;
  jobs.aad = jobs.nonce + kNonceLen * n;
  jobs.aad_len = jobs.aad + kAadLen * n;
  jobs.icv_len = jobs.aad_len + n;
  jobs.verdict = b.at + (kRowBytes - 1) * n;
  return jobs;
}

// An engine and its keys: one thread's.
class Engine {
 public:
  explicit Engine(IMB_MGR* manager) : manager_(manager) {}
  ~Engine() { close(); }

  void close() {
    for (Key* key : keys_) delete key;
    keys_.clear();
    if (manager_ != nullptr) free_ipsec_mb(manager_);
    manager_ = nullptr;
  }

  int add(const KeySpec& spec) {
    Key* key = manager_ != nullptr ? make_ipsec_mb_key(manager_, spec) : nullptr;
    if (key == nullptr) key = make_openssl_key(spec);
    if (key == nullptr) return -ENOTSUP;
    for (size_t i = 0; i < keys_.size(); i++) {
      if (keys_[i] != nullptr) continue;
      keys_[i] = key;
      return static_cast<int>(i);
    }
    keys_.push_back(key);
    return static_cast<int>(keys_.size() - 1);
  }

  void remove(int handle) {
    if (handle < 0 || static_cast<size_t>(handle) >= keys_.size()) return;
    delete keys_[static_cast<size_t>(handle)];
    keys_[static_cast<size_t>(handle)] = nullptr;
  }

  Key* key(int handle) const {
    return handle >= 0 && static_cast<size_t>(handle) < keys_.size() ? keys_[static_cast<size_t>(handle)] : nullptr;
  }

  // Can the key serve the row, and does it lie in the slab? As rows.ts asks.
  static bool fits(const Key* key, const Bytes& slab, const Jobs& jobs, uint32_t i) {
    if (key == nullptr || jobs.icv_len[i] != key->icv_len || jobs.aad_len[i] > kAadLen) return false;
    const uint64_t at = jobs.text_at[i];
    const uint64_t len = jobs.text_len[i];
    if (at < kEspHeader + key->iv_len || at + len + key->icv_len > slab.len) return false;
    return key->block == 1 || (len > 0 && len % key->block == 0);
  }

  template <bool sealing>
  void run(const Bytes& slab, const Jobs& jobs, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
      // The key after the next, and the next packet's first bytes, are on their way while this one is at work.
      if (i + 2 < count && jobs.key[i + 2] != jobs.key[i + 1]) {
        const Key* ahead = this->key(jobs.key[i + 2]);
        if (ahead != nullptr) ahead->fetch(jobs.text_len[i + 2]);
      }
      if (i + 1 < count && jobs.text_at[i + 1] < slab.len) {
        __builtin_prefetch(slab.at + jobs.text_at[i + 1], 1);
        __builtin_prefetch(slab.at + jobs.text_at[i + 1] + 64, 1);
      }
      Key* key = this->key(jobs.key[i]);
      if (!fits(key, slab, jobs, i)) {
        jobs.verdict[i] = kBadIcv;
        continue;
      }
      const Row row = {slab.at + jobs.text_at[i], jobs.text_len[i], jobs.nonce + i * kNonceLen, jobs.aad + i * kAadLen,
                       jobs.aad_len[i]};
      if (sealing) {
        key->seal(row);
        jobs.verdict[i] = kOk;
      } else {
        jobs.verdict[i] = key->open(row) ? kOk : kBadIcv;
      }
    }
  }

  bool has_ipsec_mb() const { return manager_ != nullptr; }
  const char* path() const { return manager_ != nullptr ? ipsec_mb_path(manager_) : ""; }

 private:
  IMB_MGR* manager_;
  std::vector<Key*> keys_;
};

Engine* engine_of(napi_env env, napi_value value) {
  void* data = nullptr;
  napi_get_value_external(env, value, &data);
  return static_cast<Engine*>(data);
}

// cipherOpen(ipsecMb): an engine, which the garbage collector closes at the latest; undefined when ipsec-mb was asked
// for and is not here.
napi_value cipher_open(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1], out;
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  napi_get_undefined(env, &out);
  IMB_MGR* manager = nullptr;
  if (i32_of(env, argv[0]) != 0 && (manager = make_ipsec_mb()) == nullptr) return out;
  Engine* engine = new Engine(manager);
  napi_create_external(env, engine, [](napi_env, void* data, void*) { delete static_cast<Engine*>(data); }, nullptr, &out);
  return out;
}

// cipherClose(engine): wipes and forgets all keys. The engine serves no row any more.
napi_value cipher_close(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  engine_of(env, argv[0])->close();
  return number(env, 0);
}

// The longest name of an algorithm, its end included.
constexpr size_t kNameLen = 32;

void name_of(napi_env env, napi_value value, char (&name)[kNameLen]) {
  name[0] = 0;
  size_t len = 0;
  napi_get_value_string_utf8(env, value, name, kNameLen, &len);
}

// cipherAddKey(engine, cipher, cipherName, mac, hashName, key, macKey, ivLen, icvLen, block): a handle, or -ENOTSUP.
napi_value cipher_add_key(napi_env env, napi_callback_info info) {
  size_t argc = 10;
  napi_value argv[10];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  char cipher_name[kNameLen], hash_name[kNameLen];
  name_of(env, argv[2], cipher_name);
  name_of(env, argv[4], hash_name);
  const Bytes key = bytes_of(env, argv[5]);
  const Bytes mac_key = bytes_of(env, argv[6]);
  const KeySpec spec = {static_cast<Cipher>(u32_of(env, argv[1])), cipher_name,
                        static_cast<Mac>(u32_of(env, argv[3])), hash_name,
                        key.at, static_cast<uint32_t>(key.len), mac_key.at, static_cast<uint32_t>(mac_key.len),
                        u32_of(env, argv[7]), u32_of(env, argv[8]), u32_of(env, argv[9])};
  if (spec.icv_len > EVP_MAX_MD_SIZE || spec.block == 0) return number(env, -EINVAL);
  return number(env, engine_of(env, argv[0])->add(spec));
}

napi_value cipher_remove_key(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value argv[2];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  engine_of(env, argv[0])->remove(i32_of(env, argv[1]));
  return number(env, 0);
}

// cipherSeal, cipherOpenRows(engine, slab, tables, count).
template <bool sealing>
napi_value cipher_run(napi_env env, napi_callback_info info) {
  size_t argc = 4;
  napi_value argv[4];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  Engine* engine = engine_of(env, argv[0]);
  const Bytes slab = bytes_of(env, argv[1]);
  const Jobs jobs = jobs_of(env, argv[2]);
  uint32_t count = u32_of(env, argv[3]);
  if (count > jobs.capacity) count = jobs.capacity;
  engine->run<sealing>(slab, jobs, count);
  return number(env, 0);
}

// cipherLoop(engine, keys, slab, at, len, step, count, rounds, sealing): nanoseconds for `rounds` times sealing or
// opening `count` texts of `len` bytes, `step` bytes apart, with one key after the other and nothing around the cipher.
napi_value cipher_loop(napi_env env, napi_callback_info info) {
  size_t argc = 9;
  napi_value argv[9];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  const Engine* engine = engine_of(env, argv[0]);
  const Bytes handles = bytes_of(env, argv[1]);
  const Bytes slab = bytes_of(env, argv[2]);
  const uint64_t at = u32_of(env, argv[3]), len = u32_of(env, argv[4]), step = u32_of(env, argv[5]);
  const uint64_t count = u32_of(env, argv[6]), rounds = u32_of(env, argv[7]);
  std::vector<Key*> keys;
  for (size_t k = 0; k + sizeof(int32_t) <= handles.len; k += sizeof(int32_t)) {
    int32_t handle;
    memcpy(&handle, handles.at + k, sizeof handle);
    Key* key = engine->key(handle);
    if (key == nullptr || at < kEspHeader + key->iv_len || at + step * (count - 1) + len + key->icv_len > slab.len)
      return number(env, -EINVAL);
    keys.push_back(key);
  }
  if (keys.empty() || count == 0) return number(env, -EINVAL);
  const bool sealing = i32_of(env, argv[8]) != 0;
  uint8_t nonce[kNonceLen] = {0}, aad[kAadLen] = {0};
  timespec from, to;
  size_t turn = 0;
  clock_gettime(CLOCK_MONOTONIC, &from);
  for (uint64_t r = 0; r < rounds; r++) {
    for (uint64_t i = 0; i < count; i++) {
      Key* key = keys[turn];
      if (++turn == keys.size()) turn = 0;
      nonce[11] = static_cast<uint8_t>(i);
      const Row row = {slab.at + at + i * step, static_cast<uint32_t>(len), nonce, aad, 8};
      if (sealing)
        key->seal(row);
      else
        key->open(row);
    }
  }
  clock_gettime(CLOCK_MONOTONIC, &to);
  napi_value out;
  napi_create_double(env, (to.tv_sec - from.tv_sec) * 1e9 + (to.tv_nsec - from.tv_nsec), &out);
  return out;
}

// cipherPath(engine), ipsecMbVersion(): what ipsec-mb chose for this CPU, and which it is; empty without it.
napi_value cipher_path(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1], out;
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  napi_create_string_utf8(env, engine_of(env, argv[0])->path(), NAPI_AUTO_LENGTH, &out);
  return out;
}

napi_value mb_version(napi_env env, napi_callback_info) {
  napi_value out;
  napi_create_string_utf8(env, ipsec_mb_version(), NAPI_AUTO_LENGTH, &out);
  return out;
}

// gcryptVersion(): of libgcrypt; empty without it.
napi_value libgcrypt_version(napi_env env, napi_callback_info) {
  napi_value out;
  napi_create_string_utf8(env, gcrypt_version(), NAPI_AUTO_LENGTH, &out);
  return out;
}

}  // namespace

void add_cipher(Napi::Env env, Napi::Object exports) {
  add(env, exports, "cipherOpen", cipher_open);
  add(env, exports, "cipherClose", cipher_close);
  add(env, exports, "cipherAddKey", cipher_add_key);
  add(env, exports, "cipherRemoveKey", cipher_remove_key);
  add(env, exports, "cipherSeal", cipher_run<true>);
  add(env, exports, "cipherOpenRows", cipher_run<false>);
  add(env, exports, "cipherLoop", cipher_loop);
  add(env, exports, "cipherPath", cipher_path);
  add(env, exports, "ipsecMbVersion", mb_version);
  add(env, exports, "gcryptVersion", libgcrypt_version);
}

}  // namespace esplane
