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
}

/** A zip. */
export function zip(
  files: Files,
  { streamed = true, stored = false, encrypted = false }: ZipOptions = {},
): Uint8Array {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  const add = (part: Buffer) => {
    parts.push(part);
    at += part.length;
  };
  for (const [name, content] of files) {
    const body = bytesOf(content);
    const data = stored ? Buffer.from(body) : deflateRawSync(body);
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
    header.writeUInt32LE(at, 42);
    directory.push(header, Buffer.from(name));
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50, 0);
    header.copy(local, 4, 6, streamed ? 16 : 30);
    local.writeUInt16LE(Buffer.byteLength(name), 26);
    add(local);
    add(Buffer.from(name));
    add(data);
    if (!streamed) continue;
    const descriptor = Buffer.alloc(16);
    descriptor.writeUInt32LE(0x08074b50, 0);
    header.copy(descriptor, 4, 16, 28);
    add(descriptor);
  }
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(files.length, 8);
  end.writeUInt16LE(files.length, 10);
  end.writeUInt32LE(Buffer.concat(directory).length, 12);
  end.writeUInt32LE(at, 16);
  return new Uint8Array(Buffer.concat([...parts, ...directory, end]));
}
