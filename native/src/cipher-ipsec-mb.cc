// Suites over Intel's ipsec-mb: one call a packet, with the key expanded once. Built where its library was found.
#include <openssl/crypto.h>

#include <cstring>

#include "keys.h"

namespace esplane {

#ifdef HAVE_IPSEC_MB

namespace {

class GcmKey final : public Key {
 public:
  GcmKey(IMB_MGR* manager, const KeySpec& spec) : Key(spec) {
    switch (spec.key_len) {
      case 16:
        IMB_AES128_GCM_PRE(manager, spec.key, &data_);
        enc_ = manager->gcm128_enc;
        dec_ = manager->gcm128_dec;
        break;
      case 24:
        IMB_AES192_GCM_PRE(manager, spec.key, &data_);
        enc_ = manager->gcm192_enc;
        dec_ = manager->gcm192_dec;
        break;
      case 32:
        IMB_AES256_GCM_PRE(manager, spec.key, &data_);
        enc_ = manager->gcm256_enc;
        dec_ = manager->gcm256_dec;
        break;
    }
    ready = enc_ != nullptr;
  }
  ~GcmKey() override {
    OPENSSL_cleanse(&data_, sizeof data_);
    OPENSSL_cleanse(&context_, sizeof context_);
  }

  void seal(const Row& row) override {
    enc_(&data_, &context_, row.text, row.text, row.len, row.nonce, row.aad, row.aad_len, row.text + row.len, icv_len);
  }

  bool open(const Row& row) override {
    uint8_t tag[kTagLen];
    dec_(&data_, &context_, row.text, row.text, row.len, row.nonce, row.aad, row.aad_len, tag, kTagLen);
    return CRYPTO_memcmp(tag, row.text + row.len, icv_len) == 0;
  }

  void fetch(uint32_t len) const override {
    const char* const begin = reinterpret_cast<const char*>(&data_);
    for (size_t at = 0; at < sizeof data_.expanded_keys; at += kLine) __builtin_prefetch(begin + at);
    // The powers of the hash key lie from the highest to the lowest; a text asks for one a block, and two.
    const size_t powers = kBlock * (len / kBlock + 2) + kLine;
    const size_t from = sizeof data_ > powers ? sizeof data_ - powers : 0;
    for (size_t at = from; at < sizeof data_; at += kLine) __builtin_prefetch(begin + at);
  }

  bool ready = false;

 private:
  static constexpr size_t kLine = 64;
  alignas(64) gcm_key_data data_;
  alignas(64) gcm_context_data context_;
  aes_gcm_enc_dec_t enc_ = nullptr;
  aes_gcm_enc_dec_t dec_ = nullptr;
};

class ChachaKey final : public Key {
 public:
  ChachaKey(IMB_MGR* manager, const KeySpec& spec) : Key(spec), manager_(manager) { memcpy(key_, spec.key, sizeof key_); }
  ~ChachaKey() override {
    OPENSSL_cleanse(key_, sizeof key_);
    OPENSSL_cleanse(&context_, sizeof context_);
  }

  void seal(const Row& row) override {
    IMB_CHACHA20_POLY1305_INIT(manager_, key_, &context_, row.nonce, row.aad, row.aad_len);
    IMB_CHACHA20_POLY1305_ENC_UPDATE(manager_, key_, &context_, row.text, row.text, row.len);
    IMB_CHACHA20_POLY1305_ENC_FINALIZE(manager_, &context_, row.text + row.len, icv_len);
  }

  bool open(const Row& row) override {
    uint8_t tag[kTagLen];
    IMB_CHACHA20_POLY1305_INIT(manager_, key_, &context_, row.nonce, row.aad, row.aad_len);
    IMB_CHACHA20_POLY1305_DEC_UPDATE(manager_, key_, &context_, row.text, row.text, row.len);
    IMB_CHACHA20_POLY1305_DEC_FINALIZE(manager_, &context_, tag, kTagLen);
    return CRYPTO_memcmp(tag, row.text + row.len, icv_len) == 0;
  }

 private:
  IMB_MGR* manager_;
  uint8_t key_[32];
  chacha20_poly1305_context_data context_;
};

}  // namespace

IMB_MGR* make_ipsec_mb() {
  IMB_MGR* manager = alloc_mb_mgr(0);
  if (manager == nullptr) return nullptr;
  IMB_ARCH arch = IMB_ARCH_NONE;
  init_mb_mgr_auto(manager, &arch);
  // Without AES instructions it would be slower than OpenSSL.
  if (imb_get_errno(manager) == 0 && arch > IMB_ARCH_NOAESNI) return manager;
  free_mb_mgr(manager);
  return nullptr;
}

void free_ipsec_mb(IMB_MGR* manager) { free_mb_mgr(manager); }

const char* ipsec_mb_path(IMB_MGR* manager) {
  switch (manager->used_arch) {
    case IMB_ARCH_SSE:
      return "SSE";
    case IMB_ARCH_AVX:
      return "AVX";
    case IMB_ARCH_AVX2:
      return "AVX2";
    case IMB_ARCH_AVX512:
      return "AVX512";
    default:
      return "";
  }
}

const char* ipsec_mb_version() { return imb_get_version_str(); }

// CBC with HMAC stays with OpenSSL: here it would pay only with eight packets at once, through a queue.
Key* make_ipsec_mb_key(IMB_MGR* manager, const KeySpec& spec) {
  if (spec.cipher == Cipher::kGcm) {
    GcmKey* key = new GcmKey(manager, spec);
    if (key->ready) return key;
    delete key;
  }
  if (spec.cipher == Cipher::kChacha && spec.key_len == 32) return new ChachaKey(manager, spec);
  return nullptr;
}

#else

IMB_MGR* make_ipsec_mb() { return nullptr; }
void free_ipsec_mb(IMB_MGR*) {}
const char* ipsec_mb_path(IMB_MGR*) { return ""; }
const char* ipsec_mb_version() { return ""; }
Key* make_ipsec_mb_key(IMB_MGR*, const KeySpec&) { return nullptr; }

#endif

}  // namespace esplane
