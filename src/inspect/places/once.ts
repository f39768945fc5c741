/**
 * Stands before a session that reads several captures, or one of several interfaces, so that no packet counts twice: of a way
 * that several places see the frames of one are handed on, that at the receiver's end; and of a packet that one place
 * sees on several interfaces the first.
 * @module
 */
import type { FrameInfo, FrameSink } from '../../capture/frame.ts';
import { fileOf } from '../../capture/frame-id.ts';
import { LINK_LINUX_SLL, LINK_LINUX_SLL2 } from '../../wire/link-type.ts';
import { FrameLook, pointOf } from './frame-look.ts';
import type { Places } from './places.ts';
import type { Survey } from './survey.ts';

/** Packets that are remembered, and for how many seconds the same one is a copy. A replay comes by the same interface. */
const RECENT = 1 << 16;
const SOON = 1;

/** What was not handed on. */
export interface LeftOutTwice {
  /** Frames of ways that another place stands for. */
  elsewhere: number;
  /** ESP packets that were seen on another interface of the same place. */
  copies: number;
}

export class Once implements FrameSink {
  readonly left: LeftOutTwice = { elsewhere: 0, copies: 0 };
  readonly #sink: FrameSink;
  readonly #survey: Survey | undefined;
  readonly #places: Places | undefined;
  readonly #look: FrameLook;
  #interfaces = 0;
  /** Made where there are several interfaces. */
  #recent: Recent | undefined;

  /**
   * @param udpPorts that carry ESP
   * @param several what is known of several captures
   */
  constructor(sink: FrameSink, udpPorts: readonly number[], several?: { survey: Survey; places: Places }) {
    this.#sink = sink;
    this.#survey = several?.survey;
    this.#places = several?.places;
    this.#look = new FrameLook(udpPorts);
  }

  frame(b: Uint8Array, at: number, end: number, info: FrameInfo): void {
    if (!this.#isElsewhere(b, at, end, info) && !this.#isCopy(b, at, end, info))
      this.#sink.frame(b, at, end, info);
  }

  #isElsewhere(b: Uint8Array, at: number, end: number, info: FrameInfo): boolean {
    const places = this.#places;
    if (!places || places.all.length < 2) return false;
    const look = this.#look;
    look.lookOutside(b, at, end, info);
    if (look.addressLen === 0) return false;
    const way = this.#survey!.wayOf(look);
    if (!way || places.judge(way) === places.placeOf[fileOf(info.number)]) return false;
    this.left.elsewhere++;
    return true;
  }

  #isCopy(b: Uint8Array, at: number, end: number, info: FrameInfo): boolean {
    // One interface has no copies: nothing is to be looked at.
    const isOfMany =
      info.linkType === LINK_LINUX_SLL || info.linkType === LINK_LINUX_SLL2 || this.#interfaces > 1;
    if (!isOfMany || !info.hasTime) return false;
    const look = this.#look;
    look.look(b, at, end, info);
    // Of fragments all but the last one are through by now.
    if (look.kind !== 'esp' || look.packet !== b) return false;
    this.#recent ??= new Recent();
    const isCopy = this.#recent.isCopy(
      look,
      fileOf(info.number),
      pointOf(b, at, end, info),
      info.seconds + info.nanoseconds / 1e9,
    );
    if (isCopy) this.left.copies++;
    return isCopy;
  }

  release(): void {
    this.#sink.release?.();
  }

  section(section: Parameters<NonNullable<FrameSink['section']>>[0]): void {
    this.#sink.section?.(section);
  }

  interface(description: Parameters<NonNullable<FrameSink['interface']>>[0]): void {
    this.#interfaces++;
    this.#sink.interface?.(description);
  }

  comment(text: string): void {
    this.#sink.comment?.(text);
  }

  secrets(type: number, data: Uint8Array, file?: number): void {
    this.#sink.secrets?.(type, data, file);
  }
}

/** The packets that were seen last. */
class Recent {
  readonly #a = new Uint32Array(RECENT);
  readonly #c = new Uint32Array(RECENT);
  readonly #point = new Float64Array(RECENT);
  readonly #seconds = new Float64Array(RECENT);
  readonly #file = new Int32Array(RECENT).fill(-1);

  /** Was the packet seen at another point shortly before? Where not, it is remembered. */
  isCopy({ a, c }: FrameLook, file: number, point: number, seconds: number): boolean {
    const slot = a % RECENT;
    const isSame = this.#a[slot] === a && this.#c[slot] === c && this.#file[slot] === file;
    if (isSame && this.#point[slot] !== point && Math.abs(seconds - this.#seconds[slot]!) <= SOON)
      return true;
    this.#a[slot] = a;
    this.#c[slot] = c;
    this.#file[slot] = file;
    this.#point[slot] = point;
    this.#seconds[slot] = seconds;
    return false;
  }
}
