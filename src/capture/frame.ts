/**
 * What capture readers hand out and capture writers take: frames, and what a file says about them.
 *
 * Readers call a {@link FrameSink}; both writers are one. So a converter is a reader with a writer as its sink,
 * and a tool that keeps some frames stands between the two.
 * @module
 */

/** What a file keeps beside the bytes of a frame; writers need no more than this. */
export interface FrameMeta {
  /** Seconds since 1970; below zero only with a negative `if_tsoffset`. */
  seconds: number;
  /** 0 to 999,999,999. Parts of a nanosecond are cut off. */
  nanoseconds: number;
  /** Which interface of the section, in the order of their descriptions, from 0. Always 0 in pcap. */
  interfaceId: number;
  /** Bytes on the wire; more than were captured where the capture had a limit. */
  originalLength: number;
}

/** One object for a whole file, overwritten for each frame: copy what you keep. */
export interface FrameInfo extends FrameMeta {
  /** 1-based, over the whole file. */
  number: number;
  /** False where the file holds no time (pcapng's Simple Packet Block); seconds and nanoseconds are then 0. */
  hasTime: boolean;
  /** What the first header is, as a `LINKTYPE_` number. */
  linkType: number;
  /** Where the frame's record or block starts in the file. */
  byte: number;
}

/** What a pcapng section says about itself. Each section starts anew with interface 0. */
export interface CaptureSection {
  readonly hardware?: string | undefined;
  readonly os?: string | undefined;
  /** The program that wrote it. */
  readonly application?: string | undefined;
  readonly comments?: readonly string[] | undefined;
}

/** What frames were captured on. A pcap file has one, and says only the first two of it. */
export interface CaptureInterface {
  readonly linkType: number;
  /** Longest captured frame in bytes; 0 means no limit. */
  readonly snapLength: number;
  readonly name?: string | undefined;
  readonly description?: string | undefined;
  readonly hardware?: string | undefined;
  readonly os?: string | undefined;
  readonly comments?: readonly string[] | undefined;
}

/** Takes what a capture holds, in file order. */
export interface FrameSink {
  /** A frame: `b[at..end)`, borrowed, valid during the call, as `info` is; see {@link release} for longer. */
  frame(b: Uint8Array, at: number, end: number, info: FrameInfo): void;
  /**
   * The memory of the frames so far is about to be used again. A sink that has this method may hold on to their bytes
   * until it is called, and a reader calls it in time: sinks so gather frames into batches without copying them.
   */
  release?(): void;
  /** A comment on the frame that comes next; called once for each. */
  comment?(text: string): void;
  /** A pcapng section starts. */
  section?(section: CaptureSection): void;
  /** An interface, before its first frame. The n-th call in a section is interface n-1. */
  interface?(description: CaptureInterface): void;
  /**
   * A Decryption Secrets Block. The array is a copy that the sink may keep; it holds keys.
   * @param file of several captures the number of the one that it is in; else absent
   */
  secrets?(secretsType: number, data: Uint8Array, file?: number): void;
}
