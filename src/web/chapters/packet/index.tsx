/**
 * The way of a packet: from pod to pod through two nodes, step by step.
 *
 * ```text
 *  #/packet                                   the first step
 *  #/packet/step/seal?mode=vxlan-in-esp&v=6   one step of another way
 *  #/packet/step/wire/field/esp.iv            a field there
 *  #/packet/field/esp.seq                     a field where it first appears
 * ```
 * @module
 */
import { useMemo } from 'preact/hooks';
import type { Chapter, ChapterProps } from '../../chapter.ts';
import { withSecrets } from '../../model/copy-forms.ts';
import type { NamedPart } from '../../model/pieces.ts';
import { stepOfField, takeWay, type Way, type WayStep } from '../../model/way.ts';
import { captureName, framesOf, wayForms } from '../../model/way-forms.ts';
import type { WayMode } from '../../model/way-network.ts';
import { Choice, chosen } from '../../parts/controls.tsx';
import { CopyAs } from '../../parts/copy-as.tsx';
import { Download } from '../../parts/download.tsx';
import { Steps } from '../../parts/steps.tsx';
import { changed, formatRoute } from '../../route.ts';
import { Drawing } from './drawing.tsx';
import { StepBytes, StepText } from './step-view.tsx';
import { usePrinting } from './use-printing.ts';

const MODE_OPTIONS = [
  { value: 'native', label: 'native' },
  { value: 'vxlan-in-esp', label: 'VXLAN in ESP' },
  { value: 'esp-in-vxlan', label: 'ESP in VXLAN' },
] as const satisfies readonly { value: WayMode; label: string }[];

const FAMILY_OPTIONS = [
  { value: '4', label: 'IPv4' },
  { value: '6', label: 'IPv6' },
] as const;

const ESN_OPTIONS = [
  { value: '1', label: 'on' },
  { value: '0', label: 'off' },
] as const;

const ABOUT: Readonly<Record<WayMode, string>> = {
  native:
    'Native routing: the network between the nodes knows the pods’ addresses. ESP is all that comes around the packet.',
  'vxlan-in-esp':
    'An overlay, as Cilium builds it from 1.18 on: the packet goes into VXLAN, and VXLAN into ESP.',
  'esp-in-vxlan': 'An overlay, as Cilium built it up to 1.17: the packet goes into ESP, and ESP into VXLAN.',
};

export const PACKET: Chapter = {
  id: 'packet',
  title: 'The way of a packet',
  summary:
    'From pod to pod through two nodes: every step, with the bytes before and after, and why it is so.',
  View,
};

function View({ route, go }: ChapterProps) {
  const mode = chosen(route, 'mode', MODE_OPTIONS).value;
  const family = chosen(route, 'v', FAMILY_OPTIONS).value;
  const esn = chosen(route, 'esn', ESN_OPTIONS).value;
  const way = useMemo(
    () => takeWay({ mode, family: family === '6' ? 6 : 4, esn: esn === '1' }),
    [mode, family, esn],
  );
  const isPrinting = usePrinting();
  const { steps } = way;
  const { step, part, isUnknown } = placeOf(way, route.path);
  const hrefOf = ({ id }: WayStep) => formatRoute(changed(route, { path: ['step', id] }));

  return (
    <>
      <h1 tabIndex={-1}>The way of a packet</h1>
      <p>
        A pod sends a datagram to a pod on another node. Two of esplane’s nodes carry it, in this page; the
        bytes are theirs. Go through with the buttons or with ← and →.
      </p>
      <div class="controls">
        <Choice route={route} go={go} name="mode" label="Network" options={MODE_OPTIONS} />
        <Choice route={route} go={go} name="v" label="Pods speak" options={FAMILY_OPTIONS} />
        <Choice route={route} go={go} name="esn" label="ESN" options={ESN_OPTIONS} />
      </div>
      <p>{ABOUT[mode]}</p>
      {isUnknown && (
        <p class="notice" role="alert">
          This way has no <code>{route.path.join('/')}</code>. It starts here; another network may have it.
        </p>
      )}
      {isPrinting ? (
        <>
          <Drawing way={way} current={step} hrefOf={hrefOf} />
          {steps.map((one, i) => (
            <div key={one.id} class="way-printed">
              <StepText step={one} number={i + 1} />
              <StepBytes step={one} />
            </div>
          ))}
        </>
      ) : (
        <>
          <Steps steps={steps} current={step.id} onGo={(id) => go({ path: ['step', id] })} />
          <div class="way">
            <Drawing way={way} current={step} hrefOf={hrefOf} />
            <StepText step={step} number={steps.indexOf(step) + 1} />
          </div>
          <StepBytes
            step={step}
            current={part}
            onPick={({ name }) => go({ path: ['step', step.id, 'field', name] })}
          />
        </>
      )}
      <div class="row">
        <Download
          label="Download as pcapng, with keys"
          name={captureName(way)}
          type="application/x-pcapng"
          make={() => withSecrets(framesOf(way), [way.out])}
        />
        <CopyAs forms={wayForms(way, step)} />
      </div>
    </>
  );
}

interface PlaceInWay {
  readonly step: WayStep;
  readonly part?: NamedPart | undefined;
  readonly isUnknown: boolean;
}

/** What an address names; where that is nowhere on this way, its beginning. */
function placeOf({ steps }: Way, [kind, name, more, field]: readonly string[]): PlaceInWay {
  const first = steps[0]!;
  if (kind === undefined) return { step: first, isUnknown: false };
  if (kind === 'field' && name !== undefined) {
    const found = stepOfField(steps, name);
    return found ? { ...found, isUnknown: false } : { step: first, isUnknown: true };
  }
  const step = kind === 'step' ? steps.find(({ id }) => id === name) : undefined;
  if (!step) return { step: first, isUnknown: true };
  if (more === undefined) return { step, isUnknown: false };
  const part = step.after.parts.find((candidate) => candidate.name === field);
  return { step, part, isUnknown: more !== 'field' || part === undefined };
}
