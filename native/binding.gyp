{
  "variables": {
    # Intel ipsec-mb is used where its header and library are installed.
    "ipsec_mb%": "<!(node ../scripts/has-library.mjs ipsec-mb)",
    # So is libgcrypt, for Serpent and Twofish.
    "gcrypt%": "<!(node ../scripts/has-library.mjs gcrypt)",
    # The compiler checks the bounds of copies where it knows them: level 3 from GCC 12 and Clang 15 with glibc 2.34 on.
    "fortify%": "<!(node ../scripts/fortify-level.mjs)"
  },
  "targets": [
    {
      "target_name": "esplane",
      "sources": ["<!@(node -p \"require('fs').readdirSync('src').filter(f=>f.endsWith('.cc')).map(f=>'src/'+f).join(' ')\")"],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": ["NAPI_VERSION=8", "NODE_ADDON_API_DISABLE_DEPRECATED", "NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS"],
      "cflags": [
        "-O3", "-Wall", "-Wextra", "-Wno-unused-parameter", "-fvisibility=hidden",
        "-fstack-protector-strong", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=<(fortify)"
      ],
      # Addresses are resolved when it is loaded, and read-only from then on; the stack is never code.
      "ldflags": ["-Wl,-z,relro", "-Wl,-z,now", "-Wl,-z,noexecstack"],
      "cflags_cc": ["-std=c++17", "-fno-exceptions", "-fno-rtti"],
      "conditions": [
        ["OS!='linux'", { "type": "none" }],
        ["ipsec_mb=='yes'", { "defines": ["HAVE_IPSEC_MB"], "libraries": ["-lIPSec_MB"] }],
        ["gcrypt=='yes'", { "defines": ["HAVE_GCRYPT"], "libraries": ["-lgcrypt"] }]
      ]
    }
  ]
}
