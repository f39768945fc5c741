// Suites over EVP of the OpenSSL that node exports. A context is made once per key and direction; a packet only
// sets its nonce.
// HMAC_CTX is deprecated for EVP_MAC, which fetches and allocates more for every packet.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/crypto.h>

#include <cstring>

#include "keys.h"

namespace esplane {

namespace {

const EVP_CIPHER* evp_cipher(Cipher cipher, uint32_t key_len) {
  switch (cipher) {
    case Cipher::kGcm:
    case Cipher::kGmac:
      return key_len == 16 ? EVP_aes_128_gcm() : key_len == 24 ? EVP_aes_192_gcm() : key_len == 32 ? EVP_aes_256_gcm() : nullptr;
    case Cipher::kChacha:
      return key_len == 32 ? EVP_chacha20_poly1305() : nullptr;
    case Cipher::kCbc:
      return key_len == 16 ? EVP_aes_128_cbc() : key_len == 24 ? EVP_aes_192_cbc() : key_len == 32 ? EVP_aes_256_cbc() : nullptr;
    case Cipher::kNull:
      break;
  }
  return nullptr;
}

const EVP_MD* evp_md(Mac mac) {
  switch (mac) {
    case Mac::kSha1:
      return EVP_sha1();
    case Mac::kSha256:
      return EVP_sha256();
    case Mac::kSha384:
      return EVP_sha384();
    case Mac::kSha512:
      return EVP_sha512();
    case Mac::kNone:
      break;
  }
  return nullptr;
}

// A cipher context that frees itself; OpenSSL wipes the key schedule in it.
struct Context {
  EVP_CIPHER_CTX* at = EVP_CIPHER_CTX_new();
  ~Context() { EVP_CIPHER_CTX_free(at); }
};

// AES-GCM, AES-GMAC and ChaCha20-Poly1305 (RFC 4106, RFC 4543, RFC 7634).
class AeadKey final : public Key {
 public:
  explicit AeadKey(const KeySpec& spec) : Key(spec) {
    const EVP_CIPHER* cipher = evp_cipher(spec.cipher, spec.key_len);
    ready = cipher != nullptr && seal_.at != nullptr && open_.at != nullptr &&
            EVP_EncryptInit_ex(seal_.at, cipher, nullptr, spec.key, nullptr) == 1 &&
            EVP_DecryptInit_ex(open_.at, cipher, nullptr, spec.key, nullptr) == 1;
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

// CBC or nothing, then HMAC or nothing, over what is encrypted (RFC 3602, RFC 2404, RFC 4868, RFC 2410).
class AuthencKey final : public Key {
 public:
  explicit AuthencKey(const KeySpec& spec) : Key(spec), has_mac_(spec.mac != Mac::kNone), mac_(HMAC_CTX_new()) {
    ready = mac_ != nullptr;
    if (spec.cipher == Cipher::kCbc) {
      const EVP_CIPHER* cipher = evp_cipher(spec.cipher, spec.key_len);
      ready = ready && cipher != nullptr && EVP_EncryptInit_ex(seal_.at, cipher, nullptr, spec.key, nullptr) == 1 &&
              EVP_DecryptInit_ex(open_.at, cipher, nullptr, spec.key, nullptr) == 1 &&
              EVP_CIPHER_CTX_set_padding(seal_.at, 0) == 1 && EVP_CIPHER_CTX_set_padding(open_.at, 0) == 1;
    }
    if (has_mac_) {
      const EVP_MD* md = evp_md(spec.mac);
      ready = ready && md != nullptr &&
              HMAC_Init_ex(mac_, spec.mac_key, static_cast<int>(spec.mac_key_len), md, nullptr) == 1;
    }
  }
  ~AuthencKey() override { HMAC_CTX_free(mac_); }

  void seal(const Row& row) override {
    if (cipher == Cipher::kCbc) {
      int n = 0;
      EVP_EncryptInit_ex(seal_.at, nullptr, nullptr, nullptr, row.text - kBlock);
      EVP_EncryptUpdate(seal_.at, row.text, &n, row.text, static_cast<int>(row.len));
    }
    uint8_t tag[EVP_MAX_MD_SIZE];
    if (has_mac_) {
      mac(row, tag);
      memcpy(row.text + row.len, tag, icv_len);
    }
  }

  // RFC 4303 §3.4.4.1: integrity first, so that no forged byte is ever decrypted.
  bool open(const Row& row) override {
    if (has_mac_) {
      uint8_t tag[EVP_MAX_MD_SIZE];
      mac(row, tag);
      if (CRYPTO_memcmp(tag, row.text + row.len, icv_len) != 0) return false;
    }
    if (cipher == Cipher::kCbc) {
      int n = 0;
      EVP_DecryptInit_ex(open_.at, nullptr, nullptr, nullptr, row.text - kBlock);
      EVP_DecryptUpdate(open_.at, row.text, &n, row.text, static_cast<int>(row.len));
    }
    return true;
  }

  bool ready = false;

 private:
  void mac(const Row& row, uint8_t* tag) {
    unsigned n = 0;
    HMAC_Init_ex(mac_, nullptr, 0, nullptr, nullptr);
    const uint32_t before = kEspHeader + iv_len;
    HMAC_Update(mac_, row.text - before, row.len + before);
    // Under ESN the high half follows the text (RFC 4303 §2.2.1); it lies between SPI and low half in the AAD.
    if (row.aad_len == kAadLen) HMAC_Update(mac_, row.aad + 4, 4);
    HMAC_Final(mac_, tag, &n);
  }

  const bool has_mac_;
  Context seal_, open_;
  HMAC_CTX* mac_;
};

template <typename K>
Key* made(const KeySpec& spec) {
  K* key = new K(spec);
  if (key->ready) return key;
  delete key;
  return nullptr;
}

}  // namespace

Key* make_openssl_key(const KeySpec& spec) {
  const bool is_aead = spec.cipher == Cipher::kGcm || spec.cipher == Cipher::kGmac || spec.cipher == Cipher::kChacha;
  return is_aead ? made<AeadKey>(spec) : made<AuthencKey>(spec);
}

}  // namespace esplane
