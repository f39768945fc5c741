/**
 * One node: what a Cilium agent and the kernel below it do with packets, between the links of its pods and the
 * link outside.
 *
 * ```text
 *  pods ─► intercept ─► encapsulate ─► outside         pods ◄─ deliver ◄─ route ◄─ decapsulate ◄─ admit ◄─ outside
 *             └─► deliver, when both pods are here
 * ```
 *
 * Everything runs in the call that brings a batch, in one thread, in place. Time, chance and links come from
 * outside, so the same calls give the same packets.
 * @module
 */
import { u32 } from '../base/bytes.ts';
import type { Clock } from '../base/clock.ts';
import { EsplaneError } from '../base/errors.ts';
import type { RandomBytes } from '../base/rng.ts';
import type { AgentPlan, PlannedRoute } from '../cilium/agent-plan.ts';
import type { Route } from '../cilium/ipcache.ts';
import type { Engine } from '../crypto/engine.ts';
import { Decapsulator } from '../ipsec/decapsulate.ts';
import { DROP } from '../ipsec/drop.ts';
import { Encapsulator } from '../ipsec/encapsulate.ts';
import type { SaConfig } from '../ipsec/sa-config.ts';
import type { SaRow } from '../ipsec/sa-row.ts';
import { Sad } from '../ipsec/sad.ts';
import { type Direction, Spd } from '../ipsec/spd.ts';
import type { Link } from '../link/link.ts';
import { type Address, formatPrefix, type Prefix, singlePrefix } from '../wire/address.ts';
import { addressLen, parse, srcAt } from '../wire/ip.ts';
import { Batch, HELD, PASS } from '../wire/packet.ts';
import { Aggregates } from './aggregates.ts';
import { ARRIVED, UNDECIDED } from './decisions.ts';
import { deliver, type Outlet } from './deliver.ts';
import { IcmpAnswers } from './icmp-answers.ts';
import { Inbound } from './inbound.ts';
import { Interceptor } from './intercept.ts';
import { Overlay } from './overlay.ts';
import { PeerDropCounters } from './peer-drops.ts';
import { PlanChange } from './plan-change.ts';
import { RouteTable } from './routes.ts';
import { NodeCounters, type NodeStats, type SaReport, saReport } from './stats.ts';
import { TimeLimits } from './time-limits.ts';
import { TooBig } from './too-big.ts';
import { UniqueKeys } from './unique-keys.ts';

/** Packets put together from fragments that are decapsulated in one go. */
const WHOLE_CAPACITY = 4;
const MAX_PACKET = 0xffff;
/** No link has less (RFC 791 §3.2). */
const MIN_MTU = 68;

/**
 * Looks on at every stage of a batch; for traces, not for counting. Batches are borrowed, and not to be changed.
 */
export interface NodeObserver {
  /** Packets from pods, decided about and not yet encrypted. */
  intercepted?(node: Node, batch: Batch): void;
  /** The same, encrypted where they should be, before they leave. */
  leaving?(node: Node, batch: Batch): void;
  /** Frames from outside, marked and not yet decrypted. */
  admitted?(node: Node, batch: Batch): void;
  /** Packets that came out of payloads of IP-TFS, before they are routed. */
  takenOut?(node: Node, batch: Batch): void;
  /** The same, decrypted, and one hop taken from those that go to pods. */
  decrypted?(node: Node, batch: Batch): void;
  /** An ICMP error that the node itself sends to a pod. */
  answered?(node: Node, batch: Batch): void;
}

export interface NodeOptions {
  readonly name: string;
  /** Addresses, SAs and policies: see `agent-plan.ts`. */
  readonly plan: AgentPlan;
  readonly outside: Link;
  readonly engine: Engine;
  readonly clock: Clock;
  /** For IVs. */
  readonly random: RandomBytes;
  /** Packets in the largest batch that a link or a pod hands over. */
  readonly capacity?: number;
  /** Strict mode: what would leave in the clear between two addresses of this range is dropped. */
  readonly strict?: Prefix;
  /** In strict mode, whether packets to other nodes themselves pass. */
  readonly strictAllowsNodes?: boolean;
  /** The UDP port that packets of the overlay come from; left out, one for each flow, as Linux has it. */
  readonly overlayPort?: number;
  /** Where the numbers of an SA are kept; left out, nowhere. */
  readonly rowOf?: (config: SaConfig) => SaRow | undefined;
  readonly observer?: NodeObserver;
}

export class Node {
  readonly name: string;
  readonly routes = new RouteTable();
  readonly spd = new Spd();
  /** Of both directions, as in Linux. */
  readonly sad = new Sad();
  readonly interceptor: Interceptor;
  readonly overlay: Overlay;
  readonly inbound: Inbound;
  readonly decapsulator: Decapsulator;

  readonly #options: Omit<NodeOptions, 'plan'>;
  readonly #capacity: number;
  readonly #outside: Link;
  readonly #clock: Clock;
  readonly #observer: NodeObserver | undefined;
  #pathMtu: number;
  #reserve = 0;
  #plan: AgentPlan | undefined;
  #change: PlanChange | undefined;
  readonly #encapsulator: Encapsulator;
  readonly #tooBig: TooBig;
  readonly #icmp = new IcmpAnswers();
  readonly #answer = new Batch({ capacity: 1 });
  readonly #pods: Outlet[] = [];
  /** The routes to them, by prefix: no plan has them. */
  readonly #podRoutes = new Map<string, PlannedRoute>();
  readonly #counters = new NodeCounters();
  readonly #peerDrops = new PeerDropCounters();
  /** Different keys, as of the last time that all SAs were reported. */
  #keyCount = 0;
  readonly #limits = new TimeLimits(this.sad);
  readonly #aggregates = new Aggregates(this.sad, (code, { config }) => {
    this.#counters.inDrops[code]!++;
    this.#peerDrops.count(this.#peerAt(config.src), 'in', code);
  });
  /** Will the clock call {@link expire} for payloads of IP-TFS that wait? */
  #isTimed = false;
  #isClosed = false;
  /** Packets that fragments were put together to, until the rest of their batch is done. */
  readonly #whole: Uint8Array[] = [];
  /** The batch they then go into; made for the first of them. */
  #wholeBatch: Batch | undefined;

  /** @throws {EsplaneError} when the engine lacks a suite of the plan, or two SAs of it collide */
  constructor({ plan, ...options }: NodeOptions) {
    const { name, outside, engine, clock, random, capacity = 256, observer } = options;
    this.name = name;
    this.#options = options;
    this.#capacity = capacity;
    this.#outside = outside;
    this.#clock = clock;
    this.#observer = observer;
    this.#pathMtu = outside.mtu;
    const ids = new Uint8Array(8);
    random(ids);
    this.overlay = new Overlay(u32(ids, 4), options.overlayPort);
    this.interceptor = new Interceptor(this.routes, this.spd, this.sad, options);
    this.inbound = new Inbound(this.routes, this.spd, this.sad, this.overlay, (packet) =>
      this.#whole.push(packet),
    );
    this.#encapsulator = new Encapsulator(this.sad, engine, capacity, random);
    this.decapsulator = new Decapsulator(this.sad, engine, capacity);
    this.#tooBig = new TooBig(outside.mtu, u32(ids, 0));
    this.applyPlan(plan);
    outside.receive((batch) => this.fromOutside(batch));
  }

  /**
   * Makes the node hold what a plan says, and nothing else. SAs that stay keep their counters and windows, also under
   * new limits and selectors; the keys of those that go are wiped.
   *
   * In one go: of a large cluster that takes seconds, in which no packet moves. {@link changePlan} does the same in steps.
   * @throws {EsplaneError} when the engine lacks a suite of the plan, or two SAs of it collide; the node then
   *   holds exactly what it held
   */
  applyPlan(plan: AgentPlan): void {
    this.changePlan(plan).step(() => false);
  }

  /**
   * Begins to do what {@link applyPlan} does, in steps between which the node carries packets: by the old plan up to one
   * of them, by the new plan from then on.
   * @throws {EsplaneError} `ERR_PLAN` while another change has begun and is not over
   */
  changePlan(plan: AgentPlan): PlanChange {
    if (this.#change && !this.#change.isOver)
      throw new EsplaneError('ERR_PLAN', `${this.name}: a change of the plan is under way; finish it first`);
    this.#change = new PlanChange(
      {
        sad: this.sad,
        spd: this.spd,
        routes: this.routes,
        ...this.#options,
        now: () => this.#clock.now(),
        plan: this.#plan,
        pathMtu: () => this.#pathMtu,
        podRoutes: () => this.#podRoutes.values(),
        adopt: (next) => this.#adopt(next),
      },
      plan,
    );
    return this.#change;
  }

  /** Takes over what a plan says beside SAs, policies and routes. */
  #adopt(plan: AgentPlan): void {
    const { anySource = false, overlay, mtuReserve = 0, tunnelProtocol } = plan;
    const peers = new Set<string>();
    const own: { [family in 4 | 6]?: Address } = {};
    for (const { prefix, route } of plan.routes) {
      if (route.kind === 'node') peers.add(route.peer.name);
      if (route.kind !== 'self') continue;
      own[prefix.address.length === 4 ? 4 : 6] ??= prefix.address;
    }
    this.#peerDrops.keep(peers);
    this.#icmp.own = own;
    this.inbound.anySource = anySource;
    this.interceptor.anySource = anySource;
    this.overlay.isGeneve = tunnelProtocol === 'geneve';
    this.inbound.overlayMode = overlay;
    this.interceptor.overlayMode = overlay;
    this.#reserve = mtuReserve;
    this.interceptor.overlayMtu = this.#pathMtu - mtuReserve;
    this.#plan = plan;
  }

  /**
   * What the path outside takes from now on: the longest packet that leaves whole, in bytes. More than the link takes
   * is as much as the link takes, and less than 68 is 68.
   */
  setPathMtu(mtu: number): void {
    this.#pathMtu = Math.max(MIN_MTU, Math.min(mtu, this.#outside.mtu));
    this.#tooBig.mtu = this.#pathMtu;
    this.interceptor.mtu = this.#pathMtu;
    this.interceptor.overlayMtu = this.#pathMtu - this.#reserve;
    for (const sa of this.sad.sas) if (sa) sa.pathMtu = this.#pathMtu;
  }

  /**
   * Drops fragments that have waited too long, and ends SAs whose time is over. What brings packets does it too; call it when
   * nothing arrives.
   */
  expire(): void {
    const now = this.#clock.now();
    this.inbound.reassembler.expire(now);
    this.#aggregates.expire(now);
    this.#finishInner();
    if (this.sad.timed > 0) this.#limits.look(now);
  }

  /**
   * Adds a pod: what its link brings is intercepted, and what is for its addresses goes there.
   * @param link the node's end of the link to the pod
   * @param identity what the pod is known by in the overlay
   */
  addPod(name: string, addresses: readonly Address[], link: Link, identity?: number): void {
    this.#attach(name, addresses.map(singlePrefix), link, false, identity);
  }

  /**
   * Adds a link to many pods at once, such as a TUN device: what is for these prefixes goes there. The host of the node is
   * behind it too.
   */
  addInside(name: string, prefixes: readonly Prefix[], link: Link, identity?: number): void {
    this.#attach(name, prefixes, link, true, identity);
  }

  /** Leads what is for other prefixes to a link that is there; what was for the old ones and is for no other has nowhere to go. */
  movePods(name: string, before: readonly Prefix[], after: readonly Prefix[]): void {
    const pod = this.#pods.findIndex((one) => one.name === name);
    if (pod < 0) return;
    const kept = new Set(after.map(formatPrefix));
    const old = new Set(before.map(formatPrefix));
    for (const prefix of before) {
      if (kept.has(formatPrefix(prefix))) continue;
      this.#podRoutes.delete(formatPrefix(prefix));
      const route = this.routes.get(prefix);
      if (route?.kind === 'pod' && route.pod === pod) this.routes.remove(prefix);
    }
    for (const prefix of after)
      if (!old.has(formatPrefix(prefix))) this.#setPodRoute(prefix, { kind: 'pod', pod });
  }

  #attach(name: string, prefixes: readonly Prefix[], link: Link, isHost: boolean, identity?: number): void {
    const pod = this.#pods.length;
    this.#pods.push({ name, link, isHost, delivered: 0, refused: 0, offered: 0 });
    for (const prefix of prefixes)
      this.#setPodRoute(prefix, { kind: 'pod', pod, ...(identity !== undefined && { identity }) });
    link.receive((batch) => this.fromPods(batch));
  }

  #setPodRoute(prefix: Prefix, route: Route): void {
    this.#podRoutes.set(formatPrefix(prefix), { prefix, route });
    this.routes.set(prefix, route);
  }

  /**
   * Takes packets that leave pods, changing them in place.
   * @throws {EsplaneError} `ERR_BATCH` when the batch is larger than the node was made for
   */
  fromPods(batch: Batch): void {
    this.#checkSize(batch);
    if (this.sad.timed > 0) this.#limits.look(this.#clock.now());
    const { interceptor } = this;
    interceptor.run(batch);
    this.#observer?.intercepted?.(this, batch);
    const { overlay, routes } = this;
    if (interceptor.overlayMode === 'vxlan-in-esp') overlay.wrapAll(batch, routes);
    this.#encapsulator.run(batch);
    if (interceptor.overlayMode === 'esp-in-vxlan') overlay.wrapAll(batch, routes);
    this.#observer?.leaving?.(this, batch);
    const local = deliver(batch, this.#pods);
    const cut = this.#outside.cuts ? 0 : this.#tooBig.cut(batch, this.#outside);
    const sent = this.#outside.send(batch);
    this.#countOut(batch, local, cut + sent);
  }

  /**
   * Takes frames from outside, changing them in place. The outside link calls it.
   * @throws {EsplaneError} `ERR_BATCH` when the batch is larger than the node was made for
   */
  fromOutside(batch: Batch): void {
    this.#checkSize(batch);
    const now = this.#clock.now();
    if (this.sad.timed > 0) this.#limits.look(now);
    this.inbound.admit(batch, now);
    this.#counters.in.packets += this.#process(batch);
    this.#finishWhole();
    if (this.sad.hasIptfs) this.#finishInner();
  }

  /** The node's figures so far. */
  stats(): NodeStats {
    const sas = [...this.saReports()];
    return { ...this.statsInBrief(), sas };
  }

  /** The same without the SAs, of which there may be thousands: {@link saReports} goes through them. */
  statsInBrief(): NodeStats {
    this.expire();
    const count = (dir: Direction) => this.spd.policies(dir).length;
    return {
      node: this.name,
      ...this.#counters.report(),
      peerDrops: this.#peerDrops.report(),
      policies: { in: count('in'), out: count('out'), fwd: count('fwd') },
      keys: this.#keyCount,
      pods: this.#pods.map(({ name, delivered, refused }) => ({ name, delivered, refused })),
      sas: [],
      reassembly: { ...this.inbound.reassembler.stats },
      tooBig: { ...this.#icmp.tooBigStats, ...this.#tooBig.stats },
      timeExceeded: { ...this.#icmp.timeExceededStats },
    };
  }

  /** The figures of every SA, one in each step: between two of them the node may carry packets. Counts the keys, too. */
  *saReports(): Generator<SaReport, void> {
    const { sas } = this.sad;
    const unique = new UniqueKeys();
    for (let i = 0; i < sas.length; i++) {
      const sa = sas[i];
      if (!sa) continue;
      const { direction, src, dst, keys } = sa.config;
      unique.add(keys);
      const there = direction === 'out' ? dst : src;
      yield saReport(sa, this.#peerAt(there));
    }
    this.#keyCount = unique.size;
  }

  /** Closes the link outside. */
  close(): void {
    this.#isClosed = true;
    this.#outside.close();
  }

  /** Tells the pod that sent packet `i`, if the packet was dropped for its length or its hops. */
  #answerPod(batch: Batch, i: number): void {
    const verdict = batch.verdict[i]!;
    if (verdict !== DROP['out-too-big'] && verdict !== DROP['too-big'] && verdict !== DROP['hop-limit'])
      return;
    const { slab } = batch;
    const at = batch.offset[i]!;
    // What is wrapped by now comes from this node.
    const route = this.routes.lookup(slab, srcAt(slab, at), addressLen(slab, at));
    const pod = route?.kind === 'pod' ? this.#pods[route.pod] : undefined;
    if (!pod) return;
    const now = this.#clock.now();
    const answer =
      verdict === DROP['hop-limit']
        ? this.#icmp.timeExceeded(batch, i, !pod.isHost, now)
        : this.#icmp.tooBig(
            batch,
            i,
            this.sad.sas[batch.sa[i]!],
            batch.vni[i]! >= 0 ? this.interceptor.overlayMtu : this.#pathMtu,
            now,
          );
    if (!answer) return;
    this.#answer.clear();
    this.#answer.push(answer);
    parse(this.#answer, 0);
    this.routes.note(this.#answer, 0);
    this.#observer?.answered?.(this, this.#answer);
    pod.link.send(this.#answer);
  }

  /** The peer that sent packet `i`: it came by the peer's SA, or bears its address or that of its pods. */
  #senderOf({ from, sa }: Batch, i: number): string | undefined {
    const config = this.sad.sas[sa[i]!]?.config;
    return (config && this.#peerAt(config.src)) ?? peerName(this.routes.at(from[i]!));
  }

  #peerAt(address: Address): string | undefined {
    return peerName(this.routes.lookup(address, 0, address.length));
  }

  /**
   * Tells the sender of packet `i` outside that its TTL is exceeded. What came encrypted is quoted in the answer, so
   * that goes the way of a pod's packets, and only where those are encrypted (Linux sends it in the clear).
   */
  #answerOutside(batch: Batch, i: number): void {
    if (batch.verdict[i] !== DROP['hop-limit']) return;
    const isEsp = batch.isEsp[i] !== 0;
    const route = this.routes.at(batch.from[i]!);
    if (isEsp && !(route?.kind === 'remote' && route.peer.encrypts)) return;
    const answer = this.#icmp.timeExceeded(batch, i, !isEsp, this.#clock.now());
    if (!answer) return;
    this.#answer.clear();
    this.#answer.push(answer);
    this.fromPods(this.#answer);
  }

  /** Counts packets that left pods. */
  #countOut(batch: Batch, local: number, sent: number): void {
    const { out, outDrops, decisions } = this.#counters;
    // Counted here first: a number field that has grown beyond 2^31 would be a new object for every packet.
    let packets = 0;
    let toPods = 0;
    let refused = 0;
    let esp = 0;
    // A link takes the first packets and not the last.
    let left = sent;
    for (let i = 0; i < batch.count; i++) {
      const decided = batch.decision[i]!;
      if (decided === UNDECIDED) continue;
      packets++;
      decisions[decided]!++;
      const verdict = batch.verdict[i]!;
      if (verdict !== PASS) {
        outDrops[verdict]!++;
        this.#peerDrops.count(this.routes.peerOf(batch, i)?.name, 'out', verdict);
        this.#answerPod(batch, i);
        continue;
      }
      if (batch.next[i]! >= 0) toPods++;
      else if (left-- <= 0) refused++;
      else if (batch.sa[i]! >= 0) esp++;
      else out.clear++;
    }
    out.packets += packets;
    out.encrypted += esp;
    out.local += local;
    out.refused += refused + toPods - local;
  }

  /** What {@link fromOutside} does with a batch that has been admitted. Returns how many frames it held. */
  #process(batch: Batch): number {
    this.#observer?.admitted?.(this, batch);
    this.inbound.open(batch, this.decapsulator);
    if (this.sad.hasIptfs) this.#aggregates.takeOut(batch, this.#clock.now());
    return this.#finish(batch, true);
  }

  /** What becomes of a batch that has been decrypted. Returns how many frames it held. @param areFrames or came out of them? */
  #finish(batch: Batch, areFrames: boolean): number {
    this.inbound.route(batch);
    this.#observer?.decrypted?.(this, batch);
    const delivered = deliver(batch, this.#pods);

    const { in: into, inDrops } = this.#counters;
    let frames = 0;
    let toPods = 0;
    let esp = 0;
    let decrypted = 0;
    for (let i = 0; i < batch.count; i++) {
      const decided = batch.decision[i]!;
      if (decided === UNDECIDED) continue;
      frames++;
      if (batch.next[i] === HELD) into.fragments++;
      if (decided === ARRIVED.CLEAR) into.clear++;
      if (batch.isEsp[i] !== 0) esp++;
      const verdict = batch.verdict[i]!;
      if (verdict !== PASS) {
        inDrops[verdict]!++;
        this.#peerDrops.count(this.#senderOf(batch, i), 'in', verdict);
        this.#answerOutside(batch, i);
        continue;
      }
      if (batch.next[i]! < 0) continue;
      toPods++;
      if (decided === ARRIVED.FOR_NODE) decrypted++;
    }
    if (areFrames) into.esp += esp;
    into.decrypted += decrypted;
    into.delivered += delivered;
    into.refused += toPods - delivered;
    return frames;
  }

  /** Takes what fragments were put together to; it comes after the rest of their batch. */
  #finishWhole(): void {
    while (this.#whole.length > 0) {
      this.#wholeBatch ??= new Batch({ capacity: WHOLE_CAPACITY, maxPacket: MAX_PACKET });
      const batch = this.#wholeBatch;
      batch.clear();
      for (const packet of this.#whole.splice(0, WHOLE_CAPACITY)) batch.push(packet);
      this.inbound.admit(batch, this.#clock.now());
      this.#counters.in.reassembled += this.#process(batch);
    }
  }

  /** Takes what came out of payloads of IP-TFS; it comes after the rest of their batch. */
  #finishInner(): void {
    while (this.#aggregates.count > 0) {
      this.#wholeBatch ??= new Batch({ capacity: WHOLE_CAPACITY, maxPacket: MAX_PACKET });
      const batch = this.#wholeBatch;
      batch.clear();
      this.#aggregates.load(batch);
      this.inbound.forget();
      this.#observer?.takenOut?.(this, batch);
      this.#finish(batch, false);
    }
    const { due } = this.#aggregates;
    if (this.#isTimed || due === Number.POSITIVE_INFINITY) return;
    this.#isTimed = true;
    this.#clock.after(due - this.#clock.now(), () => {
      this.#isTimed = false;
      if (!this.#isClosed) this.expire();
    });
  }

  #checkSize(batch: Batch): void {
    if (batch.count > this.#capacity) {
      throw new EsplaneError(
        'ERR_BATCH',
        `a batch of ${batch.count} packets for a node that takes ${this.#capacity} at once`,
      );
    }
  }
}

/** The node that a route leads to. */
function peerName(route: Route | undefined): string | undefined {
  return route?.kind === 'node' || route?.kind === 'remote' ? route.peer.name : undefined;
}
