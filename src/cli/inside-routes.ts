/**
 * What a running node sets on its inside interface with `ip`: routes to the peers' pods, and the MTU. The thread that
 * carries packets does not wait for it.
 * @module
 */
import type { AgentPlan } from '../cilium/agent-plan.ts';
import { ip, ipBatch } from '../native/ip-command.ts';
import { inNetns } from '../native/system.ts';
import { formatPrefix } from '../wire/address.ts';
import { mtuInside } from './inside-mtu.ts';
import type { NodeConfig } from './node-config.ts';

export class InsideInterface {
  readonly name: string;
  mtu: number;
  readonly #config: NodeConfig;
  readonly #netns: string | undefined;
  #routed: ReadonlySet<string> = new Set();

  constructor(config: NodeConfig, name: string, mtu: number) {
    this.name = name;
    this.mtu = mtu;
    this.#config = config;
    this.#netns = config.inside.netns ?? config.netns;
  }

  /**
   * Leads what is for the peers' pods into the interface. The kernel removes the routes with it.
   * @throws {SystemError} when `ip` fails
   */
  route({ routes }: AgentPlan): void {
    if (!this.#config.inside.routes) return;
    const now = new Set(
      routes.flatMap(({ prefix, route }) => (route.kind === 'remote' ? [formatPrefix(prefix)] : [])),
    );
    const before = this.#routed;
    const dev = `dev ${this.name}`;
    const lines = [
      ...[...before].filter((prefix) => !now.has(prefix)).map((prefix) => `route del ${prefix} ${dev}`),
      ...[...now].filter((prefix) => !before.has(prefix)).map((prefix) => `route replace ${prefix} ${dev}`),
    ];
    if (lines.length > 0) inNetns(this.#netns, () => ipBatch(lines));
    this.#routed = now;
  }

  /**
   * Follows what the plan and the path outside leave.
   * @returns whether the MTU is another one now
   * @throws {SystemError} when `ip` fails
   */
  followMtu(plan: AgentPlan, outsideMtu: number): boolean {
    const mtu = mtuInside(this.#config, plan, outsideMtu);
    if (typeof this.#config.inside.mtu === 'number' || mtu === this.mtu) return false;
    inNetns(this.#netns, () => ip('link', 'set', 'dev', this.name, 'mtu', String(mtu)));
    this.mtu = mtu;
    return true;
  }
}
