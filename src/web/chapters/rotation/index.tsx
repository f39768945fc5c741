/**
 * Rotation: three nodes on a time line, when each takes a new key into use, and which packets that costs.
 *
 * ```text
 *  #/rotation?n1=4,10,4,10,52&n2=…&n3=…&news=1      seconds: read, install, advertise, send, forget; until others hear
 * ```
 * @module
 */
import { NobleEngine } from '../../../crypto/noble.ts';
import type { Chapter, ChapterProps } from '../../chapter.ts';
import type { RotationRun } from '../../model/rotation.ts';
import { captureName, rotationCapture, rotationForms } from '../../model/rotation-capture.ts';
import { rotationPresetOf } from '../../model/rotation-place.ts';
import {
  LENGTH,
  MOMENTS,
  MOST_NEWS,
  type Moment,
  move,
  onGrid,
  ROTATION_PRESETS,
  type RotationPlan,
} from '../../model/rotation-plan.ts';
import { CopyAs } from '../../parts/copy-as.tsx';
import { Download } from '../../parts/download.tsx';
import { SceneChoice } from '../../parts/scene.tsx';
import { TableHead } from '../../parts/table-head.tsx';
import { Lanes, LanesKey, NAMES, STEP } from './lanes.tsx';
import { usePlan } from './use-plan.ts';
import { useRun } from './use-run.ts';

export const ROTATION: Chapter = {
  id: 'rotation',
  title: 'Rotation',
  summary:
    'Three nodes take a new key into use. Drag when each reads, installs, advertises, sends and forgets, and see exactly which packets a wrong order loses.',
  View,
};

function View(props: ChapterProps) {
  const { plan, problem, drag, settle } = usePlan(props);
  const { run, isCurrent } = useRun(plan);
  const preset = rotationPresetOf(plan);
  const onMove = (i: number, moment: Moment, to: number) =>
    drag(({ nodes, news }) => ({
      nodes: nodes.map((node, k) => (k === i ? move(node, moment, to) : node)) as unknown as typeof nodes,
      news,
    }));
  const onSlid = () => settle({ replace: true });
  return (
    <>
      <h1 tabIndex={-1}>Rotation</h1>
      <p>
        A new key comes to all nodes, but not at once. Each node reads it, installs the SAs, tells the others
        that it has it, and sends with it. A sender takes the new key for a peer once it sends with it itself
        and has heard that the peer has it, as Cilium's <code>get_min_encrypt_key</code> does. Some time later
        each forgets the old key.
      </p>
      {problem && (
        <p class="notice" role="alert">
          This address cannot be used as it is: {problem}. The rest of it is shown.
        </p>
      )}
      <div class="controls">
        <SceneChoice
          scenes={ROTATION_PRESETS}
          current={preset}
          onChoose={({ plan: chosen }) => settle({ plan: chosen })}
        />
        <label class="slider">
          <span>
            Others hear of it after <code>{plan.news} s</code>
          </span>
          <input
            type="range"
            min={0}
            max={MOST_NEWS}
            step={STEP}
            value={plan.news}
            aria-valuetext={`${plan.news} seconds`}
            onInput={({ currentTarget: { valueAsNumber } }) =>
              drag((now) => ({ ...now, news: onGrid(valueAsNumber, MOST_NEWS) }))
            }
            onChange={onSlid}
          />
        </label>
      </div>
      {preset && <p>{preset.look}</p>}
      <Verdict run={isCurrent ? run : undefined} />
      <Lanes
        plan={plan}
        run={run}
        label="The time line of three nodes. The table of times below has the same as sliders, and the table of losses says what is lost."
        onMove={onMove}
        onDone={settle}
      />
      <LanesKey />
      <p>
        Drag a letter, or use the sliders below. Reading takes the rest along. The lines between the nodes are
        the news. Each mark in the rows is a packet, one every half second from each pod to each other.
      </p>
      <Times plan={plan} onMove={onMove} onDone={onSlid} />
      <h2>What is lost, and why</h2>
      <Losses run={run} />
      <Real />
      <div class="row">
        {plan.nodes.map((_, i) => (
          <Download
            key={i}
            label={`Download what node-${i + 1} sees`}
            name={captureName(i + 1)}
            type="application/x-pcapng"
            make={() => rotationCapture(plan, `node-${i + 1}`, new NobleEngine())}
          />
        ))}
        <CopyAs forms={rotationForms(plan, run)} />
      </div>
    </>
  );
}

function Verdict({ run }: { readonly run: RotationRun | undefined }) {
  const text = !run
    ? 'Running …'
    : run.lost === 0
      ? `All ${run.sent} packets arrived. No counter rose.`
      : `${run.lost} of ${run.sent} packets are lost: ${countersOf(run)}.`;
  return (
    <p class={`notice ${run?.lost === 0 ? 'good' : ''}`} role="status">
      {text}
    </p>
  );
}

/** `30 XfrmInNoStates, 4 XfrmOutPolBlock`, as the nodes' own counters have it. */
function countersOf({ report }: RotationRun): string {
  const sums = new Map<string, number>();
  for (const { xfrm } of report.nodes)
    for (const [name, count] of Object.entries(xfrm)) sums.set(name, (sums.get(name) ?? 0) + count);
  return [...sums].map(([name, count]) => `${count} ${name}`).join(', ');
}

interface TimesProps {
  readonly plan: RotationPlan;
  readonly onMove: (node: number, moment: Moment, to: number) => void;
  readonly onDone: () => void;
}

/** The same times, for the keyboard and for who does not see the picture. */
function Times({ plan, onMove, onDone }: TimesProps) {
  return (
    <div class="times">
      {plan.nodes.map((node, i) => (
        <fieldset key={i}>
          <legend>node-{i + 1}</legend>
          {MOMENTS.map((moment) => (
            <label key={moment} class="slider">
              <span>
                {NAMES[moment]} <code>{node[moment]} s</code>
              </span>
              <input
                type="range"
                min={0}
                max={LENGTH}
                step={STEP}
                value={node[moment]}
                aria-valuetext={`${node[moment]} seconds`}
                onInput={({ currentTarget }) => onMove(i, moment, currentTarget.valueAsNumber)}
                onChange={onDone}
              />
            </label>
          ))}
        </fieldset>
      ))}
    </div>
  );
}

function Losses({ run }: { readonly run: RotationRun | undefined }) {
  if (!run) return <p>Running …</p>;
  if (run.losses.length === 0) return <p>Nothing.</p>;
  return (
    <div class="scroll losses" tabIndex={0} role="region" aria-label="Lost packets">
      <table>
        <TableHead titles={['Packets', 'From, to', 'Sent at', 'Key', 'Counted by', 'Why']} />
        <tbody>
          {run.losses.map(({ from, to, key, node, drop, count, first, last, why }) => (
            <tr key={`${from} ${to} ${first}`}>
              <td>{count}</td>
              <td>
                {from} → {to}
              </td>
              <td>{first === last ? `${first} s` : `${first} to ${last} s`}</td>
              <td>{key}</td>
              <td>
                {node}: <code>{drop.counter}</code>
              </td>
              <td>{why}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Real() {
  return (
    <section>
      <h2>In a real cluster</h2>
      <p>
        The kubelet brings a changed Secret to a node within about a minute, and the agent looks every five
        seconds. Installing takes from milliseconds to seconds: the more nodes, the longer: a cluster of a
        thousand has about 3240 keys. Old keys are kept for five minutes,{' '}
        <code class="whole">--ipsec-key-rotation-duration</code>, and looked for once a minute. Here a minute
        is shorter, and nodes look every half second. Everything else is the agent and the data plane that{' '}
        <code>esplane run</code> has.
      </p>
      <p>
        Until March 2026 Cilium told the others of the new key before it had installed it (changed by pull
        requests 44335 and 44701). The rule that loses nothing: install before you tell and before you send,
        and forget only after everybody sends with the new key and has heard of yours.
      </p>
    </section>
  );
}
