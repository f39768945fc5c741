/**
 * The release of Cilium that a cluster runs, from its DaemonSet (`kubectl -n kube-system get daemonset cilium -o yaml`).
 * @module
 */

/** Others in the DaemonSet, such as cilium-envoy, have versions of their own. */
const IMAGE =
  /\bimage["']?:\s{0,8}["']?[\w.:-]{1,253}(?:\/[\w.-]{1,253}){0,8}\/cilium(?:-ci|-dev)?:(v?\d{1,3}\.\d{1,3}[\w.+-]{0,64})/;

/** The tag of the agent's image, as in `v1.18.2`; `undefined` where it is no version, or there is no such image. */
export function imageVersion(text: string): string | undefined {
  return IMAGE.exec(text)?.[1];
}
