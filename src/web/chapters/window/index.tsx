/**
 * The replay window: a sender, a receiver with a window, and what happens on the way between them.
 *
 * ```text
 *  #/window?w=32&esn=1&a=s10.h.s40.d           settings and actions: see model/window-actions.ts
 *  …&at=2                                      only the first two are done
 *  …&see=4                                     the fifth entry of the log is looked at
 * ```
 * @module
 */
import { useMemo, useRef } from 'preact/hooks';
import type { Chapter, ChapterProps } from '../../chapter.ts';
import { withSecrets } from '../../model/copy-forms.ts';
import { runWindow, SIZES, type WindowRun } from '../../model/window.ts';
import {
  addAction,
  MOST_ACTIONS,
  MOST_PACKETS,
  packetsOf,
  type WindowAction,
} from '../../model/window-actions.ts';
import { arrivedFrames, windowForms } from '../../model/window-capture.ts';
import { rangesOf } from '../../model/window-grid.ts';
import { type LogEntry, logOf } from '../../model/window-log.ts';
import {
  paramsOf,
  placeOf,
  placeOfPreset,
  presetOf,
  STARTS,
  type WindowPlace,
} from '../../model/window-place.ts';
import { WINDOW_PRESETS } from '../../model/window-presets.ts';
import { actionText, shown, windowText } from '../../model/window-text.ts';
import { CopyAs } from '../../parts/copy-as.tsx';
import { Download } from '../../parts/download.tsx';
import { Reference } from '../../parts/reference.tsx';
import { SceneChoice } from '../../parts/scene.tsx';
import { Steps } from '../../parts/steps.tsx';
import { TableHead } from '../../parts/table-head.tsx';
import { formatRoute, changed as routeWith } from '../../route.ts';
import { Actions } from './actions.tsx';
import { Bitmap, BitmapKey } from './bitmap.tsx';
import { Guess } from './guess.tsx';

export const WINDOW: Chapter = {
  id: 'window',
  title: 'The replay window',
  summary:
    'Send, lose, reorder, replay and jump, and see which numbers a receiver takes, what Linux counts, and why a replay may look like a broken packet.',
  View,
};

const FILE = 'esplane-window.pcapng';
/** Entries of the log on the page: the newest. */
const MOST_ENTRIES = 40;

function View({ route, go }: ChapterProps) {
  const place = placeOf(route.params);
  const { settings, actions, at, problem } = place;
  const preset = presetOf(place);
  const last = useRef<WindowRun | undefined>(undefined);
  const { run, log } = useMemo(() => {
    const run = runWindow(settings, actions.slice(0, at), last.current);
    last.current = run;
    return { run, log: logOf(run) };
  }, [JSON.stringify(paramsOf(place))]);

  const goTo = (next: WindowPlace) => go({ params: paramsOf(next) });
  const set = (some: Partial<WindowPlace['settings']>) =>
    goTo({ ...place, settings: { ...settings, ...some } });
  const act = (kind: WindowAction['kind'], count: number) => {
    const next = addAction(actions.slice(0, at), { kind, count });
    goTo({ settings, actions: next, at: next.length });
  };
  const used = actions.slice(0, at).reduce((sum, one) => sum + packetsOf(one), 0);
  const isFull = used >= MOST_PACKETS || at >= MOST_ACTIONS;
  const see = /^\d{1,3}$/.test(route.params['see'] ?? '') ? Number(route.params['see']) : log.length - 1;
  const entry = log[Math.min(see, log.length - 1)];
  const starts = STARTS.filter(({ needsEsn }) => settings.esn || !needsEsn);

  return (
    <>
      <h1 tabIndex={-1}>The replay window</h1>
      <p>
        Every ESP packet has a number, and a receiver takes each number once. It remembers the highest number
        that verified, and which of the numbers just below it have come: that is its window. What lies left of
        it is forgotten, and so refused. <Reference text="RFC 4303 §3.4.3" />
      </p>
      {problem && (
        <p class="notice" role="alert">
          This address cannot be used as it is: {problem}. The rest of it is shown.
        </p>
      )}
      <div class="controls">
        <SceneChoice
          scenes={WINDOW_PRESETS}
          current={preset}
          onChoose={(chosen) => goTo(placeOfPreset(chosen))}
        />
        <fieldset class="choice">
          <legend>Window</legend>
          {SIZES.map((size) => (
            <label key={size}>
              <input
                type="radio"
                name="window-size"
                checked={size === settings.size}
                onChange={() =>
                  set(
                    size === 0
                      ? { size, esn: false, start: Math.min(settings.start, 2 ** 32 - 8) }
                      : { size },
                  )
                }
              />
              <span>{size === 0 ? 'off' : size}</span>
            </label>
          ))}
        </fieldset>
        <label class="toggle">
          <input
            type="checkbox"
            checked={settings.esn}
            disabled={settings.size === 0}
            onChange={({ currentTarget: { checked } }) =>
              set({ esn: checked, start: checked ? settings.start : Math.min(settings.start, 2 ** 32 - 8) })
            }
          />
          <span>ESN{settings.size === 0 && ': needs a window'}</span>
        </label>
        <label>
          From{' '}
          <select
            value={String(settings.start)}
            onChange={({ currentTarget: { value } }) => set({ start: Number(value) })}
          >
            {!starts.some(({ value }) => value === String(settings.start)) && (
              <option value={String(settings.start)}>{shown(settings.start)}</option>
            )}
            {starts.map(({ value, label }) => (
              <option key={value} value={value}>
                {label}
              </option>
            ))}
          </select>
        </label>
      </div>
      {preset && <p>{preset.look}</p>}
      <Steps
        steps={[
          { id: '0', title: 'the beginning' },
          ...actions.map((one, i) => ({ id: String(i + 1), title: actionText(one) })),
        ]}
        current={String(at)}
        onGo={(id) => goTo({ ...place, at: Number(id) })}
      />
      <section aria-label="The window">
        <Bitmap run={run} event={entry?.last} label={windowText(run)} />
        <p role="status">
          {entry && `${numbersOf(entry)}: ${entry.verdict.what}. `}
          {windowText(run)}
        </p>
        <BitmapKey />
      </section>
      {isFull ? (
        <p class="notice">That is as much as an address holds. Undo something, or choose a scene.</p>
      ) : null}
      <Actions
        run={run}
        onAct={(kind, count) => {
          if (!isFull)
            act(
              kind,
              Math.min(
                count,
                kind === 'send' || kind === 'lose' || kind === 'hold' ? MOST_PACKETS - used : count,
              ),
            );
        }}
        onUndo={
          at === 0 ? undefined : () => goTo({ settings, actions: actions.slice(0, at - 1), at: at - 1 })
        }
      />
      <div class="panes">
        <section>{entry && <EntryCard entry={entry} run={run} />}</section>
        <section>
          <Counters run={run} />
        </section>
      </div>
      <h2>What happened</h2>
      {log.length === 0 && <p>Nothing yet.</p>}
      {log.length > MOST_ENTRIES && (
        <p>
          The newest {MOST_ENTRIES} of {shown(log.length)}:
        </p>
      )}
      <ol class="log" reversed>
        {log
          .map((one, i) => ({ one, i }))
          .reverse()
          .slice(0, MOST_ENTRIES)
          .map(({ one, i }) => (
            <li key={i} value={i + 1}>
              <a
                href={formatRoute(routeWith(route, { params: { ...paramsOf(place), see: String(i) } }))}
                aria-current={one === entry ? 'true' : undefined}
              >
                {numbersOf(one)} {HOW[one.kind]}:{' '}
                <b class={one.last.drop ? 'bad' : undefined}>{one.verdict.what}</b>
                {one.verdict.counter && (
                  <>
                    {' '}
                    <code>{one.last.drop!.counter}</code>
                    {one.count > 1 && ` ${shown(one.count)} times`}
                  </>
                )}
              </a>
            </li>
          ))}
      </ol>
      <RangeTable run={run} />
      <Why />
      <div class="row">
        <Download
          label="Download what arrived, with keys"
          name={FILE}
          type="application/x-pcapng"
          make={() => withSecrets(arrivedFrames(run), [run.config])}
        />
        <CopyAs forms={windowForms(run, FILE)} />
      </div>
    </>
  );
}

const HOW: Readonly<Record<LogEntry['kind'], string>> = {
  sent: 'arrived',
  late: 'came late',
  replayed: 'replayed',
  forged: 'forged',
  lost: 'sent',
  held: 'sent',
  unsent: 'to be sent',
  nothing: '',
};

/** Which packets an entry is about. */
function numbersOf({ count, first, last }: LogEntry): string {
  if (!first.packet || !last.packet) return count === 1 ? 'One' : shown(count);
  if (count === 1) return `Number ${shown(first.packet.number)}`;
  return `Numbers ${shown(first.packet.number)} to ${shown(last.packet.number)}`;
}

function EntryCard({ entry, run }: { readonly entry: LogEntry; readonly run: WindowRun }) {
  const { verdict, last } = entry;
  return (
    <article class="card" aria-label="The packet">
      <h3>
        {numbersOf(entry)}: {verdict.what}
      </h3>
      <p>{verdict.why}</p>
      <dl class="facts">
        <dt>Linux counts</dt>
        <dd>{verdict.counter ?? 'nothing'}</dd>
        {verdict.rule !== '' && (
          <>
            <dt>Rule</dt>
            <dd>
              <Reference text={verdict.rule} />
            </dd>
          </>
        )}
      </dl>
      {run.settings.esn && <Guess run={run} event={last} />}
    </article>
  );
}

function Counters({ run }: { readonly run: WindowRun }) {
  const { stats, xfrm, accepted, lost } = run;
  const rows: [string, string, number][] = [
    ['let through', 'by the receiver', accepted],
    ['XfrmInStateSeqError', 'xfrm_stat', xfrm['XfrmInStateSeqError'] ?? 0],
    ['XfrmInStateProtoError', 'xfrm_stat', xfrm['XfrmInStateProtoError'] ?? 0],
    ['XfrmOutStateSeqError', 'xfrm_stat, sender', xfrm['XfrmOutStateSeqError'] ?? 0],
    ['replay-window', 'ip -s xfrm state', stats.replayWindow],
    ['replay', 'ip -s xfrm state', stats.replay],
    ['failed', 'ip -s xfrm state', stats.failed],
    ['left unseen', 'by nobody', lost],
  ];
  return (
    <table class="counters">
      <caption>What is counted by now</caption>
      <TableHead titles={['Counter', 'Where', 'Value']} />
      <tbody>
        {rows.map(([name, where, value]) => (
          <tr key={name} class={value > 0 ? 'counted' : undefined}>
            <th scope="row">
              <code>{name}</code>
            </th>
            <td>{where}</td>
            <td class="number">{shown(value)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function RangeTable({ run }: { readonly run: WindowRun }) {
  const ranges = rangesOf(run);
  if (ranges.length === 0 || run.settings.size === 0) return null;
  return (
    <details>
      <summary>The window as a table</summary>
      <table>
        <TableHead titles={['Numbers', 'State']} />
        <tbody>
          {ranges.slice(0, 100).map(({ cell, from, to }) => (
            <tr key={from}>
              <td>{from === to ? shown(from) : `${shown(from)} to ${shown(to)}`}</td>
              <td>{cell === 'seen' ? 'seen' : 'not seen'}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </details>
  );
}

function Why() {
  return (
    <section>
      <h2>Why Cilium users see ProtoError where they expect a replay</h2>
      <p>
        Cilium from 1.17 on always has ESN and a window of 1024. With ESN only the low 32 bits of a number are
        sent; the receiver works out the high half from where its window stands. A number below the window has
        two readings: an old packet, or one of the next 2^32. The rule is to take the second, because a window
        cannot go back. <Reference text="RFC 4303 §A2.2" />
      </p>
      <p>
        The high half is not sent, but it is authenticated. So for an old packet the ICV is checked with a
        high half that is one too large, it fails, and Linux counts <code>XfrmInStateProtoError</code> and{' '}
        <code>failed</code>, the same as for a wrong key. <code>XfrmInStateSeqError</code> is left for what is
        seen twice inside the window. Heavy reordering, an agent that began again with number 1, and an old
        replay all look like broken keys. What tells them apart is the number: look at it in a capture.
      </p>
      <p>
        Without ESN a number below the window is refused before the cipher is asked:{' '}
        <code>XfrmInStateSeqError</code> and <code>replay-window</code>. And without a window, as in Cilium to
        1.16 unless the key had a “+”, nothing is refused at all.
      </p>
    </section>
  );
}
