/**
 * Archives as the programs write them that people use: Go's archive/zip and archive/tar (cilium-cli, cilium-bugtool), and
 * GNU tar. Small ones are made in memory; {@link ZipWriter} takes any length.
 * @module
 */
import { crc32, deflateRawSync, gzipSync } from 'node:zlib';

/** Names and contents, in order. */
export type Files = readonly (readonly [name: string, content: string | Uint8Array])[];

const bytesOf = (content: string | Uint8Array) =>
  typeof content === 'string' ? new TextEncoder().encode(content) : content;

/** A tar; long names in the way of PAX, as Go writes them, or of GNU tar. */
export function tar(files: Files, names: 'pax' | 'gnu' = 'pax'): Uint8Array {
  const parts: Uint8Array[] = [];
  const add = (name: string, type: string, body: Uint8Array) => {
    const header = new Uint8Array(512);
    const put = (at: number, text: string) => header.set(bytesOf(text), at);
    header.set(bytesOf(name).subarray(0, 100));
    put(100, '0000644\0');
    put(124, `${body.length.toString(8).padStart(11, '0')}\0`);
    put(136, '00000000000\0');
    put(148, '        ');
    put(156, type);
    put(257, names === 'gnu' ? 'ustar  \0' : 'ustar\x0000');
    const sum = header.reduce((total, byte) => total + byte, 0);
    put(148, `${sum.toString(8).padStart(6, '0')}\0 `);
    parts.push(header, body, new Uint8Array(-body.length & 511));
  };
  for (const [name, content] of files) {
    if (bytesOf(name).length > 100) {
      if (names === 'gnu') add('././@LongLink', 'L', bytesOf(`${name}\0`));
      else add('PaxHeaders', 'x', bytesOf(paxRecord('path', name)));
    }
    add(name, '0', bytesOf(content));
  }
  return new Uint8Array(Buffer.concat([...parts, new Uint8Array(1024)]));
}

/** The length counts its own digits. */
function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  const length = bytesOf(rest).length;
  const digits = String(length + String(length).length).length;
  return `${length + digits}${rest}`;
}

export function gzip(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(gzipSync(bytes));
}

interface ZipOptions {
  /** Sizes behind the data, as Go's archive/zip writes them. */
  readonly streamed?: boolean;
  readonly stored?: boolean;
  readonly encrypted?: boolean;
  /** Of compression: 1 is the quickest. */
  readonly level?: number;
}

/** What the places of a zip without its 64-bit extension can say. */
const MOST_BYTES = 2 ** 32 - 1;
const MOST_ENTRIES = 2 ** 16 - 1;

/** Writes a zip as it goes: no more than one file is in memory. */
export class ZipWriter {
  readonly #write: (bytes: Uint8Array) => void;
  readonly #options: ZipOptions;
  readonly #directory: Buffer[] = [];
  #count = 0;
  #at = 0;

  /** @param write takes the bytes in their order */
  constructor(write: (bytes: Uint8Array) => void, options: ZipOptions = {}) {
    this.#write = write;
    this.#options = options;
  }

  /** @throws {RangeError} the zip would need the 64-bit extension */
  add(name: string, content: string | Uint8Array): void {
    const { streamed = true, stored = false, encrypted = false, level } = this.#options;
    const body = bytesOf(content);
    const data = stored ? body : deflateRawSync(body, { level });
    if (this.#at + data.length > MOST_BYTES || this.#count === MOST_ENTRIES)
      throw new RangeError('the zip would be longer than 4 GiB, or have more than 65,535 files');
    const header = Buffer.alloc(46);
    header.writeUInt32LE(0x02014b50, 0);
    header.writeUInt16LE(20, 4);
    header.writeUInt16LE(20, 6);
    header.writeUInt16LE((streamed ? 8 : 0) | (encrypted ? 1 : 0), 8);
    header.writeUInt16LE(stored ? 0 : 8, 10);
    header.writeUInt32LE(crc32(body), 16);
    header.writeUInt32LE(data.length, 20);
    header.writeUInt32LE(body.length, 24);
    header.writeUInt16LE(Buffer.byteLength(name), 28);
    header.writeUInt32LE(this.#at, 42);
    this.#directory.push(header, Buffer.from(name));
    this.#count++;
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50, 0);
    header.copy(local, 4, 6, streamed ? 16 : 30);
    local.writeUInt16LE(Buffer.byteLength(name), 26);
    this.#put(local);
    this.#put(Buffer.from(name));
    this.#put(data);
    if (!streamed) return;
    const descriptor = Buffer.alloc(16);
    descriptor.writeUInt32LE(0x08074b50, 0);
    header.copy(descriptor, 4, 16, 28);
    this.#put(descriptor);
  }

  end(): void {
    const directory = Buffer.concat(this.#directory);
    const end = Buffer.alloc(22);
    end.writeUInt32LE(0x06054b50, 0);
    end.writeUInt16LE(this.#count, 8);
    end.writeUInt16LE(this.#count, 10);
    end.writeUInt32LE(directory.length, 12);
    end.writeUInt32LE(this.#at, 16);
    this.#put(directory);
    this.#put(end);
  }

  #put(bytes: Uint8Array): void {
    this.#write(bytes);
    this.#at += bytes.length;
  }
}

/** A zip. */
export function zip(files: Files, options?: ZipOptions): Uint8Array {
  const parts: Uint8Array[] = [];
  const writer = new ZipWriter((bytes) => void parts.push(bytes), options);
  for (const [name, content] of files) writer.add(name, content);
  writer.end();
  return new Uint8Array(Buffer.concat(parts));
}
