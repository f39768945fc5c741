/**
 * Numbers of frames where several captures are read together: one `number` says which file and which frame of it, so
 * that nothing has to be remembered to name a frame. Frames of the first file have the number that they have alone.
 * @module
 */

/** Frames that one file may have. */
const FRAMES = 2 ** 40;
/** Captures that may be read together: their numbers stay below 2^52. */
export const MOST_FILES = 4096;

/** @param file from 0 up  @param number 1-based, in that file */
export function frameId(file: number, number: number): number {
  return file * FRAMES + number;
}

/** Which file it is of, from 0 up. */
export function fileOf(id: number): number {
  return Math.floor(id / FRAMES);
}

/** Its 1-based number in that file. */
export function numberOf(id: number): number {
  return id % FRAMES;
}

/** Names frames for people and in JSON. */
export class FrameNames {
  /** Names of the captures. */
  readonly files: readonly string[];

  constructor(files: readonly string[]) {
    this.files = files;
  }

  /** Are there several captures, so that a frame needs the name of its file? */
  get areSeveral(): boolean {
    return this.files.length > 1;
  }

  /** Its file's name. */
  file(id: number): string {
    return this.files[fileOf(id)] ?? '';
  }

  /** `17`, and where there are several captures `17 of node-2.pcap`. */
  text(id: number): string {
    return this.areSeveral ? `${numberOf(id)} of ${this.file(id)}` : String(id);
  }

  /** `1, 2, 3`, and where there are several captures `1, 2 of node-1.pcap; 3 of node-2.pcap`. */
  list(ids: readonly number[]): string {
    if (!this.areSeveral) return ids.join(', ');
    const byFile = new Map<number, number[]>();
    for (const id of ids) {
      const file = fileOf(id);
      const same = byFile.get(file);
      if (same) same.push(numberOf(id));
      else byFile.set(file, [numberOf(id)]);
    }
    return [...byFile].map(([file, numbers]) => `${numbers.join(', ')} of ${this.files[file]}`).join('; ');
  }
}

/** For one capture, whose frames need no file name. */
export const ONE_CAPTURE = new FrameNames(['']);
