/**
 * The ring of key ids, the mark that has four bits for them, and the id that two nodes use between them.
 * @module
 */

import { effectiveKeyId } from '../../../cilium/effective-key.ts';
import { nextKeyId } from '../../../cilium/key-line.ts';
import { MAX_KEY_ID } from '../../../cilium/keys.ts';
import { encryptMark } from '../../../cilium/mark.ts';
import type { ChapterProps } from '../../chapter.ts';
import { numberOf, Slider } from '../../parts/controls.tsx';

const RADIUS = 100;
const CENTER = 130;
/** Of node-2 at node-1. Node ids are random; this is the one of Cilium's tests. */
const NODE_ID = 0xbeef;
const IDS = { min: 1, max: MAX_KEY_ID };

export function KeyIds({ route, go }: ChapterProps) {
  const mine = numberOf(route, 'mine', { ...IDS, otherwise: 15 });
  const theirs = numberOf(route, 'theirs', { ...IDS, otherwise: 1 });
  const used = effectiveKeyId(mine, theirs);
  const isStep = mine === theirs || nextKeyId(mine) === theirs || nextKeyId(theirs) === mine;
  const mark = encryptMark(NODE_ID, used).value.toString(16).padStart(8, '0');
  const ids = Array.from({ length: MAX_KEY_ID }, (_, i) => i + 1);
  return (
    <>
      <p>
        A key id has four bits in the packet mark, and 0 there means "no key": 1 to 15 are left, and after 15
        comes 1. While a new key spreads, two nodes may be one step apart. They then use the <em>older</em>{' '}
        id, which both have. Between 15 and 1 the older one is 15, though it is the larger.
      </p>
      <div class="controls">
        <Slider route={route} go={go} name="mine" label="node-1 has key" {...IDS} otherwise={15} />
        <Slider route={route} go={go} name="theirs" label="node-2 has key" {...IDS} otherwise={1} />
      </div>
      <div class="panes">
        <svg
          class="picture ring"
          viewBox={`0 0 ${2 * CENTER} ${2 * CENTER}`}
          role="img"
          aria-label={`Key ids 1 to 15 in a ring. Node-1 has ${mine}, node-2 has ${theirs}, and they use ${used}.`}
        >
          <circle cx={CENTER} cy={CENTER} r={RADIUS} class="ring-line" />
          {ids.map((id) => {
            const angle = ((id - 1) / MAX_KEY_ID) * 2 * Math.PI - Math.PI / 2;
            const x = CENTER + RADIUS * Math.cos(angle);
            const y = CENTER + RADIUS * Math.sin(angle);
            const owner = [id === mine && '1', id === theirs && '2'].filter(Boolean).join('+');
            return (
              <g key={id}>
                <circle cx={x} cy={y} r={id === used ? 17 : 13} class={id === used ? 'used' : 'id'} />
                <text x={x} y={y} class="middle">
                  {id}
                </text>
                {owner !== '' && (
                  <text
                    x={CENTER + (RADIUS - 32) * Math.cos(angle)}
                    y={CENTER + (RADIUS - 32) * Math.sin(angle)}
                    class="middle soft"
                  >
                    n{owner}
                  </text>
                )}
              </g>
            );
          })}
          <text x={CENTER} y={CENTER} class="middle">
            uses {used}
          </text>
        </svg>
        <div>
          <p role="status">
            They use key <strong>{used}</strong>.{' '}
            {!isStep &&
              'But these two are more than a step apart, and the rule holds only for one: whoever lacks this key drops, as XfrmInNoStates. Let a rotation reach every node before the next.'}
          </p>
          <p>The mark that makes the kernel of node-1 choose this SA, if node-2's number there is 0xbeef:</p>
          <p class="line">
            <code class="part-key">{mark.slice(0, 4)}</code>
            <code class="part-id">{mark.slice(4, 5)}</code>
            <code class="part-algorithm">{mark.slice(5, 6)}</code>
            <code>{mark.slice(6)}</code>
          </p>
          <dl class="facts">
            <dt>
              <b class="part-key">node id</b>
            </dt>
            <dd>Which peer: 16 bits, each node numbers its peers itself.</dd>
            <dt>
              <b class="part-id">key id</b>
            </dt>
            <dd>Which key: four bits, and the SPI on the wire.</dd>
            <dt>
              <b class="part-algorithm">magic</b>
            </dt>
            <dd>e: to be encrypted; d: to be decrypted, or decrypted.</dd>
          </dl>
        </div>
      </div>
    </>
  );
}
