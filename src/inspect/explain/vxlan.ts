/**
 * VXLAN, which carries Ethernet frames: Cilium's overlay, inside ESP or around it.
 * @module
 */
import { LINK_ETHERNET } from '../../wire/link-type.ts';
import * as vxlan from '../../wire/vxlan.ts';
import { HeaderMap, hexNumber, type WordsFor } from './header.ts';
import type { Walker } from './walker.ts';

const ref = 'RFC 7348 §5';

const VXLAN = new HeaderMap(vxlan.FIELDS, ref, {
  flags: { id: 'vxlan.flags', label: 'Flags', show: hexNumber(2) },
  reserved: { id: 'vxlan.reserved24', label: 'Reserved' },
  vni: { id: 'vxlan.vni', label: 'VNI' },
  reserved2: { id: 'vxlan.reserved8', label: 'Reserved' },
} satisfies WordsFor<typeof vxlan.FIELDS>);

/** Reads a VXLAN packet and the frame in it. */
export function readVxlan(w: Walker, at: number, end: number): void {
  const fault = vxlan.check(w.b, at, end);
  const headerEnd = Math.min(at + vxlan.HEADER_LEN, end);
  if (fault) w.stop(at + fault.at, 'vxlan', fault.problem);
  w.layer({
    id: 'vxlan',
    label: 'VXLAN',
    at,
    end: headerEnd,
    text: fault ? '' : `VNI ${vxlan.vni(w.b, at)}`,
    meaning: 'Carries an Ethernet frame over IP.',
    reference: ref,
    children: VXLAN.fields(w, at, headerEnd, fault && headerEnd > at ? { flags: fault.problem } : {}),
    problem: fault?.problem,
  });
  if (fault)
    w.data(headerEnd, end, { label: 'Not read', meaning: 'What follows a header that cannot be trusted.' });
  else w.next.link(w, LINK_ETHERNET, headerEnd, end);
}
