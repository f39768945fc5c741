// npm makes a package's command executable when it is installed somewhere, not in its own checkout, where npx runs it.
import { chmodSync } from 'node:fs';

chmodSync(new URL('../dist/cli/main.js', import.meta.url), 0o755);
