/**
 * The kernel's own ESP: xfrm states and policies in both namespaces, tunnel mode, ESN, a window of 1024.
 * @module
 */
import { CannotRun } from '../cannot-run.mjs';

const GCM = ['aead', 'rfc4106(gcm(aes))', `0x${'5a'.repeat(16)}01020304`, '128'];
const NULL = ['auth', 'digest_null', '', 'enc', 'cipher_null', ''];
const NETS = ['10.246.1.0/24', '10.246.2.0/24'];

export const kernelXfrm = contender('kernel xfrm', GCM);
/** The same with the null cipher: what the kernel's path costs without the cipher. */
export const kernelXfrmNull = contender('kernel xfrm, no cipher', NULL);

function contender(name, algorithm) {
  return {
    name,
    wire: 'ip proto 50',
    readable: algorithm === NULL,
    // The kernel shows a packet that it has opened once more, as if it had come in.
    tap: 'out',
    start: (pair) => start(pair, algorithm),
  };
}

async function start(pair, algorithm) {
  const [a, b] = pair.outer;
  const state = (src, dst, spi) => [
    ...['ip', 'xfrm', 'state', 'add', 'src', src, 'dst', dst, 'proto', 'esp', 'spi', spi, 'reqid', '1'],
    ...['mode', 'tunnel', 'flag', 'esn', 'replay-window', '1024', ...algorithm],
  ];
  const policy = (dir, src, dst, from, to) => [
    ...['ip', 'xfrm', 'policy', 'add', 'src', src, 'dst', dst, 'dir', dir],
    ...['tmpl', 'src', from, 'dst', to, 'proto', 'esp', 'reqid', '1', 'mode', 'tunnel'],
  ];
  for (const [i, here] of pair.outer.entries()) {
    const there = pair.outer[1 - i];
    const address = `10.246.${i + 1}.1`;
    try {
      await pair.runIn(i, ...state(a, b, '0x101'));
      await pair.runIn(i, ...state(b, a, '0x202'));
    } catch (error) {
      throw new CannotRun(`this kernel has no such ESP (${error.message.split('Error: ').at(-1).trim()})`);
    }
    await pair.runIn(i, ...policy('out', NETS[i], NETS[1 - i], here, there));
    await pair.runIn(i, ...policy('in', NETS[1 - i], NETS[i], there, here));
    await pair.runIn(i, 'ip', 'addr', 'add', `${address}/24`, 'dev', 'lo');
    await pair.runIn(i, 'ip', 'route', 'add', NETS[1 - i], 'via', there, 'src', address);
  }
  return { from: '10.246.1.1', to: '10.246.2.1' };
}
