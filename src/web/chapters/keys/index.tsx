/**
 * Keys: the Secret's line taken apart, the per-tunnel keys that come of it, and why 15 is followed by 1.
 *
 * ```text
 *  #/keys?line=cbc&v=6&boot2=…&stale=1&mine=15&theirs=1
 * ```
 *
 * A line that the reader types is the only thing in the lab that no address holds: it may be a real key, and addresses
 * stay in the history.
 * @module
 */
import { useMemo, useState } from 'preact/hooks';
import type { Chapter, ChapterProps } from '../../chapter.ts';
import { readLine } from '../../model/key-line.ts';
import { BOOT_IDS, isBootId, REBOOTED, twoEnds } from '../../model/two-ends.ts';
import { Choice, chosen, isOn, TextField, Toggle } from '../../parts/controls.tsx';
import { CopyAs } from '../../parts/copy-as.tsx';
import { Reference } from '../../parts/reference.tsx';
import { BothWays } from './both-ways.tsx';
import { KeyIds } from './key-ids.tsx';

const LINES = [
  {
    value: 'gcm',
    label: 'AES-GCM',
    line: '3+ rfc4106(gcm(aes)) 44434241343332312423222114131211f4f3f2f1 128',
  },
  {
    value: 'gcm256',
    label: 'AES-256-GCM',
    line: '3+ rfc4106(gcm(aes)) 44434241343332312423222114131211444342413433323124232221141312110a0b0c0d 128',
  },
  {
    value: 'cbc',
    label: 'AES-CBC with SHA-256',
    line: '3+ hmac(sha256) 0123456789abcdef0123456789abcdef cbc(aes) fedcba9876543210fedcba9876543210',
  },
  { value: 'own', label: 'your own', line: '' },
] as const;

const VERSIONS = [
  { value: '4', label: 'IPv4' },
  { value: '6', label: 'IPv6' },
] as const;

export const KEYS: Chapter = {
  id: 'keys',
  title: 'Keys',
  summary:
    "The Secret's line taken apart, a key for each tunnel derived from it, and two nodes that do not agree.",
  View,
};

function View({ route, go }: ChapterProps) {
  const choice = chosen(route, 'line', LINES);
  const [own, setOwn] = useState('');
  const line = choice.value === 'own' ? own : choice.line;
  const read = useMemo(() => readLine(line), [line]);
  const family = chosen(route, 'v', VERSIONS).value === '6' ? 6 : 4;
  const bound = { route, go };

  // Node-2 knows its own boot id. Node-1 has it from node-2's CiliumNode, which may be older.
  const isStale = isOn(route, 'stale');
  const bootOne = route.params['boot1'] ?? BOOT_IDS[0];
  const bootTwo = route.params['boot2'] ?? (isStale ? REBOOTED : BOOT_IDS[1]);
  const known = isStale ? BOOT_IDS[1] : bootTwo;
  const areBootIds = isBootId(bootOne) && isBootId(bootTwo);

  return (
    <>
      <h1 tabIndex={-1}>Keys</h1>
      <p>
        Cilium's keys come from one line in a Kubernetes Secret. From 1.17 on no packet is encrypted with the
        key that stands in it: every pair of nodes makes keys of its own from it, one for each direction.
      </p>

      <h2>The line</h2>
      <div class="controls">
        <Choice {...bound} name="line" label="Line" options={LINES} />
      </div>
      {choice.value === 'own' && (
        <label class="wide">
          Your line
          <input
            type="text"
            value={own}
            spellcheck={false}
            autocomplete="off"
            placeholder="3+ rfc4106(gcm(aes)) 40 hex digits 128"
            onInput={(event) => setOwn(event.currentTarget.value)}
          />
          <small>It stays on this page: it is neither sent, nor stored, nor part of the address.</small>
        </label>
      )}
      {'problem' in read ? (
        <p class="notice" role="alert">
          {line === '' ? 'Type or paste a line.' : read.problem}
        </p>
      ) : (
        <>
          <p class="line" aria-hidden="true">
            {read.parts.map(({ id, text }) => (
              <code key={id} class={`part-${id}`}>
                {text}
              </code>
            ))}
          </p>
          <dl class="facts">
            {read.parts.flatMap(({ id, label, text, why, reference }) => [
              <dt key={`${id} name`}>
                <b class={`part-${id}`}>{label}</b>
              </dt>,
              <dd key={id}>
                <code>{text}</code> {why} <Reference text={reference} />
              </dd>,
            ])}
          </dl>
          <CopyAs
            forms={[
              {
                label: 'kubectl',
                text: `kubectl create -n kube-system secret generic cilium-ipsec-keys \\\n  --from-literal=keys="${line}"\n`,
              },
              { label: 'esplane keys rotate', text: `esplane keys rotate keys\n` },
            ]}
          />
        </>
      )}

      <h2>A key for each tunnel</h2>
      <p>
        A node hashes the key of the line, the two tunnel addresses and the two boot ids, sender first, and
        takes as many bytes as the key has. So both ends come to the same key without a word between them, the
        two directions have different ones, and after a reboot there are new ones: sequence numbers may begin
        at 1 again. <Reference text="RFC 4303 §3.3.3" />
      </p>
      <div class="controls">
        <Choice {...bound} name="v" label="Between the nodes" options={VERSIONS} />
        <Toggle {...bound} name="stale" label="node-2 was rebooted, and node-1 has not heard of it" />
      </div>
      <div class="controls">
        <TextField
          {...bound}
          name="boot1"
          label="Boot id of node-1"
          value={bootOne}
          otherwise={BOOT_IDS[0]}
        />
        <TextField
          {...bound}
          name="boot2"
          label="Boot id of node-2"
          value={bootTwo}
          otherwise={isStale ? REBOOTED : BOOT_IDS[1]}
        />
      </div>
      {!areBootIds && (
        <p class="notice" role="alert">
          A boot id has at least 36 characters: <code>cat /proc/sys/kernel/random/boot_id</code> prints one.
          Cilium skips a node whose boot id it does not know.
        </p>
      )}
      {areBootIds && 'key' in read && (
        <BothWays
          directions={twoEnds({
            key: read.key,
            family,
            atOne: [bootOne, known],
            atTwo: [bootOne, bootTwo],
          })}
          isStale={known !== bootTwo}
        />
      )}

      <h2>Key ids, and why 15 is followed by 1</h2>
      <KeyIds route={route} go={go} />
    </>
  );
}
