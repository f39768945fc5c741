/**
 * Both directions between two nodes: what each end hashes, the keys that come out, and a packet that tries them.
 * @module
 */
import { toHex } from '../../../base/bytes.ts';
import { dropRowOf } from '../../../ipsec/drop.ts';
import { XFRM_COUNTERS } from '../../../observe/xfrm-counters.ts';
import { rawFrame, withSecrets } from '../../model/copy-forms.ts';
import { type Derived, type Direction, twoEndsForms } from '../../model/two-ends.ts';
import { CopyAs } from '../../parts/copy-as.tsx';
import { Download } from '../../parts/download.tsx';

const CAPTURE = 'esplane-two-ends.pcapng';

interface BothWaysProps {
  readonly directions: readonly Direction[];
  readonly isStale: boolean;
}

export function BothWays({ directions, isStale }: BothWaysProps) {
  const lost = directions.filter(({ outcome }) => outcome !== 'delivered');
  return (
    <>
      <div class="panes even">
        {directions.map((direction) => (
          <OneWay key={direction.from} direction={direction} />
        ))}
      </div>
      <div class="row">
        <Download
          label="Download as pcapng, with the senders' keys"
          name={CAPTURE}
          type="application/x-pcapng"
          make={() =>
            withSecrets(
              directions.map(({ wire }, i) => rawFrame(wire, i + 1)),
              directions.map(({ sa }) => sa),
            )
          }
        />
        <CopyAs forms={twoEndsForms(directions, CAPTURE)} />
      </div>
      <div role="status">
        {lost.length === 0 ? (
          <p class="notice good">
            Both ends agree, both ways. A packet each way was sealed and opened with these keys.
          </p>
        ) : (
          <>
            <p class="notice">
              {isStale
                ? 'Node-1 still derives with the old boot id: the addresses and the line are right, and nothing decrypts, in either direction.'
                : 'The two ends do not agree.'}{' '}
              Both nodes count it, and neither counter names a peer:
            </p>
            <pre tabIndex={0}>
              {lost
                .map(({ to, outcome }) => {
                  const { counter } = outcome as Exclude<Direction['outcome'], 'delivered'>;
                  const { type, error } = XFRM_COUNTERS.find((row) => row.counter === counter)!;
                  return `${to}$ grep -v ' 0$' /proc/net/xfrm_stat\n${counter}  1\n${to}$ cilium-dbg metrics list | grep xfrm\ncilium_ipsec_xfrm_error  error="${error}" type="${type}"  1\n`;
                })
                .join('\n')}
            </pre>
            <p>
              It looks like damage on the way: the ICV is wrong, which is all that a receiver can know.{' '}
              {dropRowOf((lost[0]!.outcome as Exclude<Direction['outcome'], 'delivered'>).reason).look}
            </p>
          </>
        )}
      </div>
    </>
  );
}

function OneWay({ direction }: { readonly direction: Direction }) {
  const { from, to, sender, receiver, agree, outcome } = direction;
  return (
    <section class="card" aria-label={`${from} to ${to}`}>
      <h3>
        {from} → {to}
      </h3>
      <h4>{from} seals with</h4>
      <Key derived={sender} other={receiver} />
      <h4>{to} opens with</h4>
      <Key derived={receiver} other={sender} />
      <p class={agree ? 'verdict good' : 'verdict bad'}>
        {outcome === 'delivered' ? '✓ the same key: delivered' : `✗ other keys: dropped, ${outcome.counter}`}
      </p>
    </section>
  );
}

/** What goes into the hash, and what comes out. What the other end has otherwise is marked. */
function Key({ derived, other }: { readonly derived: Derived; readonly other: Derived }) {
  const results = [
    ['key', derived.key, other.key],
    ['salt', derived.salt, other.salt],
    ['integrity key', derived.macKey, other.macKey],
  ] as const;
  return (
    <dl class="facts small">
      {derived.inputs.flatMap(({ label, bytes }, i) => {
        const isText = label.startsWith('boot id');
        const text = isText ? new TextDecoder().decode(bytes) : toHex(bytes);
        const differs = toHex(bytes) !== toHex(other.inputs[i]!.bytes);
        return [
          <dt key={`${label} name`}>{label}</dt>,
          <dd key={label}>
            <code class={differs ? 'differs' : ''}>{text}</code>
            {differs && ' (the other end has another)'}
          </dd>,
        ];
      })}
      {results
        .filter(([, mine]) => mine !== '')
        .flatMap(([label, mine, theirs]) => [
          <dt key={`${label} name`}>
            {derived.hash} → {label}
          </dt>,
          <dd key={label}>
            <code class={mine === theirs ? '' : 'differs'}>
              <b>{mine}</b>
            </code>
          </dd>,
        ])}
    </dl>
  );
}
