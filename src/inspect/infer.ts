/**
 * What a source of SAs leaves open ({@link SaConfig.unstated}), and what is made of it.
 *
 * | open | settled by |
 * |---|---|
 * | mode | each packet: IP of the version that the next header names is tunnel mode, 144 is IP-TFS, all else transport mode |
 * | UDP | each packet, as it comes |
 * | ESN | the first packet that authenticates, with ESN or without |
 *
 * No packet is refused for what the source does not say. An SA whose ICV is not checked never says whether there is ESN,
 * and has no window: any number may be forged, so no number makes another one old.
 * @module
 */
import type { SaConfig } from '../ipsec/sa-config.ts';
import { ESN_WINDOW } from '../sa-text/esn-window.ts';
import * as aggfrag from '../wire/aggfrag.ts';
import * as esp from '../wire/esp.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';

/** The SAs that one may be, to be tried in this order; the SA itself where nothing is to be tried. */
export function waysOf(config: SaConfig): SaConfig[] {
  const { unstated, keys, esn, replayWindow } = config;
  if (keys.suite.unchecked)
    return [esn || replayWindow > 0 ? { ...config, esn: false, replayWindow: 0 } : config];
  if (!unstated?.esn) return [config];
  const { esn: _, ...rest } = unstated;
  const without = { ...config, unstated: rest };
  return [without, { ...without, esn: true, replayWindow: ESN_WINDOW }];
}

/**
 * The mode of an SA, told by a packet where its source leaves it open.
 * @param text what the packet holds, trailer included; absent where it was not opened
 * @returns null where neither tells
 */
export function modeOf(
  { mode, unstated }: Pick<SaConfig, 'mode' | 'unstated'>,
  text: Uint8Array | undefined,
): SaConfig['mode'] | null {
  if (!unstated?.mode) return mode;
  if (!text || text.length <= esp.TRAILER_LEN) return null;
  const next = esp.nextHeader(text, text.length);
  if (next === aggfrag.PROTOCOL) return 'iptfs';
  const version = next === ipv4.PROTOCOL ? 4 : next === ipv6.PROTOCOL ? 6 : 0;
  return version > 0 && text[0]! >>> 4 === version ? 'tunnel' : 'transport';
}
