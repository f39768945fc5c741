/**
 * What the links over sockets share: one descriptor, one batch to read into, counters, and an end that says why.
 * @module
 */
import { constants } from 'node:os';
import { InputError } from '../base/errors.ts';
import { addon } from '../native/addon.ts';
import { ipJson } from '../native/ip-command.ts';
import { type ProcNetFile, socketDrops } from '../native/proc-net.ts';
import { SENT_WORDS } from '../native/socket.ts';
import { check, SystemError } from '../native/system-error.ts';
import { type Address, formatAddress, parseAddress } from '../wire/address.ts';
import { Batch, ON } from '../wire/packet.ts';
import { type DeviceLink, type DeviceStats, deviceStats, type Receiver } from './link.ts';

/** What every outside link takes. */
export interface SocketOptions {
  /** For people; left out, the kind and the address. */
  readonly name?: string;
  /** Our own address on the outside, IPv4 or IPv6. */
  readonly address: string;
  /** Where the socket is: a name of `ip netns`, or a path. */
  readonly netns?: string;
  /** Longest outer IP packet; left out, the MTU of the interface that has the address. */
  readonly mtu?: number;
  /** `SO_MARK` of what is sent, for policy routing. */
  readonly mark?: number;
  /** Packets of a batch. */
  readonly capacity?: number;
}

const { EAGAIN, EINTR, ENETDOWN, ENOBUFS, ENOMEM } = constants.errno;
/** Nothing waits, or the interface is down for a while; everything else is the end. */
const TRANSIENT: readonly number[] = [EAGAIN, EINTR, ENETDOWN, ENOBUFS, ENOMEM];

/**
 * Every slot has room for the longest packet: the kernel puts fragments together before a socket sees them. Pages of
 * the slab that nothing was written to cost no memory.
 */
const MAX_PACKET = 0xffff;

export abstract class SocketLink implements DeviceLink {
  readonly name: string;
  readonly medium = 'ip';
  mtu: number;
  readonly fds: readonly number[];
  readonly stats: DeviceStats = deviceStats();

  protected readonly native = addon();
  protected readonly fd: number;
  protected readonly batch: Batch;
  /** What the last send has come to: see `native/socket.ts`. */
  protected readonly sent = new Uint32Array(SENT_WORDS);
  protected readonly result = new Uint8Array(this.sent.buffer);
  /** Whose MTU is followed; `undefined` where it was chosen. */
  readonly #device: string | undefined;
  readonly #drops: ProcNetFile | undefined;
  #receiver: Receiver | undefined;
  #isClosed = false;

  /**
   * @param table of `/proc/net` that has the socket, where one says what it dropped
   * @param more descriptors to wait for beside the socket
   */
  protected constructor(
    name: string,
    fd: number,
    { mtu, device }: Path,
    capacity: number,
    table?: string,
    more: readonly number[] = [],
  ) {
    this.name = name;
    this.#drops = table === undefined ? undefined : socketDrops(fd, table);
    this.#device = device;
    this.fd = fd;
    this.fds = [fd, ...more];
    this.mtu = mtu;
    this.batch = new Batch({ capacity, maxPacket: MAX_PACKET });
  }

  /** Gives what goes to `next` to the kernel and fills {@link sent}. */
  protected abstract sendBatch(batch: Batch, next: number): void;
  /**
   * Reads into the empty {@link batch}, and counts what was read and not handed on.
   * @returns packets, or -errno
   */
  protected abstract receiveBatch(): number;
  /** Packets that the kernel dropped because they were not read. */
  protected missed(): number {
    return this.#drops?.look() ?? this.stats.missed;
  }
  /** Gives everything back to the kernel. */
  protected release(): void {
    this.native.closeFd(this.fd);
  }

  send(batch: Batch, next: number = ON): number {
    if (this.#isClosed) return 0;
    this.sendBatch(batch, next);
    const { stats, sent } = this;
    stats.sent += sent[0]!;
    stats.sentBytes += sent[1]!;
    stats.tooBig += sent[2]!;
    stats.full += sent[3]!;
    stats.failed += sent[4]!;
    return sent[0]! + sent[2]! + sent[4]!;
  }

  receive(handler: Receiver | undefined): void {
    this.#receiver = handler;
  }

  look(): void {
    if (!this.#isClosed) this.stats.missed = this.missed();
  }

  follow(): boolean {
    if (this.#isClosed || this.#device === undefined) return true;
    const mtu = this.native.interfaceMtu(this.fd, this.#device);
    if (mtu > 0) this.mtu = mtu;
    return mtu > 0;
  }

  pump(): number {
    if (this.#isClosed) return 0;
    const { batch } = this;
    batch.clear();
    const n = this.receiveBatch();
    if (n <= 0) {
      // No error object for what passes.
      if (n !== 0 && !TRANSIENT.includes(-n)) check(n, `receive on ${this.name}`);
      return 0;
    }
    batch.count = n;
    this.stats.received += n;
    this.#receiver?.(batch);
    return n;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#receiver = undefined;
    this.#drops?.close();
    this.release();
  }
}

/** The longest outer packet, and the interface that says so. */
export interface Path {
  readonly mtu: number;
  readonly device?: string;
}

/**
 * The MTU that was chosen, or that of the interface with this address.
 * @throws {SystemError} when none has it
 */
export function pathOf(address: Address, mtu: number | undefined): Path {
  if (mtu !== undefined) return { mtu };
  const found = interfaceOf(address);
  return { mtu: found.mtu, device: found.name };
}

/** The interface that has an address, in the namespace of the calling thread. */
export interface Interface {
  readonly name: string;
  readonly mtu: number;
}

/**
 * Looks for the interface that has an address.
 * @throws {SystemError} when none has
 */
export function interfaceOf(address: Address): Interface {
  const text = formatAddress(address);
  const found = ipJson<{ ifname?: string; mtu?: number }>('addr', 'show', 'to', text);
  const first = found.find(({ ifname }) => ifname !== undefined);
  if (first?.ifname === undefined || first.mtu === undefined) {
    throw new SystemError(
      'EADDRNOTAVAIL',
      `find ${text}`,
      `No interface has it: ip addr add ${text} dev NAME.`,
    );
  }
  return { name: first.ifname, mtu: first.mtu };
}

/**
 * Reads the address of an outside link.
 * @throws {InputError} when it is none
 */
export function ownAddress(text: string): Address {
  const address = parseAddress(text);
  if (address) return address;
  throw new InputError(
    { source: 'outside address' },
    `${text} is no IP address`,
    'Write it like 192.168.0.1.',
  );
}
