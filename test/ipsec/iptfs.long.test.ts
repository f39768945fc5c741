import { describe, it } from 'vitest';
import { runHostile, runReordered } from './iptfs-runs.ts';

describe('IP-TFS, many random cases', () => {
  it('gives random packets again, in any order within the window', () => runReordered(800), 60_000);

  it('answers hostile payloads with counted drops', () => runHostile(1500), 60_000);
});
