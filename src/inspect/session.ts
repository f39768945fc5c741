/**
 * One capture and all that hangs on it: the frames of a reader go to one {@link Receiver}, the secrets that the capture
 * brings along to what is known about SAs, and both to the sinks: lines, files, diagnosis, explanations.
 * @module
 */
import type { CaptureInterface, CaptureSection, FrameInfo, FrameSink } from '../capture/frame.ts';
import { SECRETS_TYPE_ESP } from '../capture/pcapng.ts';
import type { CaptureSas } from '../sa-text/capture-sas.ts';
import type { Moment } from './packet-time.ts';
import { type EspSink, Receiver, type ReceiverOptions } from './receiver.ts';

/**
 * Gets the events of a capture's ESP packets, and what its reader tells. A sink that has `frame` gets each frame, as it
 * was, after its events.
 */
export interface CaptureSink extends EspSink, Partial<Omit<FrameSink, 'release'>> {
  /** It reads the bytes of packets as they were on the wire. */
  readonly needsWire?: boolean;
  /** Right before a frame's packets are looked at. */
  begin?(b: Uint8Array, at: number, end: number, info: FrameInfo): void;
}

export interface SessionOptions extends Omit<ReceiverOptions, 'inPlace'> {
  /** Name of the capture, for errors. */
  readonly source: string;
  /** SAs that the capture brings along: of the evidence. */
  readonly own: CaptureSas;
  readonly sinks: readonly CaptureSink[];
  /** Each frame's events come before the next frame. */
  readonly isLive?: boolean;
}

export class CaptureSession implements FrameSink {
  readonly receiver: Receiver;
  /** The time of the first frame that has one. */
  start: Moment | undefined;
  readonly #source: string;
  readonly #own: CaptureSas;
  readonly #sinks: readonly CaptureSink[];
  readonly #ofFrames: readonly CaptureSink[];
  readonly #isLive: boolean;

  constructor({ source, own, isLive = false, ...options }: SessionOptions) {
    const { sinks } = options;
    this.#source = source;
    this.#own = own;
    this.#sinks = sinks;
    this.#ofFrames = sinks.filter((sink) => sink.frame ?? sink.begin);
    this.#isLive = isLive || this.#ofFrames.length > 0;
    const inPlace = !this.#ofFrames.length && !sinks.some(({ needsWire }) => needsWire);
    this.receiver = new Receiver({ ...options, inPlace });
  }

  frame(b: Uint8Array, at: number, end: number, info: FrameInfo): void {
    const { receiver } = this;
    if (!this.start && info.hasTime) this.start = { seconds: info.seconds, nanoseconds: info.nanoseconds };
    for (const sink of this.#ofFrames) sink.begin?.(b, at, end, info);
    receiver.frame(b, at, end, info);
    if (!this.#isLive) return;
    receiver.flush();
    for (const sink of this.#ofFrames) sink.frame?.(b, at, end, info);
  }

  release(): void {
    this.receiver.release();
  }

  section(section: CaptureSection): void {
    for (const sink of this.#sinks) sink.section?.(section);
  }

  interface(description: CaptureInterface): void {
    for (const sink of this.#sinks) sink.interface?.(description);
  }

  comment(text: string): void {
    for (const sink of this.#sinks) sink.comment?.(text);
  }

  /** A capture that was made to be handed around brings its SAs with it, and says which are gone. */
  secrets(type: number, data: Uint8Array, file?: number): void {
    for (const sink of this.#sinks) sink.secrets?.(type, data, file);
    if (type === SECRETS_TYPE_ESP)
      this.receiver.forget(this.#own.read(data, `${this.#source} (secrets)`, file));
  }
}
