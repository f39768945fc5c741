/**
 * Builds the lab: `dist/web/index.html`, one file that needs nothing else. Script and style stand in it, under a policy
 * that names their hashes and forbids every request, so that it does the same from a disk as from a server.
 */
import { createHash } from 'node:crypto';
import { defineConfig, type Plugin } from 'vite';
import { webCheck } from './scripts/web-check.ts';
import { webPackets } from './scripts/web-packets.ts';

/** Puts script and style into the page, and the policy in front of them. */
function onePage(): Plugin {
  return {
    name: 'esplane-one-page',
    enforce: 'post',
    generateBundle(_, bundle) {
      let html = '';
      let script = '';
      let style = '';
      for (const [name, item] of Object.entries(bundle)) {
        if (item.type === 'chunk') script += item.code;
        else if (name.endsWith('.css')) style += item.source;
        else if (name.endsWith('.html')) html = String(item.source);
        else this.error(`${name}: the page is one file, and this is another`);
        delete bundle[name];
      }
      // An end tag in a string of the script would end the script; the same string can be written otherwise.
      script = script.replaceAll('</script', '<\\/script');
      const policy = [
        "default-src 'none'",
        `script-src '${hashOf(script)}'`,
        `style-src '${hashOf(style)}'`,
        'worker-src blob:',
        'img-src data:',
        "base-uri 'none'",
        "form-action 'none'",
      ].join('; ');
      const page = html
        .replace(/\s*<(?:script|link)[^>]*(?:src|href)="\.\/[^"]*"[^>]*>(?:<\/script>)?/g, '')
        .replace('<!-- policy -->', () => `<meta http-equiv="Content-Security-Policy" content="${policy}">`)
        .replace('<!-- style -->', () => `<style>${style}</style>`)
        .replace('<!-- script -->', () => `<script id="lab">${script}</script>`);
      this.emitFile({ type: 'asset', fileName: 'index.html', source: page });
    },
  };
}

function hashOf(text: string): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`;
}

export default defineConfig({
  root: 'src/web',
  base: './',
  plugins: [webCheck(), webPackets(), onePage()],
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir: '../../dist/web',
    emptyOutDir: true,
    target: 'es2022',
    cssTarget: ['chrome123', 'firefox120', 'safari17.5'], // light-dark() as it is
    modulePreload: false,
    cssCodeSplit: false,
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    rolldownOptions: { output: { format: 'iife' } },
  },
});
