/**
 * Prints the level of `_FORTIFY_SOURCE` that the C++ compiler and the C library take without a warning: 3, else 2. For
 * native/binding.gyp.
 * @module
 */
import { spawnSync } from 'node:child_process';

const CODE = '#include <string.h>\nint main() { return 0; }\n';
const args = [
  '-O2',
  '-Werror',
  '-U_FORTIFY_SOURCE',
  '-D_FORTIFY_SOURCE=3',
  '-x',
  'c++',
  '-fsyntax-only',
  '-',
];
const { status } = spawnSync(process.env.CXX ?? 'c++', args, { input: CODE });
process.stdout.write(status === 0 ? '3' : '2');
