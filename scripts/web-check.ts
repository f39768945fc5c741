/**
 * Ends the build of the page where it would show what it does not explain: a byte that no field has or two have, a field
 * or a step without its text, a packet that its keys do not open.
 * @module
 */
import type { Plugin } from 'vite';
import { unexplainedIn, unexplainedOn } from '../src/web/model/unexplained.ts';
import { takeWay } from '../src/web/model/way.ts';
import { ALL_WAYS } from '../src/web/model/way-network.ts';
import { explainPacket, pagePacket } from '../src/web/packets/page-packet.ts';
import { type PacketChoice, SELECTION } from '../src/web/packets/selection.ts';
import { embed } from './web-packets.ts';

/** Problems that are named; there may be one for every byte. */
const MOST = 10;

/** The plugin. @param choices packets that the page shows */
export function webCheck(choices: readonly PacketChoice[] = SELECTION): Plugin {
  return {
    name: 'esplane-check',
    buildStart() {
      const problems = [...choices.flatMap(inPacket), ...ALL_WAYS.flatMap(onWay)];
      if (problems.length === 0) return;
      const more = problems.length > MOST ? `\nand ${problems.length - MOST} more` : '';
      this.error(`${problems.slice(0, MOST).join('\n')}${more}`);
    },
  };
}

function inPacket(choice: PacketChoice): string[] {
  const { packet, stops } = explainPacket(pagePacket(choice, embed(choice)));
  const problems = [...stops.map(({ id, problem }) => `${id}: ${problem}`), ...unexplainedIn(packet)];
  const security = packet.layers.find((layer) => layer.security)?.security;
  if (security?.verdict !== 'ok')
    problems.push(`ESP is not opened: ${security?.look ?? security?.lookup ?? 'there is none'}`);
  return problems.map((problem) => `${choice.id}, frame ${choice.frame} of ${choice.folder}: ${problem}`);
}

function onWay(options: (typeof ALL_WAYS)[number]): string[] {
  const { mode, family, esn } = options;
  return unexplainedOn(takeWay(options)).map(
    (problem) => `${mode}, IPv${family}, ESN ${esn ? 'on' : 'off'}: ${problem}`,
  );
}
