// The addon's table of contents: every part adds its functions. Loaded once per thread (context-aware): no state
// but what lives in objects of that thread.
#include <napi.h>

#include "parts.h"

static Napi::Object Init(Napi::Env env, Napi::Object exports) {
  esplane::add_system(env, exports);
  esplane::add_tun(env, exports);
  esplane::add_packet(env, exports);
  esplane::add_cipher(env, exports);
  esplane::add_socket(env, exports);
  esplane::add_udp(env, exports);
  esplane::add_raw(env, exports);
  return exports;
}

NODE_API_MODULE(esplane, Init)
