/**
 * What happens to a cluster at the times that its scenario says: one function an event.
 * @module
 */
import type { Cluster } from './cluster.ts';
import type { EventKind, ScenarioEvent } from './scenario.ts';

/** Has an event happen, now. */
export function happen(cluster: Cluster, event: ScenarioEvent): void {
  HAPPENINGS[event.kind](cluster, event);
}

const HAPPENINGS: Readonly<Record<EventKind, (cluster: Cluster, event: ScenarioEvent) => void>> = {
  rotate(cluster) {
    const line = cluster.nextKey();
    cluster.note(null, `the Secret has key ${Number.parseInt(line, 10)}`);
    cluster.spreadKeys(`${line}\n`);
  },

  join(cluster, { names }) {
    for (const name of names) {
      const member = cluster.byName.get(name)!;
      const again = member.life > 0 || member.isDeleted ? ' again, with a new boot id' : '';
      cluster.note(name, `node ${name} joins the cluster${again}`);
      cluster.join(member);
    }
  },

  leave(cluster, { names }) {
    for (const name of names) {
      cluster.note(name, `node ${name} leaves the cluster, and its pods with it`);
      cluster.leave(cluster.byName.get(name)!);
    }
  },

  reboot(cluster, { names, duration }) {
    for (const name of names) {
      const member = cluster.byName.get(name)!;
      cluster.note(name, `node ${name} goes off`);
      member.halt();
      cluster.clock.after(duration, () => {
        cluster.note(name, `node ${name} is back, with a new boot id`);
        member.boot();
      });
    }
  },

  deleteNode(cluster, { names }) {
    for (const name of names) {
      const member = cluster.byName.get(name)!;
      member.isDeleted = true;
      cluster.note(name, `CiliumNode ${name} is deleted, while its pods go on`);
      cluster.spread(member, (to) => to.forget(name));
    }
  },

  partition(cluster, { names, duration }) {
    const parted = new Set(names);
    cluster.parted = parted;
    cluster.note(null, `the network is cut between ${names.join(', ')} and the rest`);
    if (!Number.isFinite(duration)) return;
    cluster.clock.after(duration, () => {
      if (cluster.parted !== parted) return;
      cluster.parted = undefined;
      cluster.note(null, 'the network is whole again');
    });
  },

  staleBootId(cluster, { names, peers }) {
    for (const name of names) {
      const member = cluster.byName.get(name)!;
      for (const peer of peers) member.hiddenFrom.add(peer);
      cluster.note(name, `node ${name} has a new boot id, and ${peers.join(', ')} keep the old one`);
      member.boot();
    }
  },

  replay(cluster, { names }) {
    for (const name of names) {
      const frames = cluster.recorded.get(name) ?? [];
      cluster.note(name, `an attacker sends ${frames.length} frames to ${name} again`);
      for (const frame of [...frames]) cluster.underlay.inject(frame);
    }
  },

  changeKey(cluster, { names }) {
    const line = cluster.sameIdKey();
    for (const name of names) {
      const member = cluster.byName.get(name)!;
      cluster.note(name, `node ${name} has another key under id ${Number.parseInt(line, 10)}`);
      member.keysText = `${line}\n`;
      member.restartAgent();
    }
  },

  restartAgent(cluster, { names }) {
    for (const name of names) {
      cluster.note(name, `the agent of ${name} is restarted: its SAs begin with number 1 again`);
      cluster.byName.get(name)!.restartAgent();
    }
  },

  ageSas(cluster, { names, peers, count }) {
    const to = peers.flatMap((peer) => {
      const { routerAddress, nodeAddress } = cluster.byName.get(peer)!.spec;
      return [routerAddress, nodeAddress];
    });
    for (const name of names) {
      const aged = cluster.byName.get(name)!.age(to, count);
      cluster.note(name, `${aged} SAs of ${name} have sent ${count} packets by now`);
    }
  },

  startPod(cluster, { names }) {
    for (const name of names) {
      cluster.note(null, `pod ${name} is there`);
      cluster.announce(name);
    }
  },
};
