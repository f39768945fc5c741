/**
 * A TUN device as a link: the kernel's side of it is a network interface, this side are IP packets.
 *
 * The kernel hands over super-packets of up to 64 KB and leaves their checksums to us (`IFF_VNET_HDR`), as it does with a
 * network card: TCP, and from Linux 6.2 on runs of UDP datagrams. They are split into packets of the interface's MTU on the way
 * in, and what comes for the interface is merged again on the way out: one system call for some 45 packets
 * (`native/src/{segment,coalesce}.cc`).
 *
 * The split follows the segment size that the kernel names, so it follows `ip link set mtu` by itself; slots grow when
 * something longer comes.
 * @module
 */
import { constants } from 'node:os';
import { EsplaneError } from '../base/errors.ts';
import { addon } from '../native/addon.ts';
import { ip } from '../native/ip-command.ts';
import { deviceDrops, type ProcNetFile } from '../native/proc-net.ts';
import { inNetns } from '../native/system.ts';
import { check } from '../native/system-error.ts';
import { TUN_SCRATCH } from '../native/tun.ts';
import { Batch, ON, TAILROOM } from '../wire/packet.ts';
import { type DeviceLink, type DeviceStats, deviceStats, type Receiver } from './link.ts';

export interface TunOptions {
  /** At most 15 bytes; `%d` becomes a number. */
  readonly name?: string;
  /** Where the interface is made: a name of `ip netns`, or a path. */
  readonly netns?: string;
  readonly mtu?: number;
  /** In CIDR form. */
  readonly addresses?: readonly string[];
  /** Super-packets and checksums (default). Without, every packet crosses by itself. */
  readonly offload?: boolean;
  /** Queues that the kernel spreads its flows over. One thread reads them all. */
  readonly queues?: number;
  /** Packets of a batch. */
  readonly capacity?: number;
  /** Sets the interface up (default). */
  readonly up?: boolean;
}

export interface TunLink extends DeviceLink {
  readonly netns: string | undefined;
  /** To be set by the code that has changed the interface's MTU with {@link TunLink.setMtu} or otherwise. */
  mtu: number;
  /** What the kernel leaves to us: `csum`, `tso4`, `tso6`, `uso`. */
  readonly offloads: readonly string[];
  /** Changes the interface's MTU. */
  setMtu(mtu: number): void;
}

const { EAGAIN, EINTR, EIO, EMSGSIZE } = constants.errno;
const DEFAULT_MTU = 1500;
/** What no MTU exceeds. */
const MAX_PACKET = 0xffff;
const VNET_HEADER = 1;
const MULTI_QUEUE = 2;
const NAME_BYTES = 16;
/**
 * Packets that wait in the kernel while this process has no processor: it drops what comes on top. Its own 500 are 50 ms at
 * 10,000 packets a second.
 */
const QUEUE = 2048;

/**
 * Makes a TUN interface. It goes when the link is closed, or the process ends.
 * @throws {SystemError} without `/dev/net/tun`, without the right, or when the name is taken
 * @throws {EsplaneError} `ERR_NO_ADDON`; `ERR_TUN` when the name is too long
 */
export function openTun({
  name = 'esp%d',
  netns,
  mtu = DEFAULT_MTU,
  addresses = [],
  offload = true,
  queues = 1,
  capacity = 128,
  up = true,
}: TunOptions = {}): TunLink {
  if (new TextEncoder().encode(name).length >= NAME_BYTES || /[\s/]/.test(name))
    throw new EsplaneError(
      'ERR_TUN',
      `${name} is no name for an interface: at most 15 bytes, no blank, no slash`,
    );
  const native = addon();
  const fds: number[] = [];
  const flags = (offload ? VNET_HEADER : 0) | (queues > 1 ? MULTI_QUEUE : 0);
  try {
    return inNetns(netns, () => {
      let real = name;
      for (let queue = 0; queue < queues; queue++) {
        const nameOut = new Uint8Array(NAME_BYTES);
        fds.push(
          check(native.tunOpen(real, flags, nameOut), `make the TUN device ${real}`, {
            ENOENT: 'There is no /dev/net/tun: modprobe tun.',
            ENXIO: 'The kernel has no TUN: modprobe tun.',
            ENODEV: 'The kernel has no TUN: modprobe tun.',
            EBUSY: 'The name is taken: choose another, or look who has it with ip -d link.',
            EPERM: 'Run as root, or with CAP_NET_ADMIN.',
            EINVAL: 'An interface of this name is there and is none of this kind: choose another name.',
          }),
        );
        real = new TextDecoder().decode(nameOut.subarray(0, nameOut.indexOf(0)));
      }
      const offloads = offload ? leaveToUs(fds) : [];
      ip('link', 'set', 'dev', real, 'mtu', String(mtu), 'txqueuelen', String(QUEUE));
      for (const address of addresses) {
        // Without "nodad" an IPv6 address cannot be used for its first seconds.
        ip('addr', 'add', address, 'dev', real, ...(address.includes(':') ? ['nodad'] : []));
      }
      if (up) ip('link', 'set', 'dev', real, 'up');
      return new Tun(real, netns, mtu, fds, offloads, capacity);
    });
  } catch (error) {
    for (const fd of fds) native.closeFd(fd);
    throw error;
  }
}

function leaveToUs(fds: readonly number[]): string[] {
  const native = addon();
  // UDP segmentation came with Linux 6.2.
  const uso = fds.every((fd) => native.tunOffload(fd, 1) === 0);
  if (!uso) for (const fd of fds) check(native.tunOffload(fd, 0), 'TUNSETOFFLOAD');
  return ['csum', 'tso4', 'tso6', ...(uso ? ['uso'] : [])];
}

class Tun implements TunLink {
  readonly name: string;
  readonly netns: string | undefined;
  readonly medium = 'ip';
  readonly fds: readonly number[];
  readonly offloads: readonly string[];
  readonly stats: DeviceStats = deviceStats();
  mtu: number;

  readonly #native = addon();
  /** Virtio headers: none, for TCP, and for UDP as well. */
  readonly #vnet: 0 | 1 | 2;
  #batch: Batch;
  /** One for each queue. */
  readonly #scratch: readonly Uint8Array[];
  /** What the reader of each queue says: packets that made no sense, and bytes read. */
  readonly #said: readonly Uint32Array[];
  readonly #written = new Uint32Array(5);
  readonly #result = new Uint8Array(this.#written.buffer);
  readonly #drops: ProcNetFile;
  #receiver: Receiver | undefined;
  #isClosed = false;
  #turn = 0;

  constructor(
    name: string,
    netns: string | undefined,
    mtu: number,
    fds: readonly number[],
    offloads: readonly string[],
    capacity: number,
  ) {
    this.name = name;
    this.netns = netns;
    this.mtu = mtu;
    this.fds = fds;
    this.offloads = offloads;
    this.#vnet = offloads.includes('uso') ? 2 : offloads.length > 0 ? 1 : 0;
    this.#drops = deviceDrops(name);
    this.#batch = new Batch({ capacity, maxPacket: Math.max(mtu, 2048) });
    this.#scratch = fds.map(() => new Uint8Array(TUN_SCRATCH));
    this.#said = this.#scratch.map(({ buffer }) => new Uint32Array(buffer, 8, 2));
  }

  send(batch: Batch, next: number = ON): number {
    if (this.#isClosed) return 0;
    // Any queue will do: the kernel sorts what it gets by itself.
    const fd = this.fds[0]!;
    this.#native.tunWrite(fd, batch.slab, batch.tables, batch.count, next, this.#vnet, this.#result);
    const { stats } = this;
    const written = this.#written;
    stats.sent += written[0]!;
    stats.full += written[1]!;
    stats.failed += written[2]!;
    stats.sentBytes += written[4]!;
    return written[0]! + written[2]!;
  }

  receive(handler: Receiver | undefined): void {
    this.#receiver = handler;
  }

  pump(): number {
    let read = 0;
    // Another queue begins every time: none starves the others.
    for (let k = 0; k < this.fds.length; k++) {
      if (this.#isClosed) break;
      const queue = (this.#turn + k) % this.fds.length;
      read += this.#pumpQueue(queue);
    }
    this.#turn++;
    return read;
  }

  #pumpQueue(queue: number): number {
    const said = this.#said[queue]!;
    let n = this.#read(queue);
    if (n === -EMSGSIZE) {
      // The MTU was raised from outside. Pages that nothing is written to cost no memory.
      this.#batch = new Batch({ capacity: this.#batch.capacity, maxPacket: MAX_PACKET });
      n = this.#read(queue);
    }
    const batch = this.#batch;
    if (n <= 0) {
      // The kernel says EIO while an interface is down, and EBADFD once it is gone. No error object for what passes.
      if (n !== 0 && n !== -EAGAIN && n !== -EINTR && n !== -EIO)
        check(n, `read from ${this.name}`, { EBADFD: 'The interface was deleted: start again.' });
      return 0;
    }
    batch.count = n;
    const { stats } = this;
    stats.received += n;
    stats.receivedBytes += said[1]!;
    this.#receiver?.(batch);
    return n;
  }

  #read(queue: number): number {
    const batch = this.#batch;
    batch.clear();
    const n = this.#native.tunRead(
      this.fds[queue]!,
      batch.slab,
      batch.tables,
      batch.headroom,
      TAILROOM,
      this.#scratch[queue]!,
      this.#vnet,
    );
    this.stats.ignored += this.#said[queue]![0]!;
    return n;
  }

  look(): void {
    if (!this.#isClosed) this.stats.missed = this.#drops.look() ?? this.stats.missed;
  }

  setMtu(mtu: number): void {
    inNetns(this.netns, () => ip('link', 'set', 'dev', this.name, 'mtu', String(mtu)));
    this.mtu = mtu;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#receiver = undefined;
    this.#drops.close();
    for (const fd of this.fds) this.#native.closeFd(fd);
  }
}
