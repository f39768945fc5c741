/**
 * ESP over AF_PACKET as a link: received from a ring that the kernel fills (TPACKET_V3), whole blocks at a time, and
 * sent past the queueing discipline. Fewer wake-ups than a raw socket, for up to a millisecond more on the way.
 *
 * It sees frames before the kernel's IP layer does: fragments come as they are, for the node to reassemble, and
 * netfilter does not see them. The kernel resolves next hops: the addon follows its routes and neighbours by netlink,
 * and the first packets to a next hop go through the kernel's IP layer, which holds them until it has the hardware
 * address (`native/src/neighbours.h`). Nothing here waits, and no next hop delays another.
 * @module
 */
import { addon } from '../native/addon.ts';
import type { RingHandle } from '../native/packet.ts';
import { inNetns } from '../native/system.ts';
import { check, SystemError } from '../native/system-error.ts';
import { formatAddress } from '../wire/address.ts';
import type { Batch } from '../wire/packet.ts';
import type { DeviceLink } from './link.ts';
import { interfaceOf, ownAddress, type Path, SocketLink, type SocketOptions } from './socket.ts';

export interface PacketOptions extends SocketOptions {
  /** The interface; left out, the one that has the address. */
  readonly device?: string;
}

/**
 * Opens the sockets.
 * @throws {SystemError} without the right, or without the interface
 * @throws {InputError} when the address is none
 */
export function openPacket(options: PacketOptions): DeviceLink {
  const { mark = 0, capacity = 128, netns } = options;
  const address = ownAddress(options.address);
  return inNetns(netns, () => {
    const found = interfaceOf(address);
    const device = options.device ?? found.name;
    const path = options.mtu === undefined ? { mtu: found.mtu, device } : { mtu: options.mtu };
    const name = options.name ?? `packet ${device} ${formatAddress(address)}`;
    const ring = addon().packetOpen(device, address, mark);
    if (typeof ring === 'number') {
      check(ring, `open ${name}`, {
        EPERM: 'Run as root, or with CAP_NET_RAW.',
        ENODEV: `There is no interface ${device}: look with ip link.`,
        ENOMEM: 'The ring needs 8 MiB of kernel memory.',
      });
      throw new SystemError('EINVAL', `open ${name}`, 'Look at the arguments.');
    }
    return new PacketLink(name, ring, path, capacity);
  });
}

class PacketLink extends SocketLink {
  readonly #ring: RingHandle;
  readonly #state = new Uint32Array(2);
  readonly #stateBytes = new Uint8Array(this.#state.buffer);

  constructor(name: string, ring: RingHandle, path: Path, capacity: number) {
    const native = addon();
    super(name, native.packetFd(ring), path, capacity, undefined, [native.packetEvents(ring)]);
    this.#ring = ring;
  }

  protected sendBatch({ slab, tables, count }: Batch, next: number): void {
    this.native.packetSend(this.#ring, slab, tables, count, next, this.mtu, this.result);
  }

  protected receiveBatch(): number {
    const { slab, tables, headroom } = this.batch;
    const n = this.native.packetReceive(this.#ring, slab, tables, headroom, this.#stateBytes);
    this.stats.ignored += this.#state[0]!;
    this.stats.receivedBytes += this.#state[1]!;
    return n;
  }

  override follow(): boolean {
    super.follow();
    // Whether the interface is gone is told by pump.
    return true;
  }

  protected override missed(): number {
    // What has come on top since the last time.
    return this.stats.missed + Math.max(0, this.native.monitorDropped(this.fd));
  }

  protected override release(): void {
    this.native.packetClose(this.#ring);
  }
}
