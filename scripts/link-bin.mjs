// npm links and makes executable a package's command where it is installed, but not in its own checkout. This makes
// `npx esplane` work there, too.
import { chmodSync, existsSync, rmSync, symlinkSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const pathOf = (file) => fileURLToPath(new URL(`../${file}`, import.meta.url));

chmodSync(pathOf('dist/cli/main.js'), 0o755);
if (existsSync(pathOf('node_modules/.bin'))) {
  rmSync(pathOf('node_modules/.bin/esplane'), { force: true });
  symlinkSync('../../dist/cli/main.js', pathOf('node_modules/.bin/esplane'));
}
