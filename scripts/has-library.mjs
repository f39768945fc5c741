/**
 * `node has-library.mjs ipsec-mb|gcrypt` prints yes when this library can be built against, else no: native/binding.gyp asks.
 * @module
 */
import { spawnSync } from 'node:child_process';

const LIBRARIES = {
  'ipsec-mb': {
    header: 'intel-ipsec-mb.h',
    test: 'IMB_VERSION_NUM == 0 || !alloc_mb_mgr(0)',
    link: '-lIPSec_MB',
    // Its code is for AES instructions of this one.
    isFor: process.arch === 'x64',
  },
  gcrypt: { header: 'gcrypt.h', test: '!gcry_check_version(GCRYPT_VERSION)', link: '-lgcrypt', isFor: true },
};

const { header, test, link, isFor } = LIBRARIES[process.argv[2]];
const { status } = spawnSync(process.env.CC ?? 'cc', ['-x', 'c', '-', '-o', '/dev/null', link], {
  input: `#include <${header}>\nint main(void){ return ${test}; }\n`,
});
process.stdout.write(status === 0 && isFor ? 'yes' : 'no');
