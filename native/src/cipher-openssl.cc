// Suites over EVP of the OpenSSL that node exports. A context is made once per key and direction; a packet only
// sets its nonce.
// HMAC_CTX is deprecated for EVP_MAC, which fetches and allocates more for every packet.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/crypto.h>
#include <openssl/provider.h>

#include <cstring>
#include <memory>

#include "keys.h"

namespace esplane {

namespace {

// CAST5 and Blowfish are in a provider of their own. It is loaded into a library context of our own: nothing else in the
// process changes.
OSSL_LIB_CTX* legacy() {
  static OSSL_LIB_CTX* const context = [] {
    OSSL_LIB_CTX* made = OSSL_LIB_CTX_new();
    if (made != nullptr && OSSL_PROVIDER_load(made, "legacy") == nullptr) {
      OSSL_LIB_CTX_free(made);
      made = nullptr;
    }
    return made;
  }();
  return context;
}

struct CipherFree {
  void operator()(EVP_CIPHER* cipher) const { EVP_CIPHER_free(cipher); }
};
using Evp = std::unique_ptr<EVP_CIPHER, CipherFree>;

// nullptr where OpenSSL does not have it.
Evp evp_cipher(const char* name) {
  Evp found(EVP_CIPHER_fetch(nullptr, name, nullptr));
  if (found == nullptr && legacy() != nullptr) found.reset(EVP_CIPHER_fetch(legacy(), name, nullptr));
  return found;
}

// A cipher context that frees itself; OpenSSL wipes the key schedule in it.
struct Context {
  EVP_CIPHER_CTX* at = EVP_CIPHER_CTX_new();
  ~Context() { EVP_CIPHER_CTX_free(at); }
};

// Gives a context its key, of any length that the cipher takes.
bool set_key(EVP_CIPHER_CTX* context, const EVP_CIPHER* cipher, const KeySpec& spec, int encrypting) {
  return EVP_CipherInit_ex(context, cipher, nullptr, nullptr, nullptr, encrypting) == 1 &&
         (EVP_CIPHER_CTX_get_key_length(context) == static_cast<int>(spec.key_len) ||
          EVP_CIPHER_CTX_set_key_length(context, static_cast<int>(spec.key_len)) == 1) &&
         EVP_CipherInit_ex(context, nullptr, nullptr, spec.key, nullptr, encrypting) == 1;
}

// AES-GCM, AES-GMAC and ChaCha20-Poly1305 (RFC 4106, RFC 4543, RFC 7634).
class AeadKey final : public Key {
 public:
  explicit AeadKey(const KeySpec& spec) : Key(spec) {
    const Evp evp = evp_cipher(spec.cipher_name);
    ready = evp != nullptr && seal_.at != nullptr && open_.at != nullptr && set_key(seal_.at, evp.get(), spec, 1) &&
            set_key(open_.at, evp.get(), spec, 0);
  }

  void seal(const Row& row) override {
    int n = 0;
    uint8_t tag[kTagLen];
    EVP_EncryptInit_ex(seal_.at, nullptr, nullptr, nullptr, row.nonce);
    EVP_EncryptUpdate(seal_.at, nullptr, &n, row.aad, static_cast<int>(row.aad_len));
    if (cipher == Cipher::kGmac)
      EVP_EncryptUpdate(seal_.at, nullptr, &n, row.text - iv_len, static_cast<int>(row.len + iv_len));
    else if (row.len > 0)
      EVP_EncryptUpdate(seal_.at, row.text, &n, row.text, static_cast<int>(row.len));
    EVP_EncryptFinal_ex(seal_.at, row.text + row.len, &n);
    EVP_CIPHER_CTX_ctrl(seal_.at, EVP_CTRL_AEAD_GET_TAG, kTagLen, tag);
    memcpy(row.text + row.len, tag, icv_len);
  }

  bool open(const Row& row) override {
    int n = 0;
    EVP_DecryptInit_ex(open_.at, nullptr, nullptr, nullptr, row.nonce);
    EVP_CIPHER_CTX_ctrl(open_.at, EVP_CTRL_AEAD_SET_TAG, static_cast<int>(icv_len), row.text + row.len);
    EVP_DecryptUpdate(open_.at, nullptr, &n, row.aad, static_cast<int>(row.aad_len));
    if (cipher == Cipher::kGmac)
      EVP_DecryptUpdate(open_.at, nullptr, &n, row.text - iv_len, static_cast<int>(row.len + iv_len));
    else if (row.len > 0)
      EVP_DecryptUpdate(open_.at, row.text, &n, row.text, static_cast<int>(row.len));
    // OpenSSL compares the tags in constant time.
    uint8_t rest[kBlock];
    return EVP_DecryptFinal_ex(open_.at, rest, &n) == 1;
  }

  bool ready = false;

 private:
  Context seal_, open_;
};

// AES-CCM (RFC 4309). It begins with the length of the text, and checks the tag when the text is there.
class CcmKey final : public Key {
 public:
  explicit CcmKey(const KeySpec& spec) : Key(spec) {
    const Evp evp = evp_cipher(spec.cipher_name);
    ready = evp != nullptr && seal_.at != nullptr && open_.at != nullptr && prepare(seal_.at, evp.get(), spec, 1) &&
            prepare(open_.at, evp.get(), spec, 0);
  }

  void seal(const Row& row) override {
    int n = 0;
    EVP_EncryptInit_ex(seal_.at, nullptr, nullptr, nullptr, row.nonce + kNonceLen - kCcmNonceLen);
    EVP_EncryptUpdate(seal_.at, nullptr, &n, nullptr, static_cast<int>(row.len));
    if (row.aad_len > 0) EVP_EncryptUpdate(seal_.at, nullptr, &n, row.aad, static_cast<int>(row.aad_len));
    EVP_EncryptUpdate(seal_.at, row.text, &n, row.text, static_cast<int>(row.len));
    EVP_CIPHER_CTX_ctrl(seal_.at, EVP_CTRL_AEAD_GET_TAG, static_cast<int>(icv_len), row.text + row.len);
  }

  bool open(const Row& row) override {
    int n = 0;
    EVP_DecryptInit_ex(open_.at, nullptr, nullptr, nullptr, row.nonce + kNonceLen - kCcmNonceLen);
    EVP_CIPHER_CTX_ctrl(open_.at, EVP_CTRL_AEAD_SET_TAG, static_cast<int>(icv_len), row.text + row.len);
    EVP_DecryptUpdate(open_.at, nullptr, &n, nullptr, static_cast<int>(row.len));
    if (row.aad_len > 0) EVP_DecryptUpdate(open_.at, nullptr, &n, row.aad, static_cast<int>(row.aad_len));
    // OpenSSL compares the tags in constant time.
    return EVP_DecryptUpdate(open_.at, row.text, &n, row.text, static_cast<int>(row.len)) == 1;
  }

  bool ready = false;

 private:
  static bool prepare(EVP_CIPHER_CTX* context, const EVP_CIPHER* evp, const KeySpec& spec, int encrypting) {
    return EVP_CipherInit_ex(context, evp, nullptr, nullptr, nullptr, encrypting) == 1 &&
           EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_IVLEN, kCcmNonceLen, nullptr) == 1 &&
           EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, static_cast<int>(spec.icv_len), nullptr) == 1 &&
           EVP_CIPHER_CTX_get_key_length(context) == static_cast<int>(spec.key_len) &&
           EVP_CipherInit_ex(context, nullptr, nullptr, spec.key, nullptr, encrypting) == 1;
  }

  Context seal_, open_;
};

// What OpenSSL has of CBC, and CTR.
class OpenSslMode final : public Mode {
 public:
  explicit OpenSslMode(const KeySpec& spec) {
    const Evp evp = evp_cipher(spec.cipher_name);
    ready = evp != nullptr && seal_.at != nullptr && open_.at != nullptr && set_key(seal_.at, evp.get(), spec, 1) &&
            set_key(open_.at, evp.get(), spec, 0) && EVP_CIPHER_CTX_set_padding(seal_.at, 0) == 1 &&
            EVP_CIPHER_CTX_set_padding(open_.at, 0) == 1;
  }

  void encrypt(const uint8_t* iv, uint8_t* text, uint32_t len) override {
    int n = 0;
    EVP_EncryptInit_ex(seal_.at, nullptr, nullptr, nullptr, iv);
    EVP_EncryptUpdate(seal_.at, text, &n, text, static_cast<int>(len));
  }

  void decrypt(const uint8_t* iv, uint8_t* text, uint32_t len) override {
    int n = 0;
    EVP_DecryptInit_ex(open_.at, nullptr, nullptr, nullptr, iv);
    EVP_DecryptUpdate(open_.at, text, &n, text, static_cast<int>(len));
  }

  bool ready = false;

 private:
  Context seal_, open_;
};

// A MAC with its key, over two parts of a message; the second may be empty.
class MacState {
 public:
  MacState() = default;
  virtual ~MacState() = default;
  MacState(const MacState&) = delete;
  MacState& operator=(const MacState&) = delete;
  virtual void tag(const uint8_t* covered, uint32_t len, const uint8_t* high, uint32_t high_len, uint8_t* out) = 0;
};

// RFC 2104.
class Hmac final : public MacState {
 public:
  explicit Hmac(const KeySpec& spec) {
    EVP_MD* md = EVP_MD_fetch(nullptr, spec.hash_name, nullptr);
    // An empty key is one; no pointer at all would stand for the key before.
    const void* key = spec.mac_key != nullptr ? static_cast<const void*>(spec.mac_key) : "";
    ready = at_ != nullptr && md != nullptr &&
            HMAC_Init_ex(at_, key, static_cast<int>(spec.mac_key_len), md, nullptr) == 1;
    EVP_MD_free(md);
  }
  ~Hmac() override { HMAC_CTX_free(at_); }

  void tag(const uint8_t* covered, uint32_t len, const uint8_t* high, uint32_t high_len, uint8_t* out) override {
    unsigned n = 0;
    HMAC_Init_ex(at_, nullptr, 0, nullptr, nullptr);
    HMAC_Update(at_, covered, len);
    HMAC_Update(at_, high, high_len);
    HMAC_Final(at_, out, &n);
  }

  bool ready = false;

 private:
  HMAC_CTX* at_ = HMAC_CTX_new();
};

// XCBC and CMAC of AES (RFC 3566, RFC 4493), as src/crypto/aes-mac.ts has them: the last block of CBC without an IV, where
// the last block of the message is XORed with one of two more keys.
class AesMac final : public MacState {
 public:
  explicit AesMac(const KeySpec& spec) {
    if (context_.at == nullptr || !start(spec.mac_key, spec.mac_key_len)) return;
    if (spec.mac == Mac::kXcbc) {
      uint8_t own[kBlock];
      constant(1, own);
      constant(2, whole_);
      constant(3, padded_);
      ready = start(own, kBlock);
      OPENSSL_cleanse(own, sizeof own);
    } else {
      constant(0, whole_);
      twice(whole_, whole_);
      twice(whole_, padded_);
      ready = true;
    }
  }
  ~AesMac() override {
    OPENSSL_cleanse(whole_, sizeof whole_);
    OPENSSL_cleanse(padded_, sizeof padded_);
  }

  void tag(const uint8_t* covered, uint32_t len, const uint8_t* high, uint32_t high_len, uint8_t* out) override {
    restart();
    const uint32_t before = len > 0 ? (len - 1) / kBlock * kBlock : 0;
    feed(covered, before, out);
    // What is left is at most a block, and the high half.
    uint8_t rest[2 * kBlock] = {0};
    uint32_t n = len - before;
    if (n > 0) memcpy(rest, covered + before, n);
    memcpy(rest + n, high, high_len);
    n += high_len;
    uint8_t* last = n > kBlock ? rest + kBlock : rest;
    const uint8_t* key = n == kBlock ? whole_ : padded_;
    if (n != kBlock) rest[n] = 0x80;
    for (uint32_t i = 0; i < kBlock; i++) last[i] ^= key[i];
    feed(rest, static_cast<uint32_t>(last - rest) + kBlock, out);
  }

  bool ready = false;

 private:
  bool start(const uint8_t* key, uint32_t key_len) {
    const char* name = key_len == 16 ? "aes-128-cbc" : key_len == 24 ? "aes-192-cbc" : "aes-256-cbc";
    const Evp evp = evp_cipher(name);
    return evp != nullptr && EVP_CIPHER_get_key_length(evp.get()) == static_cast<int>(key_len) &&
           EVP_EncryptInit_ex(context_.at, evp.get(), nullptr, key, kZeros) == 1 &&
           EVP_CIPHER_CTX_set_padding(context_.at, 0) == 1;
  }

  void restart() { EVP_EncryptInit_ex(context_.at, nullptr, nullptr, nullptr, kZeros); }

  // Encrypts whole blocks and keeps the last one.
  void feed(const uint8_t* from, uint32_t len, uint8_t* out) {
    uint8_t encrypted[32 * kBlock];
    int n = 0;
    while (len > 0) {
      const uint32_t some = len < sizeof encrypted ? len : static_cast<uint32_t>(sizeof encrypted);
      EVP_EncryptUpdate(context_.at, encrypted, &n, from, static_cast<int>(some));
      from += some;
      len -= some;
      if (len == 0) memcpy(out, encrypted + some - kBlock, kBlock);
    }
  }

  void constant(uint8_t byte, uint8_t* out) {
    uint8_t block[kBlock];
    memset(block, byte, sizeof block);
    restart();
    feed(block, kBlock, out);
  }

  // Doubled in GF(2^128) (RFC 4493 §2.3).
  static void twice(const uint8_t* from, uint8_t* out) {
    const uint8_t carry = from[0] >> 7;
    for (uint32_t i = 0; i < kBlock; i++)
      out[i] = static_cast<uint8_t>(from[i] << 1 | (i + 1 < kBlock ? from[i + 1] >> 7 : 0));
    if (carry != 0) out[kBlock - 1] ^= 0x87;
  }

  static constexpr uint8_t kZeros[kBlock] = {0};
  Context context_;
  uint8_t whole_[kBlock];
  uint8_t padded_[kBlock];
};

template <typename M>
M* usable(M* made) {
  if (made->ready) return made;
  delete made;
  return nullptr;
}

// OpenSSL's, or else libgcrypt's.
Mode* make_mode(const KeySpec& spec) {
  Mode* mode = usable(new OpenSslMode(spec));
  return mode != nullptr ? mode : make_gcrypt_mode(spec);
}

MacState* make_mac(const KeySpec& spec) {
  if (spec.mac == Mac::kHmac) return usable(new Hmac(spec));
  return usable(new AesMac(spec));
}

// A cipher or nothing, then a MAC or nothing, over what is encrypted.
class AuthencKey final : public Key {
 public:
  explicit AuthencKey(const KeySpec& spec)
      : Key(spec),
        mode_(spec.cipher == Cipher::kNull ? nullptr : make_mode(spec)),
        mac_(spec.mac == Mac::kNone ? nullptr : make_mac(spec)) {
    ready = (spec.cipher == Cipher::kNull || mode_ != nullptr) && (spec.mac == Mac::kNone || mac_ != nullptr);
  }

  void seal(const Row& row) override {
    uint8_t first[kBlock];
    if (mode_ != nullptr) mode_->encrypt(iv_of(row, first), row.text, row.len);
    uint8_t tag[EVP_MAX_MD_SIZE];
    if (mac_ != nullptr) {
      mac(row, tag);
      memcpy(row.text + row.len, tag, icv_len);
    }
  }

  // RFC 4303 §3.4.4.1: integrity first, so that no forged byte is ever decrypted.
  bool open(const Row& row) override {
    if (mac_ != nullptr) {
      uint8_t tag[EVP_MAX_MD_SIZE];
      mac(row, tag);
      if (CRYPTO_memcmp(tag, row.text + row.len, icv_len) != 0) return false;
    }
    uint8_t first[kBlock];
    if (mode_ != nullptr) mode_->decrypt(iv_of(row, first), row.text, row.len);
    return true;
  }

  bool ready = false;

 private:
  // In the packet; of CTR the first counter, which is nonce and 1 (RFC 3686 §4).
  const uint8_t* iv_of(const Row& row, uint8_t* first) const {
    if (cipher != Cipher::kCtr) return row.text - iv_len;
    memcpy(first, row.nonce, kNonceLen);
    memset(first + kNonceLen, 0, kBlock - kNonceLen);
    first[kBlock - 1] = 1;
    return first;
  }

  void mac(const Row& row, uint8_t* tag) {
    const uint32_t before = kEspHeader + iv_len;
    // Under ESN the high half follows the text (RFC 4303 §2.2.1); it lies between SPI and low half in the AAD.
    const uint32_t high_len = row.aad_len == kAadLen ? 4 : 0;
    mac_->tag(row.text - before, row.len + before, row.aad + 4, high_len, tag);
  }

  const std::unique_ptr<Mode> mode_;
  const std::unique_ptr<MacState> mac_;
};

}  // namespace

Key* make_openssl_key(const KeySpec& spec) {
  switch (spec.cipher) {
    case Cipher::kGcm:
    case Cipher::kGmac:
    case Cipher::kChacha:
      return usable(new AeadKey(spec));
    case Cipher::kCcm:
      return usable(new CcmKey(spec));
    default:
      return usable(new AuthencKey(spec));
  }
}

}  // namespace esplane
