/**
 * A filter for the kernel that lets pass what may be ESP, as a classic BPF program: ESP, UDP of the ports that carry it,
 * tunnels that may have it inside, and fragments, in IPv4 and IPv6.
 *
 * Offsets are from the network header (`SKF_NET_OFF`), so that the same program serves Ethernet, cooked and raw sockets.
 * What is in doubt passes: tags that the kernel left in, IPv6 extension headers.
 * @module
 */

import { CARRIER_PORTS, CARRIER_PROTOCOLS, CARRIER_TYPES } from '../wire/carrier.ts';
import * as esp from '../wire/esp.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as udp from '../wire/udp.ts';

/** Offsets from here are from the network header (linux/filter.h). */
const NET = -0x10_0000;
/** An offset that stands for the frame's EtherType. */
const PROTOCOL = -0x1000;

// Instructions: class | size | mode (linux/bpf_common.h).
const LOAD_BYTE = 0x30;
const LOAD_HALF = 0x28;
const LOAD_HALF_AT_X = 0x48;
/** X = 4 * (byte & 0xf): the length of an IPv4 header. */
const LOAD_X_HEADER = 0xb1;
const JUMP_EQUAL = 0x15;
const JUMP_SET = 0x45;
const RETURN = 0x06;

const INSTRUCTION = 8;
/** A jump reaches 255 instructions, and each port has four: with more of them all UDP passes. */
const MOST_PORTS = 40;
const EVERYTHING = 0xffff_ffff;

type Label = 'v4' | 'v6' | 'ports4' | 'ports6' | 'pass' | 'drop';

interface Step {
  readonly code: number;
  readonly k: number;
  /** Where a jump goes when it is true; else it goes on with the next step. */
  readonly to?: Label;
  readonly label?: Label;
}

/** The program, 8 bytes an instruction in the host's byte order. @param ports of UDP that carry ESP beside 4500 */
export function captureFilter(ports: readonly number[] = []): Uint8Array {
  const carriers = [...new Set([udp.PORT_ESP, ...CARRIER_PORTS, ...ports])];
  const toPorts = (to: Label): Label => (carriers.length > MOST_PORTS ? 'pass' : to);
  const portTests = (): Step[] => (carriers.length > MOST_PORTS ? [] : carriers.map(passing));
  const drop: Step = { code: RETURN, k: 0 };
  return assemble([
    { code: LOAD_HALF, k: PROTOCOL },
    { code: JUMP_EQUAL, k: ethernet.TYPE_IPV4, to: 'v4' },
    { code: JUMP_EQUAL, k: ethernet.TYPE_IPV6, to: 'v6' },
    ...CARRIER_TYPES.map(passing),
    drop,

    { code: LOAD_HALF, k: NET + 6, label: 'v4' },
    { code: JUMP_SET, k: 0x3fff, to: 'pass' }, // more fragments, or not the first
    { code: LOAD_BYTE, k: NET + 9 },
    ...[esp.PROTOCOL, ...CARRIER_PROTOCOLS].map(passing),
    { code: JUMP_EQUAL, k: udp.PROTOCOL, to: toPorts('ports4') },
    drop,
    { code: LOAD_X_HEADER, k: NET, label: 'ports4' },
    { code: LOAD_HALF_AT_X, k: NET },
    ...portTests(),
    { code: LOAD_HALF_AT_X, k: NET + 2 },
    ...portTests(),
    drop,

    { code: LOAD_BYTE, k: NET + 6, label: 'v6' },
    ...[esp.PROTOCOL, 0, 43, 44, 60, ...CARRIER_PROTOCOLS].map(passing),
    { code: JUMP_EQUAL, k: udp.PROTOCOL, to: toPorts('ports6') },
    drop,
    { code: LOAD_HALF, k: NET + 40, label: 'ports6' },
    ...portTests(),
    { code: LOAD_HALF, k: NET + 42 },
    ...portTests(),
    drop,

    { code: RETURN, k: EVERYTHING, label: 'pass' },
  ]);
}

function passing(k: number): Step {
  return { code: JUMP_EQUAL, k, to: 'pass' };
}

function assemble(steps: readonly Step[]): Uint8Array {
  const program = new Uint8Array(steps.length * INSTRUCTION);
  const view = new DataView(program.buffer);
  for (const [i, { code, k, to }] of steps.entries()) {
    const at = i * INSTRUCTION;
    const skip = to === undefined ? 0 : steps.findIndex(({ label }) => label === to) - i - 1;
    // The addon runs on little-endian hosts alone, as Node's Linux builds of today do.
    view.setUint16(at, code, true);
    view.setUint8(at + 2, skip);
    view.setUint32(at + 4, k >>> 0, true);
  }
  return program;
}
