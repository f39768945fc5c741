/**
 * What `native/src/state.cc` exports: files as memory, and locks.
 * @module
 */
import { addon } from './addon.ts';
import { check } from './system-error.ts';

export interface StateFunctions {
  /** @param offset bytes, a multiple of the page size @returns memory, or `-errno` */
  mapFile(fd: number, offset: number, length: number): ArrayBuffer | number;
  lockFile(fd: number): number;
}

/**
 * Bytes of a file as memory. What is written there is in the file, also when the process is killed; it is on the disk
 * after `fdatasync`. Every thread maps for itself, and sees what others write.
 * @param offset bytes, a multiple of 4096
 * @throws {SystemError} when the file is shorter, or its file system has no such memory
 */
export function mapFile(fd: number, offset: number, length: number): ArrayBuffer {
  const mapped = addon().mapFile(fd, offset, length);
  if (typeof mapped === 'number') {
    check(mapped, 'mmap', { ENODEV: 'This file system maps no files: name another place.' });
    throw new TypeError('mmap: no memory and no error');
  }
  return mapped;
}

/**
 * Takes the lock of a file or folder until the descriptor is closed, or the process ends.
 * @returns false when another process has it
 * @throws {SystemError}
 */
export function lockFile(fd: number): boolean {
  const result = addon().lockFile(fd);
  if (result === EWOULDBLOCK) return false;
  check(result, 'flock');
  return true;
}

const EWOULDBLOCK = -11;
