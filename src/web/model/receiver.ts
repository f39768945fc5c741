/**
 * The node that a packet of the page is for: esplane's own data plane, with what Cilium would have set up on that node.
 * Frames go through it as they would through a real one.
 * @module
 */

import { equalBytes } from '../../base/bytes.ts';
import { VirtualClock } from '../../base/clock.ts';
import { seededBytes } from '../../base/rng.ts';
import { type AgentPlan, planAgent } from '../../cilium/agent-plan.ts';
import { addressesOf } from '../../cilium/node-ids.ts';
import { NobleEngine } from '../../crypto/noble.ts';
import { type DropRow, dropRow } from '../../ipsec/drop.ts';
import type { Link } from '../../link/link.ts';
import { Node } from '../../node/node.ts';
import { parseAddress } from '../../wire/address.ts';
import * as ethernet from '../../wire/ethernet.ts';
import { addressLen, dstAt } from '../../wire/ip.ts';
import { Batch, PASS } from '../../wire/packet.ts';
import type { PagePacket } from '../packets/page-packet.ts';

/** What became of a frame at its receiver. */
export interface Arrival {
  /** What the pod got. */
  readonly delivered?: Uint8Array;
  /** The row of the drop table. */
  readonly drop?: DropRow;
  /** It says that it is a fragment, so it waits for the others. */
  readonly waits?: true;
  /** The card or the kernel passed over it before any IP was looked at. */
  readonly ignored?: 'station' | 'type';
}

/**
 * Sends a frame to its receiver, after those of the same stream that came before.
 * @param bytes the frame, as it may have been altered on the way
 */
export function arrive(packet: PagePacket, bytes: Uint8Array): Arrival {
  const real = packet.shown.bytes;
  if (!equalBytes(bytes.subarray(0, 6), real.subarray(0, 6))) return { ignored: 'station' };
  if (ethernet.etherType(bytes) !== ethernet.etherType(real)) return { ignored: 'type' };
  const receiver = READY.get(packet) ?? ready(packet);
  const arrival = receiver.take(bytes);
  // What is dropped leaves no trace but in counters. What is not moves the window, or waits: the next frame gets a new node.
  if (arrival.drop) READY.set(packet, receiver);
  else READY.delete(packet);
  return arrival;
}

/** Nodes that have had the frames before, and nothing since. */
const READY = new WeakMap<PagePacket, Receiver>();

function ready(packet: PagePacket): Receiver {
  const receiver = new Receiver(packet);
  for (const frame of packet.earlier) receiver.take(frame.bytes);
  return receiver;
}

class Receiver {
  readonly #node: Node;
  readonly #batch = new Batch({ capacity: 1 });
  #verdict = PASS;
  #delivered: Uint8Array | undefined;

  constructor(packet: PagePacket) {
    const { name, plan } = setUp(packet);
    this.#node = new Node({
      name,
      plan,
      outside: deaf('outside'),
      engine: new NobleEngine(),
      clock: new VirtualClock(0),
      random: seededBytes(1),
      capacity: 1,
      observer: { decrypted: (_, batch) => this.#look(batch) },
    });
    this.#node.addPod('pod', [parseAddress(packet.pod)!], deaf('pod'));
  }

  take(frame: Uint8Array): Arrival {
    this.#batch.clear();
    this.#batch.push(frame, ethernet.HEADER_LEN);
    this.#node.fromOutside(this.#batch);
    const drop = dropRow(this.#verdict);
    if (drop) return { drop };
    return this.#delivered ? { delivered: this.#delivered } : { waits: true };
  }

  #look(batch: Batch): void {
    const at = batch.offset[0]!;
    this.#verdict = batch.verdict[0]!;
    this.#delivered = batch.next[0]! >= 0 ? batch.slab.slice(at, at + batch.length[0]!) : undefined;
  }
}

interface SetUp {
  readonly name: string;
  readonly plan: AgentPlan;
}

const SET_UPS = new WeakMap<PagePacket, SetUp>();

/** What Cilium sets up on the node that has the packet's destination. Keys are derived once. */
function setUp(packet: PagePacket): SetUp {
  const known = SET_UPS.get(packet);
  if (known) return known;
  const { nodes, keys, mode, version } = packet;
  const { bytes } = packet.shown;
  const at = dstAt(bytes, ethernet.HEADER_LEN);
  const to = bytes.subarray(at, at + addressLen(bytes, ethernet.HEADER_LEN));
  const local = nodes.find((node) => addressesOf(node).some((address) => equalBytes(address, to)))!;
  const ids = new Map(nodes.filter((node) => node !== local).map(({ name }, i) => [name, i + 1]));
  const made = { name: local.name, plan: planAgent(local, keys, nodes, ids, { mode, version }) };
  SET_UPS.set(packet, made);
  return made;
}

/** A link that takes everything and brings nothing. */
function deaf(name: string): Link {
  return { name, medium: 'ip', mtu: 1500, send: (batch) => batch.count, receive() {}, close() {} };
}
