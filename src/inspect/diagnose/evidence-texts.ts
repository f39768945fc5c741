/**
 * Evidence out of texts that may contradict each other, because that may be what is wrong: of keys and nodes that are
 * given twice the last one counts, and the others are tried on what does not open.
 * @module
 */
import { ClusterPlan, type PlanOptions } from '../../cilium/plan.ts';
import type { CaptureSas } from '../../sa-text/capture-sas.ts';
import { parseEspSa } from '../../sa-text/esp-sa.ts';
import { omissionLine } from '../../sa-text/omission.ts';
import { type NamedText, type SaTexts, udpPortsOf } from '../../sa-text/sa-texts.ts';
import { readPolicies } from '../../sa-text/to-policy.ts';
import { readStates } from '../../sa-text/xfrm-sas.ts';
import { type ClusterTexts, historyOfTexts } from '../cluster-texts.ts';
import { waysOf } from '../infer.ts';
import { Evidence } from './evidence.ts';

export interface EvidenceTexts extends SaTexts, PlanOptions {
  /** `ip xfrm policy` of one or several nodes. */
  readonly xfrmPolicy: readonly NamedText[];
  readonly cluster: ClusterTexts;
}

/** What texts say. */
export interface ReadEvidence {
  readonly evidence: Evidence;
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
  const warnings: string[] = [];
  const states = texts.xfrmState.map(({ source, text }) => {
    const { sas, keyless, omitted } = readStates(text, source);
    warnings.push(...omitted.map(omissionLine));
    return { file: source, sas, keyless };
  });
  const listed = texts.espSa.flatMap(({ source, text }) => parseEspSa(text, source)).flatMap(waysOf);
  const policies = texts.xfrmPolicy.flatMap(({ source, text }) => {
    const read = readPolicies(text, source);
    warnings.push(...read.omitted.map(omissionLine));
    return read.policies;
  });
  const { now, old } = historyOfTexts(texts.cluster);
  const evidence = new Evidence({
    states,
    policies,
    listed,
    own,
    cluster: now,
    old,
    ...(now.keys.length > 0 && { plan: new ClusterPlan(now.keys, now.nodes, texts) }),
  });
  return {
    evidence,
    udpPorts: udpPortsOf([...states.flatMap(({ sas }) => sas), ...listed], texts.udpPort),
    warnings,
  };
}
