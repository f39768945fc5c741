import { spawnSync } from 'node:child_process';

/** What a program says its version is; its Debian package's where it says nothing. */
export function versionOf(program, args, pattern) {
  const { stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  return pattern.exec(`${stdout}${stderr}`)?.[1] ?? packageOf(program);
}

/** The version of the Debian package of that name. */
export function packageOf(name) {
  const { status, stdout } = spawnSync('dpkg-query', ['-s', name], { encoding: 'utf8' });
  return status === 0 ? /^Version: (\S+)/m.exec(stdout)?.[1] : undefined;
}
