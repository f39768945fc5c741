// Keys made ready for one suite, and what a row of the job table is to them.
#pragma once
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <cstddef>
#include <cstdint>
#ifdef HAVE_IPSEC_MB
#include <intel-ipsec-mb.h>
#else
struct IMB_MGR;
#endif

namespace esplane {

// As src/crypto/native.ts numbers them.
enum class Cipher : uint32_t { kGcm = 0, kGmac = 1, kChacha = 2, kCbc = 3, kNull = 4 };
enum class Mac : uint32_t { kNone = 0, kSha1 = 1, kSha256 = 2, kSha384 = 3, kSha512 = 4 };

constexpr uint32_t kNonceLen = 12, kAadLen = 12, kEspHeader = 8, kTagLen = 16, kBlock = 16;

// One packet's work, with all lengths checked.
struct Row {
  uint8_t* text;
  uint32_t len;
  const uint8_t* nonce;
  const uint8_t* aad;
  uint32_t aad_len;
};

struct KeySpec {
  Cipher cipher;
  Mac mac;
  const uint8_t* key;
  uint32_t key_len;
  const uint8_t* mac_key;
  uint32_t mac_key_len;
  uint32_t iv_len;
  uint32_t icv_len;
};

// A key at work. `seal` encrypts in place and writes the ICV behind the text; `open` says whether the ICV is good.
class Key {
 public:
  explicit Key(const KeySpec& spec) : cipher(spec.cipher), iv_len(spec.iv_len), icv_len(spec.icv_len) {}
  virtual ~Key() = default;
  Key(const Key&) = delete;
  Key& operator=(const Key&) = delete;
  virtual void seal(const Row& row) = 0;
  virtual bool open(const Row& row) = 0;

  const Cipher cipher;
  const uint32_t iv_len;
  const uint32_t icv_len;
};

// Each returns nullptr where it does not have the suite.
Key* make_openssl_key(const KeySpec& spec);
Key* make_ipsec_mb_key(IMB_MGR* manager, const KeySpec& spec);

// nullptr where it was not built in, or the CPU lacks what it needs.
IMB_MGR* make_ipsec_mb();
void free_ipsec_mb(IMB_MGR* manager);
// Name of the code path that it chose, and its version; empty without it.
const char* ipsec_mb_path(IMB_MGR* manager);
const char* ipsec_mb_version();

}  // namespace esplane
