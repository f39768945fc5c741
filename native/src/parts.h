// What each file of the addon exports to JavaScript.
#pragma once
#include <napi.h>

namespace esplane {

void add_system(Napi::Env env, Napi::Object exports);
void add_tun(Napi::Env env, Napi::Object exports);
void add_packet(Napi::Env env, Napi::Object exports);
void add_monitor(Napi::Env env, Napi::Object exports);
void add_cipher(Napi::Env env, Napi::Object exports);
void add_socket(Napi::Env env, Napi::Object exports);
void add_udp(Napi::Env env, Napi::Object exports);
void add_raw(Napi::Env env, Napi::Object exports);
void add_state(Napi::Env env, Napi::Object exports);

// Adds a function that follows the convention of all of them: it returns a number, negative for -errno.
inline void add(Napi::Env env, Napi::Object exports, const char* name, napi_callback callback) {
  napi_value fn;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, nullptr, &fn);
  exports.Set(name, Napi::Value(env, fn));
}

}  // namespace esplane
