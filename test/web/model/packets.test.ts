/**
 * The packets that the page shows, which are taken out of `pcaps/` when it is built.
 */
import { describe, expect, it } from 'vitest';
import { placeAt, placesOf } from '../../../src/web/model/places.ts';
import { unexplainedIn } from '../../../src/web/model/unexplained.ts';
import { PACKETS } from '../../../src/web/packets/packets.ts';
import { explainPacket } from '../../../src/web/packets/page-packet.ts';

describe.each(PACKETS.map((packet) => [packet.id, packet] as const))('%s', (_, packet) => {
  const explanation = explainPacket(packet);
  const places = placesOf(explanation.packet);

  it('is opened, with its window where the frames before have left it', () => {
    const esp = explanation.packet.layers.find(({ id }) => id === 'esp')!;
    expect(esp.security).toMatchObject({ verdict: 'ok', icvOk: true });
    expect(explanation.stops).toEqual([]);
    const { window } = esp.security!;
    if (window!.size > 0) expect(window!.before.seen).not.toEqual([]);
  });

  it('has every byte explained once, and a text for every field', () => {
    expect(unexplainedIn(explanation.packet)).toEqual([]);
  });

  it('has a field for every byte, also for those inside ESP', () => {
    for (let at = 0; at < packet.shown.bytes.length; at++)
      expect(placeAt(places, at), `byte ${at}`).toBeDefined();
    expect(places.some(({ isInner }) => isInner)).toBe(true);
    expect(new Set(places.map(({ name }) => name)).size).toBe(places.length);
  });
});
