/**
 * Echoes and decrypted packets in a capture: in ESP that the SAs of the test open, and in the clear.
 * @module
 */
import { toHex } from '../base/bytes.ts';
import type { EspEvent } from '../inspect/esp-event.ts';
import type { EspSink } from '../inspect/receiver.ts';
import { PASS } from '../wire/packet.ts';
import { echoKey } from './ledger.ts';
import { type EchoHosts, EchoReader } from './reference.ts';

/** Collects the replies of a peer. */
export class Replies implements EspSink {
  readonly #hosts: EchoHosts;
  readonly #reader = new EchoReader();
  readonly #inEsp = new Map<string, number>();
  readonly #clear = new Map<string, number>();

  constructor(hosts: EchoHosts) {
    this.#hosts = hosts;
  }

  /**
   * How many came, by `echoKey`. Where some came in ESP those in the clear do not count: a capture on all interfaces of a
   * host has each twice.
   */
  get counts(): ReadonlyMap<string, number> {
    return this.#inEsp.size > 0 ? this.#inEsp : this.#clear;
  }

  packet({ tried, bytes, at, end }: EspEvent): void {
    if (tried === PASS) this.#take(this.#inEsp, bytes, at, end);
  }

  other(b: Uint8Array, at: number, end: number): void {
    this.#take(this.#clear, b, at, end);
  }

  #take(counts: Map<string, number>, b: Uint8Array, at: number, end: number): void {
    const echo = this.#reader.read(b.subarray(at, end), this.#hosts, 'reply');
    if (echo) counts.set(echoKey(echo), (counts.get(echoKey(echo)) ?? 0) + 1);
  }
}

/** Collects IP packets in the clear, in hexadecimal. */
export class ClearPackets implements EspSink {
  readonly packets: string[] = [];

  other(b: Uint8Array, at: number, end: number): void {
    this.packets.push(toHex(b, at, end));
  }
}
