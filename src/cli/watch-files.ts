/**
 * Watches files that others replace: by rename, in place, or by the `..data` link of a Secret volume, which kubelet
 * swaps so that the file itself never seems to change.
 * @module
 */
import { type FSWatcher, realpathSync, statSync, watch } from 'node:fs';
import { dirname } from 'node:path';

/** ms from the first sign of a change until it is looked at: a writer then mostly is done. */
const SETTLE = 50;
/** ms between two looks at files of which nobody tells, as on a network file system. */
const POLL = 2000;

/**
 * Watches until told otherwise. Files may be missing, come and go.
 * @param changed called after what the names lead to is another file, or has other bytes
 * @returns ends it
 */
export function watchFiles(files: readonly string[], changed: () => void): () => void {
  const watchers = new Map<string, FSWatcher>();
  let settling: NodeJS.Timeout | undefined;
  let last = stateOf(files);
  const look = () => {
    settling = undefined;
    const now = stateOf(files);
    if (now === last) return;
    last = now;
    changed();
  };
  const forget = (folder: string) => {
    watchers.get(folder)?.close();
    watchers.delete(folder);
  };
  const arm = () => {
    // A file's own watch would stay with the old file, its folder's sees links and renames.
    for (const folder of new Set(files.map((file) => dirname(file)))) {
      if (watchers.has(folder)) continue;
      try {
        const watcher = watch(folder, () => {
          settling ??= setTimeout(look, SETTLE);
        });
        watcher.on('error', () => forget(folder));
        watchers.set(folder, watcher);
      } catch {
        // No such folder now, or no watches left: the poll sees to it.
      }
    }
  };
  arm();
  const poll = setInterval(() => {
    look();
    arm();
  }, POLL);
  return () => {
    clearInterval(poll);
    clearTimeout(settling);
    for (const folder of [...watchers.keys()]) forget(folder);
  };
}

/** Where the names lead, and what tells one content from the next without reading it. */
function stateOf(files: readonly string[]): string {
  return files
    .map((file) => {
      try {
        const path = realpathSync(file);
        const { ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
        return [path, ino, size, mtimeNs, ctimeNs].join(' ');
      } catch {
        return 'missing';
      }
    })
    .join('\n');
}
