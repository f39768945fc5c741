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
enum class Cipher : uint32_t { kGcm = 0, kGmac = 1, kChacha = 2, kCcm = 3, kCbc = 4, kCtr = 5, kNull = 6 };
enum class Mac : uint32_t { kNone = 0, kHmac = 1, kXcbc = 2, kCmac = 3 };

constexpr uint32_t kNonceLen = 12, kAadLen = 12, kEspHeader = 8, kTagLen = 16, kBlock = 16;
// RFC 4309: salt of three bytes and IV, the last bytes of a row's nonce.
constexpr uint32_t kCcmNonceLen = 11;

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
  // OpenSSL's name of the cipher, or libgcrypt's.
  const char* cipher_name;
  Mac mac;
  // OpenSSL's name of an HMAC's hash.
  const char* hash_name;
  const uint8_t* key;
  uint32_t key_len;
  const uint8_t* mac_key;
  uint32_t mac_key_len;
  uint32_t iv_len;
  uint32_t icv_len;
  // Texts are whole blocks of so many bytes; 1 where they may have any length.
  uint32_t block;
};

// A key at work. `seal` encrypts in place and writes the ICV behind the text; `open` says whether the ICV is good.
class Key {
 public:
  explicit Key(const KeySpec& spec)
      : cipher(spec.cipher), iv_len(spec.iv_len), icv_len(spec.icv_len), block(spec.block) {}
  virtual ~Key() = default;
  Key(const Key&) = delete;
  Key& operator=(const Key&) = delete;
  virtual void seal(const Row& row) = 0;
  virtual bool open(const Row& row) = 0;
  // Brings what a text of `len` bytes needs of the key nearer, before its turn.
  virtual void fetch(uint32_t) const {}

  const Cipher cipher;
  const uint32_t iv_len;
  const uint32_t icv_len;
  const uint32_t block;
};

// A cipher without integrity, with its key: a block cipher in CBC, or AES in CTR. `iv` is the block before the first one,
// or the first counter.
class Mode {
 public:
  Mode() = default;
  virtual ~Mode() = default;
  Mode(const Mode&) = delete;
  Mode& operator=(const Mode&) = delete;
  virtual void encrypt(const uint8_t* iv, uint8_t* text, uint32_t len) = 0;
  virtual void decrypt(const uint8_t* iv, uint8_t* text, uint32_t len) = 0;
};

// nullptr where libgcrypt does not have the cipher, or was not built in.
Mode* make_gcrypt_mode(const KeySpec& spec);
// Its version; empty without it.
const char* gcrypt_version();

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
