// For test/native/leaks.test.ts: built with this, cipher-openssl.cc forgets to free, which the test has to find.
#pragma once
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/hmac.h>
#define HMAC_CTX_free(context) static_cast<void>(context)
