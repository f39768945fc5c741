/**
 * ESP right in IP (protocol 50) as a link: a raw socket, whole batches in one system call.
 *
 * Raw sockets get packets one by one, and each wakes the reader. When traffic is dense and few packets wait, the
 * reader sleeps a moment for more (`coalesceMicros`); sparse traffic never waits.
 *
 * The kernel puts fragments together before a raw socket sees them.
 * @module
 */
import { addon } from '../native/addon.ts';
import { RAW_STATE } from '../native/socket.ts';
import { inNetns } from '../native/system.ts';
import { check } from '../native/system-error.ts';
import { type Address, formatAddress } from '../wire/address.ts';
import type { Batch } from '../wire/packet.ts';
import type { DeviceLink } from './link.ts';
import { ownAddress, type Path, pathOf, SocketLink, type SocketOptions } from './socket.ts';

export interface RawOptions extends SocketOptions {
  /** Sends our own outer header (default); else the kernel makes one. */
  readonly headerIncluded?: boolean;
  /** Longest wait for more packets, µs. */
  readonly coalesceMicros?: number;
}

/** The wait that measured best: shorter fills no batch, longer leaves the sender idle. */
const COALESCE_MICROS = 40;

/**
 * Opens the socket.
 * @throws {SystemError} without the right, or when the address is not ours
 * @throws {InputError} when the address is none
 */
export function openRaw(options: RawOptions): DeviceLink {
  const { mark = 0, capacity = 128, headerIncluded = true, coalesceMicros = COALESCE_MICROS } = options;
  const address = ownAddress(options.address);
  const name = options.name ?? `raw ${formatAddress(address)}`;
  return inNetns(options.netns, () => {
    const path = pathOf(address, options.mtu);
    const fd = check(addon().rawOpen(address, mark, headerIncluded ? 1 : 0), `open ${name}`, {
      EPERM: 'Run as root, or with CAP_NET_RAW.',
      EADDRNOTAVAIL: 'No interface here has this address: look with ip addr.',
    });
    return new RawLink(name, fd, path, capacity, address, headerIncluded, coalesceMicros);
  });
}

class RawLink extends SocketLink {
  readonly #address: Address;
  readonly #headerIncluded: 0 | 1;
  readonly #coalesceMicros: number;
  readonly #state = new Uint32Array(RAW_STATE / 4);
  readonly #stateBytes = new Uint8Array(this.#state.buffer);

  constructor(
    name: string,
    fd: number,
    path: Path,
    capacity: number,
    address: Address,
    headerIncluded: boolean,
    coalesceMicros: number,
  ) {
    super(name, fd, path, capacity, address.length === 4 ? 'raw' : 'raw6');
    this.#address = address;
    this.#headerIncluded = headerIncluded ? 1 : 0;
    this.#coalesceMicros = coalesceMicros;
  }

  protected sendBatch({ slab, tables, count }: Batch, next: number): void {
    this.native.rawSend(this.fd, slab, tables, count, next, this.mtu, this.#headerIncluded, this.result);
  }

  protected receiveBatch(): number {
    const { slab, tables, headroom } = this.batch;
    const n = this.native.rawReceive(
      this.fd,
      slab,
      tables,
      headroom,
      this.#address,
      this.#coalesceMicros,
      this.#stateBytes,
    );
    this.stats.ignored += this.#state[1]!;
    this.stats.receivedBytes += this.#state[2]!;
    return n;
  }
}
