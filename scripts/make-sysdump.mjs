// Makes sysdumps to try `esplane` on: `node scripts/make-sysdump.mjs --help`. The work is in scripts/sysdump/, in TypeScript,
// which Node 20 does not run: Vite does.
import { fileURLToPath } from 'node:url';
import { runnerImport } from 'vite';

const { module } = await runnerImport(fileURLToPath(new URL('sysdump/command.ts', import.meta.url)), {
  configFile: false,
  logLevel: 'error',
});
await module.run(process.argv.slice(2));
