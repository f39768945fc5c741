/**
 * VXLAN around ESP, and inside it: Cilium's tunnel mode up to 1.17 and from 1.18 on.
 * @module
 */
import type { EspPlace } from '../ipsec/esp-place.ts';
import * as udp from '../wire/udp.ts';
import * as vxlan from '../wire/vxlan.ts';

/** Where the Ethernet frame lies that a VXLAN packet carries. */
export interface VxlanPlace {
  vni: number;
  frameAt: number;
  frameEnd: number;
}

/**
 * Is the packet that `place` found to be something other than ESP a VXLAN packet (UDP port 8472, Linux's and
 * Cilium's, or 4789 of RFC 7348)? Fills `out` when it is.
 */
export function findVxlan(b: Uint8Array, place: EspPlace, out: VxlanPlace): boolean {
  const at = place.espAt;
  if (b[place.protocolAt] !== udp.PROTOCOL || place.espEnd - at < udp.HEADER_LEN) return false;
  const port = udp.dstPort(b, at);
  if (port !== vxlan.PORT_LINUX && port !== vxlan.PORT) return false;
  const end = Math.min(place.espEnd, at + udp.length(b, at));
  if (vxlan.check(b, at + udp.HEADER_LEN, end)) return false;
  out.vni = vxlan.vni(b, at + udp.HEADER_LEN);
  out.frameAt = at + udp.HEADER_LEN + vxlan.HEADER_LEN;
  out.frameEnd = end;
  return true;
}
