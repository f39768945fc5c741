/**
 * The folder of a run: keys and configuration of its throw-away cluster. Its name carries the mark of its process, so
 * that what a killed run left behind is known, and removed by the next.
 * @module
 */
import { lstatSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { isOwnerGone, ownerMark } from './owner-mark.ts';

const NAME = /^esplane-run-([\d-]+)-\w{6}$/;

/** Makes a folder that only its owner reads. */
export function makeRunFolder(parent: string, pid: number): string {
  return mkdtempSync(join(parent, `esplane-run-${ownerMark(pid)}-`));
}

/**
 * Removes the folders of runs whose process is gone; those of other users, and what is no folder, stay.
 * @returns the folders removed
 */
export function removeRunFolders(parent: string): string[] {
  const left = readdirSync(parent)
    .filter((name) => {
      const mark = NAME.exec(name)?.[1];
      return mark !== undefined && isOwnerGone(mark);
    })
    .map((name) => join(parent, name))
    .filter((path) => {
      const stat = lstatSync(path, { throwIfNoEntry: false });
      return stat?.isDirectory() === true && stat.uid === process.getuid?.();
    });
  for (const path of left) rmSync(path, { recursive: true, force: true });
  return left;
}
