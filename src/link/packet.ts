/**
 * ESP over AF_PACKET as a link: received from a ring that the kernel fills (TPACKET_V3), whole blocks at a time, and
 * sent past the queueing discipline. Fewer wake-ups than a raw socket, for up to a millisecond more on the way.
 *
 * It sees frames before the kernel's IP layer does: fragments come as they are, for the node to put together, and
 * netfilter does not see them. Who has which hardware address is asked of the kernel.
 * @module
 */
import { addon } from '../native/addon.ts';
import { ipJson } from '../native/ip-command.ts';
import type { RingHandle } from '../native/packet.ts';
import { inNetns } from '../native/system.ts';
import { check, SystemError } from '../native/system-error.ts';
import { type Address, formatAddress, parseAddress } from '../wire/address.ts';
import type { Batch } from '../wire/packet.ts';
import type { DeviceLink } from './link.ts';
import { interfaceOf, ownAddress, type Path, SocketLink, type SocketOptions } from './socket.ts';

export interface PacketOptions extends SocketOptions {
  /** The interface; left out, the one that has the address. */
  readonly device?: string;
}

/** How often, and how long apart in ms, the kernel is asked for a neighbour that does not answer. */
const ASKS = 10;
const ASK_EVERY = 10;
/** Batches after which a neighbour that did not answer is asked for again: each time costs a tenth of a second. */
const PATIENCE = 1000;

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
    return new PacketLink(name, ring, path, capacity, address.length, device, netns, mark);
  });
}

class PacketLink extends SocketLink {
  readonly #ring: RingHandle;
  readonly #device: string;
  readonly #netns: string | undefined;
  readonly #addressLen: number;
  /** Policy routing by mark chooses the next hop, as it does for the other links. */
  readonly #mark: number;
  readonly #unknown = new Uint8Array(17);
  readonly #state = new Uint32Array(2);
  readonly #stateBytes = new Uint8Array(this.#state.buffer);
  /** Batches until an unanswered question is asked again. */
  #wait = 0;

  constructor(
    name: string,
    ring: RingHandle,
    path: Path,
    capacity: number,
    addressLen: number,
    device: string,
    netns: string | undefined,
    mark: number,
  ) {
    super(name, addon().packetFd(ring), path, capacity);
    this.#ring = ring;
    this.#addressLen = addressLen;
    this.#device = device;
    this.#netns = netns;
    this.#mark = mark;
  }

  protected sendBatch(batch: Batch): void {
    this.#give(batch);
    if (this.#unknown[0] !== 1) return;
    if (this.#wait > 0) {
      this.#wait--;
      return;
    }
    // The first packet to somebody: ask, and send what was kept back. What is only old goes on meanwhile.
    const isNew = this.sent[3]! > 0;
    if (!this.#learn(this.#unknown.slice(1, 1 + this.#addressLen))) this.#wait = PATIENCE;
    else if (isNew && this.sent[0] === 0) this.#give(batch);
  }

  #give({ slab, tables, count }: Batch): void {
    this.native.packetSend(this.#ring, slab, tables, count, this.mtu, this.result, this.#unknown);
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

  /** Asks the kernel for the hardware address of whoever takes packets for `address`. */
  #learn(address: Address): boolean {
    return inNetns(this.#netns, () => {
      try {
        const hop = this.#nextHop(address);
        for (let ask = 0; ask < ASKS; ask++) {
          const mac = this.#macOf(hop);
          if (mac) return this.native.packetNeighbour(this.#ring, address, mac) === 0;
          if (ask === 0) this.native.packetProvoke(address);
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ASK_EVERY);
        }
      } catch (error) {
        // No route, or ip failed: the packets count as refused, and it is asked again.
        if (!(error instanceof SystemError)) throw error;
      }
      return false;
    });
  }

  #nextHop(address: Address): string {
    const text = formatAddress(address);
    const mark = this.#mark === 0 ? [] : ['mark', String(this.#mark)];
    const [route] = ipJson<{ gateway?: string }>('route', 'get', text, 'oif', this.#device, ...mark);
    return route?.gateway !== undefined && parseAddress(route.gateway) ? route.gateway : text;
  }

  #macOf(hop: string): Uint8Array | undefined {
    const known = ipJson<{ lladdr?: string }>('neigh', 'show', 'to', hop, 'dev', this.#device);
    const bytes = known[0]?.lladdr?.split(':').map((byte) => Number.parseInt(byte, 16));
    return bytes?.length === 6 ? Uint8Array.from(bytes) : undefined;
  }
}
