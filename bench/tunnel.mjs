/**
 * `npm run bench -- tunnel`: whole tunnels between two namespaces on this host.
 *
 * iperf3 TCP with 1, 4 and 16 streams, UDP packets/s of 64 bytes (one by one, and handed over by UDP GSO) and of 1400, CPU
 * time of the tunnel's processes for each, and the round trip of small packets without other load and beside half of what
 * the contender can carry. The yardstick is the bare veth pair under the same load.
 * @module
 */
import { esplane, esplaneNull } from './lib/contenders/esplane.mjs';
import { openVpn } from './lib/contenders/openvpn.mjs';
import { strongSwan, strongSwanGeneric } from './lib/contenders/strongswan.mjs';
import { clearVeth } from './lib/contenders/veth.mjs';
import { wireguardGo } from './lib/contenders/wireguard.mjs';
import { kernelXfrm } from './lib/contenders/xfrm.mjs';
import { race } from './lib/race.mjs';

const MEASURES = [
  { what: 'tcp1', rounds: 5, seconds: 3 },
  { what: 'tcp4', rounds: 3, seconds: 2 },
  { what: 'tcp16', rounds: 3, seconds: 2 },
  { what: 'udp64', rounds: 3, seconds: 2 },
  { what: 'udp64gso', rounds: 3, seconds: 2 },
  { what: 'udp1400', rounds: 3, seconds: 2 },
  { what: 'latency', rounds: 3 },
  { what: 'latencyHalfLoad', rounds: 3 },
];

const QUICK = [
  { what: 'tcp1', rounds: 1, seconds: 1 },
  { what: 'udp64gso', rounds: 1, seconds: 0.5 },
];

/**
 * @param quick one short round of one stream and one of UDP, for CI
 * @param only contenders whose name has this in it; the yardstick is always there
 */
export function tunnel({ quick = false, only = '', log }) {
  const contenders = [
    clearVeth,
    ...['udp', 'raw', 'packet'].flatMap((link) => [esplane(link), esplaneNull(link)]),
    wireguardGo,
    openVpn,
    strongSwan,
    strongSwanGeneric,
    kernelXfrm,
  ].filter((contender) => contender === clearVeth || contender.name.includes(only));
  const measures = quick ? QUICK : MEASURES;
  return race({ bench: 'tunnel', contenders, measures, log });
}
