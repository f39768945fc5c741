/**
 * ESP in UDP (RFC 3948) as a link: a socket on port 4500. Or VXLAN, on port 8472. The kernel makes IP and UDP headers,
 * and moves some 45 packets in one system call each way (`UDP_SEGMENT`, `UDP_GRO`).
 *
 * Its frames are whole outer packets all the same, as on every outside link: destination, port and traffic class of
 * what is sent are read from their headers, and what is received gets headers made from what the kernel tells.
 * Keepalives and IKE are ignored beside ESP. On VXLAN's port everything is handed on: the node drops what is no VXLAN.
 * @module
 */

import { addon } from '../native/addon.ts';
import { UDP_SCRATCH } from '../native/socket.ts';
import { inNetns } from '../native/system.ts';
import { check } from '../native/system-error.ts';
import { type Address, formatAddress } from '../wire/address.ts';
import type { Batch } from '../wire/packet.ts';
import { PORT_ESP } from '../wire/udp.ts';
import type { DeviceLink } from './link.ts';
import { ownAddress, type Path, pathOf, SocketLink, type SocketOptions } from './socket.ts';

export interface UdpOptions extends SocketOptions {
  /** VXLAN goes without DF, as from Linux's vxlan device; ESP has it where it fits (default). */
  readonly carries?: 'esp' | 'vxlan';
  /** Ours; where packets go is what they say. */
  readonly port?: number;
  /** Lets the kernel split and merge (default). */
  readonly segment?: boolean;
}

/**
 * Opens the socket.
 * @throws {SystemError} when the address is not ours, or the port is taken
 * @throws {InputError} when the address is none
 */
export function openUdp(options: UdpOptions): DeviceLink {
  const { carries = 'esp', port = PORT_ESP, segment = true, mark = 0, capacity = 128 } = options;
  const isVxlan = carries === 'vxlan';
  const address = ownAddress(options.address);
  const name = options.name ?? `udp ${formatAddress(address)}:${port}`;
  return inNetns(options.netns, () => {
    const path = pathOf(address, options.mtu);
    const fd = check(addon().udpOpen(address, port, mark, segment ? 1 : 0, isVxlan ? 1 : 0), `bind ${name}`, {
      EADDRINUSE: 'Another program has the port (ss -ulnp), or a vxlan device (ip -d link show type vxlan).',
      EADDRNOTAVAIL: 'No interface here has this address: look with ip addr.',
      ENOPROTOOPT: 'The kernel has no UDP_GRO: switch segmentation off.',
    });
    return new UdpLink(name, fd, path, capacity, address, port, segment, isVxlan);
  });
}

class UdpLink extends SocketLink {
  readonly cuts = true;
  readonly #address: Address;
  readonly #port: number;
  readonly #segment: 0 | 1;
  readonly #all: 0 | 1;
  readonly #scratch = new Uint8Array(UDP_SCRATCH);
  readonly #said = new Uint32Array(this.#scratch.buffer, 16, 2);

  constructor(
    name: string,
    fd: number,
    path: Path,
    capacity: number,
    address: Address,
    port: number,
    segment: boolean,
    all: boolean,
  ) {
    super(name, fd, path, capacity, address.length === 4 ? 'udp' : 'udp6');
    this.#address = address;
    this.#port = port;
    this.#segment = segment ? 1 : 0;
    this.#all = all ? 1 : 0;
  }

  protected sendBatch({ slab, tables, count }: Batch, next: number): void {
    this.native.udpSend(this.fd, slab, tables, count, next, this.#port, this.mtu, this.#segment, this.result);
  }

  protected receiveBatch(): number {
    const { slab, tables, headroom } = this.batch;
    const n = this.native.udpReceive(
      this.fd,
      slab,
      tables,
      headroom,
      this.#address,
      this.#port,
      this.#scratch,
      this.#all,
    );
    this.stats.ignored += this.#said[0]!;
    this.stats.receivedBytes += this.#said[1]!;
    return n;
  }
}
