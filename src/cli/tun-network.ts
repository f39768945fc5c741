/**
 * The network of `esplane run --tun`: two namespaces joined by a veth pair. Its names carry the mark of
 * their process, so that what a killed run left behind is known, and removed by the next.
 * @module
 */
import { existsSync, readdirSync } from 'node:fs';
import { ip } from '../native/ip-command.ts';
import { isOwnerGone, ownerMark } from './owner-mark.ts';

const PREFIX = 'esplane';
/** `ip netns` keeps its names here. */
const NETNS_FOLDER = '/run/netns';

export interface TunNetwork {
  /** Names of the namespaces, of node 1 and node 2. */
  readonly netns: readonly [string, string];
  /** Outer addresses of the nodes. */
  readonly outer: readonly [string, string];
  /** Device of the wire in either namespace. */
  readonly device: string;
  /** Removes everything. */
  remove(): void;
}

/**
 * Makes the network.
 * @throws {SystemError} without the right, or without iproute2; what was made by then is removed
 */
export function makeTunNetwork(pid: number): TunNetwork {
  const mark = ownerMark(pid);
  const netns = [`${PREFIX}-1-${mark}`, `${PREFIX}-2-${mark}`] as const;
  const outer = ['192.168.7.1', '192.168.7.2'] as const;
  const device = 'eth0';
  const remove = () => {
    for (const name of netns) if (existsSync(`${NETNS_FOLDER}/${name}`)) ip('netns', 'delete', name);
  };
  try {
    for (const name of netns) ip('netns', 'add', name);
    ip('link', 'add', device, 'netns', netns[0], 'type', 'veth', 'peer', 'name', device, 'netns', netns[1]);
    netns.forEach((name, i) => {
      ip('-n', name, 'link', 'set', 'dev', 'lo', 'up');
      ip('-n', name, 'addr', 'add', `${outer[i]}/24`, 'dev', device);
      ip('-n', name, 'link', 'set', 'dev', device, 'up');
    });
  } catch (error) {
    remove();
    throw error;
  }
  return { netns, outer, device, remove };
}

/**
 * Removes what runs left behind whose process is gone.
 * @returns the namespaces removed
 */
export function removeLeftovers(): string[] {
  if (!existsSync(NETNS_FOLDER)) return [];
  const left = readdirSync(NETNS_FOLDER).filter((name) => {
    const mark = /^esplane-[12]-([\d-]+)$/.exec(name)?.[1];
    return mark !== undefined && isOwnerGone(mark);
  });
  for (const name of left) ip('netns', 'delete', name);
  return left;
}
