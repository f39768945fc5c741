// The addon's table of contents: every part adds its functions. Loaded once per thread (context-aware): no state
// but what lives in objects of that thread.
#include <napi.h>

#include "parts.h"

// What JavaScript asks for before it calls anything (src/native/addon.ts): raise both with every change of what crosses.
static constexpr int ABI = 6;

static Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("abi", Napi::Number::New(env, ABI));
  esplane::add_system(env, exports);
  esplane::add_tun(env, exports);
  esplane::add_packet(env, exports);
  esplane::add_monitor(env, exports);
  esplane::add_cipher(env, exports);
  esplane::add_socket(env, exports);
  esplane::add_udp(env, exports);
  esplane::add_raw(env, exports);
  esplane::add_state(env, exports);
  return exports;
}

NODE_API_MODULE(esplane, Init)
