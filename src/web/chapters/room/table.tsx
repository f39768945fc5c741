/**
 * For every way and every cipher: the longest packet of a pod, and Cilium's MTU.
 * @module
 */

import { ciliumMtu, longest, ROOM_MODES, ROOM_SUITES, type RoomChoice } from '../../model/room.ts';
import { Scroll } from '../../parts/scroll.tsx';

export function AllSuites({ choice }: { readonly choice: RoomChoice }) {
  return (
    <Scroll label="Every way, every cipher">
      <table>
        <caption>
          Longest packet of a pod on a link of {choice.mtu} over IPv{choice.family}
          {choice.encap ? ', in UDP' : ", and in brackets Cilium's MTU for pods"}
        </caption>
        <thead>
          <tr>
            <th scope="col">Cipher</th>
            {ROOM_MODES.map(({ value, label }) => (
              <th key={value} scope="col">
                {label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {ROOM_SUITES.map((suite) => (
            <tr key={suite.value}>
              <th scope="row">{suite.label}</th>
              {ROOM_MODES.map(({ value: mode }) => {
                const cell = { ...choice, suite, mode };
                const cilium = ciliumMtu(cell);
                const isMine = suite === choice.suite && mode === choice.mode;
                return (
                  <td key={mode} class={isMine ? 'number lit' : 'number'}>
                    {longest(cell)}
                    {cilium && ` (${cilium.mtu})`}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}
