/**
 * Room in the packet: what ESP and the overlay add, what then still fits the link, and what Cilium leaves for pods.
 *
 * ```text
 *  #/room?mode=vxlan-in-esp&suite=cbc-sha256&v=6&mtu=9000&len=1400
 * ```
 * @module
 */
import type { Chapter, ChapterProps } from '../../chapter.ts';
import {
  ciliumMtu,
  longest,
  onWire,
  partsOf,
  pingForms,
  ROOM_MODES,
  ROOM_SUITES,
  type RoomChoice,
} from '../../model/room.ts';
import { Choice, chosen, isOn, numberOf, Slider, Toggle } from '../../parts/controls.tsx';
import { CopyAs } from '../../parts/copy-as.tsx';
import { Reference } from '../../parts/reference.tsx';
import { Scroll } from '../../parts/scroll.tsx';
import { TableHead } from '../../parts/table-head.tsx';
import { Overhead } from './overhead.tsx';
import { Scale } from './scale.tsx';
import { AllSuites } from './table.tsx';

const VERSIONS = [
  { value: '4', label: 'IPv4' },
  { value: '6', label: 'IPv6' },
] as const;

const MTU = { min: 1280, max: 9216, otherwise: 1500 };
const LENGTH = { min: 60, max: 9216, otherwise: 1423 };
const bytes = (n: number) => `${n.toLocaleString('en')} bytes`;

export const ROOM: Chapter = {
  id: 'room',
  title: 'Room in the packet',
  summary:
    'What encryption costs in bytes, what then still fits the link, and where 1423, 1373 and 1353 come from.',
  View,
};

function View({ route, go }: ChapterProps) {
  const choice: RoomChoice = {
    mode: chosen(route, 'mode', ROOM_MODES).value,
    suite: chosen(route, 'suite', ROOM_SUITES),
    family: chosen(route, 'v', VERSIONS).value === '6' ? 6 : 4,
    encap: isOn(route, 'udp'),
    mtu: numberOf(route, 'mtu', MTU),
  };
  const len = numberOf(route, 'len', LENGTH);
  const parts = partsOf(choice, len);
  const total = onWire(choice, len);
  const most = longest(choice);
  const cilium = ciliumMtu(choice);
  const bound = { route, go };

  return (
    <>
      <h1 tabIndex={-1}>Room in the packet</h1>
      <p>
        Encryption makes packets longer, and the link between the nodes does not grow. So pods get less than
        the link has. How much less depends on how they are sent, and on the cipher.
      </p>
      <div class="controls">
        <Choice {...bound} name="mode" label="Way" options={ROOM_MODES} />
        <Choice {...bound} name="v" label="Between the nodes" options={VERSIONS} />
        <Choice {...bound} name="suite" label="Cipher" options={ROOM_SUITES} />
        <Toggle {...bound} name="udp" label="ESP in UDP, through a NAT" />
        <Slider {...bound} name="mtu" label="MTU of the link" {...MTU} show={bytes} />
        <Slider {...bound} name="len" label="Packet of the pod" {...LENGTH} show={bytes} />
      </div>

      <p class={`notice ${total <= choice.mtu ? 'good' : ''}`} role="status">
        A packet of {bytes(len)} becomes {bytes(total)}: {total - len} more.{' '}
        {total <= choice.mtu
          ? `It fits the link's ${bytes(choice.mtu)}, with ${choice.mtu - total} to spare.`
          : `The link takes ${bytes(choice.mtu)}: ${total - choice.mtu} too many. With DF set, or over IPv6, the sender is told "${
              choice.family === 4 ? 'fragmentation needed' : 'packet too big'
            }"; where that message is lost, long packets vanish and short ones pass.`}
      </p>
      <Scale parts={parts} total={total} mtu={choice.mtu} />

      <CopyAs forms={pingForms(choice, most)} />

      <h2>Part by part</h2>
      <Scroll label="Part by part">
        <table>
          <TableHead titles={['Part', 'Bytes', 'ESP', 'Why']} />
          <tbody>
            {parts.map(({ id, label, bytes: n, isEncrypted, isAuthenticated, why, reference }) => (
              <tr key={id}>
                <th scope="row">{label}</th>
                <td class="number">{n}</td>
                <td>
                  {isEncrypted ? 'encrypted' : ''}
                  {isEncrypted && isAuthenticated ? ', ' : ''}
                  {isAuthenticated ? 'authenticated' : ''}
                  {!isEncrypted && !isAuthenticated ? 'neither' : ''}
                </td>
                <td>
                  {why} <Reference text={reference} />
                </td>
              </tr>
            ))}
          </tbody>
          <tfoot>
            <tr>
              <th scope="row">On the wire</th>
              <td class="number">{total}</td>
              <td colSpan={2}>without the Ethernet header of the link, which its MTU does not count</td>
            </tr>
          </tfoot>
        </table>
      </Scroll>

      <h2>What pods get</h2>
      <p>
        The longest packet of a pod that fits is <strong>{bytes(most)}</strong>.{' '}
        {cilium ? (
          <>
            Cilium gives pods <strong>{bytes(cilium.mtu)}</strong> ({cilium.sum}), {most - cilium.mtu} less
            than fits. It reserves {77 + choice.suite.key.keyLen - 16} bytes for ESP whatever the IP version:
            77 is the worst case of AES-GCM over IPv6, and what its key length has above 16 is added; for CBC
            ciphers it counts hex digits of the integrity key as bytes.
          </>
        ) : (
          'Cilium does not send packets this way, so it has no figure for it.'
        )}
      </p>
      <h2>Why one more byte can cost four</h2>
      <p>
        What is sealed is padded to whole blocks of {choice.suite.suite.align} bytes, two bytes of trailer
        included. <Reference text="RFC 4303 §2.4" /> So the overhead goes up and down with the packet's
        length.
      </p>
      <Overhead choice={choice} len={len} />

      <h2>Every way, every cipher</h2>
      <AllSuites choice={choice} />
    </>
  );
}
