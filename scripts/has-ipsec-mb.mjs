/**
 * Prints yes when Intel ipsec-mb can be built against, else no: native/binding.gyp asks.
 * @module
 */
import { spawnSync } from 'node:child_process';

const source =
  '#include <intel-ipsec-mb.h>\nint main(void){ return IMB_VERSION_NUM == 0 || !alloc_mb_mgr(0); }\n';
const { status } = spawnSync(process.env.CC ?? 'cc', ['-x', 'c', '-', '-o', '/dev/null', '-lIPSec_MB'], {
  input: source,
});
process.stdout.write(status === 0 && process.arch === 'x64' ? 'yes' : 'no');
