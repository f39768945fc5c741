/**
 * SAs out of texts: what kernels print and what Wireshark keeps, together with what Cilium's keys and nodes yield.
 * Where the texts come from, files or a web page, is for others.
 * @module
 */
import type { ClusterPlan } from '../cilium/plan.ts';
import type { SaConfig } from '../ipsec/sa-config.ts';
import { readEspSa } from './esp-sa.ts';
import { type Omission, omissionLine } from './omission.ts';
import { checkUsable, readStates, withoutKey } from './xfrm-sas.ts';

/** A text and what it is called in errors. */
export interface NamedText {
  readonly source: string;
  readonly text: string;
  /** The same as bytes, where they are at hand: then {@link text} is made of them when it is asked for. */
  readonly bytes?: Uint8Array;
}

/** Texts that list SAs one by one. */
export interface SaTexts {
  /** `ip xfrm state` of one or several nodes. */
  readonly xfrmState: readonly NamedText[];
  /** Wireshark's esp_sa. */
  readonly espSa: readonly NamedText[];
}

/** What keys and nodes yield, and what is odd about them. */
export interface PlanText {
  readonly plan: ClusterPlan;
  /** Nodes with which there are no SAs, or fewer. */
  readonly omitted: readonly Omission[];
  readonly warnings: readonly string[];
}

/** The SAs that texts yield. */
export interface Sas {
  /** Every SA; keys of a whole cluster are derived here, so ask only when all are wanted. */
  all(): SaConfig[];
  /** What is odd about the inputs but does not stop the work. */
  readonly warnings: readonly string[];
}

/**
 * Reads SAs that are listed, and adds those of a plan.
 * @throws {InputError} when a text cannot be used
 */
export function readSas({ xfrmState, espSa }: SaTexts, plan?: PlanText): Sas {
  const states = xfrmState.map(({ source, text }) => readStates(text, source));
  const rows = espSa.map(({ source, text }) => readEspSa(text, source));
  const omitted = [
    ...states.flatMap((one) => [...one.keyless.map(withoutKey), ...one.omitted]),
    ...rows.flatMap((one) => one.omitted),
    ...(plan?.omitted ?? []),
  ];
  if (plan?.plan.isEmpty ?? true) checkUsable([...states, ...rows], omitted);
  const stated = [...states, ...rows].flatMap(({ sas }) => sas);
  return {
    all: () => [...stated, ...(plan?.plan.all() ?? [])],
    warnings: [...omitted.map(omissionLine), ...(plan?.warnings ?? [])],
  };
}

/** UDP ports that carry ESP by what SAs say, and one more that is given. */
export function udpPortsOf(sas: readonly SaConfig[], port?: number): number[] {
  const ports = new Set<number>();
  for (const { encap } of sas) if (encap) ports.add(encap.sport).add(encap.dport);
  if (port !== undefined) ports.add(port);
  return [...ports];
}
