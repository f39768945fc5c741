/**
 * The public API of esplane. It also runs in a browser; the faster engine over OpenSSL is `esplane/node-engine`.
 *
 * @example
 * ```ts
 * import { aead, NobleEngine, parseAddress, secureBytes, TunnelEnd } from 'esplane';
 *
 * const sa = {
 *   src: parseAddress('192.0.2.1')!, dst: parseAddress('192.0.2.2')!, spi: 3, mode: 'tunnel' as const,
 *   keys: aead('rfc4106(gcm(aes))', key20, 128), esn: true, replayWindow: 1024, reqid: 1, flags: [], origin: 'mine',
 * };
 * const sender = new TunnelEnd(sa, new NobleEngine(), { random: secureBytes });
 * const outcome = sender.encapsulate(ipPacket);
 * ```
 * @module
 */
export { type Clock, systemClock, VirtualClock } from './base/clock.ts';
export { EsplaneError, type Fault, InputError, WireError } from './base/errors.ts';
export { type RandomBytes, secureBytes, seededBytes } from './base/rng.ts';
export type { FrameInfo, FrameSink } from './capture/frame.ts';
export { PcapWriter } from './capture/pcap-writer.ts';
export { PcapngWriter } from './capture/pcapng-writer.ts';
export { type CaptureReader, captureReader } from './capture/reader.ts';
export { Agent, type AgentEvent, type AgentOptions } from './cilium/agent.ts';
export { type AgentPlan, planAgent } from './cilium/agent-plan.ts';
export { type CiliumConfig, parseCiliumConfig } from './cilium/config.ts';
export { deriveKey, deriveMaterial } from './cilium/derive.ts';
export { type CiliumKey, mergeKeys, parseKeys } from './cilium/keys.ts';
export { randomNodeIds } from './cilium/node-ids.ts';
export { type CiliumNode, parseNodes } from './cilium/nodes.ts';
export { ClusterPlan } from './cilium/plan.ts';
export { readKeys } from './cilium/secret.ts';
export { type CiliumVersion, parseVersion } from './cilium/version.ts';
export { type Engine, JobTable } from './crypto/engine.ts';
export { NobleEngine } from './crypto/noble.ts';
export { aead, authenc, KeyMaterial, type Suite } from './crypto/suite.ts';
export { Diagnoser } from './inspect/diagnose/diagnoser.ts';
export type { Diagnosis, Finding } from './inspect/diagnose/finding.ts';
export { EspEvent } from './inspect/esp-event.ts';
export { Evidence, type EvidenceOptions } from './inspect/evidence.ts';
export {
  Explainer,
  type ExplainOptions,
  ExplainSink,
  type ExplainSinkOptions,
  explainBytes,
  guessLinkType,
} from './inspect/explain/explain.ts';
export { type Explanation, type Field, type Protection, walkFields } from './inspect/explain/tree.ts';
export { type EspSink, Receiver, type ReceiverOptions } from './inspect/receiver.ts';
export { CaptureSession, type CaptureSink, type SessionOptions } from './inspect/session.ts';
export { Decapsulator } from './ipsec/decapsulate.ts';
export { DROP, DROPS, type DropReason, type DropRow, dropRow } from './ipsec/drop.ts';
export { Encapsulator } from './ipsec/encapsulate.ts';
export { maxInner, packetLength } from './ipsec/mtu.ts';
export { ReplayWindow } from './ipsec/replay.ts';
export { type SaOptions, SecurityAssociation } from './ipsec/sa.ts';
export type { SaConfig } from './ipsec/sa-config.ts';
export { Sad } from './ipsec/sad.ts';
export { OutboundSequence } from './ipsec/sequence.ts';
export { Spd } from './ipsec/spd.ts';
export { type Outcome, TunnelEnd } from './ipsec/tunnel-end.ts';
export { type Impairments, impair } from './link/impair.ts';
export type { Link } from './link/link.ts';
export { memoryPair } from './link/memory.ts';
export { Node, type NodeObserver, type NodeOptions } from './node/node.ts';
export type { NodeStats } from './node/stats.ts';
export { parseEspSa, writeEspSa } from './sa-text/esp-sa.ts';
export { planSource, SaList, type SaSource } from './sa-text/sa-source.ts';
export { parseXfrmState } from './sa-text/xfrm-sas.ts';
export { writeXfrmState } from './sa-text/xfrm-write.ts';
export { type Address, formatAddress, type Prefix, parseAddress, parsePrefix } from './wire/address.ts';
export { Batch, HELD, NOWHERE, ON, PASS } from './wire/packet.ts';
