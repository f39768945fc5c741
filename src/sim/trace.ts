/**
 * Follows one packet from pod to pod and says what happens to it, stage by stage: data for programs, and a line of
 * text for people.
 * @module
 */
import { toHex, u32 } from '../base/bytes.ts';
import { DECISIONS } from '../node/decisions.ts';
import type { Node, NodeObserver } from '../node/node.ts';
import { formatAddress, formatPrefix, isAny } from '../wire/address.ts';
import * as esp from '../wire/esp.ts';
import { addressLen, dstAt, srcAt } from '../wire/ip.ts';
import type { Batch } from '../wire/packet.ts';
import { ttlOf } from './ledger.ts';

/** One thing that happens to the packet. */
export interface TraceStep {
  /** Who does it: a host, a node, or the wire. */
  readonly where: string;
  readonly what: string;
  /** For people, one line. */
  readonly text: string;
  /** The same for programs. */
  readonly data: Readonly<Record<string, string | number>>;
}

/** Follows the first packet of the first batch after {@link follow}, up to {@link arrived} or {@link stop}. */
export class Tracer implements NodeObserver {
  readonly steps: TraceStep[] = [];
  readonly #seen = new Set<string>();
  #isOn = false;
  #sentTtl = 0;
  #length = 0;
  /** Of the packet before it was encrypted. */
  #start = '';

  /** Begins with a packet that a host is about to send. */
  follow(host: string, packet: Uint8Array, what: string): void {
    this.#isOn = true;
    this.#sentTtl = ttlOf(packet);
    const { src, dst } = endsOf(packet, 0);
    this.#add(host, 'sends', `${packet.length} bytes: ${src} > ${dst} ${what}, TTL ${this.#sentTtl}`, {
      src,
      dst,
      bytes: packet.length,
      ttl: this.#sentTtl,
    });
  }

  /** Gives up on a packet that will not arrive any more. */
  stop(): void {
    this.#isOn = false;
  }

  intercepted(node: Node, batch: Batch): void {
    if (!this.#once('intercepted')) return;
    const decision = DECISIONS[batch.decision[0]!];
    const peer = node.routes.peerOf(batch, 0);
    const policy = node.spd.policies('out')[batch.policy[0]!];
    const template = policy?.templates[0];
    if (!decision) return;
    this.#length = batch.length[0]!;
    this.#start = firstBytes(batch.slab, batch.offset[0]!);
    this.#add(node.name, 'decides', `${decision.name}: ${decision.why}${peer ? ` (${peer.name})` : ''}`, {
      decision: decision.name,
    });
    if (peer && decision.name === 'encrypt') {
      const mark = hex32(batch.mark[0]!);
      this.#add(
        node.name,
        'marks',
        `${mark}: node id 0x${peer.nodeId.toString(16)}, key ${peer.keyId}, encrypt`,
        {
          mark,
          nodeId: peer.nodeId,
          keyId: peer.keyId,
        },
      );
    }
    if (policy && template?.src && template.dst) {
      const { src, dst } = policy.selector;
      const from = isAny(src.address) ? 'any' : formatPrefix(src);
      const tunnel = `${formatAddress(template.src)} > ${formatAddress(template.dst)}`;
      this.#add(
        node.name,
        'policy',
        `${from} > ${formatPrefix(dst)} with this mark: tunnel ${tunnel}, SPI ${template.spi ?? 'any'}`,
        {
          selector: `${from} > ${formatPrefix(dst)}`,
          tunnel,
          spi: template.spi ?? 0,
        },
      );
    }
  }

  leaving(node: Node, batch: Batch): void {
    if (!this.#once('leaving')) return;
    const sa = node.sad.sas[batch.sa[0]!];
    if (!sa) return;
    const { slab } = batch;
    const at = batch.offset[0]!;
    const after = batch.length[0]!;
    const { ivLen, icvLen } = sa.suite;
    const outer = sa.outer.length;
    const ivAt = at + outer + esp.HEADER_LEN;
    const seq = seqText(sa.sequence.hi, sa.sequence.lo);
    const iv = toHex(slab, ivAt, ivAt + ivLen);
    const trailer = after - outer - esp.HEADER_LEN - ivLen - this.#length - icvLen;
    this.#add(node.name, 'SA', `${sa.config.origin}: sequence number ${seq}, IV ${iv}`, {
      sa: sa.config.origin,
      seq,
      iv,
    });
    const parts = `outer IP ${outer}, ESP ${esp.HEADER_LEN}, IV ${ivLen}, packet ${this.#length}, trailer ${trailer}, ICV ${icvLen}`;
    this.#add(node.name, 'encrypts', `${this.#length} -> ${after} bytes: ${parts}`, {
      before: this.#length,
      after,
      outer,
      trailer,
      icv: icvLen,
    });
    const sealed = firstBytes(slab, ivAt + ivLen);
    this.#add(node.name, 'bytes', `${this.#start}… in the clear are ${sealed}… now`, {
      clear: this.#start,
      encrypted: sealed,
    });
  }

  /** A frame on the wire. */
  onWire(b: Uint8Array, at: number, end: number): void {
    if (!this.#once('wire')) return;
    const { src, dst } = endsOf(b, at);
    const espAt = dstAt(b, at) + addressLen(b, at);
    const spi = u32(b, espAt);
    const seq = u32(b, espAt + 4);
    this.#add('wire', 'carries', `${end - at} bytes: ${src} > ${dst} ESP, SPI ${spi}, number ${seq}`, {
      src,
      dst,
      bytes: end - at,
      spi,
      seq,
    });
  }

  admitted(node: Node, batch: Batch): void {
    if (!this.#once('admitted')) return;
    const { slab } = batch;
    const at = batch.offset[0]!;
    const { src } = endsOf(slab, at);
    const from = node.routes.at(batch.from[0]!);
    if (from?.kind !== 'node') return;
    const mark = hex32(batch.mark[0]!);
    const id = from.peer.nodeId;
    this.#length = batch.length[0]!;
    this.#add(
      node.name,
      'marks',
      `${mark}: ${src} is ${from.peer.name}, node id 0x${id.toString(16)} here, decrypt`,
      {
        mark,
        nodeId: id,
      },
    );
  }

  decrypted(node: Node, batch: Batch): void {
    if (!this.#once('decrypted')) return;
    const sa = node.sad.sas[batch.sa[0]!];
    if (!sa || batch.isEsp[0] === 0) return;
    const { window, config } = sa;
    const seq = seqText(batch.seqHi[0]!, batch.seqLo[0]!);
    this.#add(
      node.name,
      'looks up',
      `${formatAddress(config.dst)}, SPI ${config.spi} and mark: SA ${config.origin}`,
      {
        sa: config.origin,
        spi: config.spi,
      },
    );
    const isIn = batch.next[0]! >= 0;
    if (!isIn) return;
    const top = seqText(window.topHi, window.topLo);
    this.#add(
      node.name,
      'window',
      `number ${seq} is new; the window, ${window.size} wide, now ends at ${top}`,
      {
        seq,
        top,
        size: window.size,
      },
    );
    const len = batch.length[0]!;
    this.#add(
      node.name,
      'decrypts',
      `ICV good: ${this.#length} -> ${len} bytes, ${firstBytes(batch.slab, batch.offset[0]!)}…`,
      {
        before: this.#length,
        after: len,
      },
    );
  }

  /** The packet has reached a host. */
  arrived(host: string, packet: Uint8Array, isIdentical: boolean): void {
    if (!this.#once('arrived')) return;
    this.#isOn = false;
    const ttl = ttlOf(packet);
    const verdict = isIdentical
      ? `identical to what was sent but for the TTL: ${this.#sentTtl} -> ${ttl}`
      : 'NOT what was sent';
    this.#add(host, 'receives', `${packet.length} bytes, ${verdict}`, {
      bytes: packet.length,
      identical: isIdentical ? 'yes' : 'no',
      ttl,
    });
  }

  /** Each stage once: on the way back, or from a twin, the same stages come again. */
  #once(stage: string): boolean {
    if (!this.#isOn || this.#seen.has(stage)) return false;
    this.#seen.add(stage);
    return true;
  }

  #add(where: string, what: string, text: string, data: TraceStep['data']): void {
    this.steps.push({ where, what, text, data });
  }
}

function endsOf(b: Uint8Array, at: number): { src: string; dst: string } {
  const len = addressLen(b, at);
  return { src: formatAddress(b, srcAt(b, at), len), dst: formatAddress(b, dstAt(b, at), len) };
}

function firstBytes(b: Uint8Array, at: number): string {
  return toHex(b, at, at + 12);
}

function hex32(value: number): string {
  return `0x${value.toString(16).padStart(8, '0')}`;
}

function seqText(hi: number, lo: number): string {
  return String((BigInt(hi) << 32n) | BigInt(lo));
}
