/**
 * Evidence out of texts that may contradict each other, because that may be what is wrong: of keys and nodes that are
 * given twice the last one counts, and the others are tried on what does not open.
 * @module
 */
import type { CaptureSas } from '../sa-text/capture-sas.ts';
import { readEspSa } from '../sa-text/esp-sa.ts';
import { type Omission, omissionLine } from '../sa-text/omission.ts';
import { type NamedText, type SaTexts, udpPortsOf } from '../sa-text/sa-texts.ts';
import { readPolicies } from '../sa-text/to-policy.ts';
import { checkUsable, readStates, withoutKey } from '../sa-text/xfrm-sas.ts';
import type { ClusterEvidence } from './cluster-texts.ts';
import { Evidence } from './evidence.ts';
import { waysOf } from './infer.ts';

export interface EvidenceTexts extends SaTexts {
  /** `ip xfrm policy` of one or several nodes. */
  readonly xfrmPolicy: readonly NamedText[];
  /** What keys and nodes say, where there are any. */
  readonly cluster?: ClusterEvidence | undefined;
  /** One more UDP port that carries ESP. */
  readonly udpPort?: number | undefined;
  /** Packets are to be opened: a text that shows no key is of no use, and each state without one is named. */
  readonly needsKeys?: boolean;
}

/** What texts say. */
export interface ReadEvidence {
  readonly evidence: Evidence;
  /** UDP ports that carry ESP. The list grows where the capture's secrets name more. */
  readonly udpPorts: readonly number[];
  /** What is odd about the texts but does not stop the work. */
  readonly warnings: readonly string[];
}

/**
 * Reads what there is.
 * @param own SAs that the capture brings along
 * @throws {InputError} when a text cannot be used
 */
export function readEvidence(texts: EvidenceTexts, own: CaptureSas): ReadEvidence {
  const omitted: Omission[] = [];
  const states = texts.xfrmState.map(({ source, text }) => {
    const read = readStates(text, source);
    omitted.push(...read.omitted);
    return { file: source, sas: read.sas, keyless: read.keyless };
  });
  const rows = texts.espSa.map(({ source, text }) => readEspSa(text, source));
  omitted.push(...rows.flatMap((one) => one.omitted));
  const listed = rows.flatMap(({ sas }) => sas).flatMap(waysOf);
  const policies = texts.xfrmPolicy.flatMap(({ source, text }) => {
    const read = readPolicies(text, source);
    omitted.push(...read.omitted);
    return read.policies;
  });
  const { cluster } = texts;
  const plan = cluster?.plan;
  omitted.push(...(cluster?.omitted ?? []));
  if (texts.needsKeys) {
    const isWithout = (plan?.isEmpty ?? true) && listed.length === 0;
    const areShown = !isWithout || states.some(({ sas }) => sas.length > 0);
    // With keys at hand a hash says which of them the kernel has.
    const closed = states
      .flatMap(({ keyless }) => keyless)
      .filter((sa) => !areShown || sa.keyHash === undefined);
    omitted.unshift(...closed.map(withoutKey));
    if (isWithout) checkUsable(states, omitted);
  }
  const evidence = new Evidence({
    states,
    isUnusable: texts.xfrmState.length + texts.espSa.length > 0,
    policies,
    listed,
    own,
    ...(cluster && { cluster: cluster.now, old: cluster.old }),
    ...(plan && { plan }),
  });
  own.addUdpPorts(udpPortsOf([...states.flatMap(({ sas }) => sas), ...listed], texts.udpPort));
  return {
    evidence,
    udpPorts: own.udpPorts,
    warnings: [...omitted.map(omissionLine), ...(cluster?.warnings ?? [])],
  };
}
