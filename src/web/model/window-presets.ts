/**
 * Scenes of the replay window: what each shows, and the actions that show it.
 * @module
 */
import type { WindowSettings } from './window.ts';

export interface WindowPreset {
  readonly id: string;
  readonly title: string;
  /** What to look at. */
  readonly look: string;
  readonly settings: WindowSettings;
  /** As in an address: see `window-actions.ts`. */
  readonly actions: string;
}

const U32 = 2 ** 32;

export const WINDOW_PRESETS: readonly WindowPreset[] = [
  {
    id: 'in-order',
    title: 'All in order',
    look: 'The window follows the highest number that verified. Nothing is counted.',
    settings: { size: 64, esn: true, start: 0 },
    actions: 's40',
  },
  {
    id: 'late-inside',
    title: 'Late, inside the window',
    look: 'One packet comes 20 numbers late. The window still has its place free, so it is let through.',
    settings: { size: 64, esn: true, start: 0 },
    actions: 's10.h.s20.d',
  },
  {
    id: 'late-beyond',
    title: 'Late, beyond the window, with ESN',
    look: 'It comes 40 numbers late to a window of 32. With ESN the receiver takes it for a number of the next 2^32, its ICV fails, and Linux counts XfrmInStateProtoError.',
    settings: { size: 32, esn: true, start: 0 },
    actions: 's10.h.s40.d',
  },
  {
    id: 'late-beyond-no-esn',
    title: 'The same without ESN',
    look: 'Without ESN a number below the window can be nothing else: XfrmInStateSeqError, and replay-window of the SA.',
    settings: { size: 32, esn: false, start: 0 },
    actions: 's10.h.s40.d',
  },
  {
    id: 'replay',
    title: 'A replay that is seen',
    look: 'An attacker sends a packet again that is still in the window: its bit is set. XfrmInStateSeqError, with ESN as without.',
    settings: { size: 64, esn: true, start: 0 },
    actions: 's40.r30',
  },
  {
    id: 'replay-old',
    title: 'A replay that Cilium users do not find',
    look: 'The same attack with an old packet. It is refused, but it is no replay to Linux: below the window ESN reads the number as one of the next 2^32, and what fails is the ICV.',
    settings: { size: 64, esn: true, start: 0 },
    actions: 's100.r5',
  },
  {
    id: 'replay-off',
    title: 'A replay without a window',
    look: 'Cilium to 1.16 without “+” in the key: no ESN, window 0. The packet is genuine, nothing remembers it, and it is let through again and again.',
    settings: { size: 0, esn: false, start: 0 },
    actions: 's20.r5.r5.r5',
  },
  {
    id: 'forged-jump',
    title: 'A forged jump, then a true one',
    look: 'A forged packet far ahead must not move the window, or one packet could shut everybody out: the ICV comes first. The true jump moves it, and everything in between counts as lost.',
    settings: { size: 64, esn: true, start: 0 },
    actions: 's20.f1000.s5.j1000.s5',
  },
  {
    id: 'across',
    title: 'Across 2^32 with ESN',
    look: 'The low half on the wire goes from 4294967295 to 0. The receiver counts the high half by itself, also for the two packets that come late from before.',
    settings: { size: 32, esn: true, start: U32 - 8 },
    actions: 's4.h2.s8.d2.s4',
  },
  {
    id: 'end',
    title: 'The end without ESN',
    look: 'After 2^32-1 packets the sender has no number left: XfrmOutStateSeqError, and silence until the key is rotated.',
    settings: { size: 32, esn: false, start: U32 - 8 },
    actions: 's12',
  },
  {
    id: 'restart',
    title: 'The sender starts again with 1',
    look: 'An agent made its SAs anew under the same key. Its numbers are below the window of the peer, and all are refused: XfrmInStateProtoError, until the key is rotated.',
    settings: { size: 1024, esn: true, start: 5000 },
    actions: 's20.z.s20',
  },
  {
    id: 'jump-too-far',
    title: 'A jump of more than 2^32',
    look: 'The low half cannot say that a whole 2^32 was skipped. The receiver guesses one high half too low, for every packet from here on.',
    settings: { size: 64, esn: true, start: 0 },
    actions: `s20.j${U32 + 100}.s10`,
  },
  {
    id: 'cilium',
    title: 'Cilium today: ESN, 1024',
    look: 'Reordering of up to 1023 numbers is let through; the one that comes 1100 late is a ProtoError, not a replay. Pull request 47284 of Cilium asks for 4096.',
    settings: { size: 1024, esn: true, start: 0 },
    actions: 's100.h.s1000.d.h.s1100.d',
  },
];
