// Block ciphers that OpenSSL does not have, in CBC, over libgcrypt: Serpent and Twofish. Built where its library was found.
#include <cstring>

#include "keys.h"
#ifdef HAVE_GCRYPT
#include <gcrypt.h>
#endif

namespace esplane {

#ifdef HAVE_GCRYPT

namespace {

// libgcrypt wants to be asked for its version first, and once. Secure memory is off: keys lie where those of OpenSSL do.
bool started() {
  static const bool is_ready = [] {
    if (gcry_control(GCRYCTL_INITIALIZATION_FINISHED_P) != 0) return true;
    if (gcry_check_version(GCRYPT_VERSION) == nullptr) return false;
    gcry_control(GCRYCTL_DISABLE_SECMEM, 0);
    gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
    return true;
  }();
  return is_ready;
}

class GcryptMode final : public Mode {
 public:
  explicit GcryptMode(const KeySpec& spec) : iv_len_(spec.iv_len) {
    const int algorithm = gcry_cipher_map_name(spec.cipher_name);
    if (algorithm == 0 || gcry_cipher_get_algo_blklen(algorithm) != spec.block) return;
    ready = gcry_cipher_open(&at_, algorithm, GCRY_CIPHER_MODE_CBC, 0) == 0 &&
            gcry_cipher_setkey(at_, spec.key, spec.key_len) == 0;
  }
  // It wipes the key.
  ~GcryptMode() override { gcry_cipher_close(at_); }

  void encrypt(const uint8_t* iv, uint8_t* text, uint32_t len) override {
    gcry_cipher_setiv(at_, iv, iv_len_);
    gcry_cipher_encrypt(at_, text, len, nullptr, 0);
  }

  void decrypt(const uint8_t* iv, uint8_t* text, uint32_t len) override {
    gcry_cipher_setiv(at_, iv, iv_len_);
    gcry_cipher_decrypt(at_, text, len, nullptr, 0);
  }

  bool ready = false;

 private:
  const uint32_t iv_len_;
  gcry_cipher_hd_t at_ = nullptr;
};

}  // namespace

Mode* make_gcrypt_mode(const KeySpec& spec) {
  if (spec.cipher != Cipher::kCbc || !started()) return nullptr;
  GcryptMode* mode = new GcryptMode(spec);
  if (mode->ready) return mode;
  delete mode;
  return nullptr;
}

const char* gcrypt_version() { return gcry_check_version(nullptr); }

#else

Mode* make_gcrypt_mode(const KeySpec&) { return nullptr; }
const char* gcrypt_version() { return ""; }

#endif

}  // namespace esplane
