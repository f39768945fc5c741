/**
 * Watches files that others replace: by rename, in place, or by the `..data` link of a Secret volume, which kubelet
 * swaps so that the file itself never seems to change.
 * @module
 */
import { type FSWatcher, watch } from 'node:fs';
import { dirname } from 'node:path';
import type { InputFiles } from './input-files.ts';

/** ms from the first sign of a change until it is looked at: a writer then mostly is done. */
const SETTLE = 50;
/** ms between two looks at files of which nothing tells, as on a network file system. */
const POLL = 2000;

/**
 * Watches until told otherwise. Files may be missing, come and go.
 * @param changed called after what the names lead to is another file, or has other bytes
 * @returns ends it; once this is there, every later change is seen
 */
export async function watchFiles(
  names: readonly string[],
  files: InputFiles,
  changed: () => void,
): Promise<() => void> {
  if (names.length === 0) return () => {};
  const folders = [...new Set(names.map((name) => dirname(name)))];
  const watchers = new Map<string, FSWatcher>();
  let settling: NodeJS.Timeout | undefined;
  let isOver = false;
  let last = await statesOf(names, files);
  const look = async () => {
    settling = undefined;
    const now = await statesOf(names, files);
    if (isOver || now === last) return;
    last = now;
    changed();
  };
  const forget = (folder: string) => {
    watchers.get(folder)?.close();
    watchers.delete(folder);
  };
  const arm = async () => {
    // A file's own watch would stay with the old file, its folder's sees links and renames.
    for (const folder of folders) {
      // To watch blocks the thread where the mount hangs, so it is asked first.
      if (watchers.has(folder) || !(await files.folderExists(folder).catch(() => false))) continue;
      if (isOver) return;
      try {
        const watcher = watch(folder, () => {
          settling ??= setTimeout(look, SETTLE);
        });
        watcher.on('error', () => forget(folder));
        watchers.set(folder, watcher);
      } catch {
        // No watches left: the poll sees to it.
      }
    }
  };
  const poll = async () => {
    await look();
    await arm();
    if (!isOver) timer = setTimeout(poll, POLL);
  };
  await arm();
  let timer = setTimeout(poll, POLL);
  return () => {
    isOver = true;
    clearTimeout(timer);
    clearTimeout(settling);
    for (const folder of [...watchers.keys()]) forget(folder);
  };
}

/** Where the names lead, and what tells one content from the next. One after the other: of a mount that hangs one call is enough. */
async function statesOf(names: readonly string[], files: InputFiles): Promise<string> {
  const states: string[] = [];
  for (const name of names) states.push(await files.state(name));
  return states.join('\n');
}
