/**
 * A packet of the page, with its SAs and its explanation. Everything comes from esplane's own core.
 * @module
 */
import { hex } from '../../base/bytes.ts';
import { seededBytes } from '../../base/rng.ts';
import type { FrameInfo } from '../../capture/frame.ts';
import { type CiliumKey, mergeKeys, parseKeys } from '../../cilium/keys.ts';
import { type CiliumNode, parseNodes } from '../../cilium/nodes.ts';
import { ClusterPlan } from '../../cilium/plan.ts';
import { type CiliumVersion, parseVersion } from '../../cilium/version.ts';
import { NobleEngine } from '../../crypto/noble.ts';
import { Evidence } from '../../inspect/evidence.ts';
import { Explainer } from '../../inspect/explain/explain.ts';
import type { Explanation } from '../../inspect/explain/tree.ts';
import type { SaConfig } from '../../ipsec/sa-config.ts';
import { parseAddress } from '../../wire/address.ts';
import type { PacketChoice } from './selection.ts';

/** A frame as it is embedded in the page. */
export interface EmbeddedFrame {
  /** 1-based number in its capture. */
  readonly number: number;
  readonly seconds: number;
  readonly nanoseconds: number;
  readonly hex: string;
}

/** What `scripts/web-packets.ts` takes out of a folder of `pcaps/`. */
export interface Embedded {
  /** `LINKTYPE_` number. */
  readonly linkType: number;
  readonly frame: EmbeddedFrame;
  readonly before: readonly EmbeddedFrame[];
  /** The keys file's text. */
  readonly keys: string;
  /** The node list's text. */
  readonly nodes: string;
}

/** A frame and what the capture says about it. */
export interface PageFrame {
  readonly bytes: Uint8Array;
  readonly info: FrameInfo;
}

/** A packet of the page. */
export interface PagePacket extends PacketChoice {
  /** Path of the capture in the project, for commands. */
  readonly capture: string;
  readonly keysFile: string;
  readonly nodesFile: string;
  readonly shown: PageFrame;
  /** Frames of the same stream that came before. */
  readonly earlier: readonly PageFrame[];
  readonly evidence: Evidence;
  /** The cluster that it was captured in. */
  readonly keys: readonly CiliumKey[];
  readonly nodes: readonly CiliumNode[];
  readonly version: CiliumVersion;
}

/**
 * Makes a packet of the page of what is embedded.
 * @throws {InputError} when keys or nodes cannot be used
 */
export function pagePacket(choice: PacketChoice, embedded: Embedded): PagePacket {
  const { linkType, frame, before, ...texts } = embedded;
  const folder = `pcaps/${choice.folder}`;
  const capture = `${folder}/wire.pcap`;
  const version = parseVersion(choice.cilium);
  const keys = mergeKeys(parseKeys(texts.keys, `${folder}/keys`, version));
  const nodes = parseNodes(texts.nodes, `${folder}/ciliumnodes.json`);
  const pageFrame = ({ number, seconds, nanoseconds, hex: digits }: EmbeddedFrame): PageFrame => {
    const bytes = hex(digits);
    const info = { number, seconds, nanoseconds, hasTime: true, linkType, interfaceId: 0, byte: 0 };
    return { bytes, info: { ...info, originalLength: bytes.length } };
  };
  return {
    ...choice,
    capture,
    keysFile: `${folder}/keys`,
    nodesFile: `${folder}/ciliumnodes.json`,
    shown: pageFrame(frame),
    earlier: before.map(pageFrame),
    evidence: new Evidence({ listed: new ClusterPlan(keys, nodes, { version }).all() }),
    keys,
    nodes,
    version,
  };
}

/**
 * Explains a packet as its receiver has it, with its window where the frames before have left it.
 * @param bytes the frame, when it has been altered on the way
 */
export function explainPacket(packet: PagePacket, bytes: Uint8Array = packet.shown.bytes): Explanation {
  const explainer = new Explainer({
    evidence: packet.evidence,
    engine: new NobleEngine(),
    random: seededBytes(1), // SAs that never send want it all the same
    showKeys: true, // made for these captures and used nowhere else
  });
  for (const frame of packet.earlier) explainer.pass(frame.bytes, 0, frame.bytes.length, frame.info);
  return explainer.explain(bytes, 0, bytes.length, packet.shown.info);
}

/** The SA that the packet came by. */
export function saOf(packet: PagePacket): SaConfig {
  const { sa, src, dst } = addressesOf(packet);
  return packet.evidence.find(src, dst, sa.spi)[0]!;
}

function addressesOf(packet: PagePacket) {
  for (const layer of explainPacket(packet).packet.layers) {
    const sa = layer.security?.sa;
    if (sa) return { sa, src: parseAddress(sa.src)!, dst: parseAddress(sa.dst)! };
  }
  throw new Error(`${packet.id}: its ESP is not opened`);
}
